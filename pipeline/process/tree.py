"""The processes below this one: listed, and ended.

Standard library only: `interrupts` needs it before anything else is imported.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

KILLINGS = 20
"""Times that the tree is looked through for processes that were started meanwhile."""


def children_of(pid: int) -> list[int]:
    """Process ids of the children that all threads of `pid` have started; Linux only.

    Raises:
        FileNotFoundError, ProcessLookupError: there is no such process, or no `/proc`.
    """
    found: list[int] = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with (
            suppress(FileNotFoundError),
            open(f"/proc/{pid}/task/{thread}/children", "rb") as stream,
        ):
            found += map(int, stream.read().split())
    return found


_strangers: set[int] = set()
"""Children that were there before anything of ours was started."""


def note_strangers() -> None:
    """Take the children that there are for somebody else's: a shell's that became this process by
    `exec`, or what it reads this one's output with.
    """
    with suppress(OSError):
        _strangers.update(children_of(os.getpid()))


def kill_descendants() -> None:
    """End every process below this one, at once and for certain; nothing happens without `/proc`.

    Strangers are left, and one that ignores SIGTERM: it is multiprocessing's tracker, which cleans
    up after the others and ends with them.
    """
    for _ in range(KILLINGS):
        ending = [pid for pid in _ours_below(os.getpid()) if _is_to_end(pid)]
        if not ending:
            return
        for pid in ending:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _ours_below(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        with suppress(FileNotFoundError, ProcessLookupError):
            below = [each for each in children_of(waiting.pop()) if each not in _strangers]
            found += below
            waiting += below
    return found


def _is_to_end(pid: int) -> bool:
    """Whether a process runs and can be ended by SIGTERM, if it gets to it."""
    with suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8") as stream:
        status = dict(line.split(":", 1) for line in stream)
        ignored = int(status["SigIgn"], 16) >> (signal.SIGTERM - 1) & 1
        return not ignored and status["State"].split()[0] not in "ZX"
    return False
