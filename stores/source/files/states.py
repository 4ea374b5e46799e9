"""What tells one version of a recording's file from another: when it was touched, what it holds."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from headrace.stores.errors import SourceContentError
from headrace.stores.io.places import Place, storage_of

LOOKED_AT = 4096
"""Bytes of a file that are looked at in three places."""
DIGEST = 8
PART = 1 << 20
"""Bytes that are read at a time of a file of which all is looked at."""


def touched(place: Place) -> bytes:
    """A digest of 8 bytes that differs when the file, or one below the folder, was touched.

    Raises:
        OSError: it is not there.
    """
    if not isinstance(place, Path):
        seen = place.state() if place.is_file() else sorted(place.below())
        return hashlib.blake2b(repr(seen).encode(), digest_size=DIGEST).digest()
    return _touched(os.fspath(place))


def touched_below(folder: Place, names: Iterable[str]) -> list[bytes]:
    """`touched` of each of the files below a folder.

    Raises:
        OSError: one is not there.
    """
    if not isinstance(folder, Path):
        return [touched(folder / name) for name in names]
    above = os.fspath(folder)
    return [_touched(f"{above}/{name}") for name in names]


def _touched(path: str) -> bytes:
    found = os.stat(path)
    seen = b"%d %d %d" % (found.st_size, found.st_mtime_ns, found.st_ino)
    if stat.S_ISDIR(found.st_mode):
        place = Path(path)
        for name in sorted(storage_of(place).names()):
            seen += name.encode(errors="surrogateescape") + touched(place / name)
    return hashlib.blake2b(seen, digest_size=DIGEST).digest()


def changed(where: str) -> SourceContentError:
    """What was read is not what it was."""
    return SourceContentError(
        f"{where} was changed while it was being read. Start again once nothing writes to it."
    )


def content(place: Place, whole: bool = False) -> tuple[int, bytes]:
    """Bytes of a file, and a digest of 8 bytes of its beginning, middle and end, or of all of it.

    Of a folder: of all files below.

    Args:
        place: it.
        whole: the digest covers every byte. Of up to 12 KiB it always does, and is the same.

    Raises:
        OSError: it is not there.
    """
    storage, digest = storage_of(place), hashlib.blake2b(digest_size=DIGEST)
    try:
        file = storage.open()
    except (IsADirectoryError, FileNotFoundError):
        names = sorted(storage.names())
        if not names:
            raise
        size = 0
        for name in names:
            held, known = content(place / name, whole)
            digest.update(f"{name} {held} ".encode(errors="surrogateescape") + known)
            size += held
        return size, digest.digest()
    with file:
        size = file.seek(0, os.SEEK_END)
        if whole:
            file.seek(0)
            while part := file.read(PART):
                digest.update(part)
            return size, digest.digest()
        small = size <= 3 * LOOKED_AT
        for at in (0,) if small else (0, size // 2, size - LOOKED_AT):
            file.seek(at)
            digest.update(file.read(3 * LOOKED_AT if small else LOOKED_AT) or b"")
    return size, digest.digest()
