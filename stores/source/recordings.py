"""The recordings layout: signals (S, C) with labels (S,), cut into windows while reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import (
    GAP_BYTES,
    check_shape,
    check_signal_dtype,
    rows_of,
)
from headrace.stores.source.channels import read_channel_info
from headrace.stores.source.derived.offsets import centred
from headrace.stores.source.derived.shaped import as_type
from headrace.stores.source.interface import SourceArray, SourceFile
from headrace.stores.source.labels.classes import (
    LabelSelection,
    NameColumns,
    Names,
    combinations,
    number_names,
)
from headrace.stores.source.labels.losses import LabelLosses, label_losses
from headrace.stores.source.labels.runs import plan_runs
from headrace.stores.source.names import Codes, OneName, slices
from headrace.stores.source.notes.attributes import override_notes
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.recording_table import read_table
from headrace.stores.source.rows.rated_rows import several_of
from headrace.stores.source.rows.recording_rows import make_rows
from headrace.stores.source.rows.resampling import Ratio, resampling_ratio
from headrace.stores.source.signals import signals_of
from headrace.stores.source.slices import contiguous_slices
from headrace.stores.source.targets.interface import TargetReader
from headrace.stores.source.targets.kind import require_classes, without_classes
from headrace.stores.source.targets.of_recordings import (
    kind_of_recordings,
    reader_of,
    row_names,
)
from headrace.stores.source.targets.rows import WindowRows
from headrace.stores.source.times.times import read_times
from headrace.stores.source.times.times_of import time_name
from headrace.stores.target import UNLABELLED

COPIED_BYTES = 4 << 20


class RecordingsLayout:
    """Candidates are the windows of all recordings that the label rule keeps, in table order."""

    def __init__(self, file: SourceFile, options: SourceOptions) -> None:
        """Find and check the arrays, read all labels once, in slices, and plan the windows.

        Raises:
            UserError: see `open_source`.
        """
        if options.windows and options.lengths is None:
            raise SourceError(
                "source.windows names a dataset of windows, but source.layout is recordings. "
                "Remove one of them."
            )
        time = time_name(file, options)
        without = options.model_copy(update={"time": time or ""})
        data = file.each(lambda files: signals_of(files, without))
        rows, _ = check_shape(data, ("row", "channel"), "Name the signals with source.signals.")
        check_signal_dtype(data)
        self._times = read_times(file, data, read_table(file, rows, options), options, time)
        rate = self._times.rate_hz or options.rate_hz
        self.stated = read_channel_info(data, options.model_copy(update={"rate_hz": rate}))
        overridden = override_notes(data, options)
        several = several_of(data) is not None
        if several and self._times.order is not None:
            raise SourceError(
                f"The rows of {data.where} cannot be sorted by time: its signals have several "
                'rates. Set source.time_order = "error", and correct the times.'
            )
        data, self.info = (data, self.stated) if several else centred(data, self.stated)
        data = data if several else as_type(data, options.dtype)
        dtype = check_signal_dtype(data)
        self._table = self._times.table
        kind = kind_of_recordings(file, data, options)
        found, noted = row_names(kind, file, data, self._times, self.info.rate_hz, options)
        self.noted = (*self._times.given.notes, *self._times.notes, *noted, *overridden)
        self._options = options
        self.data = self._times.ordered(data).ready()
        self._set_windows(dtype, options)
        self.target: TargetReader | None = None
        if kind != "class":
            ratio, spec = self._ratio or Ratio(1, 1), self.spec
            places = WindowRows(self, self._table, ratio, spec.time, spec.rate_hz)
            self.target = reader_of(
                kind, found, file, data, self._times, self.info.rate_hz, places, options
            )
            found = OneName(data, UNLABELLED), None
            self._options = options = without_classes(options)
        labels, declared = found
        self.declared = declared or ()
        longest = int(self._table.length.max(initial=0))
        self.buffer_bytes = self._rows.buffer_bytes(self.spec.time, longest) + COPIED_BYTES
        self.columns = NameColumns(labels, self._table.group, self._table.part)
        self._plan(declared, options)
        with self._after_gaps():
            used = np.unique(self._runs.recording)
            self._rows.require_length(self._table.length[used], data.where)
        require_classes(labels, self.names, declared, options)

    @property
    def table_bytes(self) -> int:
        """Of the runs and the table of recordings, and as much again for a moment to make them."""
        runs, table = self._runs, self._table
        row = (runs.recording, runs.start, runs.count, runs.label, self._before, self._label)
        listed = (table.start, table.length, table.group_code, table.part_code)
        held: list[NDArray[Any]] = [*row, *listed]
        nbytes = self._rows.nbytes + self._times.nbytes
        nbytes += self.target.held_bytes if self.target else 0
        return 2 * sum(array.nbytes for array in held) + nbytes

    def read_labels(self, start: int, stop: int) -> tuple[Codes, Codes, Codes]:
        """Label, group and part numbers of the candidates, each (n,) int32; -1 for none."""
        run, recording, _ = self._candidates(start, stop)
        return self._label[run], self._group[recording], self._part[recording]

    def label_runs(
        self,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Codes, Codes, Codes]]:
        """First candidate, the one after the last, label, group and part of all runs, in slices."""
        for low, high in slices(len(self._label)):
            recording = self._runs.recording[low:high]
            yield (
                self._before[low:high],
                self._before[low + 1 : high + 1],
                self._label[low:high],
                self._group[recording],
                self._part[recording],
            )

    def read_windows(
        self, start: int, stop: int, marks: bool
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Candidates (n, T, C), and where `marks` (n,) bool: NaN or infinity went into it."""
        windows = np.empty((stop - start, *self.spec.shape), dtype=self.spec.dtype)
        marked = np.zeros(stop - start, dtype=bool)
        _, recording, row = self._candidates(start, stop)
        for a, b, low, high in self._slices(recording, row):
            place = self._place(recording[a])
            block, bad = self._rows.read(int(recording[a]), *place, low, high, marks)
            first = row[a:b] - low
            _cut_windows(block, first, windows[a:b])
            if bad is not None:
                before = np.concatenate(([0], np.cumsum(bad, dtype=np.int64)))
                marked[a:b] = before[first + self.spec.time] > before[first]
        return windows, marked

    def places(self, start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Recording, or piece of one, and first row of the candidates, as delivered: (n,) each."""
        _, recording, row = self._candidates(start, stop)
        return recording, row

    def read_stretch(
        self, start: int, stop: int, marks: bool
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The rows that candidates lie in, one `step` after another in one recording.

        Returns:
            (R, C) of `spec.dtype`, and (R,) whether NaN or infinity went into a row: looked at if
            `marks`.
        """
        _, recording, row = self._candidates(start, stop)
        place, number = self._place(recording[0]), int(recording[0])
        first, rows = int(row[0]), int(row[-1] - row[0]) + self.spec.time
        found = np.empty((rows, len(self.spec.channels)), self.spec.dtype)
        bad = np.zeros(rows, dtype=bool)
        for at in range(0, rows, self._rows.slice_rows):
            part = slice(at, min(at + self._rows.slice_rows, rows))
            low, high = first + part.start, first + part.stop
            found[part], marked = self._rows.read(number, *place, low, high, marks)
            if marked is not None:
                bad[part] = marked
        return found, bad

    def places_within(self, start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The same, with the row counted within its recording, or piece."""
        recording, row = self.places(start, stop)
        return recording, row if self._rows.by_recording else row - self._table.start[recording]

    def row_spans(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Rows of the signals that are read for the candidates, as `(start, stop)` spans."""
        _, recording, row = self._candidates(start, stop)
        return [
            self._rows.source_span(*self._place(recording[a]), low, high)
            for a, _, low, high in self._slices(recording, row)
        ]

    def label_spans(self, start: int, stop: int) -> list[tuple[SourceArray, int, int]]:
        """None: names are held, as runs; others are read a window at a time."""
        return []

    def locate(self, start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.int64]] | None:
        """Recording row (n,) int32 and first row in the signals (n,) int64 of the candidates.

        As they are in the file: pieces of a recording have its row, and sorted rows their own.
        """
        _, recording, _ = self._candidates(start, stop)
        row = self.data_rows(start, stop)
        if self._times.order is not None:
            row = self._times.order.of(row)
        return self._times.owner[recording].astype(np.int32), row

    def data_rows(self, start: int, stop: int) -> NDArray[np.int64]:
        """First rows of the candidates in the signals, (n,)."""
        _, recording, row = self._candidates(start, stop)
        if self._ratio is not None:
            row = self._ratio.nearest(row, self._table.length[recording])
        return self._table.start[recording] + row if self._rows.by_recording else row

    def seconds(self, start: int, stop: int) -> NDArray[np.float64] | None:
        """First sample of the candidates, (n,) seconds after their recording's first, gaps too."""
        _, recording, row = self._candidates(start, stop)
        if not self._rows.by_recording:
            row = row - self._table.start[recording]
        return row / self.spec.rate_hz + self._times.offset[recording]

    def without_windows(self) -> tuple[int, list[str]]:
        """How many recordings give no window, and the groups that have no other."""
        table, used = self._times.given, np.unique(self._times.owner[self._runs.recording])
        lost: list[str] = []
        if len(table.group_code) and table.group is not None:
            codes = np.setdiff1d(table.group_code, table.group_code[used])
            lost = [str(table.group.names[code]) for code in codes]
        return len(table.start) - len(used), lost

    def label_losses(self) -> LabelLosses:
        """What the label rule keeps of each class, and rows of labels that are left out."""
        return label_losses(
            self.columns.label,
            self.declared or None,
            self._table,
            self._ratio,
            self.spec.time,
            self.step,
            self.spec.rate_hz,
            self._options,
        )

    def tables(self) -> list[SourceArray]:
        """Arrays whose whole content belongs to the fingerprint."""
        own = [] if self.target is None else self.target.arrays
        return [*self.columns.stored_labels(), *own, *self._table.arrays, *self._times.made]

    def _set_windows(self, dtype: np.dtype[Any], options: SourceOptions) -> None:
        """Windows as delivered: what resamples or filters applies the scale and gives float32."""
        rate = options.target_rate_hz or self.info.rate_hz
        ratio = resampling_ratio(self.info.rate_hz, rate)
        self._ratio: Ratio | None = ratio if ratio.up != ratio.down else None
        self._rows = make_rows(
            self.data, self.info, options, len(self._table.start), self._ratio, rate
        )
        delivered = replace(self.info, rate_hz=rate)
        if self._rows.in_units:
            dtype = np.dtype(np.float32)
            delivered = replace(delivered, scale=np.ones(len(self.info.scale)))
        self.spec = delivered.window_spec(options.window_rows(rate), dtype)
        self.step = options.step_rows(rate)

    def _plan(self, declared: tuple[str, ...] | None, options: SourceOptions) -> None:
        """Set the runs of windows, and the names and numbers of what they hold."""
        table = self._table
        with self._after_gaps():
            self._runs = plan_runs(
                self.columns.label, declared, table, self._ratio, self.spec.time, self.step, options
            )
        self._before = np.concatenate(([0], np.cumsum(self._runs.count)))
        self.windows = int(self._before[-1])
        recording = self._runs.recording
        codes = np.stack(
            [self._runs.label, table.group_code[recording], table.part_code[recording]], axis=1
        )
        used = np.array(sorted(combinations(codes)), dtype=np.int32)
        self.names: Names = number_names(
            self.columns, used, LabelSelection(options), declared, options
        )
        self._label = self.names.classes.of_code[self._runs.label]
        self._group = _numbers(self.names.groups.of_code, table.group_code)
        self._part = _numbers(self.names.parts.of_code, table.part_code)

    @contextmanager
    def _after_gaps(self) -> Iterator[None]:
        """What is too short may be so for gaps."""
        try:
            yield
        except SourceError as error:
            gaps = " ".join(note.text for note in self.noted if note.key == "source.max_gap_s")
            if not gaps:
                raise
            raise type(error)(f"{error} {gaps} Set a longer source.max_gap_s.") from error

    def _candidates(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
        """Run, recording and first row of each candidate.

        Rows count in the signals, or in the recording's rows where they depend on each other.
        """
        number = np.arange(start, stop, dtype=np.int64)
        run = np.searchsorted(self._before, number, side="right") - 1
        recording = self._runs.recording[run]
        row = self._runs.start[run] + (number - self._before[run]) * self.step
        if not self._rows.by_recording:
            row += self._table.start[recording]
        return run, recording, row

    def _slices(
        self, recording: NDArray[np.int32], row: NDArray[np.int64]
    ) -> Iterator[tuple[int, int, int, int]]:
        series = recording if self._rows.by_recording else None
        gap = GAP_BYTES // self._rows.row_bytes
        return contiguous_slices(row, self.spec.time, self._rows.slice_rows, gap, series)

    def _place(self, recording: int) -> tuple[int, int]:
        """Origin and number of source rows that rows of `_candidates` count in."""
        if not self._rows.by_recording:
            return 0, rows_of(self.data)
        return int(self._table.start[recording]), int(self._table.length[recording])


def _numbers(of_code: Codes, codes: Codes) -> Codes:
    """`of_code[codes]`; all -1 where there is no such column."""
    return of_code[codes] if len(of_code) > 0 else np.full(len(codes), -1, dtype=np.int32)


def _cut_windows(rows: NDArray[Any], first: NDArray[np.int64], windows: NDArray[Any]) -> None:
    """Copy the windows that start at `first` (n,) of `rows` (m, C) into `windows` (n, T, C)."""
    time = windows.shape[1]
    every = np.lib.stride_tricks.sliding_window_view(rows, time, axis=0).transpose(0, 2, 1)
    step = int(first[1] - first[0]) if len(first) > 1 else 1
    if step > 0 and np.all(np.diff(first) == step):
        windows[:] = every[int(first[0]) : int(first[-1]) + 1 : step]
        return
    # Indexing makes a copy first: in slices, so that it stays small where windows overlap much.
    size = max(1, COPIED_BYTES // windows[:1].nbytes)
    for start in range(0, len(first), size):
        windows[start : start + size] = every[first[start : start + size]]
