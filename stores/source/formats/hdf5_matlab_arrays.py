"""Arrays of MATLAB 7.3 files: matrices with their axes in MATLAB's order, and texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.formats.derived import TEXT, DerivedArray, held_array
from headrace.stores.source.formats.hdf5 import Hdf5Array, explained
from headrace.stores.source.formats.hdf5_matlab_items import Item, class_of, references
from headrace.stores.source.formats.hdf5_own import NO_PARTS, Parts, check_own
from headrace.stores.source.formats.hdf5_turned import TurnedArray
from headrace.stores.source.interface import SourceArray

MOST_TEXTS = 1 << 18
"""Texts of one cell array, which are read one by one and held."""
MOST_LETTERS = 16 << 20
"""Characters of all of them."""
LONGEST_TEXT = 1000
"""Characters of one of many: NumPy gives each the room of the longest."""


class ReversedArray(TurnedArray):
    """A matrix as MATLAB shows it: its axes are the dataset's from the last to the first."""

    def __init__(self, dataset: Any, parts: Parts = NO_PARTS) -> None:
        """Take over an h5py dataset, and what `check_own` says of its parts."""
        super().__init__(dataset, parts, range(len(dataset.shape))[::-1])
        if class_of(dataset) == "logical":
            self.dtype = np.dtype(bool)

    def _again(self, dataset: Any) -> Self:
        return type(self)(dataset, self.parts)

    def turned(self, order: Sequence[int]) -> Hdf5Array:
        """See `Hdf5Array`: `order` of the axes as MATLAB shows them."""
        last = len(self.dataset.shape) - 1
        return super().turned([last - axis for axis in order])

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """They are numbers."""
        raise TypeError(f"{self.dtype} are no texts")


def empty_array(item: Any, kind: str | None, path: str, where: str) -> SourceArray:
    """An array without values: the dataset holds its shape."""
    with explained():
        sizes: list[Any] = item[()].reshape(-1).tolist() if 0 < (item.size or 0) <= 32 else [0, 0]
    # A length that is no size at all makes NumPy fail, even where another is 0.
    if item.dtype.kind not in "iu" or math.prod(sizes) or not 0 <= max(sizes) < 1 << 31:
        raise SourceError(
            f"{where} is marked as empty, and its shape is {tuple(sizes)}. Correct the file, or "
            "name another dataset."
        )
    if kind == "char":
        return held_array(path, where, np.empty(0, "U1"))
    return held_array(path, where, np.empty(sizes, _TYPES.get(str(kind), str(kind))))


_TYPES = {"None": "f8", "double": "f8", "single": "f4", "logical": "?"}


def char_texts(codes: Hdf5Array) -> SourceArray:
    """One text a row of a matrix of UTF-16 codes, without the blanks that make rows equally long.

    Raises:
        UserError: more than two axes, other codes, or long rows.
    """
    shape: tuple[int, ...] = codes.shape or ()
    short = len(shape) == 2 and (shape[0] == 1 or shape[1] <= LONGEST_TEXT)
    if not short or codes.dtype.kind != "u" or codes.dtype.itemsize > 2:
        raise SourceError(
            f"{codes.where} holds text of the shape {shape} and the type {codes.dtype}; a matrix "
            f"of UTF-16 codes is read, {LONGEST_TEXT} a row. Save it with cellstr(...)."
        )
    padded = shape[0] > 1

    def rows(arrays: Any, start: int, stop: int) -> NDArray[Any]:
        lines = arrays[0].read(start, stop).astype("<u2")
        texts = [line.tobytes().decode("utf-16-le") for line in lines]
        return np.array([t.rstrip(" \0") if padded else t for t in texts], dtype=np.str_)

    return DerivedArray(codes.name, codes.where, shape[:1], TEXT, (codes,), rows)


def cell_texts(cell: Any, path: str, where: str) -> SourceArray | None:
    """All texts of a cell array, in MATLAB's order, held; None: it holds something else."""
    if "MATLAB_empty" in cell.attrs or not cell.size:
        return None
    texts: list[str] = []
    letters = 0
    for index, reference in references(cell):
        text = _text(reference, where)
        if text is None:
            return None
        letters += len(text)
        if index == MOST_TEXTS or letters > MOST_LETTERS:
            raise SourceError(
                f"{where} holds {cell.size:,} texts; {MOST_TEXTS:,} of {MOST_LETTERS:,} letters "
                "together is the most. Save them as numbers: [names, ~, number] = unique(...)."
            )
        texts.append(text)
    # A cell of nothing but empty arrays is one of arrays.
    if not any(texts):
        return None
    return held_array(path, where, np.array(texts, dtype=object))


def _text(item: Item, where: str) -> str | None:
    """The text of a member of a cell array; "" of an empty array, None of anything else."""
    if not isinstance(item, h5py.Dataset):
        return None
    kind = class_of(item)
    if kind in ("char", "double") and "MATLAB_empty" in item.attrs:
        return ""
    shape: tuple[int, ...] = item.shape or ()
    if kind != "char" or len(shape) != 2 or shape[1] != 1 or item.size > LONGEST_TEXT:
        return None
    check_own(item.file, item, where)
    with explained():
        codes = item[()].reshape(-1)
    try:
        return str(codes.astype("<u2").tobytes().decode("utf-16-le"))
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{where} holds a text that is not UTF-16 ({error}). Correct the file, or name "
            "another dataset."
        ) from error
