"""What a MATLAB 7.3 file holds, found by name: structs, their elements, and members of cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from headrace.stores.errors import SourceError, first_line
from headrace.stores.source.formats.hdf5 import Hdf5Node, explained
from headrace.stores.source.formats.hdf5_own import HDF5_ERRORS, check_own

SLICE_REFERENCES = 4096
"""That are read at a time."""
MOST_NAMES = 1 << 20
"""Members of an array that are listed."""


@dataclass(frozen=True)
class Element:
    """One element of a struct array: its fields are in the datasets of a group."""

    group: Any
    index: int


Item = Any
"""An h5py group or dataset, or an `Element`."""


def member(item: Item, name: str) -> Item | None:
    """What a struct, an element of a struct array or a cell array holds under that name."""
    if isinstance(item, Element):
        field = Hdf5Node(item.group).resolved(name)
        return None if field is None else _referred(field, item.index)
    if isinstance(item, h5py.Group):
        count = _elements(item)
        if count is None:
            # "#refs#" holds what cells refer to, "#subsystem#" what objects do.
            return None if name.startswith("#") else Hdf5Node(item).resolved(name)
        return Element(item, int(name)) if _is_index(name, count) else None
    if isinstance(item, h5py.Dataset) and class_of(item) == "cell":
        empty = "MATLAB_empty" in item.attrs
        return _referred(item, int(name)) if not empty and _is_index(name, item.size) else None
    return None


def names_in(item: Item) -> list[str]:
    """Names of what `member` finds; at most MOST_NAMES of an array."""
    if isinstance(item, Element):
        return list(item.group)
    if isinstance(item, h5py.Group):
        count = _elements(item)
        return list(item) if count is None else list(map(str, range(min(count, MOST_NAMES))))
    if isinstance(item, h5py.Dataset) and class_of(item) == "cell":
        return list(map(str, range(min(item.size, MOST_NAMES))))
    return []


def _is_index(name: str, count: int) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 19 and int(name) < count


def _elements(group: Any) -> int | None:
    """How many elements a struct array has; None of one struct."""
    if len(group) == 0 or group.name == "/":
        return None
    counts = set()
    for name in group:
        field = Hdf5Node(group).resolved(name)
        if not isinstance(field, h5py.Dataset) or class_of(field) is not None:
            return None
        if h5py.check_ref_dtype(field.dtype) is None:
            return None
        counts.add(field.size)
    return counts.pop() if len(counts) == 1 else None


def _referred(dataset: Any, index: int) -> Item | None:
    """What a reference leads to; they follow each other in MATLAB's order."""
    if not isinstance(dataset, h5py.Dataset) or h5py.check_ref_dtype(dataset.dtype) is None:
        return None
    check_own(dataset.file, dataset, dataset.name)
    with explained():
        reference = dataset[np.unravel_index(index, dataset.shape)]
    return _followed(dataset, reference)


def references(cell: Any) -> Iterator[tuple[int, Item]]:
    """All that a cell array refers to, each with its index."""
    if h5py.check_ref_dtype(cell.dtype) is None:
        return
    axis = max(1, SLICE_REFERENCES // max(1, cell.size // cell.shape[0]))
    index = 0
    for low in range(0, cell.shape[0], axis):
        with explained():
            references = cell[low : low + axis].reshape(-1)
        for reference in references:
            yield index, _followed(cell, reference)
            index += 1


def _followed(dataset: Any, reference: Any) -> Item:
    try:
        return dataset.file[reference]
    except HDF5_ERRORS as error:
        raise SourceError(
            f"{dataset.file.filename}:{dataset.name} refers to something that is not there "
            f"({first_line(error)}). Save it again in MATLAB, or name another dataset."
        ) from error


def class_of(dataset: Any) -> str | None:
    """What MATLAB calls the type of a dataset; None: MATLAB did not write it."""
    with explained():
        value = dataset.attrs.get("MATLAB_class")
    return value.decode(errors="replace") if isinstance(value, bytes) else None
