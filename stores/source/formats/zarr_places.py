"""What a Zarr is read from, by key: a folder, a zip file or objects; nothing outside of it."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from headrace.stores.errors import SourceError
from headrace.stores.io.object_file import HELD_BYTES, ObjectFile
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.formats.zip_members import ZipMembers

MOST_MEMBERS = 50_000
"""Of a zip file: the list of them is held, about 35 MiB."""
MOST_LEVELS = 100
"""Groups within groups."""
ARRAY_DOCUMENTS = ("zarr.json", ".zarray")
DOCUMENTS = (*ARRAY_DOCUMENTS, ".zgroup", ".zattrs")
MOST_DOCUMENT = 16 << 20
"""Bytes of a document with metadata or attributes."""
CLIENT_HELD = 1 << 20
"""Bytes of documents and answers that are held of objects, beside the chunks."""


class ZarrPlace(Protocol):
    """Reads what stands at a key; several threads may.

    Attributes:
        fetched_bytes: held of objects; see `SourceFile`.
    """

    fetched_bytes: int

    def size(self, key: str) -> int | None:
        """Bytes; None: there is nothing of that key."""
        ...

    def read(self, key: str, start: int, count: int) -> bytes | None:
        """Up to `count` bytes from `start` on; None: there is nothing of that key."""
        ...

    def sizes(self, path: str) -> Iterator[int]:
        """Bytes of each that stands below."""
        ...

    def nodes(self, path: str, is_array: Callable[[str], bool]) -> Iterator[str]:
        """Paths below which have a document of an array, or one that also groups have."""
        ...

    def children(self, path: str) -> Iterator[str]:
        """Names of the folders directly below, of which some may be no nodes."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def zarr_place(path: Place) -> ZarrPlace:
    """What stands at `path`.

    Raises:
        UserError: there is nothing, or a file that is no zip file.
    """
    if isinstance(path, ObjectPath):
        zipped = path.name.endswith(".zip") and path.is_file()
        return ZipPlace(path) if zipped else ObjectsPlace(path)
    if path.is_dir():
        return FolderPlace(path)
    if path.is_file():
        return ZipPlace(path)
    raise SourceError(f"The source {path} does not exist. Name a Zarr folder or a zip file of one.")


class FolderPlace:
    """A folder of this disk."""

    fetched_bytes = 0

    def __init__(self, path: Path) -> None:
        """Read what stands below `path`, which may be a link itself."""
        self._path = path
        self._root = os.path.realpath(path)

    def size(self, key: str) -> int | None:
        """See `ZarrPlace`."""
        found = os.path.realpath(os.path.join(self._root, key))
        if found != self._root and not found.startswith(self._root.rstrip(os.sep) + os.sep):
            raise SourceError(
                f"{self._path}/{key} is a link out of the folder, to what the fingerprint does not "
                "cover. Copy the data into the folder: cp -rL."
            )
        try:
            state = os.stat(found)
        except (FileNotFoundError, NotADirectoryError):
            if os.path.islink(os.path.join(self._root, key)):
                raise SourceError(
                    f"{self._path}/{key} is a link to what is not there. Copy the Zarr again: "
                    "cp -rL."
                ) from None
            return None
        if not stat.S_ISREG(state.st_mode) and not stat.S_ISDIR(state.st_mode):
            raise SourceError(
                f"{self._path}/{key} is a pipe, a socket or a device. Copy the Zarr again."
            )
        return state.st_size if stat.S_ISREG(state.st_mode) else None

    def read(self, key: str, start: int, count: int) -> bytes | None:
        """See `ZarrPlace`."""
        size = self.size(key)
        if size is None:
            return None
        with open(os.path.join(self._root, key), "rb", buffering=0) as stream:
            stream.seek(start)
            return stream.read(max(0, min(count, size - start)))

    def sizes(self, path: str) -> Iterator[int]:
        """See `ZarrPlace`."""
        return (size for _, size in storage_of(Path(self._root, path)).sizes())

    def nodes(self, path: str, is_array: Callable[[str], bool]) -> Iterator[str]:
        """See `ZarrPlace`."""
        for folder, folders, files in os.walk(os.path.join(self._root, path)):
            folders.sort()
            inside = os.path.relpath(folder, self._root)
            node = "" if inside == "." else inside
            if not set(files).isdisjoint(ARRAY_DOCUMENTS):
                yield node
                if is_array(node):
                    folders.clear()  # Chunks, perhaps millions.
            if node.count("/") >= MOST_LEVELS:
                folders.clear()

    def children(self, path: str) -> Iterator[str]:
        """See `ZarrPlace`."""
        with os.scandir(os.path.join(self._root, path)) as entries:
            yield from (each.name for each in entries if each.is_dir() and each.name[0] != ".")

    def close(self) -> None:
        """Nothing is open."""


