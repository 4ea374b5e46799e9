"""What was read of a store in the cloud, kept on this machine's disk: bounded, never believed."""

from __future__ import annotations

import os
import re
import shutil
import threading
from contextlib import suppress
from pathlib import Path

BLOCK = 512
"""Bytes that `st_blocks` counts in."""
FOLDER = "chunks"
"""Below the folder that is named, which may hold anything else."""
COUNTS = 16
"""Times that what is held is counted anew while a cache fills up."""
_STORE = re.compile(r"[0-9a-f]{32}")


class ChunkCache:
    """Files with holes, one a shard: a part that was read stands where it stood in its object.

    Nothing says which parts are there: the checksum that each chunk ends with does. So a machine
    that fails while one is written costs a second reading, and never a wrong value. Epochs go
    through all chunks in turn, so that what came last is the worst to keep: the first to come stay.
    """

    def __init__(self, folder: Path, store: str, limit: int) -> None:
        """Keep at most `limit` bytes in `folder`, of which those of other stores give way.

        Args:
            folder: of all stores' caches.
            store: the store's fingerprint: what has another is another store.
            limit: bytes.
        """
        self._all = folder / FOLDER
        self._folder, self._limit = self._all / store[:32], limit
        self._lock = threading.Lock()
        self._held = self._counted = 0
        self._full = limit <= 0

    def get(self, name: str, offset: int, length: int) -> bytes | None:
        """What stands at that place; it may be a hole, or half written."""
        try:
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            data = os.pread(descriptor, length, offset)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return data

    def put(self, name: str, offset: int, data: bytes) -> None:
        """Keep a part, if there is room; a disk that takes no more is no error."""
        if self._full or not self._has_room(len(data)):
            return
        path = self._folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.pwrite(descriptor, data, offset)
            finally:
                os.close(descriptor)
        except OSError:
            self._full = True

    def _has_room(self, size: int) -> bool:
        size += 2 * 4096  # Files grow by whole pages.
        with self._lock:
            # Others may fill the same folder.
            if self._counted <= 0:
                self._count()
            for other in self._others() if self._held + size > self._limit else ():
                shutil.rmtree(other, ignore_errors=True)
                self._count()
                if self._held + size <= self._limit:
                    break
            if self._held + size > self._limit:
                self._full = True
                return False
            self._held += size
            self._counted -= size
            return True

    def _count(self) -> None:
        self._held, self._counted = _bytes_below(self._all), self._limit // COUNTS

    def _others(self) -> list[Path]:
        """Caches of other stores, the oldest first; what else stands there is not ours."""
        with suppress(OSError):
            found = [
                each
                for each in self._all.iterdir()
                if each != self._folder and _STORE.fullmatch(each.name) and each.is_dir()
            ]
            return sorted(found, key=lambda each: each.stat().st_mtime)
        return []


def _bytes_below(folder: Path) -> int:
    held = 0
    for inside, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                held += os.stat(os.path.join(inside, name)).st_blocks * BLOCK
    return held
