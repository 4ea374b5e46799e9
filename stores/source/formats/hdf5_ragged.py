"""HDF5 datasets whose entries are arrays of their own lengths: each is an array, by its number."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import rows_of, shown_arrays
from headrace.stores.source.formats.derived import DerivedArray
from headrace.stores.source.formats.hdf5 import Hdf5Array


def entries_dtype(array: Hdf5Array) -> np.dtype[Any] | None:
    """The type of the values in the entries (N,) of such a dataset; None: it is none."""
    base = h5py.check_vlen_dtype(array.dtype)
    if not isinstance(base, np.dtype) or base.kind not in "fiu" or len(array.shape or ()) != 1:
        return None
    return base


class EntriesNode:
    """The entries of a dataset, called "0", "1", ...; see `SourceNode`."""

    def __init__(self, array: Hdf5Array) -> None:
        """Take over the dataset."""
        self._array = array
        self.name, self.where = array.name, array.where

    def array(self, name: str) -> DerivedArray | None:
        """The entry of that number, which is read whole and held as long as it is in use."""
        found = self._array
        if not (name.isascii() and name.isdigit()) or int(name) >= rows_of(found):
            return None
        dtype, number = entries_dtype(found), int(name)

        @cache
        def values() -> NDArray[Any]:
            return np.asarray(found.read(number, number + 1)[0], dtype)

        assert dtype is not None
        return DerivedArray(
            f"{self.name}/{name}",
            f"{self.where}/{name}",
            values().shape,
            dtype,
            (found,),
            lambda _, start, stop: values()[start:stop],
            held=2 * values().nbytes,
        )

    def group(self, name: str) -> None:
        """None."""

    def names(self) -> Iterator[str]:
        """Numbers of the entries."""
        return iter(self.children())

    def children(self) -> list[str]:
        """Numbers of the entries."""
        return [str(number) for number in range(rows_of(self._array))]

    def contents(self) -> str:
        """Of the dataset."""
        return shown_arrays([(self.name, self._array.shape, self._array.dtype)])
