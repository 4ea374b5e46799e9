"""Files and folders of this disk as `Storage`."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headrace.stores.io import disk
from headrace.stores.io.shard_files import LocalShards
from headrace.stores.io.storage import Bytes, Entry, State


@dataclass(frozen=True)
class LocalStorage:
    """See `Storage`."""

    path: Path
    is_remote = False
    requests = 1
    readings = 1

    def state(self) -> State:
        """Size, time of change and number of the file."""
        found = os.stat(self.path)
        return found.st_size, found.st_mtime_ns, found.st_ino

    def size(self) -> int:
        """See `Storage`."""
        return self.path.stat().st_size

    def parts(self) -> Iterator[bytes]:
        """See `Storage`."""
        return disk.parts_of(self.path)

    def open(self) -> io.RawIOBase:
        """See `Storage`."""
        return io.FileIO(self.path)

    def for_numpy(self) -> Path:
        """The path."""
        return self.path

    def for_hdf5(self) -> None:
        """None."""

    def for_zarr(self) -> Path:
        """The path."""
        return self.path

    def shard_files(self, cache: object) -> LocalShards:
        """Files, which the system's own cache keeps."""
        return LocalShards(self.path)

    def cache(self, fingerprint: str) -> None:
        """None."""

    def names(self) -> Iterator[str]:
        """See `Storage`."""
        for folder, _, files in os.walk(self.path):
            inside = os.path.relpath(folder, self.path)
            for name in files:
                yield name if inside == "." else f"{inside}/{name}"

    def sizes(self) -> Iterator[tuple[str, int]]:
        """See `Storage`."""
        for name in self.names():
            with suppress(OSError):
                yield name, (self.path / name).stat().st_size

    def entries(self) -> Iterator[Entry]:
        """See `Storage`."""
        for path in self.path.rglob("*"):
            name = path.relative_to(self.path).as_posix()
            yield Entry(name, path.is_dir(), path.is_symlink())

    def write(self, parts: Bytes | Iterable[Bytes]) -> int:
        """See `Storage`."""
        return disk.write_bytes(self.path, parts)

    def remove(self) -> None:
        """See `Storage`."""
        disk.remove_file(self.path)

    def remove_below(self) -> None:
        """The folder goes too."""
        disk.remove_folder(self.path)

    def free_bytes(self) -> int:
        """See `Storage`."""
        folder = next(parent for parent in self.path.absolute().parents if parent.is_dir())
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize

    def packed(self) -> str:
        """See `Storage`."""
        return json.dumps({"path": str(self.path.absolute())})
