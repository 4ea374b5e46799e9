"""Headrace: train Keras models on windowed sensor recordings larger than memory.

The one name that is imported. The names below load what they need when they are first used; what
stands behind them is in `headrace.stores`, `headrace.model` and `headrace.pipeline`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.pipeline.augmentations.chance import uniform
    from headrace.pipeline.catalogue.custom import feature_function
    from headrace.pipeline.config.load import load_config
    from headrace.pipeline.dataset.dataset import Dataset
    from headrace.pipeline.dataset.plan import plan
    from headrace.pipeline.extractor.transformer import FeatureExtractor
    from headrace.stores.errors import UserError
    from headrace.stores.store import Store
    from headrace.stores.views.notebook import open_notebook_store as open

_HOMES = {
    "Dataset": ("headrace.pipeline.dataset.dataset", "Dataset"),
    "FeatureExtractor": ("headrace.pipeline.extractor.transformer", "FeatureExtractor"),
    "Store": ("headrace.stores.store", "Store"),
    "UserError": ("headrace.stores.errors", "UserError"),
    "feature_function": ("headrace.pipeline.catalogue.custom", "feature_function"),
    "load_config": ("headrace.pipeline.config.load", "load_config"),
    "open": ("headrace.stores.views.notebook", "open_notebook_store"),
    "plan": ("headrace.pipeline.dataset.plan", "plan"),
    "uniform": ("headrace.pipeline.augmentations.chance", "uniform"),
}
__all__ = [
    "Dataset",
    "FeatureExtractor",
    "Store",
    "UserError",
    "feature_function",
    "load_config",
    "open",
    "plan",
    "uniform",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'headrace' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
