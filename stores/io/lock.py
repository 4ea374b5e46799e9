"""The only right to work on something of this disk, as long as the process lives."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.stores.errors import UserError


@contextmanager
def locked(path: Path, busy: UserError, *, makes_file: bool = False) -> Iterator[None]:
    """Hold a folder or file; the system gives back what a dead process holds.

    Args:
        path: a folder that is there, or the name of a file.
        busy: what to raise where another process holds it.
        makes_file: make the file, and remove it at the end.

    Raises:
        UserError: `busy`.
        OSError: it cannot be opened.
    """
    flags = os.O_CREAT | os.O_RDWR if makes_file else os.O_RDONLY | os.O_DIRECTORY
    descriptor = os.open(path, flags, 0o644)
    try:
        if not (_lock_now(descriptor) and _still_named(descriptor, path)):
            raise busy
        try:
            yield
        finally:
            if makes_file:
                path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _lock_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_named(descriptor: int, path: Path) -> bool:
    """Whether what is locked is what others will open: the owner of a file unlinks it when done."""
    return path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())
