"""What the label rule keeps of each class, and what the other rule would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.labels.runs import (
    LEFT_OUT,
    SAME_RATE,
    Stretches,
    WindowRuns,
    classes_of,
    majority_runs,
    pure_runs,
    read_stretches,
    relabel,
)
from headrace.stores.source.names import NameColumn, OneName
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.recording_table import RecordingTable
from headrace.stores.source.rows.resampling import Ratio


@dataclass(frozen=True)
class ClassWindows:
    """A class, and the windows that two rules give it.

    Attributes:
        name: of the class.
        rows: with its labels, as delivered.
        stretches: of consecutive rows of it.
        median_s: length of a stretch in the middle of them, in seconds.
        pure, majority: windows by each rule.
    """

    name: str
    rows: int
    stretches: int
    median_s: float
    pure: int
    majority: int

    def as_table(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


@dataclass(frozen=True)
class LabelLosses:
    """What becomes of labelled rows.

    Attributes:
        classes: all that labels are of, in their order.
        left_out: rows of each label that is left out, by name.
        rows: all.
    """

    classes: tuple[ClassWindows, ...]
    left_out: dict[str, int]
    rows: int


def label_losses(
    column: NameColumn | OneName,
    declared: Sequence[str] | None,
    table: RecordingTable,
    ratio: Ratio | None,
    window: int,
    step: int,
    rate_hz: float,
    options: SourceOptions,
) -> LabelLosses:
    """Count by class; arguments as of `plan_runs`, and the rate of the rows as delivered.

    Labels are read once more, in slices. Memory is that of the stretches.
    """
    coded = read_stretches(column, table, ratio or SAME_RATE)
    order, of_code = classes_of(column.names, declared, options)
    rows_of_label = _rows(coded.label, coded.length, len(column.names))
    left_out = {
        label: int(rows)
        for label, number, rows in zip(column.names, of_code, rows_of_label, strict=True)
        if number == LEFT_OUT and rows
    }
    stretches = relabel(coded, np.array(of_code, dtype=np.int32))
    pure = _windows(pure_runs(stretches, window, step), len(order))
    majority = _windows(majority_runs(stretches, window, step, len(order)), len(order))
    rows = _rows(stretches.label, stretches.length, len(order))
    counts = np.bincount(stretches.label[stretches.label >= 0], minlength=len(order))
    medians = _medians(stretches, len(order)) / rate_hz
    classes = zip(order, rows, counts, medians, pure, majority, strict=True)
    return LabelLosses(
        tuple(
            ClassWindows(name, int(n), int(several), float(median), int(one), int(other))
            for name, n, several, median, one, other in classes
        ),
        left_out,
        int(rows_of_label.sum()),
    )


def _rows(label: NDArray[np.int32], length: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    kept = label >= 0
    rows = np.zeros(count, np.int64)
    np.add.at(rows, label[kept], length[kept])
    return rows


def _windows(runs: WindowRuns, count: int) -> NDArray[np.int64]:
    return _rows(runs.label, runs.count, count)


def _medians(stretches: Stretches, count: int) -> NDArray[np.float64]:
    """Rows of the middle stretch of each class; 0 of none."""
    order = np.lexsort((stretches.length, stretches.label))
    label, length = stretches.label[order], stretches.length[order]
    low, high = (np.searchsorted(label, np.arange(count), side=s) for s in ("left", "right"))
    found = np.zeros(count)
    some = high > low
    one, two = (low + high - 1)[some] // 2, (low + high)[some] // 2
    found[some] = (length[one] + length[two]) / 2
    return found
