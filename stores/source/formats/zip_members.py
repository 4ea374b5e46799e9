"""Zip files of strangers: the list of members is bounded, and names stay within the file."""

from __future__ import annotations

import io
import struct
import zipfile
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import ARCHIVE_ERRORS, SourceError, first_line
from headrace.stores.io.places import Place, storage_of

MOST_RATIO = 1100
"""Times its packed bytes that a member may have: deflate packs 1,032 times at most."""
DIRECTORY_ENTRY = 300
"""Bytes of the list of members, for each that is allowed: 46 and its name."""
ENCRYPTED, UTF_8 = 1, 1 << 11
"""Bits of the flags of a member."""
SHOWN = 200
"""Letters of a name, in an error."""


class ZipMembers:
    """An open zip file.

    Attributes:
        path: of the zip file.
        stream: it, to be read at any place.
        size: its bytes.
        infos: its members by name, without folders.
    """

    def __init__(self, path: Place, most: int) -> None:
        """Read the list of members, of which there may be `most`.

        Raises:
            UserError: it is no zip file, holds more, or two of one name, or a name leads out of it.
        """
        self.path = path
        storage = storage_of(path)
        with ExitStack() as unless_done:
            try:
                self.size = storage.size()
                self.stream = unless_done.enter_context(storage.open())
                bounded: Any = _Bounded(self.stream, most * DIRECTORY_ENTRY)
                self._archive = zipfile.ZipFile(bounded)
            except ARCHIVE_ERRORS as error:
                raise SourceError(
                    f"The source {path} cannot be read as a zip file ({first_line(error)}). Copy "
                    "it again, or unpack it and name what it holds."
                ) from error
            bounded.most = None
            self.infos = self._checked(most)
            unless_done.pop_all()

    def open(self, name: str) -> Any:
        """A member, decoded as it is read.

        Raises:
            UserError: it is encrypted, packed in a way that is not read, or claims what it cannot
                hold.
        """
        info = self.infos[name]
        where = f"{self.path}:{info.filename}"
        if info.flag_bits & ENCRYPTED:
            raise SourceError(f"{where} is encrypted. Write the zip file without a password.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            how = zipfile.compressor_names.get(info.compress_type, info.compress_type)  # type: ignore[attr-defined]
            raise SourceError(
                f"{where} is packed by {how}; stored and deflate are read. Pack it again: zip -r."
            )
        if info.file_size > MOST_RATIO * (info.compress_size + 1):
            raise SourceError(
                f"{where} claims {info.file_size:,} bytes from {info.compress_size:,} packed ones; "
                f"{MOST_RATIO} times is the most. The zip file is damaged: copy it again."
            )
        return self._archive.open(info)

    def stored_at(self, name: str) -> int | None:
        """Byte of the zip file at which a member begins; None if it is packed.

        Raises:
            OSError: it does not lie within the file.
        """
        info = self.infos[name]
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & ENCRYPTED:
            return None
        self.stream.seek(info.header_offset)
        header = self.stream.read(30) or b""
        if len(header) < 30 or header[:4] != b"PK\3\4":
            raise OSError("there is no member where the list of members says so")
        named, extra = struct.unpack("<2H", header[26:])
        encoding = "utf-8" if info.flag_bits & UTF_8 else "cp437"
        if self.stream.read(named) != info.orig_filename.encode(encoding):
            raise OSError("another member is there than the list of members says")
        at: int = info.header_offset + 30 + named + extra
        if info.compress_size != info.file_size or at + info.file_size > self.size:
            raise OSError(f"it holds {info.file_size:,} bytes, more than are there")
        return at

    def close(self) -> None:
        """Close the file."""
        self._archive.close()
        self.stream.close()

    def _checked(self, most: int) -> dict[str, zipfile.ZipInfo]:
        listed = self._archive.infolist()
        infos = [info for info in listed if not info.filename.endswith("/")]
        found = {info.filename: info for info in infos}
        wrong = None
        if len(infos) > most:
            wrong = f"holds {len(infos):,} members, and {most:,} are the most"
        elif len(found) < len(infos):
            wrong = "holds two members of one name"
        for name in {info.filename: None for info in listed}:
            parts = name.replace("\\", "/").removesuffix("/").split("/")
            if not {"", ".", ".."}.isdisjoint(parts):
                wrong = f"holds the name {name[:SHOWN]!r}, which leads out of it"
        if wrong:
            raise SourceError(f"The source {self.path} {wrong}. Unpack it, and pack it again.")
        return found


def read_exactly(stream: Any, target: NDArray[np.uint8]) -> None:
    """Fill `target` (n,) from a stream, from where it is.

    Raises:
        EOFError: it ends before.
    """
    view, at = memoryview(target.data), 0
    while at < len(view):
        count = stream.readinto(view[at : at + (1 << 20)])
        if not count:
            raise EOFError("it ends before its array does")
        at += count


class _Bounded:
    """Refuses to read much at a time: zipfile reads the list of members whole, however long.

    Unbuffered, so that others may seek in the same stream.
    """

    def __init__(self, stream: io.RawIOBase, most: int) -> None:
        self.most: int | None = most
        self._stream = stream
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        if self.most is not None and size > self.most:
            raise OSError(f"its list of members takes {size:,} bytes; {self.most:,} are the most")
        return self._stream.read(size) or b""
