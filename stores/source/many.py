"""Many files as one source: each is a recording; they are opened as they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.io.storage import State
from headrace.stores.source.files import SourceFiles
from headrace.stores.source.formats.interface import (
    Answer,
    Files,
    SourceArray,
    SourceFile,
    SourceNode,
)
from headrace.stores.source.formats.opening import open_file
from headrace.stores.source.held import HeldArray, HeldNode
from headrace.stores.source.joined import JoinedArray, OpenArrays

RECORDINGS = "recordings"
LOOKED_AT = 4096
"""Bytes of a file that are looked at in three places."""


class ManyFiles:
    """The files of a folder; see `SourceFile`."""

    fetched_bytes = 0

    def __init__(self, files: SourceFiles, drop_damaged: bool = False) -> None:
        """Nothing is opened but what is asked for; `drop_damaged` as in `open_file`."""
        self._drop_damaged = drop_damaged
        self.files, self.folder, self.columns = files, files.folder, files.columns
        self.name, self.where = "/", str(files.folder)
        self._open: list[OpenArrays] = []
        self._beside: list[str] = []
        self._rows: NDArray[np.int64] | None = None

    def example(self, ask: Callable[[Files], Answer]) -> Answer:
        """What is asked of the first recording."""
        with ExitStack() as closing:
            return ask(self._opened(0, closing))
        raise AssertionError  # What is raised above is not held back.

    def each(self, find: Callable[[Files], SourceArray], beside: str | None = None) -> SourceArray:
        """What `find` finds in each recording, one after another; see `SourceFile`.

        Raises:
            UserError: a recording's files have different numbers of rows; the file beside is not
                there; as `find`.
        """
        if beside is not None:
            self._beside.append(beside)
        arrays = OpenArrays(lambda recording: self._found(recording, find, beside))
        self._open.append(arrays)
        count = len(self.files.names)
        rows = np.array([_rows(arrays.of(number)) for number in range(count)], dtype=np.int64)
        if self._rows is None:
            self._rows = rows
        return JoinedArray(arrays.of(0).name, self.where, rows, arrays.of(0), arrays)

    def array(self, name: str) -> SourceArray | None:
        """The array of that name in each; None: the first has none."""
        if self.example(lambda files: first_array(files, name) is None):
            return None
        return self.each(lambda files: _required(files, name))

    def group(self, name: str) -> SourceNode | None:
        """The table of recordings: a row a file, and the columns that their names give.

        To be asked for once the signals were found.
        """
        if name != RECORDINGS or self._rows is None:
            return None
        where = f"{self.where} {name}"
        before = np.concatenate(([0], np.cumsum(self._rows)[:-1]))
        columns: list[SourceArray] = [
            HeldArray("start", where, before.astype(np.int64)),
            HeldArray("length", where, self._rows),
        ]
        columns += [HeldArray(name, where, list(v)) for name, v in self.files.columns.items()]
        return HeldNode(name, where, columns)

    def contents(self) -> str:
        """What the first recording holds."""
        held = self.example(lambda files: "; ".join(each.contents() for each in files))
        return f"in {self.files.names[0][0]} {held}"

    def fetch(self, spans: set[tuple[int, int]]) -> bool:
        """Nothing: what is fetched ahead is of one object."""
        return False

    def size(self) -> int:
        """Bytes of all files."""
        return sum(storage_of(path).size() for path in self._paths())

    def state(self) -> State:
        """Of all files, as one number."""
        digest = hashlib.blake2b(digest_size=16)
        for path in self._paths():
            digest.update(repr(storage_of(path).state()).encode())
        return (digest.hexdigest(),)

    def described(self) -> SourceArray:
        """Of each recording the names of its files, their sizes, and what stands in them."""
        texts = [
            " ".join(f"{name} {_content(self.files.folder / name)}" for name in names)
            for names in self.files.names
        ]
        return HeldArray("files", self.where, texts)

    def _paths(self) -> Iterator[Place]:
        for number in range(len(self.files.names)):
            yield from self.files.paths(number)
            yield from (self.files.beside(number, pattern) for pattern in self._beside)

    def close(self) -> None:
        """Close all that is open."""
        for arrays in self._open:
            arrays.close()

    def _found(
        self, recording: int, find: Callable[[Files], SourceArray], beside: str | None
    ) -> tuple[SourceArray, Callable[[], None]]:
        with ExitStack() as closing:
            found = find(self._opened(recording, closing, beside)).ready()
            return found, closing.pop_all().close
        raise AssertionError  # What is raised above is not held back.

    def _opened(self, recording: int, closing: ExitStack, beside: str | None = None) -> Files:
        """The open files of a recording, or the one that stands beside them."""
        opened: list[SourceFile] = []
        paths = self.files.paths(recording)
        for path in paths if beside is None else [self.files.beside(recording, beside)]:
            file = open_file(path, self._drop_damaged)
            closing.callback(file.close)
            opened.append(file)
        return opened


def _rows(array: SourceArray) -> int:
    return int((array.shape or (0,))[0])


def first_array(files: Files, name: str) -> SourceArray | None:
    """The first of that name in the files of a recording: each may hold a copy of its labels."""
    return next((found for each in files if (found := each.array(name)) is not None), None)


def _required(files: Files, name: str) -> SourceArray:
    found = first_array(files, name)
    if found is None:
        raise SourceError(
            f"{files[0].where} has no {name!r}, which the first file has. Leave it out, or "
            "correct it."
        )
    return found


def _content(path: Place) -> str:
    """Size of a file, and a digest of its beginning, middle and end."""
    storage = storage_of(path)
    size, digest = storage.size(), hashlib.blake2b(digest_size=8)
    with storage.open() as file:
        for place in (0, size // 2, max(0, size - LOOKED_AT)):
            file.seek(place)
            digest.update(file.read(LOOKED_AT) or b"")
    return f"{size} {digest.hexdigest()}"
