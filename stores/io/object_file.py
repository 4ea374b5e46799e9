"""An object that HDF5 reads as a file: blocks of it in memory, and what is known to be wanted."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from headrace.stores.io.object_path import ObjectPath

BLOCK_BYTES = 256 << 10
KEPT_BLOCKS = 32
RUN_BLOCKS = 16
"""Blocks that are fetched together where reading goes straight on."""
READ_AHEAD = 16 << 20
"""Bytes that are fetched side by side before they are read."""
HELD_BYTES = (KEPT_BLOCKS + 2 * RUN_BLOCKS) * BLOCK_BYTES + 2 * READ_AHEAD
"""Held of an open object at most: blocks, and twice what was fetched ahead while it arrives."""
GAP_BYTES = 64 << 10
"""Between two parts that are fetched as one."""


class ObjectFile(io.RawIOBase):
    """Reads one object; one thread at a time, as HDF5 does.

    HDF5 asks for one part after another and waits for each. So what a caller knows that it will
    ask for is fetched with `fetch`, side by side; the rest comes in blocks, and in runs of them
    where one follows another.
    """

    def __init__(self, path: ObjectPath) -> None:
        """Raises OSError if there is no such object."""
        super().__init__()
        self._path = path
        self._size = path.size()
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._ahead: list[tuple[int, bytes]] = []
        self._after = -1

    def __repr__(self) -> str:
        """The address: HDF5 calls the file so, and so do errors."""
        return str(self._path)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, target: Any) -> int:
        """Fill `target`, or as much of it as there is."""
        view = memoryview(target).cast("B")
        length = max(0, min(len(view), self._size - self._at))
        if not self._from_ahead(view[:length]):
            for start in range(0, length, KEPT_BLOCKS // 2 * BLOCK_BYTES):
                stop = min(start + KEPT_BLOCKS // 2 * BLOCK_BYTES, length)
                self._from_blocks(view[start:stop], self._at + start)
        self._at += length
        return length

    def fetch(self, spans: Iterable[tuple[int, int]]) -> None:
        """Fetch parts (start, stop) side by side, in place of those of the last call.

        What is more than READ_AHEAD in all is left to be read when it is asked for.
        """
        joined: list[tuple[int, int]] = []
        held = 0
        for start, stop in sorted(spans):
            follows = bool(joined) and start <= joined[-1][1] + GAP_BYTES
            held += stop - (joined[-1][1] if follows else start)
            if held > READ_AHEAD:
                break
            if follows:
                start, stop = joined[-1][0], max(stop, joined.pop()[1])
            joined.append((start, stop))
        self._ahead = []
        contents = self._path.read_ranges([(start, stop - start) for start, stop in joined])
        self._ahead = [(start, data) for (start, _), data in zip(joined, contents, strict=True)]

    def _from_ahead(self, view: memoryview) -> bool:
        place = bisect_right(self._ahead, self._at, key=lambda each: each[0]) - 1
        if place < 0:
            return False
        start, data = self._ahead[place]
        part = data[self._at - start : self._at - start + len(view)]
        if len(part) != len(view):
            return False
        view[:] = part
        return True

    def _from_blocks(self, view: memoryview, at: int) -> None:
        if not view:
            return
        first, last = at // BLOCK_BYTES, (at + len(view) - 1) // BLOCK_BYTES
        missing = [number for number in range(first, last + 1) if number not in self._blocks]
        if missing:
            self._read_blocks(missing[0], missing[-1])
        for number in range(first, last + 1):
            block = self._blocks[number]
            self._blocks.move_to_end(number)
            low, high = number * BLOCK_BYTES, number * BLOCK_BYTES + len(block)
            start, stop = max(at, low), min(at + len(view), high)
            view[start - at : stop - at] = block[start - low : stop - low]
        while len(self._blocks) > KEPT_BLOCKS + RUN_BLOCKS:
            self._blocks.popitem(last=False)

    def _read_blocks(self, first: int, last: int) -> None:
        if first == self._after:
            last = max(last, first + RUN_BLOCKS - 1)
        self._after = last + 1
        start = first * BLOCK_BYTES
        length = min((last + 1) * BLOCK_BYTES, self._size) - start
        data = self._path.read_range(start, length)
        if len(data) != length:
            raise OSError(f"{self._path} was changed while it was being read")
        for offset in range(0, length, BLOCK_BYTES):
            number = (start + offset) // BLOCK_BYTES
            self._blocks[number] = data[offset : offset + BLOCK_BYTES]
            self._blocks.move_to_end(number)
