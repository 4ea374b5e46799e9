"""Bytes of the variables of a MATLAB file, packed or not, in bounded memory."""

from __future__ import annotations

import io
import zlib
from typing import NamedTuple

READ_BYTES = 64 << 10
"""Of a packed variable that are read at a time."""
BLOCK_BYTES = 256 << 10
"""Of it that are unpacked at a time."""
MOST_UNPACKED = 1100
"""Times its bytes that something packed may have: zlib reaches 1,032."""


class Span(NamedTuple):
    """Where a variable is in the file.

    Attributes:
        start: its first byte.
        stop: after its last.
        packed: bytes of it once unpacked; 0: it is not packed. Zlib's checksum of all of it is
            compared when the last one is read.
    """

    start: int
    stop: int
    packed: int = 0


class VariableBytes:
    """Reads the content of one variable after another; forwards, a packed one is unpacked once."""

    def __init__(self, stream: io.RawIOBase) -> None:
        """Take over an open file."""
        self._stream = io.BufferedReader(stream)
        self.size = self._stream.seek(0, io.SEEK_END)
        self._span: Span | None = None

    def read(self, span: Span, at: int, count: int) -> bytes:
        """`count` bytes, from byte `at` of the content on.

        Raises:
            EOFError: there are fewer.
            zlib.error: they are not packed as they should be.
        """
        content = bytearray(count)
        self.read_into(span, at, memoryview(content))
        return bytes(content)

    def read_into(self, span: Span, at: int, view: memoryview) -> None:
        """Fill `view` from byte `at` on; raises what `read` does."""
        if not span.packed:
            if at + len(view) > span.stop - span.start:
                raise EOFError("it ends too early")
            self._stream.seek(span.start + at)
            if self._stream.readinto(view) != len(view):
                raise EOFError("it ends too early")
            return
        if span != self._span or at < self._at:
            self._begin(span)
        while len(view):
            low = at - self._at
            if low >= len(self._block):
                self._unpack(span)
                continue
            part = self._block[low : low + len(view)]
            view[: len(part)] = part
            view = view[len(part) :]
            at += len(part)
        if at == span.packed:
            self._finish(span)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _begin(self, span: Span) -> None:
        self._span = span
        self._zlib = zlib.decompressobj()
        self._next = span.start
        self._waiting = b""
        self._block = b""
        self._at = 0

    def _unpack(self, span: Span) -> None:
        """Go on to the next block."""
        self._at += len(self._block)
        self._block = self._unpacked(span, BLOCK_BYTES)
        if self._zlib.eof and not self._block:
            raise EOFError("it ends too early")

    def _finish(self, span: Span) -> None:
        """Go on to the checksum, which is all that is left."""
        while not self._zlib.eof:
            if self._unpacked(span, 1):
                raise EOFError("it goes on where it should end")

    def _unpacked(self, span: Span, most: int) -> bytes:
        """The next bytes of a packed variable, `most` or fewer, even none."""
        if not self._waiting:
            self._stream.seek(self._next)
            self._waiting = self._stream.read(min(READ_BYTES, span.stop - self._next))
            self._next += len(self._waiting)
        waiting = self._waiting
        found = self._zlib.decompress(waiting, most)
        self._waiting = self._zlib.unconsumed_tail
        if not waiting and not found and not self._zlib.eof:
            raise EOFError("it ends too early")
        return found
