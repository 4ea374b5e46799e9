"""What a stage says to the person who started it: lines, tables and progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.config import Config
from stores.text import format_bytes, format_seconds

if TYPE_CHECKING:
    from pipeline.memory import MemoryUse

LOG_SECONDS = 10.0
"""Between progress lines where there is no terminal."""


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
        json: as quiet; the command line prints the stage's summary as JSON instead.
    """

    quiet: bool = False
    json: bool = False

    @property
    def silent(self) -> bool:
        """Whether text is held back."""
        return self.quiet or self.json

    def say(self, text: str) -> None:
        """Print a line of text."""
        if not self.silent:
            print(text, flush=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; the first column is left-aligned, the others are numbers."""
        if self.silent:
            return
        from rich.console import Console as RichConsole
        from rich.table import Table

        table = Table(title=title, title_justify="left")
        for number, column in enumerate(columns):
            table.add_column(column, justify="left" if number == 0 else "right")
        for row in rows:
            table.add_row(*row)
        RichConsole(width=None if sys.stdout.isatty() else 100).print(table)

    def memory_plan(self, title: str, lines: Sequence[tuple[str, int]]) -> None:
        """Print named sizes in bytes: `MemoryPlan.lines`."""
        rows = [(name, format_bytes(size)) for name, size in lines]
        self.table(f"Memory plan: {title}", ("memory", "size"), rows)

    @contextmanager
    def progress(self, description: str, windows: int, window_bytes: int) -> Iterator[Progress]:
        """Show how many of `windows` are done, in windows, bytes and time left.

        A bar on a terminal, a line every ten seconds elsewhere, nothing when quiet.
        """
        if self.silent:
            yield _Silence()
        elif sys.stderr.isatty():
            with _bar(description, windows, window_bytes) as bar:
                yield bar
        else:
            yield _Lines(description, windows, window_bytes)


@dataclass(frozen=True)
class Request:
    """What a stage is asked to do.

    Attributes:
        config: the validated configuration.
        data: the HDF5 source, when one is named.
        store: the Zarr store.
        run: the run folder, when one is named.
        console: where to speak.
        new: begin another run beside a complete one.
        memory: what the process tree holds, sampled while the stage runs.
    """

    config: Config
    data: Path | None
    store: Path
    run: Path | None
    console: Console
    new: bool = False
    memory: MemoryUse | None = None


class _Silence:
    def advance(self, windows: int) -> None:
        pass


class _Lines:
    def __init__(self, description: str, windows: int, window_bytes: int) -> None:
        self._description, self._windows, self._bytes = description, windows, window_bytes
        self._done, self._begun = 0, time.monotonic()
        self._said = self._begun

    def advance(self, windows: int) -> None:
        self._done += windows
        now = time.monotonic()
        if now - self._said < LOG_SECONDS and self._done < self._windows:
            return
        self._said = now
        rate = self._done / max(now - self._begun, 1e-9)
        left = (self._windows - self._done) / rate
        print(
            f"{time.strftime('%H:%M:%S')} {self._description}: {self._done:,} of "
            f"{self._windows:,} windows, {format_bytes(self._done * self._bytes)}, "
            f"{rate:,.0f} windows/s, {format_seconds(left)} left",
            file=sys.stderr,
            flush=True,
        )


@contextmanager
def _bar(description: str, windows: int, window_bytes: int) -> Iterator[Progress]:
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
    )
    with RichProgress(*columns, console=RichConsole(stderr=True)) as shown:
        task = shown.add_task(description, total=windows * window_bytes, windows=0)

        class _Bar:
            done = 0

            def advance(self, windows: int) -> None:
                self.done += windows
                shown.update(task, advance=windows * window_bytes, windows=self.done)

        yield _Bar()
