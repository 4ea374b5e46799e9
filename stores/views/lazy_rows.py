"""Arrays of a store for xarray that no single Zarr array holds: read when they are indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.stores.views.window import row_numbers, row_ranges

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from headrace.stores.store import Store


def lazy_windows(store: Store) -> xr.Variable:
    """`raw` (window, time, channel) of a store, cut from its stretches if it holds those."""
    return lazy_rows(store, "raw", (store.windows, *store.spec.shape))


def lazy_rows(store: Store, name: str, shape: tuple[int, ...]) -> xr.Variable:
    """An array of a store by window, of that `shape`; indexing reads what it asks for."""
    import xarray as xr
    from xarray.backends import BackendArray
    from xarray.core import indexing

    array = store.array(name)

    class Rows(BackendArray):
        """Rows by their numbers."""

        def __init__(self) -> None:
            self.shape = shape
            self.dtype = array.dtype

        def __getitem__(self, key: Any) -> Any:
            kind = indexing.IndexingSupport.OUTER
            return indexing.explicit_indexing_adapter(key, self.shape, kind, read)

    def read(key: tuple[Any, ...]) -> NDArray[Any]:
        rows, *others = (each if isinstance(each, slice) else np.atleast_1d(each) for each in key)
        numbers = row_numbers(store, rows if isinstance(rows, slice) else rows.tolist())
        found = store.read_many([name], row_ranges(numbers))[name]
        for axis, each in enumerate(others, 1):
            found = found[(slice(None),) * axis + (each,)]
        single = tuple(at for at, each in enumerate(key) if isinstance(each, int | np.integer))
        return found.squeeze(single)

    dimensions = ("window", *array.dimensions[1:])
    return xr.Variable(dimensions, indexing.LazilyIndexedArray(Rows()))
