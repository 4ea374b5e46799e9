"""MATLAB files of the versions 4 to 7: headers are read here, values by SciPy.

SciPy gets one array at a time, of numbers or of texts, whose header was compared with the bytes
that there are. Objects, functions and structs never reach it: nothing is called, and nothing nests.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import ARCHIVE_ERRORS, SourceError, UserError
from headrace.stores.io.object_file import HELD_BYTES
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.formats.derived import TEXT, DerivedArray
from headrace.stores.source.formats.matlab_bytes import BLOCK_BYTES, VariableBytes
from headrace.stores.source.formats.matlab_headers import NUMBERS, Matrix, damaged, variables_of
from headrace.stores.source.formats.matlab_paths import PathNode
from headrace.stores.source.formats.one_file import OneFile
from headrace.stores.source.interface import SourceArray, SourceNode

LONGEST_TEXT = 1000
"""Characters of one of many texts: NumPy gives each the room of the longest."""
MOST_ROWS = 1 << 20
"""Texts of one matrix: those of no letters have no bytes to be counted by."""
MOST_LETTERS = 16 << 20
"""Characters of all texts of one array."""
MOST_NAMES = 1 << 20
"""Members of an array that are listed."""
MOST_VISITED = 200
"""Arrays that are looked at to list what a file holds."""


@dataclass(frozen=True)
class Element:
    """One element of a struct array."""

    matrix: Matrix
    index: int


Item = dict[str, Matrix] | Matrix | Element
"""The variables of a file, an array, or an element of a struct array."""


@dataclass
class MatlabArray(DerivedArray):
    """An array that is loaded when it is first read, and held as long as it is in use.

    Attributes:
        stored: bytes of its values in the file.
    """

    stored: int = 0

    def __post_init__(self) -> None:
        """SciPy gets the stored bytes, and takes a copy of them."""
        super().__post_init__()
        self.decode_bytes += 2 * self.stored
        self.piece_rows = max(1, rows_of(self))


class MatlabNode(PathNode[Item]):
    """A struct, a cell array or the file; see `SourceNode`."""

    def array(self, name: str) -> SourceArray | None:
        """The array of that name."""
        with _explained(self._file):
            item, path = self._found(name)
            return _array(item, path, f"{self._file}:{path}")

    def group(self, name: str) -> SourceNode | None:
        """The struct, or the cell or struct array, of that name."""
        with _explained(self._file):
            item, path = self._found(name)
        if item is None or (isinstance(item, Matrix) and item.kind not in ("cell", "struct")):
            return None
        return MatlabNode(item, path, self._file)

    def children(self) -> Sequence[str]:
        """Of variables, fields, or members of an array."""
        with _explained(self._file):
            return _names(self.item)

    def _below(self) -> Iterator[tuple[str, tuple[int, ...] | None, np.dtype[Any]]]:
        waiting: list[tuple[str, Item]] = [("", self.item)]
        for _ in range(MOST_VISITED):
            if not waiting:
                break
            path, item = waiting.pop(0)
            try:
                array = _array(item, path, path)
                members = [(name, _member(item, name)) for name in _names(item)[:MOST_VISITED]]
            except ARCHIVE_ERRORS:  # It cannot be read, and need not be named.
                continue
            if array is not None:
                yield path, array.shape, array.dtype
                continue
            waiting += [(f"{path}/{n}".lstrip("/"), m) for n, m in members if m is not None]

    def _member(self, item: Item, name: str) -> Item | None:
        return _member(item, name)


class MatlabFile(OneFile, MatlabNode):
    """An open file; see `SourceFile`."""

    def __init__(self, path: Place, content: VariableBytes, variables: dict[str, Matrix]) -> None:
        """Take over an open file and what it holds."""
        OneFile.__init__(self, path)
        MatlabNode.__init__(self, variables, "/", str(path))
        self._content = content
        self.fetched_bytes = HELD_BYTES if storage_of(path).is_remote else 0

    def close(self) -> None:
        """Close the file."""
        self._content.close()


def open_matlab(path: Place) -> MatlabFile:
    """Open a file of version 4, 5, 6 or 7 for reading; version 7.3 is HDF5.

    Raises:
        UserError: there is no such file, it is none of these, or not as it says.
    """
    try:
        content = VariableBytes(storage_of(path).open())
    except OSError as error:
        raise SourceError(f"The source {path} cannot be read ({error}). Name a file.") from error
    try:
        with _explained(f"The source {path}"):
            return MatlabFile(path, content, variables_of(content))
    except BaseException:
        content.close()
        raise


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """What is not as it says is the user's to correct."""
    try:
        yield
    except UserError:
        raise
    except ARCHIVE_ERRORS as error:
        raise damaged(where, error) from error


def _array(item: Item | None, path: str, where: str) -> SourceArray | None:
    """The array that an item is; None of structs, and of cells of others than texts."""
    if not isinstance(item, Matrix) or item.kind == "struct":
        return None
    if item.kind == "cell":
        return _cell_texts(item, path, where)
    if item.kind == "char":
        return _char_texts(item, path, where)
    what = f"of the class {item.kind}" if item.kind not in NUMBERS else ""
    if what or item.is_complex:
        raise SourceError(
            f"{where} is {what or 'complex'}; full matrices of real numbers, texts, structs and "
            "cell arrays are read. Save it as such: full(...), double(...), real(...) or "
            "cellstr(...)."
        )
    dtype = np.dtype(NUMBERS[item.kind])

    @cache
    def values() -> NDArray[Any]:
        # Version 4 has one class of numbers, and stores it in several types.
        return _loaded(item, where).astype(dtype, copy=False)

    return MatlabArray(
        path, where, item.shape, dtype, (), lambda _, start, stop: values()[start:stop],
        held=item.count * dtype.itemsize, stored=item.stored,
    )  # fmt: skip


