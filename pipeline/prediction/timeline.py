"""What is going on, from when to when: windows of one class in a row, joined to intervals."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from headrace.stores.io import disk

if TYPE_CHECKING:
    from headrace.pipeline.evaluation.blocks import Block
    from headrace.stores.source.source import Source

COLUMNS = ("recording", "start_s", "stop_s", "class", "windows", "mean_probability")
OF_FILES = ("name", "file")
"""Columns more, of a source of many files."""


@dataclass
class _Interval:
    recording: int
    start_s: float
    last_s: float
    """Start of its last window."""
    label: int
    windows: int
    total: float
    """Sum of the probabilities."""
    origin: int
    """Place in the source's `origins`."""


class Timeline(AbstractContextManager["Timeline"]):
    """Writes intervals as CSV while windows come, holding one of them; nothing for windows.

    Two windows of different classes in a row change half-way between their centres; where windows
    are left out, an interval ends with its last window.
    """

    def __init__(self, path: Path, source: Source, classes: Sequence[str]) -> None:
        """Write to `path` the windows of `source`, which are of `classes`."""
        self._path, self._classes = path, classes
        self._length = source.spec.seconds
        self._origins = source.origins
        self._wanted = source.layout == "recordings"
        self._open: _Interval | None = None
        self._stack = ExitStack()
        self._writer: Any = None

    def __enter__(self) -> Self:
        """The timeline; its file gets its name when the block ends well."""
        if self._wanted:
            temporary = self._stack.enter_context(disk.whole_file(self._path))
            file = self._stack.enter_context(temporary.open("w", newline="", encoding="utf-8"))
            self._writer = csv.writer(file, lineterminator="\n")
            self._writer.writerow(COLUMNS + (() if self._origins is None else OF_FILES))
        return self

    def __exit__(self, *error: Any) -> bool | None:
        """Write what is open, or drop the file after an error."""
        try:
            if self._open is not None and error[0] is None:
                self._close(self._open.last_s + self._length)
        except BaseException as failed:
            self._stack.__exit__(type(failed), failed, failed.__traceback__)
            raise
        return self._stack.__exit__(*error)

    def add(self, block: Block, label: NDArray[np.int64], probability: NDArray[np.float32]) -> None:
        """The next windows of the source, with the class of each and its probability."""
        if block.recording is None or block.time_s is None:
            return
        # Runs of one class in one recording: Python runs once each, not once a window.
        changes = (np.diff(block.recording) != 0) | (np.diff(label) != 0)
        # A gap: windows between were left out.
        changes |= np.diff(block.time_s) > self._length
        edges = np.concatenate(([0], np.flatnonzero(changes) + 1, [len(label)]))
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if low < high:
                self._extend(
                    _Interval(
                        int(block.recording[low]),
                        float(block.time_s[low]),
                        float(block.time_s[high - 1]),
                        int(label[low]),
                        high - low,
                        float(probability[low:high].sum(dtype=np.float64)),
                        0 if block.origin is None else int(block.origin[low]),
                    )
                )

    def _extend(self, run: _Interval) -> None:
        last = self._open
        if last is not None:
            follows = last.recording == run.recording and run.start_s - last.last_s <= self._length
            if follows and last.label == run.label:
                last.last_s, last.windows = run.last_s, last.windows + run.windows
                last.total += run.total
                return
            if follows:
                border = (last.last_s + run.start_s + self._length) / 2
                self._close(border)
                run.start_s = border
            else:
                self._close(last.last_s + self._length)
        self._open = run

    def _close(self, stop_s: float) -> None:
        found = self._open
        assert found is not None
        of_files = [] if self._origins is None else [each[found.origin] for each in self._origins]
        self._writer.writerow(
            (
                found.recording,
                f"{found.start_s:.6g}",
                f"{stop_s:.6g}",
                self._classes[found.label],
                found.windows,
                f"{found.total / found.windows:.4f}",
                *of_files,
            )
        )
        self._open = None
