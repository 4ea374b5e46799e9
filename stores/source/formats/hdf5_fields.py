"""Compound datasets of HDF5: each field is an array of its own, by "dataset/field"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import h5py
import numpy as np

from headrace.stores.source.arrays import shown_arrays
from headrace.stores.source.formats.derived import DerivedArray
from headrace.stores.source.formats.hdf5 import MOST_NAMES, Hdf5Array, Hdf5Node, explained
from headrace.stores.source.formats.hdf5_ragged import EntriesNode, entries_dtype
from headrace.stores.source.interface import SourceArray, SourceNode


class ArraysNode:
    """A group of arrays that are known by name; see `SourceNode`."""

    def __init__(self, name: str, where: str, arrays: Mapping[str, SourceArray]) -> None:
        """The group `name`, called `where`."""
        self.name = name
        self.where = where
        self.arrays = arrays

    def array(self, name: str) -> SourceArray | None:
        """The array of that name."""
        return self.arrays.get(name)

    def group(self, name: str) -> SourceNode | None:
        """None."""
        return None

    def children(self) -> list[str]:
        """Those of the arrays."""
        return list(self.arrays)

    def contents(self) -> str:
        """The arrays with shape and type."""
        return shown_arrays((name, a.shape, a.dtype) for name, a in self.arrays.items())

    def names(self) -> Iterator[str]:
        """Names of the arrays."""
        return iter(self.arrays)


class FieldsNode:
    """A file or group of HDF5 whose compound datasets are groups; see `SourceNode`."""

    def __init__(self, inner: Hdf5Node) -> None:
        """What `inner` holds, as it is meant."""
        self.inner = inner
        self.name = inner.name
        self.where = inner.where

    def array(self, name: str) -> SourceArray | None:
        """The array of that name, or the field."""
        found = self.inner.array(name)
        if found is not None:
            return self.as_meant(found) if entries_dtype(found) is None else None
        table, _, field = name.rpartition("/")
        entries = self._entries(table)
        if entries is not None:
            return entries.array(field)
        compound = self._compound(table)
        return None if compound is None else field_arrays(compound).get(field)

    def group(self, name: str) -> SourceNode | None:
        """The group of that name, or the compound dataset."""
        found = self.inner.group(name)
        if found is not None:
            return self.below(found)
        entries = self._entries(name)
        if entries is not None:
            return entries
        compound = self._compound(name)
        if compound is None:
            return None
        return ArraysNode(compound.name, compound.where, field_arrays(compound))

    def children(self) -> list[str]:
        """Of datasets and groups."""
        return self.inner.children()

    def contents(self) -> str:
        """The datasets below with shape and type, and the fields of the compound ones."""
        return shown_arrays(self._below(20))

    def names(self) -> Iterator[str]:
        """Names of the datasets below, and of the fields of the compound ones."""
        return (name for name, _, _ in self._below(MOST_NAMES))

    def as_meant(self, found: Hdf5Array) -> SourceArray:
        """The array that stands for a dataset."""
        return found

    def below(self, group: Hdf5Node) -> Self:
        """The node that stands for a group."""
        return type(self)(group)

    def _below(self, most: int) -> Iterator[tuple[str, tuple[int, ...] | None, np.dtype[Any]]]:
        with explained():
            below = self.inner.below(most)
        for name, shape, dtype in below:
            for field in dtype.names or ():
                yield f"{name}/{field}", shape, dtype[field]
            if not dtype.names:
                yield name, shape, dtype

    def _entries(self, name: str) -> EntriesNode | None:
        found = self.inner.array(name) if name else None
        return EntriesNode(found) if found is not None and entries_dtype(found) else None

    def _compound(self, name: str) -> Hdf5Array | None:
        found = self.inner.array(name) if name else None
        return found if found is not None and found.dtype.names else None


def field_arrays(compound: Hdf5Array) -> dict[str, DerivedArray]:
    """The fields of a compound dataset (n,), each (n, ...) as its type says."""
    return {name: _field_array(compound, name) for name in compound.dtype.names or ()}


def _field_array(compound: Hdf5Array, field: str) -> DerivedArray:
    dtype, shape = compound.dtype[field].base, compound.dtype[field].shape
    if means_truth(dtype):
        dtype = np.dtype(bool)
    return DerivedArray(
        f"{compound.name}/{field}",
        f"{compound.where}/{field}",
        (*(compound.shape or ()), *shape),
        dtype,
        (compound,),
        lambda arrays, start, stop: (
            arrays[0].read_fields(field, start, stop).astype(dtype, copy=False)
        ),
    )


def means_truth(dtype: np.dtype[Any]) -> bool:
    """Whether an HDF5 enumeration is that of false and true, however they are written."""
    members = h5py.check_enum_dtype(dtype) or {}
    return {name.lower(): value for name, value in members.items()} == {"false": 0, "true": 1}
