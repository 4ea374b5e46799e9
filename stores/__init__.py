"""Data at rest: HDF5 sources in, one Zarr v3 store out. No Dask and no TensorFlow in here.

The names below load what they need when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.stores.layout.permutation import Bijection, mix_key, permutation
    from headrace.stores.store import Store
    from headrace.stores.views.notebook import open_notebook_store as open

_HOMES = {
    "Bijection": ("headrace.stores.layout.permutation", "Bijection"),
    "Store": ("headrace.stores.store", "Store"),
    "mix_key": ("headrace.stores.layout.permutation", "mix_key"),
    "open": ("headrace.stores.views.notebook", "open_notebook_store"),
    "permutation": ("headrace.stores.layout.permutation", "permutation"),
}
__all__ = ["Bijection", "Store", "mix_key", "open", "permutation"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'stores' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
