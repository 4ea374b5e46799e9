"""Ctrl-C and SIGTERM: at any moment they end a command with one line and code 130 or 143.

A signal raises an exception in the main thread, so that what is open is closed on the way out. But
an exception may come where it cannot pass: while a library starts in C, which makes an ImportError
of it; in a destructor, where Python drops it; between a child's start and the line that names it;
while Dask's cluster starts, which then breaks once more when Python ends. So four things hold
besides. From the first line of ours on, through the restart of the process too, signals wait until
the command can answer. Whatever the command ends with after a signal counts as that signal's doing,
and standard error has room for the last line alone. A thread that waits for signals ends the
process itself, should the command not have ended within GRACE_SECONDS. And no process below it is
left. Nothing is lost by any of that: what reaches the disk bears the loss of power.

Standard library only: `headrace --help` pays for every import here.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from headrace.pipeline.process.tree import kill_descendants, note_strangers

ENDING = frozenset({signal.SIGINT, signal.SIGTERM})
"""What ends a command: a key, and what a service manager, a batch system or `kill` sends first."""
GRACE_SECONDS = 5.0
"""From a signal to the end of a process that does not end by itself; containers get 10."""
IMPATIENT_SECONDS = 1.0
"""After it, another signal ends the process at once. `timeout` sends two together."""
PARENT = "HEADRACE_PARENT"
"""Process id of the command that started this one as a part of itself, and has the last word."""

_WORDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Stopped"}
_AGAIN = 0
"""No signal has this number."""
_SOON = 0.05
"""Seconds until an exception that was dropped is raised again."""


class Interrupted(KeyboardInterrupt):
    """A signal that ends the command has come: `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class _Interrupts:
    """What has come, and what is done about it: one of its kind in a process."""

    def __init__(self) -> None:
        self.came: list[int] = []
        self.begun = self.raises = self.raised = False
        self.held = 0
        self.result: int | None = None
        self.words = threading.Lock()
        self.main = threading.get_ident()
        self.wake: int | None = None
        self.voice: int | None = None

    def catch(self) -> None:
        woken, self.wake = os.pipe()
        os.set_blocking(self.wake, False)
        self.voice = os.dup(2)
        note_strangers()
        threading.Thread(target=self.watch, args=(woken,), name="signals", daemon=True).start()
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        for number in ENDING:
            # A shell has Ctrl-C ignored in what it runs in the background, `nohup` and others too.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.take)
        self.dropped, sys.unraisablehook = sys.unraisablehook, self.drop

    def take(self, number: int, _: FrameType | None) -> None:
        """Python calls it in the main thread, between two instructions."""
        self.note(number)
        self.raise_if_due()

    def note(self, number: int) -> None:
        self.came.append(number)
        if self.result is None:
            # What libraries say while they are torn down belongs to nobody.
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 2)
                os.close(nowhere)

    def raise_if_due(self) -> None:
        if self.came and self.raises and not self.held and not self.raised:
            self.raised = True
            raise Interrupted(self.came[0])

    def drop(self, dropped: Any) -> None:
        """Python has met an exception where none can pass; ours is raised again soon."""
        if self.wake is not None and isinstance(dropped.exc_value, Interrupted):
            os.write(self.wake, bytes([_AGAIN]))
        else:
            self.dropped(dropped)

    def watch(self, woken: int) -> None:
        """The thread's life: signals come here even while the main thread is busy in C."""
        since: float | None = None
        ours = 0
        while True:
            left = None if since is None else max(0.0, since + GRACE_SECONDS - time.monotonic())
            if not select.select([woken], [], [], left)[0]:
                break
            number = os.read(woken, 1)[0]
            if number == _AGAIN:
                time.sleep(_SOON)
                self.raised, ours = False, ours + 1
                signal.pthread_kill(self.main, self.came[0])
            elif number in ENDING and ours:
                ours -= 1
            elif number in ENDING:
                self.note(number)
                if not self.begun:
                    break  # Nothing is open that wants closing.
                if since is None:
                    since = time.monotonic()
                elif time.monotonic() - since > IMPATIENT_SECONDS:
                    break
        self.end_at_once()

    def end_at_once(self) -> NoReturn:
        code = self.say() if self.result is None else self.result
        kill_descendants()
        os._exit(code)

    def say(self, number: int | None = None) -> int:
        number = self.came[0] if self.came else number or signal.SIGINT
        words = _WORDS[signal.Signals(number)]
        line = f"{words}; what is complete is kept. Start again to go on."
        if self.voice is None:
            print(line, file=sys.stderr)
        elif self.words.acquire(blocking=False) and not is_part():
            # A bar that was not taken down hides the cursor.
            clear = "\r\x1b[K\x1b[?25h" if os.isatty(self.voice) else ""
            with suppress(OSError):
                os.write(self.voice, f"{clear}{line}\n".encode())
        return 128 + number


_interrupts = _Interrupts()


def catch() -> None:
    """Answer signals from here on; until a command is in `unwinding`, by ending at once.

    Called by the process's own entry, in its main thread, before it starts another process; the
    thread that waits for signals is to get none itself.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    _interrupts.catch()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


@contextmanager
def unwinding() -> Iterator[None]:
    """Within it a signal raises `Interrupted`, once, so that what is open is closed."""
    _interrupts.begun = _interrupts.raises = True
    try:
        _interrupts.raise_if_due()
        yield
    finally:
        _interrupts.raises = False


@contextmanager
def held(blocked: Iterable[int] = ()) -> Iterator[Callable[[], None]]:
    """Raise nothing until the block ends, or the given function is called.

    Args:
        blocked: signals that threads and processes which start meanwhile are never to see.
    """
    _interrupts.held += 1
    former = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    holding = [True]

    def release() -> None:
        if holding:
            holding.clear()
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
            _interrupts.held -= 1
            _interrupts.raise_if_due()

    try:
        yield release
    finally:
        release()


def has_come() -> bool:
    """Whether a signal has come that ends the command."""
    return bool(_interrupts.came)


def say(error: BaseException) -> int:
    """Print the last line, once; returns the exit code that belongs to the signal.

    Args:
        error: what the command ended with: its signal counts if none has come to this process.
    """
    return _interrupts.say(getattr(error, "number", None))


def settle(code: int) -> bool:
    """Let the command end with `code`, which no signal changes from here on.

    Returns:
        False if one had come before: what the command ended with is that signal's doing.
    """
    _interrupts.begun, _interrupts.result = True, code
    return not _interrupts.came


def is_part() -> bool:
    """Whether this process is a part of a command that says the last line for it."""
    return os.environ.get(PARENT) == str(os.getppid())
