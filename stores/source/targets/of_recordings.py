"""Labels of the windows of recordings: values and columns of 0 and 1 of rows or of recordings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import GAP_BYTES, SLICE_BYTES, rows_of
from headrace.stores.source.derived.cut import cut_to
from headrace.stores.source.derived.held import HeldArray
from headrace.stores.source.interface import SourceArray, SourceFile
from headrace.stores.source.labels.columns import label_array, seen_labels
from headrace.stores.source.labels.recording_labels import (
    USUAL_LABELS,
    USUAL_PERIODS,
    Found,
    Noted,
    periods_of,
    row_labels,
)
from headrace.stores.source.labels.texts import column_texts
from headrace.stores.source.names import OneName
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.signals import find_flat
from headrace.stores.source.slices import contiguous_slices
from headrace.stores.source.targets.interface import Integers, TargetReader
from headrace.stores.source.targets.kind import (
    columns_of,
    numbers_of,
    refuse_class_options,
    said_kind,
    seen_kind,
)
from headrace.stores.source.targets.mapped import MappedMarks
from headrace.stores.source.targets.marks import marks_of
from headrace.stores.source.targets.named import as_marks
from headrace.stores.source.targets.naming import labels_target, values_target
from headrace.stores.source.targets.of_windows import capped
from headrace.stores.source.targets.periods import PeriodRows
from headrace.stores.source.targets.rows import WindowRows
from headrace.stores.source.targets.sequences import RowSequences
from headrace.stores.source.times.times import Times
from headrace.stores.target import UNLABELLED, Kind, Target

SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
"""Units in which `target.remaining` counts time; rows in any other."""
MARKED = 0.5
"""Of a window's rows: a label that as many have is the window's."""


def kind_of_recordings(file: SourceFile, data: SourceArray, options: SourceOptions) -> Kind:
    """Which kind of target the labels of recordings are.

    Raises:
        UserError: it is not plain.
    """
    kind = said_kind(options)
    if kind is None:
        kind = seen_labels(file, USUAL_LABELS, options, seen_kind) or "class"
        if kind == "sequence":
            raise SourceError(
                f"The labels of {data.where} have several texts a row; one name a row is needed, "
                "or columns of 0 and 1. Name another dataset with source.labels."
            )
    if kind != "class":
        refuse_class_options(kind, options)
    return kind


def row_names(
    kind: Kind,
    file: SourceFile,
    data: SourceArray,
    times: Times,
    rate_hz: float,
    options: SourceOptions,
) -> tuple[Found, Noted]:
    """`row_labels` of classes and sequences; of others, that all rows have one name."""
    if kind in ("class", "sequence") or (kind == "labels" and options.class_map):
        return row_labels(file, data, times, rate_hz, options)
    return (OneName(data, UNLABELLED), None), ()


def reader_of(
    kind: Kind,
    names: Found,
    file: SourceFile,
    data: SourceArray,
    times: Times,
    rate_hz: float,
    rows: WindowRows,
    options: SourceOptions,
) -> TargetReader:
    """What gives values, several labels, or sequences, of windows that are cut of recordings.

    Args:
        kind: value, labels or sequence.
        names: of the rows, of a sequence.
        file, data: the source and its signals (S, C).
        times: the recordings as they are cut.
        rate_hz: of the signals' rows.
        rows: where the windows are.
        options: of all.

    Raises:
        UserError: they are not what is said, or do not fit the rows.
    """
    if kind == "sequence":
        return RowSequences(*names, rows, options)
    if kind == "labels" and options.class_map:
        mapped = MappedMarks(names[0], options)
        return OfRows(mapped.target, mapped, mapped, rows, options)
    if options.target.remaining:
        return Remaining(times, rows, options)
    if options.labels == "":
        raise SourceError(
            f'source.labels is empty, and target.kind is "{kind}": name what holds it.'
        )
    if options.label_column is not None:
        array = _meant(kind, _column_of(times, options.label_column), options)
        target = _target(kind, array, file, options)
        return OfRecordings(target, array, times.given.owner, times, rows, options)
    usual = USUAL_LABELS if options.label_every_s is None else USUAL_PERIODS
    array = _meant(kind, label_array(file, usual, options, names=False), options)
    target = _target(kind, array, file, options)
    if options.label_every_s is not None:
        every = rate_hz * options.label_every_s
        given = rows_of(array), array.where
        periods, _ = periods_of(file, *given, data, times, every, options)
        held = _numbers(target, array, 0, given[0]).reshape(given[0], -1)
        spread = PeriodRows(array, held, periods, rows_of(data), target.missing)
        return OfRows(target, array, spread, rows, options)
    array = cut_to(array, count := rows_of(data), options.max_cut_rows)
    if rows_of(array) != count and rows_of(array) == len(times.given.start):
        return OfRecordings(target, array, np.arange(len(times.given.start)), times, rows, options)
    if rows_of(array) != count:
        raise SourceError(
            f"{array.where} has shape {array.shape} for the {count} rows of {data.name} in "
            f"{len(times.given.start)} recordings; a {kind} for each row, or for each recording, "
            "is needed. Name another dataset with source.labels."
        )
    array = times.ordered(array).ready()
    return OfRows(target, array, array, rows, options)


def _target(kind: Kind, array: SourceArray, file: SourceFile, options: SourceOptions) -> Target:
    count = columns_of(array)
    if kind == "labels":
        return labels_target(array, file, count, options)
    return values_target(array, count, options)


def _meant(kind: Kind, array: SourceArray, options: SourceOptions) -> SourceArray:
    """Labels as they are read: several names in a cell as columns."""
    return as_marks(array, options.target.names) if kind == "labels" else array


def _numbers(target: Target, array: SourceArray, start: int, stop: int) -> NDArray[np.float64]:
    """Rows of values, or of marks."""
    read = numbers_of if target.moment_names else marks_of
    return read(array, start, stop).astype(np.float64)


def _column_of(times: Times, name: str) -> SourceArray:
    """A column of the table of recordings, numbers or texts.

    Raises:
        UserError: there is no such column.
    """
    if times.given.node is None:
        raise SourceError(
            f"source.label_column = {name!r} is a column of the table of recordings, and there "
            "is none. Name what holds a value for each row with source.labels."
        )
    found = find_flat(times.given.node, "label_column", name, ())
    assert found is not None
    if found.dtype.kind in "SOU":
        return HeldArray(found.name, found.where, np.array(column_texts(found), dtype=str))
    return found


class Reduced:
    """What is common to labels that are made of what rows have; see `TargetReader`."""

    def __init__(
        self,
        target: Target,
        arrays: list[SourceArray],
        rows: WindowRows,
        options: SourceOptions,
    ) -> None:
        """Of labels in `arrays`, of windows that are where `rows` says."""
        self.target, self.arrays, self.held_bytes = target, arrays, 0
        self._rows = rows
        self._at, self._cap = options.target.at or "last", options.target.cap

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """(n, K) of the candidates `start` to `stop`."""
        raise NotImplementedError

    def _stored(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Values (n, K) of windows, or shares of their rows that have a label, as stored."""
        if self.target.moment_names:
            return capped(values, self._cap)
        return (values >= MARKED).astype(np.uint8)


