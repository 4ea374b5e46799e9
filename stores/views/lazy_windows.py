"""Windows of a store of stretches for xarray: cut when they are indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.stores.views.window import row_numbers, row_ranges

if TYPE_CHECKING:
    import xarray as xr

    from headrace.stores.store import Store


def lazy_windows(store: Store) -> xr.Variable:
    """`raw` (window, time, channel) of a store; indexing reads what it asks for, and no more."""
    import xarray as xr
    from xarray.backends import BackendArray
    from xarray.core import indexing

    class Windows(BackendArray):
        """Windows by their rows."""

        def __init__(self) -> None:
            self.shape = (store.windows, *store.spec.shape)
            self.dtype = store.spec.dtype

        def __getitem__(self, key: Any) -> Any:
            kind = indexing.IndexingSupport.OUTER
            return indexing.explicit_indexing_adapter(key, self.shape, kind, read)

    def read(key: tuple[Any, ...]) -> Any:
        rows, *others = (each if isinstance(each, slice) else np.atleast_1d(each) for each in key)
        numbers = row_numbers(store, rows if isinstance(rows, slice) else rows.tolist())
        found = store.read_many(["raw"], row_ranges(numbers))["raw"]
        for axis, each in enumerate(others, 1):
            found = found[(slice(None),) * axis + (each,)]
        single = tuple(at for at, each in enumerate(key) if isinstance(each, int | np.integer))
        return found.squeeze(single)

    return xr.Variable(("window", "time", "channel"), indexing.LazilyIndexedArray(Windows()))
