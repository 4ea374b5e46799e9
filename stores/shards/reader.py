"""Reads rows of one array out of its shards, decoding each chunk straight into its place."""

from __future__ import annotations

import struct
from threading import Lock
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from headrace.stores.errors import DamageError, first_line
from headrace.stores.io.chunk_cache import ChunkCache
from headrace.stores.io.places import Place, storage_of
from headrace.stores.io.shard_files import Sound
from headrace.stores.shards.array_format import MISSING_CHUNK, ArrayFormat

KEPT_SHARDS = 1000
"""Shards whose indexes are kept at most: 8 million windows of 128 x 9."""
WHOLE_SHARD = 256 << 10
"""Bytes of a shard that is read and kept whole where each request costs: labels and positions."""
LOCKS = 16
"""Shards whose indexes are asked for at a time."""
_OBJECT_BYTES = 200
"""Of an index in the reader's table, beside its content."""
_CRC32C_RESIDUE = 0x48674BC7
"""CRC-32C of any bytes followed by their own CRC-32C."""
_BLOSC_OVERHEAD = 16
"""Bytes by which a chunk that cannot be compressed grows."""
_ENTRY = struct.Struct("<QQ")
_BLOSC_HEADER = struct.Struct("<4xI4xI")
"""Of the 16 bytes: how many the decoder will write, and how many it was given."""


