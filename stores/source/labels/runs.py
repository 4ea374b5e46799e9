"""The windows of recordings: stretches of equal labels, and what the label rule cuts from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError, UserError
from headrace.stores.source.labels.classes import LabelSelection
from headrace.stores.source.names import SLICE_ROWS, NameColumn, OneName
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.recording_table import RecordingTable
from headrace.stores.source.rows.resampling import Ratio
from headrace.stores.text import shown

Pieces = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
SAME_RATE = Ratio(1, 1)
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


def plan_runs(
    column: NameColumn | OneName,
    declared: Sequence[str] | None,
    table: RecordingTable,
    ratio: Ratio | None,
    window: int,
    step: int,
    options: SourceOptions,
) -> WindowRuns:
    """The windows of all recordings, in table order.

    Args:
        column: labels, one per row of the signals; read here, in slices.
        declared: the file's list of classes, if it has one.
        table: the recordings.
        ratio: change of rate; the label of a resampled row is that of `Ratio.nearest`.
        window: rows of a window as delivered.
        step: rows between two windows as delivered.
        options: label rule and selection.

    Returns:
        Runs whose label is a code of `column` (one stands for all labels of its class).

    Raises:
        UserError: a misspelt label, no label kept, or no stretch as long as a window.
    """
    coded = read_stretches(column, table, ratio or SAME_RATE)
    column.require_sure(LabelSelection(options).class_of)
    order, of_code = classes_of(column.names, declared, options)
    stretches = relabel(coded, np.array(of_code, dtype=np.int32))
    if options.label_rule == "pure":
        runs = pure_runs(stretches, window, step)
    else:
        runs = majority_runs(stretches, window, step, len(order))
    if len(runs.count) == 0:
        raise _no_window(column, stretches, window)
    first_code = np.array([of_code.index(k) for k in range(len(order))], dtype=np.int32)
    return WindowRuns(runs.recording, runs.start, runs.count, first_code[runs.label])


def classes_of(
    labels: Sequence[str], declared: Sequence[str] | None, options: SourceOptions
) -> tuple[list[str], list[int]]:
    """The classes of labels in their order, and the number of each label's; -1 where left out.

    Raises:
        UserError: a misspelt label.
    """
    selection = LabelSelection(options)
    selection.check_patterns([*dict.fromkeys([*(declared or ()), *labels])])
    order = selection.order(labels, declared)
    number = {name: position for position, name in enumerate(order)}
    return order, [number.get(selection.class_of(label) or "", LEFT_OUT) for label in labels]


def read_stretches(column: NameColumn | OneName, table: RecordingTable, ratio: Ratio) -> Stretches:
    """Stretches of equal label codes, at the delivered rate; label rows are read in slices."""
    rows = ratio.lengths(table.length)
    pieces = []
    for recording, start, stop in _label_slices(table.start, table.length, rows):
        first, last = (table.start[recording] + each for each in (start, stop))
        known = column.read_runs(int(first[0]), int(last[-1])) if ratio == SAME_RATE else None
        if known is not None:
            pieces.append(cut_runs(recording.astype(np.int32), start, first, last, *known))
            continue
        count = stop - start
        owner = np.repeat(recording, count)
        row = np.arange(len(owner)) + np.repeat(start - np.cumsum(count) + count, count)
        source = table.start[owner] + ratio.nearest(row, table.length[owner])
        low = int(source[0])
        label = column.read(low, int(source[-1]) + 1)[source - low]
        pieces.append(find_stretches(owner.astype(np.int32), row, label))
    return join_stretches(pieces)


def _label_slices(
    start: NDArray[np.int64], length: NDArray[np.int64], rows: NDArray[np.int64]
) -> Iterator[Pieces]:
    """Recordings in table order, joined or cut so that each piece needs a bounded slice of labels.

    Args:
        start: (R,) first row in the signals.
        length: (R,) source rows.
        rows: (R,) delivered rows.

    Yields:
        `(recording, first, stop)`, each (k,): delivered rows `first` to `stop` of k recordings
        that follow each other in the signals, or a part of one long recording.
    """
    size = np.maximum(length, rows)
    reach = np.cumsum(size)
    descends = np.flatnonzero(start[1:] < start[:-1]) + 1
    borders = np.append(descends, len(start))
    recording = 0
    while recording < len(start):
        border = int(borders[np.searchsorted(borders, recording, side="right")])
        done = int(reach[recording] - size[recording])
        fitting = int(np.searchsorted(reach, done + SLICE_ROWS, side="right"))
        near = int(
            np.searchsorted(
                (start + length)[recording:border], start[recording] + SLICE_ROWS, side="right"
            )
        )
        end = max(min(border, fitting, recording + near), recording + 1)
        taken = np.arange(recording, end, dtype=np.int64)
        if end - recording > 1 or size[recording] <= SLICE_ROWS:
            taken = taken[rows[taken] > 0]
            if len(taken) > 0:
                yield taken, np.zeros(len(taken), dtype=np.int64), rows[taken]
        else:
            total, most = int(rows[recording]), _rows_per_slice(size, rows, recording)
            for first in range(0, total, most):
                yield taken, np.array([first]), np.array([min(first + most, total)])
        recording = end


def _rows_per_slice(size: NDArray[np.int64], rows: NDArray[np.int64], recording: int) -> int:
    """Delivered rows of a long recording whose labels fill about one slice."""
    return max(1, SLICE_ROWS * int(rows[recording]) // int(size[recording]))


def _no_window(column: NameColumn | OneName, stretches: Stretches, window: int) -> UserError:
    kept = stretches.length[stretches.label != LEFT_OUT]
    if len(kept) == 0:
        return SourceError(
            f"No row of {column.array.where} has a label that is kept. The labels are: "
            f"{shown(column.names)}. Change source.class_map or source.exclude_labels."
        )
    if isinstance(column, OneName):
        return SourceError(
            f"A window of {window} samples is longer than every recording (the longest has "
            f"{int(kept.max())}). Set a shorter source.window_s or source.window_samples."
        )
    return SourceError(
        f"A window of {window} samples is longer than every stretch of one label in "
        f"{column.array.where} (the longest has {int(kept.max())}). Set a shorter "
        'source.window_s, or source.label_rule = "majority".'
    )


def find_stretches(
    recording: NDArray[np.int32], row: NDArray[np.int64], label: NDArray[np.int32]
) -> Stretches:
    """Stretches of rows given one by one, all of shape (rows,), rows ascending by 1."""
    changed = (recording[1:] != recording[:-1]) | (label[1:] != label[:-1])
    heads = np.flatnonzero(np.concatenate((np.ones(min(len(row), 1), dtype=bool), changed)))
    return Stretches(
        recording[heads], row[heads], np.diff(heads, append=len(row)).astype(np.int64), label[heads]
    )


def cut_runs(
    recording: NDArray[np.int32],
    start: NDArray[np.int64],
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
    head: NDArray[np.int64],
    label: NDArray[np.int32],
) -> Stretches:
    """`find_stretches` of rows whose runs are known.

    Args:
        recording, start: (k,) each recording, and its first row that is looked at.
        first, stop: (k,) the same row in the signals, and that to stop before; ascending.
        head, label: (n,) runs of the signals' rows, from `first[0]` to `stop[-1]`.
    """
    low = np.searchsorted(head, first, side="right") - 1
    count = np.searchsorted(head, stop, side="left") - low
    owner = np.repeat(np.arange(len(first)), count)
    run = np.arange(len(owner)) + np.repeat(low - np.cumsum(count) + count, count)
    begin = np.maximum(head[run], first[owner])
    length = np.minimum(np.append(head[1:], stop[-1])[run], stop[owner]) - begin
    found = label[run]
    changed = (owner[1:] != owner[:-1]) | (found[1:] != found[:-1])
    heads = np.flatnonzero(np.append(True, changed))
    return Stretches(
        recording[owner[heads]],
        (begin - first[owner] + start[owner])[heads],
        np.add.reduceat(length, heads),
        found[heads],
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
    done = np.concatenate(([0], np.cumsum(counts)))
    pieces = []
    # Windows in slices, of many short recordings or a part of a long one: memory stays bounded.
    for low in range(0, int(done[-1]), COUNTED_WINDOWS):
        window_of_all = np.arange(low, min(low + COUNTED_WINDOWS, int(done[-1])), dtype=np.int64)
        which = np.searchsorted(done, window_of_all, side="right") - 1
        number = window_of_all - done[which]
        head = first[which]
        label = _majority(stretches, before, before[head] + number * step, window, classes)
        pieces.append(find_stretches(stretches.recording[head], number, label))
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