class ZipPlace:
    """A zip file, of this disk or an object."""

    def __init__(self, path: Place) -> None:
        """Read the list of members."""
        self._zipped = ZipMembers(path, MOST_MEMBERS)
        self._lock = threading.Lock()
        self.fetched_bytes = HELD_BYTES if isinstance(self._zipped.stream, ObjectFile) else 0

    def size(self, key: str) -> int | None:
        """See `ZarrPlace`."""
        info = self._zipped.infos.get(key)
        return None if info is None else info.file_size

    def read(self, key: str, start: int, count: int) -> bytes | None:
        """See `ZarrPlace`."""
        size = self.size(key)
        if size is None:
            return None
        with self._lock, self._zipped.open(key) as stream:
            if start:
                stream.seek(start)
            found: bytes = stream.read(max(0, min(count, size - start)))
        return found

    def sizes(self, path: str) -> Iterator[int]:
        """See `ZarrPlace`."""
        below = _below(path)
        return (i.file_size for name, i in self._zipped.infos.items() if name.startswith(below))

    def nodes(self, path: str, is_array: Callable[[str], bool]) -> Iterator[str]:
        """See `ZarrPlace`."""
        return _nodes(iter(self._zipped.infos), path)

    def children(self, path: str) -> Iterator[str]:
        """See `ZarrPlace`."""
        return _children(iter(self._zipped.infos), path)

    def close(self) -> None:
        """Close the zip file, once nobody reads it: Zarr leaves readers behind when one fails."""
        with self._lock:
            self._zipped.close()


class ObjectsPlace:
    """Objects below an address.

    They are asked for as everywhere here, in place of by zarr-python's own store: requests are
    made again until they succeed, and no answer is longer than what was asked for.
    """

    fetched_bytes = CLIENT_HELD

    def __init__(self, path: ObjectPath) -> None:
        """Read what stands below the address."""
        self._path = path
        self.size = lru_cache(maxsize=1000)(self._size)

    def read(self, key: str, start: int, count: int) -> bytes | None:
        """See `ZarrPlace`."""
        try:
            return (self._path / key).read_range(start, count)
        except FileNotFoundError:
            return None

    def sizes(self, path: str) -> Iterator[int]:
        """See `ZarrPlace`."""
        return (size for _, size in self._at(path).below())

    def nodes(self, path: str, is_array: Callable[[str], bool]) -> Iterator[str]:
        """See `ZarrPlace`."""
        below = _below(path)
        return _nodes((below + name for name, _ in self._at(path).below()), path)

    def children(self, path: str) -> Iterator[str]:
        """See `ZarrPlace`."""
        below = _below(path)
        return _children((below + name for name, _ in self._at(path).below()), path)

    def close(self) -> None:
        """Nothing is open."""

    def _size(self, key: str) -> int | None:
        try:
            return (self._path / key).size()
        except FileNotFoundError:
            return None

    def _at(self, path: str) -> ObjectPath:
        return self._path / path if path else self._path


def _below(path: str) -> str:
    return f"{path}/" if path else ""


def _children(names: Iterator[str], path: str) -> Iterator[str]:
    below, seen = _below(path), set[str]()
    for name in names:
        child, slash, _ = name.removeprefix(below).partition("/")
        if slash and name.startswith(below) and child not in seen:
            seen.add(child)
            yield child


def _nodes(names: Iterator[str], path: str) -> Iterator[str]:
    for name in names:
        node, _, last = name.rpartition("/")
        if last in ARRAY_DOCUMENTS and name.startswith(_below(path)):
            yield node
