"""The way in: set what must stand before Python starts, then hand over to the command line.

A process that lacks those settings replaces itself once: same process, same process id, never a
child. Standard library only, because `headrace --help` pays for every import here.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from typing import NoReturn

from headrace.child import child_command
from headrace.pipeline.process.environment import MARKER, stage_environment

_LIGHT = frozenset({"-h", "--help", "--version"})


def main() -> NoReturn:
    """Run the command line on `sys.argv`, and end the process with its exit code."""
    hold_signals()
    arguments = sys.argv[1:]
    if arguments and not _LIGHT.intersection(arguments):
        restart_with(stage_environment(os.environ), _command_again())
    from headrace.pipeline.process import interrupts
    from headrace.pipeline.process.ending import end

    _open_closed_streams()
    interrupts.catch()
    try:
        from headrace.pipeline.cli.main import main as run

        code = run(arguments)
    except SystemExit as ending:  # What the parser has said.
        code = ending.code if isinstance(ending.code, int) else int(bool(ending.code))
    end(code)


def hold_signals() -> None:
    """Let Ctrl-C and SIGTERM wait for `interrupts.catch`, through an `exec` too.

    Here and without an import, as nothing answers them before.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))


def _open_closed_streams() -> None:
    """Lead standard streams that the shell has closed nowhere: what opens next would be taken for
    them.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # It gets the lowest number that is free.
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def restart_with(environment: Mapping[str, str], command: list[str]) -> None:
    """Replace this process by `command` under `environment`, unless it or a parent has done so.

    Child processes inherit the marker and the settings together, so they go on at once.
    """
    if MARKER in os.environ or not sys.executable:
        return
    os.execve(sys.executable, command, {**environment, MARKER: "1"})


def _command_again() -> list[str]:
    """Return the command line of this same command, with this very package and no other.

    Python's own options are kept: what stands before the script, or before `-m headrace`.
    """
    given = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    start = next((n for n, word in enumerate(given) if word in ("-m", sys.argv[0])), None)
    if start is None or sys.argv[0] == "-c":
        return [sys.executable, *sys.orig_argv[1:]]
    python, *ours = child_command(__name__, *sys.argv[1:])
    return [python, *given[:start], *ours]