class OfRows(Reduced):
    """A value, or marks, for each row of the signals: of the last row, the middle one, or all."""

    def __init__(
        self,
        target: Target,
        stored: SourceArray,
        array: SourceArray,
        rows: WindowRows,
        options: SourceOptions,
    ) -> None:
        """(S,) or (S, K), in the order of the rows, made of what is stored."""
        super().__init__(target, [stored], rows, options)
        self._array = array
        self.held_bytes = array.cache_bytes
        if not target.moment_names:
            self._at = "mean"

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """See `Reduced`."""
        low, high = self._rows.source_rows(start, stop, self._at)
        array, columns = self._array, len(self.target.names)
        found = np.empty((stop - start, columns))
        row_bytes, span = 8 * columns, int((high - low).max(initial=1))
        limit, gap = max(1, SLICE_BYTES // row_bytes), GAP_BYTES // row_bytes
        for a, b, first, end in contiguous_slices(low, span, limit, gap):
            end = min(end, rows_of(array))
            values = _numbers(self.target, array, first, end).reshape(end - first, columns)
            if span == 1:
                found[a:b] = values[low[a:b] - first]
                continue
            for n in range(a, b):
                # Each window's sum runs over its rows alone, in their order.
                found[n] = values[low[n] - first : high[n] - first].mean(axis=0)
        return self._stored(found)


class OfRecordings(Reduced):
    """Values, or marks, of whole recordings, which each of their windows has."""

    def __init__(
        self,
        target: Target,
        array: SourceArray,
        entry: Integers,
        times: Times,
        rows: WindowRows,
        options: SourceOptions,
    ) -> None:
        """Entry `entry[g]` of the array is of recording g of `times.given`."""
        super().__init__(target, [array], rows, options)
        if options.target.at is not None:
            raise SourceError(
                f"target.at chooses among a window's rows, and {array.where} has one value a "
                "recording. Remove it."
            )
        values = _numbers(target, array, 0, rows_of(array))
        self._values = values.reshape(rows_of(array), -1)[entry][times.owner]
        self.held_bytes = self._values.nbytes

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """See `Reduced`."""
        return self._stored(self._values[self._rows.places_within(start, stop)[0]])


class Remaining(Reduced):
    """What remains of a recording after a window's row, in rows or in time; gaps count.

    A column of the table of recordings, `source.label_column`, says what is left after their ends.
    """

    def __init__(self, times: Times, rows: WindowRows, options: SourceOptions) -> None:
        """Of recordings that may be cut at gaps."""
        target = options.target
        names, units = target.names or ("remaining",), target.units or ("",)
        super().__init__(Target("value", tuple(names), tuple(units)), [], rows, options)
        seconds = SECONDS.get(units[0])
        self._per_row = 1.0 if seconds is None else 1 / (rows.rate_hz * seconds)
        self._times, self._after = times, np.zeros(len(times.owner))
        if options.label_column is not None:
            array = _column_of(times, options.label_column)
            self.arrays = [array]
            values = numbers_of(array, 0, rows_of(array)).astype(np.float64)
            self._after = values[times.given.owner][times.owner]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """See `Reduced`."""
        piece, row = self._rows.places_within(start, stop)
        begun = np.rint(self._times.offset * self._rows.rate_hz)
        last = np.zeros(len(self._times.given.start))
        np.maximum.at(last, self._times.owner, begun + self._rows.lengths - 1)
        at = {
            "last": self._rows.time - 1,
            "centre": self._rows.time // 2,
            "mean": (self._rows.time - 1) / 2,
        }
        left = last[self._times.owner[piece]] - begun[piece] - row - at[self._at]
        return self._stored((left * self._per_row + self._after[piece])[:, None])
