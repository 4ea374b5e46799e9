"""Many files as one source: each is a recording; they are opened as they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.io.storage import State
from headrace.stores.source.files import SourceFiles
from headrace.stores.source.formats.interface import (
    Answer,
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

    def __init__(self, files: SourceFiles) -> None:
        """Nothing is opened but what is asked for."""
        self.files, self.folder = files, files.folder
        self.name, self.where = "/", str(files.folder)
        self._open: list[OpenArrays] = []
        self._rows: NDArray[np.int64] | None = None

    def example(self, ask: Callable[[SourceNode], Answer]) -> Answer:
        """What is asked of the first recording."""
        with ExitStack() as closing:
            return ask(self._node(0, closing))
        raise AssertionError  # What is raised above is not held back.

    def each(self, find: Callable[[SourceNode], SourceArray]) -> SourceArray:
        """What `find` finds in each recording, one after another.

        Raises:
            UserError: a recording's files have different numbers of rows; as `find`.
        """
        arrays = OpenArrays(lambda recording: self._found(recording, find))
        self._open.append(arrays)
        count = len(self.files.names)
        rows = np.array([_rows(arrays.of(number)) for number in range(count)], dtype=np.int64)
        if self._rows is None:
            self._rows = rows
        return JoinedArray(arrays.of(0).name, self.where, rows, arrays.of(0), arrays)

    def parts(self) -> Sequence[SourceNode]:
        """Itself."""
        return (self,)

    def array(self, name: str) -> SourceArray | None:
        """The array of that name in each; None: the first has none."""
        if self.example(lambda node: node.array(name) is None):
            return None
        return self.each(lambda each: _required(each, name))

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

    def names(self) -> list[str]:
        """Names of the arrays of the first recording."""
        return self.example(lambda node: node.names())

    def contents(self) -> str:
        """What the first recording holds."""
        return f"in {self.files.names[0][0]} {self.example(lambda node: node.contents())}"

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

    def close(self) -> None:
        """Close all that is open."""
        for arrays in self._open:
            arrays.close()

    def _found(
        self, recording: int, find: Callable[[SourceNode], SourceArray]
    ) -> tuple[SourceArray, Callable[[], None]]:
        with ExitStack() as closing:
            found = find(self._node(recording, closing)).ready()
            return found, closing.pop_all().close
        raise AssertionError  # What is raised above is not held back.

    def _node(self, recording: int, closing: ExitStack) -> SourceNode:
        """The open files of a recording."""
        opened: list[SourceFile] = []
        for path in self.files.paths(recording):
            file = open_file(path)
            closing.callback(file.close)
            opened.append(file)
        return opened[0] if len(opened) == 1 else _Together(opened)


class _Together:
    """Files whose channels belong side by side; see `SourceNode`."""

    def __init__(self, nodes: Sequence[SourceNode]) -> None:
        self._nodes = nodes
        self.name, self.where = "/", " and ".join(node.where for node in nodes)

    def parts(self) -> Sequence[SourceNode]:
        """The files."""
        return self._nodes

    def array(self, name: str) -> SourceArray | None:
        """The first of that name that there is: of labels each file may hold a copy."""
        return next((each for n in self._nodes if (each := n.array(name)) is not None), None)

    def group(self, name: str) -> SourceNode | None:
        """The first that there is."""
        return next((each for n in self._nodes if (each := n.group(name)) is not None), None)

    def names(self) -> list[str]:
        """Of all."""
        return list(dict.fromkeys(name for node in self._nodes for name in node.names()))

    def contents(self) -> str:
        """Of all."""
        return "; ".join(f"{node.where}: {node.contents()}" for node in self._nodes)


def _rows(array: SourceArray) -> int:
    return int((array.shape or (0,))[0])


def _required(node: SourceNode, name: str) -> SourceArray:
    found = node.array(name)
    if found is None:
        raise SourceError(
            f"{node.where} has no {name!r}, which the first file has. Leave it out, or correct it."
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
