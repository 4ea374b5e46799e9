"""The one way bytes reach disk: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
import re
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from headrace.stores.errors import DiskError
from headrace.stores.io.storage import Bytes

PART_BYTES = 4 << 20
"""Read at a time of a file that is read through."""
WAY_OUT = "Free disk space or name a folder that you may write to"
_TEMPORARY = re.compile(r".+\.[0-9]+\.tmp(\.[a-z]+)?")
"""Names that `whole_file` writes under."""


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

    Every OSError of the block is said to be one of writing `path`. The folder is made if it is
    missing. A file of that name is replaced. Whoever opens `path` sees the old content or the
    new; after the block, power may fail.

    Args:
        path: the file.
        ending: of the name to write under, for writers that insist on one.

    Raises:
        UserError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    temporary = path.with_name(f"{path.name}.{_writer()}.tmp{ending}")
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


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder to fill; it becomes `path` when the block ends without an error.

    Raises:
        UserError: it cannot be made or renamed; nothing is left behind.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    remove_folder(temporary)
    try:
        make_folder(temporary)
        yield temporary
        rename_folder(temporary, path)
    finally:
        remove_folder(temporary)


def make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents, each durable before what stands in it.

    Raises:
        UserError: it cannot be made.
    """
    if folder.is_dir():
        return
    if folder.is_file():
        raise DiskError(f"{folder} is a file, and a folder is needed there. Name another path.")
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
        write_bytes(target, _content(source))
    else:
        sync_folder(target.parent)


def remove_folder(folder: Path) -> None:
    """Remove `folder` and all below it, links and not what they lead to; nothing may be left.

    Raises:
        UserError: something cannot be removed.
    """
    if not folder.is_dir():
        return
    with explained(folder):
        for inside, folders, files in os.walk(folder, topdown=False):
            for name in files:
                os.unlink(os.path.join(inside, name))
            for name in folders:
                path = os.path.join(inside, name)
                (os.unlink if os.path.islink(path) else os.rmdir)(path)
        os.rmdir(folder)
        sync_folder(folder.parent)


def remove_file(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        UserError: it cannot be removed.
    """
    with explained(path):
        path.unlink(missing_ok=True)


def remove_strays(folder: Path) -> None:
    """Remove what interrupted writes have left in `folder` itself, and nothing else.

    Raises:
        UserError: something cannot be removed.
    """
    for path in folder.glob("*.tmp*"):
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            remove_file(path)


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
def explained(path: object, way_out: str = WAY_OUT) -> Iterator[None]:
    """Say of every OSError of the block that `path` cannot be written, and what to do.

    Raises:
        UserError: in its place.
    """
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"{path} cannot be written ({error.strerror or error}). {way_out}, then start "
            "again: what is complete is kept."
        ) from error


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable.

    Raises:
        UserError: the disk says that it has failed.
    """
    with explained(folder):
        _sync_and_close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))


def parts_of(path: Path) -> Iterator[bytes]:
    """The content of a file, PART_BYTES after PART_BYTES.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        while part := stream.read(PART_BYTES):
            yield part


def _content(path: Path) -> Iterator[bytes]:
    try:
        yield from parts_of(path)
    except OSError as error:
        raise DiskError(
            f"{path} cannot be read ({error.strerror or error}). Get the right to read it, or "
            "restore it."
        ) from error


def _writer() -> int:
    """A number of this thread alone, among all machines that may write to a disk."""
    machine = zlib.crc32(f"{os.uname().nodename} {_pid_namespace()}".encode())
    return machine << 32 | threading.get_native_id()


@cache
def _pid_namespace() -> int:
    """Threads of two containers may have one number."""
    with suppress(OSError):
        return os.stat("/proc/self/ns/pid").st_ino
    return 0


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
