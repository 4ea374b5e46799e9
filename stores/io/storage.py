"""What a place is made of: the one interface of files on this disk and of objects by address."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from headrace.stores.io.chunk_cache import ChunkCache
    from headrace.stores.io.object_file import ObjectFile
    from headrace.stores.io.shard_files import ShardFiles

Bytes = bytes | bytearray | memoryview
State = tuple[int | str, ...]
"""What tells one version of a file or object from another; see `Storage.state`."""


class Entry(NamedTuple):
    """Something that stands below a place: its name relative to it, with slashes."""

    name: str
    is_folder: bool = False
    is_link: bool = False


class Storage(Protocol):
    """What is done with a place, a file or what stands below it, the same way for both kinds."""

    @property
    def is_remote(self) -> bool:
        """Whether each request waits for a network: several are in flight, and hold memory."""
        ...

    @property
    def requests(self) -> int:
        """How many are in flight at most."""
        ...

    @property
    def readings(self) -> int:
        """Times that something is read before it is said to be damaged."""
        ...

    def state(self) -> State:
        """Differs when the file or object was touched.

        Raises:
            OSError: it is not there.
        """
        ...

    def size(self) -> int:
        """Bytes of a file or an object.

        Raises:
            OSError: it is not there.
        """
        ...

    def parts(self) -> Iterator[bytes]:
        """The content, a slice of 4 MiB after the other.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def open(self) -> io.RawIOBase:
        """It, to be read at any place, unbuffered.

        Raises:
            OSError: it is not there.
        """
        ...

    def for_numpy(self) -> Path | io.BytesIO:
        """A small file or object as NumPy opens it.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def for_hdf5(self) -> ObjectFile | None:
        """What HDF5 reads in place of a file; None where it opens the file itself.

        Raises:
            OSError: there is no such object.
        """
        ...

    def for_zarr(self) -> Any:
        """What zarr-python opens."""
        ...

    def shard_files(self, cache: ChunkCache | None) -> ShardFiles:
        """The shards of the array that stands below it; what was fetched, `cache` may keep."""
        ...

    def cache(self, fingerprint: str) -> ChunkCache | None:
        """What keeps the chunks of that store on this disk, if they are to be kept."""
        ...

    def names(self) -> Iterator[str]:
        """Names, relative to it and with slashes, of all files or objects that stand below."""
        ...

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Those names, and bytes; what cannot be looked at is left out."""
        ...

    def entries(self) -> Iterator[Entry]:
        """All that stands below, folders too where there are any."""
        ...

    def write(self, parts: Bytes | Iterable[Bytes]) -> int:
        """Put `parts`, one after another, into it, whole or not at all.

        Returns:
            The number of bytes written.

        Raises:
            UserError: it cannot be written.
        """
        ...

    def remove(self) -> None:
        """Remove the file or object, if it is there.

        Raises:
            UserError: it cannot be removed.
        """
        ...

    def remove_below(self) -> None:
        """Remove all that stands below; nothing may be left.

        Raises:
            UserError: something cannot be removed.
        """
        ...

    def free_bytes(self) -> int | None:
        """Bytes that are free where it will stand; None where there is no end."""
        ...

    def packed(self) -> str:
        """It as an argument of a child process; see `stores.io.places.unpacked`."""
        ...
