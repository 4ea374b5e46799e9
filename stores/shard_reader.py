"""Reads rows of one array out of its shards, decoding each chunk straight into its place."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from stores.array_format import MISSING_CHUNK, ArrayFormat
from stores.errors import UserError

KEPT_INDEXES = 4096
"""Indexes of shards that are kept: 1 KiB each for 64 chunks."""
_CRC32C_RESIDUE = 0x48674BC7
"""CRC-32C of any bytes followed by their own CRC-32C."""
_BLOSC_HEADER = np.dtype([("flags", "u4"), ("size", "<u4"), ("block", "<u4"), ("stored", "<u4")])


class ShardReader:
    """An array that `ArrayFormat` wrote. Several threads may read; decoding leaves the GIL.

    A chunk is read once, checked against its checksum and decoded into the caller's array: half of
    the time of a core that TensorStore and zarr-python take, which decode aside and copy.
    """

    def __init__(self, folder: Path, format_: ArrayFormat) -> None:
        """Read from `folder`, the array's; its `zarr.json` is not looked at."""
        self._folder = folder
        self._format = format_
        self._chunk_bytes = format_.chunk_rows * format_.row_bytes
        self._index = lru_cache(maxsize=KEPT_INDEXES)(self._read_index)

    def read_into(self, target: NDArray[Any], start: int) -> None:
        """Fill `target` (n, ...), C order, of the stored type, with rows from `start` on.

        Raises:
            UserError: a file or a chunk is missing or damaged.
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

    def scatter_into(
        self, target: NDArray[Any], start: int, stop: int, rows: NDArray[Any], places: NDArray[Any]
    ) -> None:
        """Put rows of `[start, stop)` at their places: `target[places[i]]` is row `rows[i]`.

        A chunk is decoded in a core's cache and its rows are copied from there, once each: what a
        permutation costs beside reading. `target` is as in `read_into`.

        Args:
            rows: (m,) ascending, in [start, stop); may repeat or leave out.
            places: (m,) where each goes.
        """
        chunk = self._format.chunk_rows
        numbers = range(start // chunk, -(-stop // chunk))
        edges = np.searchsorted(rows, [number * chunk for number in (*numbers, numbers.stop)])
        decoded = np.empty((chunk, *self._format.row_shape), self._format.dtype)
        whole, wanted = _as_items(decoded), _as_items(target)
        for number, low, high in zip(numbers, edges[:-1], edges[1:], strict=True):
            if low < high:
                self._decode(number, decoded)
                first, last = int(rows[low]) - number * chunk, int(rows[high - 1]) - number * chunk
                every = last - first == high - low - 1
                own = slice(first, last + 1) if every else rows[low:high] - number * chunk
                wanted[places[low:high]] = whole[own]

    def _decode(self, number: int, target: NDArray[Any]) -> None:
        """Decode one whole chunk into contiguous memory."""
        per_shard = self._format.shard_rows // self._format.chunk_rows
        shard, inside = divmod(number, per_shard)
        offset, length = self._index(shard)[inside].tolist()
        if offset == MISSING_CHUNK:
            raise self._damaged(shard, f"chunk {inside} is missing")
        data = self._pread(shard, length, offset)
        if google_crc32c.value(data) != _CRC32C_RESIDUE:
            raise self._damaged(shard, f"chunk {inside} has another checksum")
        header = np.frombuffer(data, _BLOSC_HEADER, 1)[0] if length >= 20 else None
        # The decoder trusts the header: what is larger than its place must not reach it.
        if header is None or (header["size"], header["stored"]) != (self._chunk_bytes, length - 4):
            raise self._damaged(shard, f"chunk {inside} is of another size")
        try:
            blosc.decompress(data, target.view(np.uint8).reshape(-1))
        except (RuntimeError, ValueError) as error:
            raise self._damaged(shard, f"chunk {inside} cannot be decoded") from error

    def _read_index(self, shard: int) -> NDArray[np.uint64]:
        """(chunks, 2) offset and length of each chunk of a shard."""
        chunks = self._format.shard_rows // self._format.chunk_rows
        data = self._pread(shard, 16 * chunks + 4, None)
        if google_crc32c.value(data) != _CRC32C_RESIDUE:
            raise self._damaged(shard, "its index has another checksum")
        return np.frombuffer(data, "<u8", 2 * chunks).reshape(chunks, 2)

    def _pread(self, shard: int, length: int, offset: int | None) -> bytes:
        """`length` bytes of a shard's file from `offset` on, or its last ones."""
        try:
            descriptor = os.open(self._folder / self._format.key(shard), os.O_RDONLY)
        except OSError as error:
            raise self._damaged(shard, f"cannot be opened ({error.strerror})") from error
        try:
            size = os.fstat(descriptor).st_size
            place = size - length if offset is None else offset
            if not 0 <= place <= size - length:
                raise self._damaged(shard, "is cut short")
            data = os.pread(descriptor, length, place)
        except OSError as error:
            raise self._damaged(shard, f"cannot be read ({error.strerror})") from error
        finally:
            os.close(descriptor)
        if len(data) != length:
            raise self._damaged(shard, "is cut short")
        return data

    def _damaged(self, shard: int, reason: str) -> UserError:
        return UserError(
            f"{self._folder / self._format.key(shard)} is damaged: {reason}. Find what else is "
            "with headrace verify, then delete the store and make it anew."
        )


def _as_items(rows: NDArray[Any]) -> NDArray[np.void]:
    """The same rows as opaque items: NumPy then moves each by one copy of memory."""
    return rows.reshape(len(rows), -1).view(f"V{rows[:1].nbytes}").reshape(len(rows))
