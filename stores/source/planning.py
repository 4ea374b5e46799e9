"""Plans the windows of the recordings layout from one pass over the labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError, UserError
from headrace.stores.source.classes import LabelSelection
from headrace.stores.source.hdf5 import describe
from headrace.stores.source.label_runs import (
    LEFT_OUT,
    Stretches,
    WindowRuns,
    find_stretches,
    join_stretches,
    majority_runs,
    pure_runs,
    relabel,
)
from headrace.stores.source.names import SLICE_ROWS, NameColumn, OneName, shown
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.recording_table import RecordingTable
from headrace.stores.source.resampling import Ratio

Pieces = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
SAME_RATE = Ratio(1, 1)


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
    coded = _read_stretches(column, table, ratio or SAME_RATE)
    selection = LabelSelection(options)
    labels = column.names
    selection.check_patterns([*dict.fromkeys([*(declared or ()), *labels])])
    order = selection.order(labels, declared)
    number = {name: position for position, name in enumerate(order)}
    of_code = [number.get(selection.class_of(label) or "", LEFT_OUT) for label in labels]
    stretches = relabel(coded, np.array(of_code, dtype=np.int32))
    if options.label_rule == "pure":
        runs = pure_runs(stretches, window, step)
    else:
        runs = majority_runs(stretches, window, step, len(order))
    if len(runs.count) == 0:
        raise _no_window(column, stretches, window)
    first_code = np.array([of_code.index(k) for k in range(len(order))], dtype=np.int32)
    return WindowRuns(runs.recording, runs.start, runs.count, first_code[runs.label])


def _read_stretches(column: NameColumn | OneName, table: RecordingTable, ratio: Ratio) -> Stretches:
    """Stretches of equal label codes, at the delivered rate; label rows are read in slices."""
    rows = ratio.lengths(table.length)
    pieces = []
    for recording, start, stop in _label_slices(table.start, table.length, rows):
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
            f"No row of {describe(column.dataset)} has a label that is kept. The labels are: "
            f"{shown(column.names)}. Change source.class_map or source.exclude_labels."
        )
    if isinstance(column, OneName):
        return SourceError(
            f"A window of {window} samples is longer than every recording (the longest has "
            f"{int(kept.max())}). Give longer ones."
        )
    return SourceError(
        f"A window of {window} samples is longer than every stretch of one label in "
        f"{describe(column.dataset)} (the longest has {int(kept.max())}). Set a shorter "
        'source.window_s, or source.label_rule = "majority".'
    )
