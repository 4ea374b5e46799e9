"""Data at rest: HDF5 sources in, one Zarr v3 store out. No Dask and no TensorFlow in here.

The names below load what they need when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stores.permutation import Bijection, mix_key, permutation
    from stores.store import Store
    from stores.store import open_store as open

_HOMES = {
    "Bijection": ("stores.permutation", "Bijection"),
    "Store": ("stores.store", "Store"),
    "mix_key": ("stores.permutation", "mix_key"),
    "open": ("stores.store", "open_store"),
    "permutation": ("stores.permutation", "permutation"),
}
__all__ = ["Bijection", "Store", "mix_key", "open", "permutation"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'stores' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
