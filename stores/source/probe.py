"""Opens a source in a child process first: libhdf5 can crash on a damaged or hostile file."""

from __future__ import annotations

import signal
import subprocess
import sys

from headrace.child import child_command
from headrace.stores.errors import SourceError
from headrace.stores.io.places import Place, packed, unpacked
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source

CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
REFUSED = 3
"""Exit code of a child that met an error: no import of its own ends with it."""


def open_stranger(path: Place, options: SourceOptions) -> Source:
    """`open_source`, once a child process has done so, read some of the data, and lived.

    Raises:
        UserError: as `open_source`, or the child was ended by a signal.
    """
    run_child("headrace.stores.source.probe", path, options.model_dump_json())
    # Its other refusals, and its faults, come again here, with their whole story.
    return open_source(path, options)


def run_child(module: str, path: Place, given: str) -> subprocess.CompletedProcess[str]:
    """Run a module of ours on a source in a process of its own.

    Args:
        module: is given the `packed` place as its argument; it may end with REFUSED.
        path: the source.
        given: its standard input.

    Raises:
        UserError: it was ended by a signal.
    """
    child = subprocess.run(
        child_command(module, packed(path)),
        input=given,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if -child.returncode in CRASHES:
        raise SourceError(
            f"The source {path} cannot be read: HDF5 crashed on it "
            f"({signal.Signals(-child.returncode).name}). The file is damaged: restore it, or "
            "write it anew with h5repack."
        )
    if child.returncode < 0:
        raise SourceError(
            f"Reading the source {path} was ended by {signal.Signals(-child.returncode).name}, as "
            "the system does for lack of memory. Free some, and start again."
        )
    if child.returncode not in (0, REFUSED):
        raise RuntimeError(f"The source could not be opened in a child process: {child.stderr}")
    return child


def main() -> int:
    """The child: open the source named by the first argument; says whether that went well."""
    options = SourceOptions.model_validate_json(sys.stdin.read())
    try:
        with open_source(unpacked(sys.argv[1]), options) as source:
            source.fingerprint()
    except Exception:  # The parent meets it again, and says it.
        return REFUSED
    return 0