def _char_texts(item: Matrix, path: str, where: str) -> SourceArray:
    """One text a row, without the blanks that make rows equally long."""
    rows = item.shape[0]
    wide = rows > 1 and item.shape[-1] > LONGEST_TEXT
    if len(item.shape) != 2 or wide or item.count > MOST_LETTERS or rows > MOST_ROWS:
        raise SourceError(
            f"{where} holds text of the shape {item.shape}; a matrix of {MOST_ROWS:,} rows, "
            f"{LONGEST_TEXT} characters a row and {MOST_LETTERS:,} in all is read. Save it with "
            "cellstr(...)."
        )

    @cache
    def texts() -> NDArray[Any]:
        found = _loaded(item, where).reshape(-1).tolist() if item.count else [""] * rows
        return np.array([t.rstrip(" \0") if rows > 1 else t for t in found], dtype=object)

    return _texts_array(path, where, rows, item, texts)


def _cell_texts(item: Matrix, path: str, where: str) -> SourceArray | None:
    """All texts of a cell array, in MATLAB's order; None: it holds something else."""
    letters = 0
    for member in item.members:
        empty = member.count == 0 and member.kind in ("char", "double")
        text = member.kind == "char" and len(member.shape) == 2 and member.shape[0] == 1
        letters += member.count
        if not empty and not (text and member.count <= LONGEST_TEXT):
            return None
    # A cell of nothing but empty arrays is one of arrays.
    if not letters:
        return None
    if letters > MOST_LETTERS:
        raise SourceError(
            f"{where} holds texts of {letters:,} characters; {MOST_LETTERS:,} is the most. Save "
            "them as numbers: [names, ~, number] = unique(...)."
        )

    @cache
    def texts() -> NDArray[Any]:
        found = _loaded(item, where).reshape(-1, order="F").tolist()
        return np.array([str(t.item()) if t.size == 1 else "" for t in found], dtype=object)

    return _texts_array(path, where, item.count, item, texts)


def _texts_array(path: str, where: str, rows: int, item: Matrix, texts: Any) -> SourceArray:
    stored = item.stop - item.start
    return MatlabArray(
        path, where, (rows,), TEXT, (), lambda _, start, stop: texts()[start:stop],
        held=100 * rows + 4 * stored, stored=stored,
    )  # fmt: skip


def _loaded(item: Matrix, where: str) -> NDArray[Any]:
    """What SciPy makes of one array, in a file of its own."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    options: dict[str, Any] = {
        "mat_dtype": True,
        "struct_as_record": True,
        "chars_as_strings": True,
    }
    if item.header:  # Version 4 has letters of one byte.
        options |= {"uint16_codec": "utf-16-le" if item.order == "<" else "utf-16-be"}
    size = item.stop - item.start
    # Filled in parts: a file made of bytes would hold them twice. Not in place: Python 3.12.1
    # crashes where an error keeps a view of it and is collected as garbage.
    file = io.BytesIO()
    file.seek(max(0, len(item.header) + size - 1))
    file.write(b"\0")
    file.seek(0)
    file.write(item.header)
    with _explained(where):
        for at in range(0, size, BLOCK_BYTES):
            count = min(BLOCK_BYTES, size - at)
            file.write(item.file.read(item.span, item.start + at, count))
        file.seek(0)
        try:
            with np.errstate(invalid="ignore"):  # Codes of letters that are none.
                found = loadmat(file, **options)
        except MatReadError as error:
            raise damaged(where, error) from error
        values = list(found.values())[-1]
        numbers = item.kind in NUMBERS
        if not isinstance(values, np.ndarray) or (numbers and values.shape != item.shape):
            raise ValueError(f"{item.kind} {item.shape} is not what was loaded")
    return values


def _member(item: Item, name: str) -> Item | None:
    """What a file, a struct, an element of a struct array or a cell array holds by that name."""
    if isinstance(item, dict):
        return item.get(name)
    if isinstance(item, Element):
        return _field(item.matrix, item.index, name)
    if item.kind == "struct" and item.count == 1:
        return _field(item, 0, name)
    index = int(name) if name.isascii() and name.isdigit() and len(name) < 19 else item.count
    if item.kind not in ("struct", "cell") or index >= item.count:
        return None
    return Element(item, index) if item.kind == "struct" else item.members[index]


def _field(matrix: Matrix, index: int, name: str) -> Matrix | None:
    if name not in matrix.fields:
        return None
    return matrix.members[index * len(matrix.fields) + matrix.fields.index(name)]


def _names(item: Item) -> Sequence[str]:
    """Names of what `_member` finds; at most MOST_NAMES of an array.

    Raises:
        UserError, ValueError: the array has not as many members as it says.
    """
    if isinstance(item, dict):
        return list(item)
    if isinstance(item, Element):
        return item.matrix.fields
    if item.kind == "struct" and item.count == 1:
        return item.fields
    if item.kind not in ("struct", "cell"):
        return []
    return [str(index) for index in range(min(item.count, MOST_NAMES) if item.members else 0)]
