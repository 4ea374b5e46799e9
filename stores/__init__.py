"""Data at rest: HDF5 sources in, one Zarr v3 store out. No Dask and no TensorFlow in here.

The names below load what they need when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.stores.source.source import Source, open_source
    from headrace.stores.store import Store
    from headrace.stores.views.notebook import open_notebook_store as open

_HOMES = {
    "Source": ("headrace.stores.source.source", "Source"),
    "Store": ("headrace.stores.store", "Store"),
    "open": ("headrace.stores.views.notebook", "open_notebook_store"),
    "open_source": ("headrace.stores.source.source", "open_source"),
}
__all__ = ["Source", "Store", "open", "open_source"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'stores' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
