"""Objects behind an address as `Storage`."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from platformdirs import user_cache_path

from headrace.stores.io import disk
from headrace.stores.io.chunk_cache import ChunkCache
from headrace.stores.io.object_file import ObjectFile
from headrace.stores.io.object_path import READINGS, ObjectPath
from headrace.stores.io.shard_files import ObjectShards
from headrace.stores.io.storage import Bytes, Entry, State


@dataclass(frozen=True)
class ObjectStorage:
    """See `Storage`."""

    path: ObjectPath
    is_remote = True
    readings = READINGS

    @property
    def requests(self) -> int:
        """See `Storage`."""
        return self.path.options.requests

    def state(self) -> State:
        """Bytes, and what the server calls this version."""
        return self.path.state()

    def size(self) -> int:
        """See `Storage`."""
        return self.path.size()

    def parts(self) -> Iterator[bytes]:
        """See `Storage`."""
        return self.path.parts()

    def for_numpy(self) -> io.BytesIO:
        """The whole object."""
        return io.BytesIO(self.path.read_bytes())

    def open(self) -> ObjectFile:
        """See `Storage`."""
        return ObjectFile(self.path)

    def for_hdf5(self) -> ObjectFile:
        """See `Storage`."""
        return self.open()

    def for_zarr(self) -> Any:
        """A store that reads only."""
        from zarr.storage import ObjectStore

        return ObjectStore(self.path.client(), read_only=True)

    def shard_files(self, cache: ChunkCache | None) -> ObjectShards:
        """See `Storage`."""
        return ObjectShards(self.path, cache)

    def cache(self, fingerprint: str) -> ChunkCache | None:
        """See `Storage`."""
        options = self.path.options
        if not options.cache:
            return None
        folder = options.cache_folder or user_cache_path("headrace")
        return ChunkCache(folder, fingerprint, options.cache)

    def names(self) -> Iterator[str]:
        """See `Storage`."""
        return (name for name, _ in self.path.below())

    def sizes(self) -> Iterator[tuple[str, int]]:
        """See `Storage`."""
        return self.path.below()

    def entries(self) -> Iterator[Entry]:
        """Objects: there are no folders and no links."""
        return (Entry(name) for name in self.names())

    def write(self, parts: Bytes | Iterable[Bytes]) -> int:
        """See `Storage`."""
        buffers = [parts] if isinstance(parts, (bytes, bytearray, memoryview)) else parts
        content = b"".join(buffers)
        with self._explained():
            self.path.write(content)
        return len(content)

    def write_once(self, content: bytes) -> bool:
        """Write an object that nobody else may have written; False if another stands there.

        Raises:
            UserError: as `write`.
        """
        with self._explained():
            try:
                self.path.write(content, create=True)
            except FileExistsError:
                # An answer that was lost makes the client write again, and find its own.
                return self.path.read_bytes() == content
        return True

    def remove(self) -> None:
        """See `Storage`."""
        with self._explained():
            self.path.unlink(missing_ok=True)

    def remove_below(self) -> None:
        """See `Storage`."""
        self.remove_these(list(self.names()))

    def remove_these(self, names: list[str]) -> None:
        """Remove objects below it.

        Raises:
            UserError: one cannot be removed.
        """
        with self._explained():
            self.path.remove(names)

    def free_bytes(self) -> None:
        """None."""

    def packed(self) -> str:
        """See `Storage`."""
        options = self.path.options.model_dump(mode="json")
        return json.dumps({"address": str(self.path), "options": options})

    def _explained(self) -> AbstractContextManager[None]:
        return disk.explained(self.path, "Get the right to write there, or name another place")