class ShardReader:
    """An array that `ArrayFormat` wrote. Several threads may read; decoding leaves the GIL.

    A chunk is read once, checked against its checksum and decoded into the caller's array: half of
    the time of a core that TensorStore and zarr-python take, which decode aside and copy.
    """

    def __init__(
        self,
        folder: Place,
        format_: ArrayFormat,
        kept_shards: int = KEPT_SHARDS,
        cache: ChunkCache | None = None,
    ) -> None:
        """Read from `folder`, the array's; its `zarr.json` is not looked at.

        Args:
            folder: of files or objects.
            format_: of the array.
            kept_shards: how many shards' indexes are kept, or whole shards if those are small
                objects.
            cache: what keeps parts of objects on disk.
        """
        self._folder = folder
        storage = storage_of(folder)
        self._files = storage.shard_files(cache)
        self._format = format_
        self._chunk_bytes = format_.chunk_rows * format_.row_bytes
        self._per_shard = format_.shard_rows // format_.chunk_rows
        self._most_kept = kept_shards
        self._kept: dict[int, bytes] = {}
        self._index_length = 16 * self._per_shard + 4
        most = self._per_shard * (self._chunk_bytes + _BLOSC_OVERHEAD + 4) + self._index_length
        self._locks = [Lock() for _ in range(LOCKS)] if storage.is_remote else []
        self._whole = most if storage.is_remote and most <= WHOLE_SHARD else 0

    def read_into(self, target: NDArray[Any], start: int) -> None:
        """Fill `target` (n, ...), C order, of the stored type, with rows from `start` on.

        Raises:
            DamageError: a file or a chunk is missing or damaged.
        """
        chunk, stop = self._format.chunk_rows, start + len(target)
        for number in range(start // chunk, -(-stop // chunk)):
            first = number * chunk
            low, high = max(start, first), min(stop, first + chunk)
            part = target[low - start : high - start]
            if high - low == chunk:
                self._decode(number, part)
                continue
            whole = np.empty((chunk, *self._format.row_shape), self._format.dtype)
            self._decode(number, whole)
            part[...] = whole[low - first : high - first]

    @property
    def chunk_rows(self) -> int:
        """Rows of a chunk."""
        return self._format.chunk_rows

    @property
    def kept_bytes(self) -> int:
        """Bytes that keeping the index of one shard takes, or a small one whole."""
        return max(self._index_length, self._whole) + _OBJECT_BYTES

    def _decode(self, number: int, target: NDArray[Any]) -> None:
        """Decode one whole chunk into contiguous memory."""
        shard, inside = divmod(number, self._per_shard)
        kept = self._index(shard)
        index = len(kept) - self._index_length
        offset, length = _ENTRY.unpack_from(kept, index + 16 * inside)
        if offset == MISSING_CHUNK:
            raise self._damaged(shard, f"chunk {inside} is missing")
        # What is larger than its place must not be read, nor reach the decoder, which trusts the
        # header.
        if not 20 <= length <= self._chunk_bytes + _BLOSC_OVERHEAD + 4:
            raise self._damaged(shard, f"chunk {inside} is of another size")
        if self._whole:
            data = kept[offset : min(offset + length, index)]
            sound = _is_sound(data)
        else:
            data, sound = self._pread(shard, length, offset)
        if not sound:
            raise self._damaged(shard, f"chunk {inside} has another checksum")
        if _BLOSC_HEADER.unpack_from(data) != (self._chunk_bytes, length - 4):
            raise self._damaged(shard, f"chunk {inside} is of another size")
        try:
            blosc.decompress(data, target)
        except (RuntimeError, ValueError) as error:
            raise self._damaged(shard, f"chunk {inside} cannot be decoded") from error

    def _index(self, shard: int) -> bytes:
        """Offset and length of each chunk of a shard, and their checksum; before them, all of it
        if it is kept whole.
        """
        kept = self._kept.get(shard)
        if kept is not None:
            return kept
        if not self._locks:
            return self._read_index(shard)
        # Chunks of one shard are read side by side: one of them asks, and the others wait for it.
        with self._locks[shard % len(self._locks)]:
            return self._kept.get(shard) or self._read_index(shard)

    def _read_index(self, shard: int) -> bytes:
        if self._whole:
            data, _ = self._read(shard, self._whole, 0, self._is_whole)
            sound = self._ends_soundly(data)  # A damaged chunk is named when it is wanted.
        else:
            data, sound = self._pread(shard, self._index_length, None)
        if not sound:
            raise self._damaged(shard, "its index has another checksum")
        if len(self._kept) >= self._most_kept:
            self._kept.clear()
        self._kept[shard] = data
        return data

    def _pread(self, shard: int, length: int, offset: int | None) -> tuple[bytes, bool]:
        """`length` bytes of a shard from `offset` on, or its last ones; and whether their own
        checksum, which they end with, is right.
        """
        data, sound = self._read(shard, length, offset, _is_sound)
        if len(data) != length:
            raise self._damaged(shard, "is cut short")
        return data, sound

    def _read(
        self, shard: int, length: int, offset: int | None, sound: Sound
    ) -> tuple[bytes, bool]:
        try:
            return self._files.read(self._format.key(shard), offset, length, sound)
        except (OSError, OverflowError) as error:
            raise self._damaged(shard, f"cannot be read ({first_line(error)})") from error

    def _ends_soundly(self, data: bytes) -> bool:
        return _is_sound(data[-self._index_length :])

    def _is_whole(self, data: bytes) -> bool:
        """Whether a shard's index and all its chunks are as they were written."""
        if not self._ends_soundly(data):
            return False
        index = len(data) - self._index_length
        entries = _ENTRY.iter_unpack(data[index:-4])
        return all(
            offset == MISSING_CHUNK
            or (offset + length <= index and _is_sound(data[offset:][:length]))
            for offset, length in entries
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without indexes: a copy reads its own."""
        return self.__dict__ | {"_kept": {}, "_locks": []}

    def _path(self, shard: int) -> str:
        return f"{self._folder}/{self._format.key(shard)}"

    def _damaged(self, shard: int, reason: str) -> DamageError:
        return DamageError(
            f"{self._path(shard)} is damaged: {reason}. Find what else is with headrace verify, "
            "and mend it with headrace features --repair."
        )


def _is_sound(data: bytes) -> bool:
    """Whether bytes end with their own CRC-32C."""
    return bool(google_crc32c.value(data) == _CRC32C_RESIDUE)
