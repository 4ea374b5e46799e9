"""The one way bytes reach disk: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stores.errors import UserError

Bytes = bytes | bytearray | memoryview
TEMPORARY_SUFFIX = ".tmp"
REFUSALS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
)
"""Error numbers of a disk that is full, or not for this user."""


def write_bytes(path: Path, parts: Bytes | Iterable[Bytes]) -> int:
    """Put `parts`, one after another, into the file `path`, whole or not at all.

    Returns:
        The number of bytes written.

    Raises:
        UserError: as `whole_file`.
    """
    buffers = [parts] if isinstance(parts, (bytes, bytearray, memoryview)) else parts
    with whole_file(path) as temporary:
        return _write(temporary, buffers)


@contextmanager
def whole_file(path: Path, ending: str = "") -> Iterator[Path]:
    """A name to write a file under; it becomes `path` when the block ends without an error.

    The folder is made if it is missing. A file of that name is replaced. Whoever opens `path`
    sees the old content or the new; after the block, power may fail.

    Args:
        path: the file.
        ending: of the name to write under, for writers that insist on one.

    Raises:
        UserError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}{ending}")
    with explained(path):
        make_folder(path.parent)
        try:
            yield temporary
            descriptor = os.open(temporary, os.O_RDONLY)
            _sync_and_close(descriptor)
            os.replace(temporary, path)
        except BaseException:
            _remove(temporary)
            raise
        sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents, each durable before what stands in it.

    Raises:
        UserError: it cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with explained(folder):
        try:
            os.mkdir(folder)
        except FileExistsError:
            if not folder.is_dir():
                raise
        sync_folder(folder.parent)


def link_file(source: Path, target: Path) -> None:
    """Give a file that is never written again a second name; a copy where disks know no links.

    Raises:
        UserError: as `write_bytes`.
    """
    with explained(target):
        _remove(target)
    try:
        os.link(source, target)
    except OSError:
        with source.open("rb") as stream:
            write_bytes(target, iter(lambda: stream.read(1 << 22), b""))
    else:
        sync_folder(target.parent)


def rename_folder(source: Path, target: Path) -> None:
    """Rename a whole folder and make the new name durable.

    Raises:
        UserError: it cannot be renamed.
    """
    with explained(target):
        os.rename(source, target)
        sync_folder(target.parent)
        if source.parent != target.parent:
            sync_folder(source.parent)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say of an OSError that `path` cannot be written, and what to do.

    Raises:
        UserError: in its place.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}). Free disk space or name a "
            "folder that you may write to, then start again: what is complete is kept."
        ) from error


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable.

    Raises:
        UserError: the disk says that it has failed.
    """
    with explained(folder):
        _sync_and_close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))


def _sync_and_close(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _write(path: Path, buffers: Iterable[Bytes]) -> int:
    written = 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    try:
        for buffer in buffers:
            view = memoryview(buffer).cast("B")
            while len(view) > 0:
                count = os.write(descriptor, view)
                written += count
                view = view[count:]
    finally:
        os.close(descriptor)
    return written
