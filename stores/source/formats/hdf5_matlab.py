"""MATLAB 7.3 files: HDF5 in which axes are reversed, and cells are references."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from headrace.stores.errors import SourceError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.formats.hdf5 import Hdf5Array
from headrace.stores.source.formats.hdf5_matlab_arrays import (
    ReversedArray,
    cell_texts,
    char_texts,
    empty_array,
)
from headrace.stores.source.formats.hdf5_matlab_items import Item, class_of, member, names_in
from headrace.stores.source.formats.hdf5_own import check_own
from headrace.stores.source.formats.matlab_paths import PathNode
from headrace.stores.source.interface import SourceArray, SourceNode
from headrace.stores.text import in_one_line

SIGNATURE = b"MATLAB 7.3 MAT-file"
NUMBERS = frozenset(
    [
        *("double", "single", "logical", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64"),
    ]
)
MOST_VISITED = 200
"""Objects that are looked at to list what a file holds: cells may hold themselves."""


def is_matlab(file: Any, path: Place) -> bool:
    """Whether the block before the HDF5 file says that MATLAB 7.3 wrote it.

    Raises:
        OSError: it cannot be read.
    """
    if file.userblock_size < len(SIGNATURE):
        return False
    with storage_of(path).open() as stream:
        return bool(stream.read(len(SIGNATURE)) == SIGNATURE)


class MatlabNode(PathNode[Item]):
    """A struct, a cell array or the file; see `SourceNode`."""

    def array(self, name: str) -> SourceArray | None:
        """The array of that name."""
        item, path = self._found(name)
        return None if item is None else _array(item, path, f"{self._file}:{path}")

    def group(self, name: str) -> SourceNode | None:
        """The struct, or the cell or struct array, of that name."""
        item, path = self._found(name)
        if isinstance(item, h5py.Dataset) and class_of(item) != "cell":
            return None
        return None if item is None else MatlabNode(item, path, self._file)

    def children(self) -> list[str]:
        """Of variables, fields, or members of an array."""
        return [name for name in names_in(self.item) if not name.startswith("#")]

    def _below(self) -> Iterator[tuple[str, tuple[int, ...] | None, np.dtype[Any]]]:
        waiting = [("", self.item)]
        for _ in range(MOST_VISITED):
            if not waiting:
                break
            path, item = waiting.pop(0)
            try:
                array = _array(item, path, path)
            except SourceError:
                continue
            if array is not None:
                yield path, array.shape, array.dtype
                continue
            for name in names_in(item)[:MOST_VISITED]:
                try:
                    inside = member(item, name)
                except SourceError:
                    continue
                if inside is not None:
                    waiting.append((f"{path}/{name}".lstrip("/"), inside))

    def _member(self, item: Item, name: str) -> Item | None:
        return member(item, name)


def _array(item: Item, path: str, where: str) -> SourceArray | None:
    """The array that an item is; None of structs, and of cells of others than texts."""
    if isinstance(item, h5py.Group) and "MATLAB_sparse" in item.attrs:
        raise _refused(where, "a sparse matrix", "full(...)")
    if not isinstance(item, h5py.Dataset):
        return None
    kind = class_of(item)
    if kind is None and item.dtype.kind == "O" and h5py.check_ref_dtype(item.dtype):
        return None
    parts = check_own(item.file, item, path)
    if kind == "cell":
        return cell_texts(item, path, where)
    if kind == "struct":  # struct([])
        return None
    if kind not in (None, "char", *NUMBERS) or "MATLAB_object_decode" in item.attrs:
        raise _refused(
            where, f"of the class {in_one_line(str(kind))}", "double(...) or cellstr(...)"
        )
    if "MATLAB_empty" in item.attrs:
        return empty_array(item, kind, path, where)
    if item.dtype.names:
        raise _refused(where, "complex", "real(...) and imag(...)")
    plain = kind is None or len(item.shape or ()) == 0
    array = Hdf5Array(item, parts) if plain else ReversedArray(item, parts)
    array.name, array.where = path, where
    return char_texts(array) if kind == "char" and not plain else array


def _refused(where: str, what: str, how: str) -> SourceError:
    return SourceError(
        f"{where} is {what}; full matrices of real numbers, texts, structs and cell arrays are "
        f"read. Save it as such: {how}."
    )
