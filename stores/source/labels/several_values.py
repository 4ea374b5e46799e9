"""What is said of an array of several values a row, where a row has one name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.interface import SourceArray

LOOKS, LOOK_ROWS = 16, 4096
"""Slices that are looked at, evenly spread, and rows of each."""
MOST_LOOKED_AT = 1 << 20
"""Values of one slice."""


def several_values(array: SourceArray, option: str) -> SourceError:
    """The error for an array that has not one value a row: with what is seen in it.

    Args:
        array: of any shape.
        option: that named it, or would.
    """
    shape = array.shape
    needed = f"{array.where} has shape {shape}; one value per row is needed."
    another = f"Name another dataset with source.{option}."
    if option != "labels" or shape is None or len(shape) != 2 or array.dtype.kind not in "biuf":
        return SourceError(f"{needed} {another}")
    marked = _marked(array)
    if marked is None:
        return SourceError(f"{needed} These are {shape[1]} numbers a row, and no names. {another}")
    several, none = int((marked > 1).sum()), int((marked == 0).sum())
    seen = f"Of {len(marked):,} rows looked at, {several:,} mark several columns and {none:,} none"
    if not several and not none:
        return SourceError(
            f"{needed} Each of {len(marked):,} rows looked at marks one of {shape[1]} columns. "
            "Write that column's number, or its name, as a dataset (N,), and name it with "
            f"source.{option}."
        )
    return SourceError(
        f'{needed} {seen}: several labels a row, target.kind = "labels". As one class the first of '
        f"them would hide the others. {another}"
    )


def _marked(array: SourceArray) -> NDArray[np.int64] | None:
    """How many columns are 1 in each of some rows; None: there are others than 0 and 1."""
    found = [np.zeros(0, np.int64)]
    for values in looks(array):
        if not np.isin(values, (0, 1)).all():
            return None
        found.append(np.count_nonzero(values, axis=1).astype(np.int64))
    return np.concatenate(found)


def looks(array: SourceArray) -> Iterator[NDArray[Any]]:
    """Some rows of an array (n,) or (n, K) of numbers, in slices that do not overlap."""
    rows, columns = rows_of(array), (array.shape or (0, 0))[1:]
    length = max(1, min(rows, LOOK_ROWS, MOST_LOOKED_AT // max(1, *columns, 1)))
    for start in range(0, rows, max(length, -(-rows // LOOKS))):
        yield array.read(start, min(start + length, rows))
