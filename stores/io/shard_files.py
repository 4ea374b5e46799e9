"""Where the bytes of an array's shards come from: files, or objects and what is kept of them."""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, Protocol
from weakref import WeakSet

from headrace.stores.errors import ObjectStoreError
from headrace.stores.io.chunk_cache import ChunkCache
from headrace.stores.io.object_path import READINGS, ObjectPath

KEPT_FILES = 64
"""Shards' files of an array kept open: of half a million windows. Opening took a sixteenth of the
stream."""
SHARE_OPEN = 0.75
"""Of the files that this process may open: with more, half of those kept give way. A store of 200
parts has thousands."""
Sound = Callable[[bytes], bool]
"""Whether bytes are as they were written: by the checksum that they end with."""


class ShardFiles(Protocol):
    """Reads parts of the shards of one array; several threads may."""

    def read(self, key: str, offset: int | None, length: int, sound: Sound) -> tuple[bytes, bool]:
        """`length` bytes of a shard from `offset` on, or its last ones, and whether they are sound;
        fewer if it ends before.

        Args:
            key: the shard's name below the array.
            offset: first byte; None for the last `length`.
            length: bytes.
            sound: what they are checked by: nothing that was kept or sent is believed.

        Raises:
            OSError: it is not there or cannot be read.
            UserError: too many files are open, or the server does not answer.
        """
        ...


class _File:
    """An open file, closed when the last thread that reads of it lets go."""

    def __init__(self, path: str) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


def _most_open() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


_KEEPERS: WeakSet[LocalShards] = WeakSet()
"""Who may keep files open."""
_KEEPING = Lock()
_TURNS = count()


def _let_go() -> None:
    """Close what every second keeps open, and the next time the others, but for what is read."""
    with _KEEPING:
        keepers = list(_KEEPERS)[next(_TURNS) % 2 :: 2]
    for each in keepers:
        each.close()


class LocalShards:
    """Files, a few of which stay open."""

    def __init__(self, folder: Path) -> None:
        """Read from `folder`, the array's."""
        self._folder = folder
        self._open: dict[str, _File] = {}

    def read(self, key: str, offset: int | None, length: int, sound: Sound) -> tuple[bytes, bool]:
        """See `ShardFiles`; the system's own cache keeps what was read."""
        file = self._file(key)
        if offset is None:
            offset = max(0, os.fstat(file.number).st_size - length)
        data = os.pread(file.number, length, offset)
        return data, sound(data)

    def _file(self, key: str) -> _File:
        file = self._open.get(key)
        if file is None:
            path = f"{self._folder}/{key}"
            try:
                file = _File(path)
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE):
                    raise
                # Files that are kept open give way first.
                _let_go()
                _let_go()
                file = _reopened(path)
            if len(self._open) >= KEPT_FILES:
                self._open.clear()
            if file.number > SHARE_OPEN * _most_open():
                _let_go()  # A file has the least number that is free.
            with _KEEPING:
                _KEEPERS.add(self)
            self._open[key] = file
        return file

    def close(self) -> None:
        """Let go of the files that are kept open; they are opened again when they are read."""
        self._open.clear()

    def __getstate__(self) -> dict[str, Any]:
        """Without open files: a copy opens its own."""
        return self.__dict__ | {"_open": {}}


class ObjectShards:
    """Objects of a store in the cloud, and what a cache on this machine's disk keeps of them."""

    def __init__(self, folder: ObjectPath, cache: ChunkCache | None) -> None:
        """Read from `folder`, the array's."""
        self._folder = folder
        self._cache = cache

    def read(self, key: str, offset: int | None, length: int, sound: Sound) -> tuple[bytes, bool]:
        """See `ShardFiles`; what arrives unsound is asked for again."""
        path = self._folder / key
        if offset is None:
            offset = max(0, path.size() - length)
        name = f"{self._folder.name}/{key}"
        if self._cache is not None:
            kept = self._cache.get(name, offset, length)
            if kept is not None and sound(kept):
                return kept, True
        for _ in range(READINGS):
            data = path.read_range(offset, length)
            if sound(data):
                if self._cache is not None:
                    self._cache.put(name, offset, data)
                return data, True
        return data, False


def _reopened(path: str) -> _File:
    try:
        return _File(path)
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        raise ObjectStoreError(
            f"{path} cannot be opened: this process has too many files open. Close some, or allow "
            "more with ulimit -n."
        ) from error
