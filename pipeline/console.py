"""What a stage says to the person who started it: lines, tables and progress."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from headrace.stores.errors import CommandError
from headrace.stores.text import format_bytes, format_seconds

if TYPE_CHECKING:
    from headrace.pipeline.memory.plan import MemoryPlan
    from headrace.pipeline.memory.watch import MemoryUse

LOG_SECONDS = 10.0
"""Between progress lines where there is no terminal."""
SLOW_BEGINNING = 1.0
"""Seconds to the first windows from which on a line says that they are done."""

FILE_WIDTH = 160
"""Of tables where there is no terminal: whoever reads a file or a pipe wants whole rows."""


class Progress(Protocol):
    """Counts windows that are done."""

    def advance(self, windows: int) -> None:
        """`windows` more are done."""
        ...


@dataclass(frozen=True)
class Console:
    """Where output goes: text on standard output, progress on standard error.

    Attributes:
        quiet: no text and no progress; results and errors only.
        json: as quiet; the stage's summary is printed as JSON instead.
        memory: what the process tree holds, which progress shows against the budget.
    """

    quiet: bool = False
    json: bool = False
    memory: MemoryUse | None = None

    @property
    def silent(self) -> bool:
        """Whether text is held back."""
        return self.quiet or self.json

    @property
    def width(self) -> int:
        """Letters of a line of a table."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else FILE_WIDTH

    def say(self, text: str) -> None:
        """Print a line of text."""
        if not self.silent:
            with _written():
                print(text, flush=True)

    def result(self, summary: Mapping[str, Any]) -> None:
        """Print what a command returned, where JSON is asked for."""
        if self.json:
            with _written():
                print(json.dumps(summary, indent=1), flush=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; the first column is left-aligned, the others are numbers."""
        if self.silent:
            return
        from rich.console import Console as RichConsole
        from rich.table import Table

        table = Table(title=title, title_justify="left")
        for number, column in enumerate(columns):
            justify: Literal["left", "right"] = "left" if number == 0 else "right"
            table.add_column(column, justify=justify, overflow="fold")  # A cut path is no path.
        for row in rows:
            table.add_row(*row)
        with _written():
            RichConsole(width=self.width).print(table)

    def memory_plan(self, title: str, plan: MemoryPlan, whole: bool = False) -> None:
        """Print a plan's largest sizes, or all of them; progress is then within its budget."""
        if self.memory is not None:
            self.memory.budget = plan.budget
        rows = [(name, format_bytes(size)) for name, size in plan.lines(None if whole else 3)]
        self.table(f"Memory plan: {title}", ("memory", "size"), rows)
        if plan.later:
            self.say(plan.later)

    @contextmanager
    def progress(
        self, description: str, windows: int, window_bytes: int, passing: bool = False
    ) -> Iterator[Progress]:
        """Show how many of `windows` are done: windows, bytes, time left and memory held.

        A bar on a terminal, a line every ten seconds elsewhere, nothing when quiet. What is
        `passing` is gone at its end, for the stage says itself what came of it.
        """
        if self.silent:
            yield _Silence()
        elif sys.stderr.isatty():
            with _bar(description, windows, window_bytes, passing, self.memory) as bar:
                yield bar
        else:
            yield _Lines(description, windows, window_bytes, passing, self.memory)


QUIET = Console(quiet=True)
"""Says nothing."""


@contextmanager
def _written() -> Iterator[None]:
    """Tell a disk that takes no more of standard output from those that stages write to.

    Raises:
        UserError: it does not.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(
            f"Standard output cannot be written ({error.strerror}). Free disk space there; what "
            "was done is kept."
        ) from error


class _Silence:
    def advance(self, windows: int) -> None:
        pass


class _Lines:
    def __init__(
        self,
        description: str,
        windows: int,
        window_bytes: int,
        passing: bool,
        memory: MemoryUse | None,
    ) -> None:
        self._description, self._windows, self._bytes = description, windows, window_bytes
        self._passing, self._memory = passing, memory
        self._done, self._before, self._begun = 0, 0, time.monotonic()
        self._said = self._begun

    def advance(self, windows: int) -> None:
        first = not self._done
        self._done += windows
        now = time.monotonic()
        ended = self._done >= self._windows
        if first and not ended and now - self._begun >= SLOW_BEGINNING:
            self._say(f"the first after {format_seconds(now - self._begun)}")
            # What comes before the first, as tracing does, tells nothing of what is left.
            self._begun, self._before, self._said = now, self._done, now
        elif (ended and not self._passing) or (not ended and now - self._said >= LOG_SECONDS):
            self._said = now
            rate = (self._done - self._before) / max(now - self._begun, 1e-9)
            left = (self._windows - self._done) / rate
            self._say(f"{rate:,.0f} windows/s, {format_seconds(left)} left")

    def _say(self, pace: str) -> None:
        held = _held(self._memory)
        print(
            f"{time.strftime('%H:%M:%S')} {self._description}: {self._done:,} of "
            f"{self._windows:,} windows, {format_bytes(self._done * self._bytes)}, "
            f"{pace}{held and f', {held}'}",
            file=sys.stderr,
            flush=True,
        )


def _held(memory: MemoryUse | None) -> str:
    """`612 MiB of 1 GiB held`."""
    if memory is None:
        return ""
    within = f" of {format_bytes(memory.budget)}" if memory.budget else ""
    return f"{format_bytes(memory.held)}{within} held"


@contextmanager
def _bar(
    description: str, windows: int, window_bytes: int, passing: bool, memory: MemoryUse | None
) -> Iterator[Progress]:
    from rich.console import Console as RichConsole
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TextColumn("{task.fields[windows]:,} windows"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[held]}"),
    )
    with RichProgress(
        *columns,
        console=RichConsole(stderr=True),
        transient=passing,
        # Lines said meanwhile stand above the bar; a pipe gets them as they are.
        redirect_stdout=sys.stdout.isatty(),
    ) as shown:
        task = shown.add_task(
            description, total=windows * window_bytes, windows=0, held=_held(memory)
        )

        class _Bar:
            done = 0

            def advance(self, windows: int) -> None:
                self.done += windows
                shown.update(
                    task,
                    advance=windows * window_bytes,
                    windows=self.done,
                    held=_held(memory),
                )

        yield _Bar()
