"""Runs the child that opens a stranger's file first, within limits, and says how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

from headrace.child import child_command
from headrace.stores.errors import SourceError, UserError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.formats import opening
from headrace.stores.text import in_one_line

CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
DONE, REFUSED = 0, 3
"""Exit codes of a child; no import of its own ends with REFUSED."""
LEAST_ROOM, SHARE_OF_ROOM = 1 << 30, 0.8
"""Bytes that a child may take at least, and of those that are free."""
BUSY_SECONDS, BUSY_A_FILE, SLOWEST_BUSY = 30, 0.05, 512 << 10
"""Time of the processor that a child has, more for each file, and bytes that add a second.

Some damaged files keep libhdf5 busy for ever; waiting for a disk or for other programs is not busy.
"""
BASE_SECONDS = 600
"""The same where it is not known what belongs to a source: each file adds to it when opened."""
REMOTE_SECONDS = 4 * 3600
"""The same for objects."""
NAME_BYTES = 8192
PARSERS = {
    "hdf5": ("HDF5", ", or write it again with h5repack"),
    "parquet": ("pyarrow", ", or write it again"),
    "text": ("pyarrow", ", or write it again"),
    "matlab": ("SciPy", ", or save it again"),
}
"""What reads a format, and a way out beside a sound copy."""
FEW_THREADS = {"MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Address space is limited, and each thread's heap reserves some."""


def run_child(purpose: str, path: Place, given: str) -> subprocess.CompletedProcess[str]:
    """Call `main` of `probe` in a process of its own.

    Args:
        purpose: what it is to do with the source; it may end with REFUSED.
        path: the source.
        given: its standard input.

    Raises:
        UserError: it was ended by a signal.
    """
    with tempfile.TemporaryFile() as last:
        child = subprocess.run(
            child_command(
                "headrace.stores.source.probe.probe",
                *(purpose, storage_of(path).packed(), str(last.fileno())),
            ),
            input=given,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            pass_fds=(last.fileno(),),
            env={**os.environ, **FEW_THREADS},
        )
        if child.returncode < 0:
            name = os.pread(last.fileno(), NAME_BYTES, 0).rstrip(b"\0").decode(errors="replace")
            raise _ended(path, name or str(path), -child.returncode, child.stderr)
    if child.returncode not in (DONE, REFUSED):
        raise RuntimeError(f"The source could not be opened in a child process: {child.stderr}")
    return child


def _ended(path: Place, last: str, number: int, said: str) -> SourceError:
    """The error of a child that a signal ended while it had `last` open."""
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    where = in_one_line(f"{path}" if last == str(path) else f"{path}, at {last},")
    reader, way_out = PARSERS.get(_format(path, last), ("what reads it", ""))
    if number == signal.SIGPROF:
        return SourceError(
            f"The source {where} keeps {reader} busy without an end: {BUSY_SECONDS} s of the "
            f"processor, and one for every {SLOWEST_BUSY >> 10} KiB, did not suffice. The file is "
            f"damaged: restore it{way_out}."
        )
    if number in CRASHES and "bad_alloc" not in said:
        return SourceError(
            f"The source {where} cannot be read: {reader} crashed on it ({name}). The file is "
            f"damaged: restore it{way_out}."
        )
    return SourceError(
        f"Reading the source {where} was ended by {name}, as the system does for lack of memory. "
        "Free some, and start again; or the file is damaged: restore it."
    )


def _format(path: Place, last: str) -> str:
    """The format of the file that was open, by its first bytes."""
    found = path if isinstance(path, Path) and last == str(path) else Path(last)
    with suppress(Exception):
        return opening.format_of(found)
    return "hdf5"


def limit(path: Place, last: int | None = None) -> None:
    """Limit what this process may take, and let it note what it opens.

    Args:
        path: the source: a large one may take longer.
        last: descriptor of a file that is to hold the name of what was opened last.
    """
    if last is not None:
        opening.OPENED.append(lambda place: _note(last, place))
    # Not Python's to handle: what hangs in a library hears no handler.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    known = _known_seconds(path)
    signal.setitimer(signal.ITIMER_PROF, known or BASE_SECONDS)
    if known is None:
        opening.OPENED.append(_allow_more)
    with suppress(ImportError, OSError, ValueError):  # Not every system has such limits.
        import resource

        room = max(LEAST_ROOM, int(psutil.virtual_memory().available * SHARE_OF_ROOM))
        most = psutil.Process().memory_info().vms + room
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _note(descriptor: int, place: Place) -> None:
    os.pwrite(descriptor, os.fsencode(str(place))[:NAME_BYTES].ljust(NAME_BYTES, b"\0"), 0)


def _known_seconds(path: Place) -> float | None:
    """Of the processor; None: the sizes of the files that a path names are not known beforehand."""
    if not isinstance(path, Path):
        return REMOTE_SECONDS
    with suppress(UserError, OSError):
        if path.is_dir():
            sizes = [size for _, size in storage_of(path).sizes()]
            return BUSY_SECONDS + BUSY_A_FILE * len(sizes) + sum(sizes) / SLOWEST_BUSY
        if path.is_file() and opening.format_of(path) != "text":
            return BUSY_SECONDS + path.stat().st_size / SLOWEST_BUSY
    return None


def _allow_more(place: Place) -> None:
    """What hangs in a library opens no further file."""
    left, _ = signal.getitimer(signal.ITIMER_PROF)
    size = 0
    with suppress(UserError, OSError):
        size = storage_of(place).size()
    signal.setitimer(signal.ITIMER_PROF, left + BUSY_A_FILE + size / SLOWEST_BUSY)
