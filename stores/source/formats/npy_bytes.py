"""The bytes of a .npy file: as they lie in a file, or decoded and held."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.formats.packed import MOST_RATIO, is_bomb
from headrace.stores.source.formats.zip_members import ZipMembers, read_exactly

MOST_UNPACKED = 4 << 30
"""Bytes of the packed arrays of an .npz file that are used: each is held decoded."""


class NpyBytes(Protocol):
    """A .npy file, by itself or in an .npz file.

    Attributes:
        begin: byte of its file at which it begins; None if it is packed.
        size: its bytes.
        held_bytes: of it that are held once it was read.
    """

    begin: int | None
    size: int
    held_bytes: int

    def head(self, count: int) -> bytes:
        """Its first bytes."""
        ...

    def fill(self, target: NDArray[np.uint8], at: int) -> None:
        """Fill `target` (n,) with its bytes from `at` on."""
        ...


class StoredNpy:
    """Bytes that lie in the file as they are."""

    held_bytes = 0

    def __init__(self, stream: Any, begin: int, size: int) -> None:
        """Take over a stream of the file that holds it."""
        self.begin: int | None = begin
        self._stream, self._begin, self.size = stream, begin, size

    def head(self, count: int) -> bytes:
        """See `NpyBytes`."""
        found = np.empty(min(count, self.size), dtype=np.uint8)
        self.fill(found, 0)
        return found.tobytes()

    def fill(self, target: NDArray[np.uint8], at: int) -> None:
        """See `NpyBytes`."""
        self._stream.seek(self._begin + at)
        read_exactly(self._stream, target)


class PackedNpy:
    """Bytes that are decoded whole when they are first read, and held."""

    begin: int | None = None

    def __init__(self, zipped: ZipMembers, name: str, held: dict[str, NDArray[np.uint8]]) -> None:
        """A member of a zip file, and what is held of all of them."""
        self._zipped, self._name, self._held = zipped, name, held
        self.held_bytes = self.size = zipped.infos[name].file_size

    def head(self, count: int) -> bytes:
        """See `NpyBytes`."""
        self._check(self.size)
        with self._zipped.open(self._name) as stream:
            found: bytes = stream.read(count)
        return found

    def fill(self, target: NDArray[np.uint8], at: int) -> None:
        """See `NpyBytes`."""
        if self._name not in self._held:
            self._check(self.size + sum(len(each) for each in self._held.values()))
            found = np.empty(self.size, dtype=np.uint8)
            with self._zipped.open(self._name) as stream:
                read_exactly(stream, found)  # With its last byte the checksum is looked at.
            self._held[self._name] = found
        target[:] = self._held[self._name][at : at + len(target)]

    def _check(self, size: int) -> None:
        packed = self._zipped.infos[self._name].compress_size
        if is_bomb(packed, self.size):
            raise SourceError(
                f"{self._zipped.path}:/{self._name} unpacks from {packed:,} bytes to "
                f"{self.size:,}, more than {MOST_RATIO} times, and would be held. Write it with "
                "numpy.savez, which does not pack, or as a .npy file."
            )
        if size > MOST_UNPACKED:
            raise SourceError(
                f"{self._zipped.path}:/{self._name} is packed, and what is packed is decoded whole "
                f"and held: {size:,} bytes, {MOST_UNPACKED:,} are the most. Write it with "
                "numpy.savez, which does not pack, or as a .npy file."
            )
