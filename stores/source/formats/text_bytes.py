"""The bytes of a table of text: of a file, of an object, or packed with gzip."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.stores.errors import SourceContentError, SourceError, first_line
from headrace.stores.io.object_file import HELD_BYTES, ObjectFile
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.formats.text_clean import newlines
from headrace.stores.source.formats.text_encoding import LOOKED_AT, Encoding, encoding_of

PIECE_BYTES = 1 << 20
SMALL_BUFFER = 16 << 10
MAX_LINE = 16 << 20
MAX_UNPACKED = 1 << 30
MAX_PACKED = 1_000
"""Times the bytes of its file that a packed table may have."""
SMALL_UNPACKED = 16 << 20
"""May be packed by more."""
_GZIP = b"\x1f\x8b"


class TextBytes:
    """An open file, read piece by piece from its beginning, or any part of it, in UTF-8.

    What is packed has no place to jump to: where its parts will be read, it is kept unpacked.
    Places are those in the file, or in what is unpacked, whatever its encoding.

    Attributes:
        packed: whether it is packed.
        kept_bytes: memory that the unpacked table takes.
        fetched_bytes: held of an object at most.
    """

    def __init__(
        self, path: Place, piece_bytes: int | None = None, encoding: str | None = None
    ) -> None:
        """Open it, to be read in pieces of about so many bytes; None: of 1 MiB.

        `encoding` is what its owner says; None: UTF-8, or what a mark says.

        Raises:
            UserError: there is no such file.
        """
        self.path, self.where = path, str(path)
        self._piece = piece_bytes or PIECE_BYTES
        self.kept_bytes = 0
        self._unpacked: io.BytesIO | None = None
        with self._explained():
            # A pipe would be waited for without end.
            if not (os.path.isfile(path) if isinstance(path, Path) else path.is_file()):
                what = "is a folder" if path.is_dir() else "does not exist"
                raise SourceError(f"The source {path} {what}. Name a table.")
            raw = storage_of(path).open()
            self._object = raw if isinstance(raw, ObjectFile) else None
            # Of a file the system reads ahead.
            held = SMALL_BUFFER if self._object is None else self._piece
            self._file = io.BufferedReader(raw, held)
            first = self._file.peek(LOOKED_AT)
            self.packed = first[:2] == _GZIP
        self._given = encoding
        self._encoding: Encoding | None = None if self.packed else encoding_of(first, encoding)
        self.fetched_bytes = 0 if self._object is None else HELD_BYTES

    def pieces(self) -> Iterator[tuple[int, int, bytes]]:
        """Start, stop and text of about a piece of whole lines each, or of one longer line.

        Raises:
            UserError: it cannot be read, is not of its encoding, or a line or what was packed is
                too large.
        """
        line = 0
        for start, raw in self._stored():
            text = raw
            if self._encoding is not None:
                text = self._encoding.utf8(raw, self.where, line)
                line += newlines(text)
            yield start, start + len(raw), text

    def size(self, text: bytes) -> int:
        """Bytes of the file that hold some of its text."""
        return len(text) if self._encoding is None else self._encoding.size(text)

    def _stored(self) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of the pieces, as they are stored."""
        with self._explained():
            pending: tuple[int, bytes] | None = None
            start, rest = 0, b""
            for block in self._blocks():
                if self._encoding is None:
                    end = (block.rfind(b"\n") + 1) or (block.rfind(b"\r", 0, -1) + 1)
                else:
                    end = self._encoding.last_end(block)
                if end:
                    if pending is not None:
                        yield pending
                    pending = start, rest + block[:end]
                    start, rest = start + len(rest) + end, block[end:]
                else:
                    rest += block
                if len(rest) > MAX_LINE:
                    raise SourceContentError(
                        f"{self.where} has a line of more than {MAX_LINE:,} bytes (from byte "
                        f"{start:,} on). A table has one line a row: name another file."
                    )
            # A last line without its end makes no piece of its own.
            first, data = pending or (start, b"")
            if data or rest:
                yield first, data + rest

    def part(self, start: int, stop: int) -> bytes:
        """The text in bytes `start` to `stop`.

        Raises:
            UserError: they cannot be read, or are not what they were.
        """
        with self._explained():
            file = self._unpacked or self._file
            file.seek(start)
            data = file.read(stop - start)
        if len(data) != stop - start:
            raise changed(self.where)
        try:
            return data if self._encoding is None else self._encoding.utf8(data, self.where, 0)
        except SourceContentError as error:
            raise changed(self.where) from error

    def fetch(self, spans: set[tuple[int, int]]) -> bool:
        """Fetch bytes of an object side by side."""
        if self._object is None or self.packed:
            return False
        with self._explained():
            self._object.fetch(spans)
        return True

    def close(self) -> None:
        """Close the file."""
        self._unpacked = None
        self._file.close()

    def _blocks(self) -> Iterator[bytes]:
        self._file.seek(0)
        if not self.packed:
            return iter(lambda: self._file.read(self._piece), b"")
        return self._unpacking()

    def _unpacking(self) -> Iterator[bytes]:
        """Raises SourceError: there is more than may be kept."""
        unpacked = io.BytesIO()
        held = 0
        with gzip.GzipFile(fileobj=self._file, mode="rb") as blocks:
            while block := blocks.read(self._piece):
                if not held:
                    self._encoding = encoding_of(block, self._given)
                held += len(block)
                packed = self._file.tell()
                if held > MAX_UNPACKED or held > max(SMALL_UNPACKED, MAX_PACKED * packed):
                    raise SourceError(
                        f"{self.where} unpacks to {held:,} bytes and more. A packed table is kept "
                        f"in memory: {MAX_UNPACKED:,} is the most, and {MAX_PACKED:,} times its "
                        "file. Unpack it: gunzip."
                    )
                unpacked.write(block)
                yield block
        self._unpacked, self.kept_bytes = unpacked, sys.getsizeof(unpacked)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, zlib.error) as error:
            raise SourceError(
                f"The source {self.where} cannot be read ({first_line(error)}). Correct the file, "
                "or start again once it is there."
            ) from error


def changed(where: str) -> SourceError:
    """The file is not what it was."""
    return SourceError(f"{where} was changed while it was being read. Start again.")
