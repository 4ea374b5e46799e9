"""What tells one version of a recording's file from another: when it was touched, what it holds."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from headrace.stores.io.places import Place, storage_of

LOOKED_AT = 4096
"""Bytes of a file that are looked at in three places."""
DIGEST = 8


def touched(place: Place) -> bytes:
    """A digest of 8 bytes that differs when the file, or one below the folder, was touched.

    Raises:
        OSError: it is not there.
    """
    digest = hashlib.blake2b(digest_size=DIGEST)
    if isinstance(place, Path):
        found = os.stat(place)
        digest.update(f"{found.st_size} {found.st_mtime_ns} {found.st_ino}".encode())
        if stat.S_ISDIR(found.st_mode):
            for name in sorted(storage_of(place).names()):
                digest.update(name.encode(errors="surrogateescape") + touched(place / name))
    elif place.is_file():
        digest.update(repr(place.state()).encode())
    else:
        digest.update(repr(sorted(place.below())).encode())
    return digest.digest()


def content(place: Place) -> tuple[int, bytes]:
    """Bytes of a file, and a digest of 8 bytes of its beginning, middle and end.

    Of a folder: of all files below.

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
            held, known = content(place / name)
            digest.update(f"{name} {held} ".encode(errors="surrogateescape") + known)
            size += held
        return size, digest.digest()
    with file:
        size = file.seek(0, os.SEEK_END)
        for at in (0, size // 2, max(0, size - LOOKED_AT)):
            file.seek(at)
            digest.update(file.read(LOOKED_AT) or b"")
    return size, digest.digest()
