"""The one way bytes reach disk: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stores.errors import UserError

Bytes = bytes | bytearray | memoryview
TEMPORARY_SUFFIX = ".tmp"


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
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write a file under; it becomes `path` when the block ends without an error.

    The folder is made if it is missing. A file of that name is replaced. Whoever opens `path`
    sees the old content or the new; after the block, power may fail.

    Raises:
        UserError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        make_folder(path.parent)
        try:
            yield temporary
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}). Free disk space or name a "
            "folder that you may write to, then start again: what is complete is kept."
        ) from error


def make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents, each durable before what stands in it."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def link_file(source: Path, target: Path) -> None:
    """Give a file that is never written again a second name; a copy where disks know no links.

    Raises:
        UserError: as `write_bytes`.
    """
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
        sync_folder(target.parent)
    except OSError:
        with source.open("rb") as stream:
            write_bytes(target, iter(lambda: stream.read(1 << 22), b""))


def rename_folder(source: Path, target: Path) -> None:
    """Rename a whole folder and make the new name durable."""
    os.rename(source, target)
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, buffers: Iterable[Bytes]) -> int:
    written = 0
    with path.open("wb", buffering=0) as stream:
        for buffer in buffers:
            view = memoryview(buffer).cast("B")
            while len(view) > 0:
                count = stream.write(view)
                written += count
                view = view[count:]
    return written
