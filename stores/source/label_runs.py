"""Arithmetic of recordings: stretches of equal labels, and the windows that the label rule cuts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

LEFT_OUT = -1
# Windows whose rows are counted per class at once: x classes x 4 bytes.
COUNTED_WINDOWS = 8192


@dataclass(frozen=True)
class Stretches:
    """Consecutive rows of one recording with one label, in source order.

    Attributes:
        recording: (n,) int32, row of the table of recordings.
        start: (n,) int64, first row, counted from the recording's first at the delivered rate.
        length: (n,) int64, rows.
        label: (n,) int32, -1 where the label is left out.
    """

    recording: NDArray[np.int32]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    label: NDArray[np.int32]


@dataclass(frozen=True)
class WindowRuns:
    """Windows of one recording and one label, each `step` rows after the one before.

    Attributes:
        recording: (n,) int32, row of the table of recordings.
        start: (n,) int64, first row of the first window, counted as in `Stretches`.
        count: (n,) int64, windows, at least 1.
        label: (n,) int32.
    """

    recording: NDArray[np.int32]
    start: NDArray[np.int64]
    count: NDArray[np.int64]
    label: NDArray[np.int32]


def find_stretches(
    recording: NDArray[np.int32], row: NDArray[np.int64], label: NDArray[np.int32]
) -> Stretches:
    """Stretches of rows given one by one, all of shape (rows,), rows ascending by 1."""
    changed = (recording[1:] != recording[:-1]) | (label[1:] != label[:-1])
    heads = np.flatnonzero(np.concatenate((np.ones(min(len(row), 1), dtype=bool), changed)))
    return Stretches(
        recording[heads], row[heads], np.diff(heads, append=len(row)).astype(np.int64), label[heads]
    )


def join_stretches(pieces: Iterable[Stretches]) -> Stretches:
    """All pieces one after another, as one."""
    parts = list(pieces)
    joined = (np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Stretches))
    return Stretches(*joined)


def relabel(stretches: Stretches, of_code: NDArray[np.int32]) -> Stretches:
    """Labels replaced by `of_code[label]`; neighbours that become equal are merged."""
    label = of_code[stretches.label]
    recording, start = stretches.recording, stretches.start
    if len(label) == 0:
        return stretches
    changed = (recording[1:] != recording[:-1]) | (label[1:] != label[:-1])
    heads = np.flatnonzero(np.concatenate(([True], changed)))
    length = np.add.reduceat(stretches.length, heads)
    return Stretches(recording[heads], start[heads], length, label[heads])


def pure_runs(stretches: Stretches, window: int, step: int) -> WindowRuns:
    """Windows that start afresh at each stretch and end inside it.

    A stretch of L rows gives `floor((L - window) / step) + 1` windows.
    """
    count = (stretches.length - window) // step + 1
    kept = (stretches.length >= window) & (stretches.label != LEFT_OUT)
    return WindowRuns(
        stretches.recording[kept], stretches.start[kept], count[kept], stretches.label[kept]
    )


def majority_runs(stretches: Stretches, window: int, step: int, classes: int) -> WindowRuns:
    """Windows every `step` rows from each recording's start, labelled by most of their rows.

    Rows whose label is left out count together; the window is left out where they are more than
    those of any class. Between classes with equally many rows the one with the lower number wins.
    """
    if len(stretches.label) == 0:
        return pure_runs(stretches, window, step)
    before = np.concatenate(([0], np.cumsum(stretches.length)))
    first = np.flatnonzero(np.diff(stretches.recording, prepend=LEFT_OUT))
    rows = np.diff(before[first], append=before[-1])
    counts = np.maximum((rows - window) // step + 1, 0)
    pieces = []
    # One recording's windows at a time in slices: memory stays bounded however long it is.
    for head, base, count in zip(
        first.tolist(), before[first].tolist(), counts.tolist(), strict=True
    ):
        for start in range(0, count, COUNTED_WINDOWS):
            number = np.arange(start, min(start + COUNTED_WINDOWS, count), dtype=np.int64)
            label = _majority(stretches, before, base + number * step, window, classes)
            recording = np.full(len(number), stretches.recording[head], dtype=np.int32)
            pieces.append(find_stretches(recording, number, label))
    if not pieces:
        return pure_runs(stretches, window, step)
    windows = join_stretches(pieces)
    kept = windows.label != LEFT_OUT
    return WindowRuns(
        windows.recording[kept],
        windows.start[kept] * step,
        windows.length[kept],
        windows.label[kept],
    )


def _majority(
    stretches: Stretches,
    before: NDArray[np.int64],
    first: NDArray[np.int64],
    window: int,
    classes: int,
) -> NDArray[np.int32]:
    """The label of most rows of each window, (n,) int32.

    Args:
        stretches: all stretches.
        before: (stretches + 1,) rows before each, over all recordings.
        first: (n,) first row of each window in that count.
        window: rows of a window.
        classes: number of classes.
    """
    low = np.searchsorted(before, first, side="right") - 1
    high = np.searchsorted(before, first + window - 1, side="right") - 1
    label = stretches.label[low].copy()
    mixed = np.flatnonzero(low < high)
    if len(mixed) == 0:
        return label
    # The last column counts the rows left out (label -1), so that argmax prefers a class.
    counts = np.zeros((len(mixed), classes + 1), dtype=np.int32)
    rank = np.arange(len(mixed))
    for ahead in range(int((high - low).max()) + 1):
        inside = low[mixed] + ahead <= high[mixed]
        part = low[mixed[inside]] + ahead
        begin = np.maximum(before[part], first[mixed[inside]])
        end = np.minimum(before[part + 1], first[mixed[inside]] + window)
        counts[rank[inside], stretches.label[part]] += (end - begin).astype(np.int32)
    winner = counts.argmax(axis=1).astype(np.int32)
    label[mixed] = np.where(winner == classes, LEFT_OUT, winner)
    return label
