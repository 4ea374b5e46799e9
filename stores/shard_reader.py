"""Reads rows of one array out of its shards, decoding each chunk straight into its place."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from stores.array_format import MISSING_CHUNK, ArrayFormat
from stores.errors import DamageError, UserError

KEPT_SHARDS = 1000
"""Shards whose indexes are kept at most: 8 million windows of 128 x 9."""
KEPT_FILES = 64
"""Shards' files kept open: of half a million windows. Opening took a sixteenth of the stream."""
_OBJECT_BYTES = 200
"""Of an index in the reader's table, beside its content."""
_CRC32C_RESIDUE = 0x48674BC7
"""CRC-32C of any bytes followed by their own CRC-32C."""
_BLOSC_OVERHEAD = 16
"""Bytes by which a chunk that cannot be compressed grows."""
_ENTRY = struct.Struct("<QQ")
_BLOSC_HEADER = struct.Struct("<4xI4xI")
"""Of the 16 bytes: how many the decoder will write, and how many it was given."""


class _File:
    """An open file, closed when the last thread that reads of it lets go."""

    def __init__(self, path: str) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


class ShardReader:
    """An array that `ArrayFormat` wrote. Several threads may read; decoding leaves the GIL.

    A chunk is read once, checked against its checksum and decoded into the caller's array: half of
    the time of a core that TensorStore and zarr-python take, which decode aside and copy.
    """

    def __init__(self, folder: Path, format_: ArrayFormat, kept_shards: int = KEPT_SHARDS) -> None:
        """Read from `folder`, the array's; its `zarr.json` is not looked at."""
        self._folder = folder
        self._format = format_
        self._chunk_bytes = format_.chunk_rows * format_.row_bytes
        self._per_shard = format_.shard_rows // format_.chunk_rows
        self._most_kept = kept_shards
        self._kept: dict[int, bytes] = {}
        self._open: dict[int, _File] = {}

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

    @staticmethod
    def index_bytes(format_: ArrayFormat) -> int:
        """Bytes that keeping the index of one shard takes."""
        return 16 * (format_.shard_rows // format_.chunk_rows) + 4 + _OBJECT_BYTES

    def _decode(self, number: int, target: NDArray[Any]) -> None:
        """Decode one whole chunk into contiguous memory."""
        shard, inside = divmod(number, self._per_shard)
        offset, length = _ENTRY.unpack_from(self._index(shard), 16 * inside)
        if offset == MISSING_CHUNK:
            raise self._damaged(shard, f"chunk {inside} is missing")
        # What is larger than its place must not be read, nor reach the decoder, which trusts the
        # header.
        if not 20 <= length <= self._chunk_bytes + _BLOSC_OVERHEAD + 4:
            raise self._damaged(shard, f"chunk {inside} is of another size")
        data = self._pread(shard, length, offset)
        if google_crc32c.value(data) != _CRC32C_RESIDUE:
            raise self._damaged(shard, f"chunk {inside} has another checksum")
        if _BLOSC_HEADER.unpack_from(data) != (self._chunk_bytes, length - 4):
            raise self._damaged(shard, f"chunk {inside} is of another size")
        try:
            blosc.decompress(data, target)
        except (RuntimeError, ValueError) as error:
            raise self._damaged(shard, f"chunk {inside} cannot be decoded") from error

    def _index(self, shard: int) -> bytes:
        """Offset and length of each chunk of a shard, and their checksum."""
        kept = self._kept.get(shard)
        if kept is not None:
            return kept
        data = self._pread(shard, 16 * self._per_shard + 4, None)
        if google_crc32c.value(data) != _CRC32C_RESIDUE:
            raise self._damaged(shard, "its index has another checksum")
        if len(self._kept) >= self._most_kept:
            self._kept.clear()
        self._kept[shard] = data
        return data

    def _pread(self, shard: int, length: int, offset: int | None) -> bytes:
        """`length` bytes of a shard's file from `offset` on, or its last ones."""
        try:
            file = self._file(shard)
            if offset is None:
                offset = max(0, os.fstat(file.number).st_size - length)
            data = os.pread(file.number, length, offset)
        except (OSError, OverflowError) as error:
            raise self._damaged(shard, f"cannot be read ({error})") from error
        if len(data) != length:
            raise self._damaged(shard, "is cut short")
        return data

    def _file(self, shard: int) -> _File:
        file = self._open.get(shard)
        if file is None:
            try:
                file = _File(self._path(shard))
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE):
                    raise
                # Files that are kept open give way first.
                self._open.clear()
                file = self._reopened(shard)
            if len(self._open) >= KEPT_FILES:
                self._open.clear()
            self._open[shard] = file
        return file

    def _reopened(self, shard: int) -> _File:
        try:
            return _File(self._path(shard))
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            raise UserError(
                f"{self._path(shard)} cannot be opened: this process has too many files open. "
                "Close some, or allow more with ulimit -n."
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        """Without open files: a copy opens its own."""
        return self.__dict__ | {"_kept": {}, "_open": {}}

    def _path(self, shard: int) -> str:
        return f"{self._folder}/{self._format.key(shard)}"

    def _damaged(self, shard: int, reason: str) -> DamageError:
        return DamageError(
            f"{self._path(shard)} is damaged: {reason}. Find what else is with headrace verify, "
            "and mend it with headrace features --repair."
        )
