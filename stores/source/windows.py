"""The windows layout: X (N, T, C) with labels, groups and split of one value per window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import (
    GAP_BYTES,
    SLICE_BYTES,
    check_shape,
    check_signal_dtype,
    require_array,
    rows_of,
)
from headrace.stores.source.channels import read_channel_info
from headrace.stores.source.derived.offsets import centred
from headrace.stores.source.derived.shaped import as_type, flat
from headrace.stores.source.interface import Files, SourceArray, SourceFile
from headrace.stores.source.labels.classes import (
    LabelSelection,
    NameColumns,
    Names,
    combinations,
    no_groups,
    number_names,
)
from headrace.stores.source.labels.columns import ALONE, label_column, named_labels
from headrace.stores.source.labels.losses import LabelLosses
from headrace.stores.source.names import SLICE_NAME_BYTES, Codes, NameColumn, OneName, slices
from headrace.stores.source.notes.attributes import override_notes
from headrace.stores.source.notes.note import Note
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.signals import find_flat, windows_of
from headrace.stores.source.slices import contiguous_slices
from headrace.stores.source.targets.kind import require_classes, without_classes
from headrace.stores.source.targets.of_windows import target_of_windows

USUAL_LABELS = ("y", "labels", "label")
USUAL_GROUPS = ("groups", "group", "subjects", "subject")
USUAL_SPLIT = ("split",)
# After label selection, the rows that are left are counted per this many: 8 bytes each.
COUNTED_ROWS = 4096
RECORDING_OPTIONS = (
    "signals",
    "recordings",
    "window_s",
    "window_samples",
    "step_s",
    "step_samples",
    "overlap",
    "target_rate_hz",
    "time",
    "max_gap_s",
    "label_every_s",
)
CONTINUOUS_OPTIONS = ("filter", "remove_mean", "slow_channels", "rates_hz")
"""That need what stands before and after a window."""


class WindowsLayout:
    """Candidates are the rows of X whose label is kept, in order."""

    def __init__(self, file: SourceFile, options: SourceOptions) -> None:
        """Find and check the arrays, and read every label, group and part once, in slices.

        Raises:
            UserError: see `open_source`.
        """
        _refuse_recording_options(options)
        data = file.each(lambda files: windows_of(files, options))
        _, time, _ = check_shape(
            data,
            ("window", "time", "channel"),
            "Headrace extracts its features from signals itself: name those with source.windows.",
        )
        check_signal_dtype(data)
        self.stated = read_channel_info(data, options)
        self.noted: tuple[Note, ...] = tuple(override_notes(data, options))
        data, self.info = centred(data, self.stated)
        data = as_type(data, options.dtype)
        dtype = check_signal_dtype(data)
        self.spec = self.info.window_spec(time, dtype)
        self.target = target_of_windows(file, data, USUAL_LABELS, options)
        options = options if self.target is None else without_classes(options)
        self.columns, declared = _columns(file, data, options)
        self.declared = declared or ()
        self.data = data.ready()
        fills = options.non_finite == "fill"
        self._fill = self.info.as_read(options.fill_value) if fills else None
        row_bytes = self.spec.stored_bytes
        self._slice_rows = max(1, SLICE_BYTES // row_bytes)
        self._gap_rows = GAP_BYTES // row_bytes
        self._selection = LabelSelection(options)
        self.buffer_bytes = self._slice_rows * row_bytes
        if self._selection.selects:
            self.buffer_bytes += SLICE_NAME_BYTES
        self._kept_before = np.zeros(0, dtype=np.int64)
        used = self._scan()
        self.names: Names = number_names(self.columns, used, self._selection, declared, options)
        require_classes(self.columns.label, self.names, declared, options)

    @property
    def table_bytes(self) -> int:
        """Of the counts of selected rows, and as much again for a moment to make them."""
        return 2 * self._kept_before.nbytes + (self.target.held_bytes if self.target else 0)

    def read_labels(self, start: int, stop: int) -> tuple[Codes, Codes, Codes]:
        """Label, group and part numbers of the candidates, each (n,) int32; -1 for none."""
        found = [np.zeros((3, 0), dtype=np.int32)]
        for rows, label in self._kept(start, stop):
            others = [
                np.full(len(rows), -1, dtype=np.int32)
                if column is None
                else numbering.of_code[column.read(int(rows[0]), int(rows[-1]) + 1)[rows - rows[0]]]
                for column, numbering in (
                    (self.columns.group, self.names.groups),
                    (self.columns.part, self.names.parts),
                )
            ]
            found.append(np.stack([self.names.classes.of_code[label], *others]))
        label, group, part = np.concatenate(found, axis=1)
        return label, group, part

    def read_windows(
        self, start: int, stop: int, marks: bool
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Candidates (n, T, C), and where `marks` (n,) bool: it held NaN or infinity."""
        rows = self._rows(start, stop)
        windows = np.empty((stop - start, *self.spec.shape), dtype=self.spec.dtype)
        marked = np.zeros(stop - start, dtype=bool)
        looks = self.spec.dtype.kind == "f" and (marks or self._fill is not None)
        for a, b, low, high in self._slices(rows):
            part = windows[a:b]
            if high - low == b - a:
                self.data.read_into(part, low)
            else:
                slab = np.empty((high - low, *self.spec.shape), dtype=self.spec.dtype)
                self.data.read_into(slab, low)
                np.take(slab, rows[a:b] - low, axis=0, out=part)
            if looks:
                marked[a:b] = _mark_and_fill(part, self._fill)
        return windows, marked

    def row_spans(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Rows of X that are read for the candidates, as `(start, stop)` spans."""
        return [(low, high) for _, _, low, high in self._slices(self._rows(start, stop))]

    def label_spans(self, start: int, stop: int) -> list[tuple[SourceArray, int, int]]:
        """Arrays and rows `(low, high)` of them that are read for the candidates' labels."""
        low, high = start, stop
        if self._selection.selects:
            first = int(np.searchsorted(self._kept_before, start, side="right")) - 1
            last = int(np.searchsorted(self._kept_before, stop, side="left"))
            low = first * COUNTED_ROWS
            high = min(last * COUNTED_ROWS, len(self.columns.label))
        columns = (self.columns.label, self.columns.group, self.columns.part)
        own = [] if self.target is None else self.target.arrays
        return [(each, low, high) for each in own] + [
            (each.array, low, high) for each in columns if isinstance(each, NameColumn)
        ]

    def data_rows(self, start: int, stop: int) -> NDArray[np.int64]:
        """Rows of X of the candidates, (n,)."""
        return self._rows(start, stop)

    def locate(self, start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.int64]] | None:
        """None: there are no recordings."""
        return None

    def seconds(self, start: int, stop: int) -> NDArray[np.float64] | None:
        """None: there are no recordings."""
        return None

    def without_windows(self) -> tuple[int, list[str]]:
        """No recordings, so none without windows."""
        return 0, []

    def label_losses(self) -> LabelLosses:
        """Windows of labels that are left out; no rule drops any."""
        label, rows = self.columns.label, np.zeros(len(self.columns.label.names), np.int64)
        if self._selection.selects:
            for start, stop in slices(len(label)):
                rows += np.bincount(label.read(start, stop), minlength=len(rows))
        kept = self._selection.kept(label.names)
        left_out = {
            name: int(n) for name, n, k in zip(label.names, rows, kept, strict=True) if n and not k
        }
        return LabelLosses((), left_out, len(label))

    def tables(self) -> list[SourceArray]:
        """Arrays whose whole content belongs to the fingerprint."""
        others = (self.columns.group, self.columns.part)
        return [
            *self.columns.stored_labels(),
            *([] if self.target is None else self.target.arrays),
            *(column.array for column in others if column is not None),
        ]

    def _slices(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, int, int, int]]:
        return contiguous_slices(rows, 1, self._slice_rows, self._gap_rows)

    def _scan(self) -> NDArray[np.int32]:
        """Read all labels, groups and parts; set the candidates and give what occurs together."""
        used: set[tuple[int, ...]] = set()
        kept = np.zeros(-(-len(self.columns.label) // COUNTED_ROWS) + 1, dtype=np.int64)
        for start, stop in slices(len(self.columns.label)):
            label = self.columns.label.read(start, stop)
            inside = self._selection.kept(self.columns.label.names)[label]
            # Slices are whole multiples of the counted rows, so that each adds entries of its own.
            sums = np.add.reduceat(inside, np.arange(0, len(inside), COUNTED_ROWS), dtype=np.int64)
            first = start // COUNTED_ROWS + 1
            kept[first : first + len(sums)] = sums
            codes = [label] + [
                np.full_like(label, -1) if column is None else column.read(start, stop)
                for column in (self.columns.group, self.columns.part)
            ]
            used.update(combinations(np.stack(codes, axis=1)[inside]))
        self._kept_before = np.cumsum(kept)
        self.windows = int(self._kept_before[-1])
        return np.array(sorted(used), dtype=np.int32).reshape(-1, 3)

    def _rows(self, start: int, stop: int) -> NDArray[np.int64]:
        """Rows of X of the candidates, (n,) int64."""
        if not self._selection.selects:
            return np.arange(start, stop, dtype=np.int64)
        found = [rows for rows, _ in self._kept(start, stop)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *found])

    def _kept(self, start: int, stop: int) -> Iterator[tuple[NDArray[np.int64], Codes]]:
        """Rows of X and label codes of the candidates, slice by slice, none empty."""
        low, high, skip, wanted = start, stop, 0, stop - start
        if self._selection.selects:
            first = int(np.searchsorted(self._kept_before, start, side="right")) - 1
            last = int(np.searchsorted(self._kept_before, stop, side="left"))
            low = first * COUNTED_ROWS
            high = min(last * COUNTED_ROWS, len(self.columns.label))
            skip = start - int(self._kept_before[first])
        for begin, end in slices(high - low):
            label = self.columns.label.read(low + begin, low + end)
            inside = np.flatnonzero(self._selection.kept(self.columns.label.names)[label])
            taken = inside[skip : skip + wanted]
            skip = 0  # A slice is no shorter than the counted rows, and skip lies within those.
            wanted -= len(taken)
            if len(taken) > 0:
                yield low + begin + taken, label[taken]


def _columns(
    file: SourceFile, data: SourceArray, options: SourceOptions
) -> tuple[NameColumns, tuple[str, ...] | None]:
    """The columns of names, each as long as `data`, and the classes that the file lists."""
    labels: NameColumn | OneName
    if options.label_column is None:
        labels, declared = label_column(file, data, USUAL_LABELS, options)
    else:
        found = find_flat(file, "label_column", options.label_column, ())
        assert found is not None
        labels, declared = named_labels(file, found, None, None, options)
    groups = None
    if not options.split_by_window:
        groups = _groups(file, options)
        if groups is None:
            raise no_groups(file, USUAL_GROUPS)
    columns = NameColumns(labels, groups, _names_of(file, "split", options.split, USUAL_SPLIT))
    for key, column in (
        ("labels", columns.label),
        ("groups", columns.group),
        ("split", columns.part),
    ):
        if column is not None and len(column) != rows_of(data):
            raise SourceError(
                f"{column.array.where} has {len(column)} entries for the {rows_of(data)} "
                f"windows of {data.name}. Name another dataset with source.{key}, or correct the "
                "file."
            )
    return columns, declared


def _groups(file: SourceFile, options: SourceOptions) -> NameColumn | None:
    if options.groups_file is None:
        return _names_of(file, "groups", options.groups, USUAL_GROUPS)

    def found(files: Files) -> SourceArray:
        return flat(require_array(files[0], "groups", options.groups, (*USUAL_GROUPS, *ALONE)))

    return NameColumn(file.each(found, options.groups_file), "groups")


def _names_of(
    file: SourceFile, option: str, named: str | None, usual: Sequence[str]
) -> NameColumn | None:
    array = find_flat(file, option, named, usual)
    return None if array is None else NameColumn(array, option)


def _refuse_recording_options(options: SourceOptions) -> None:
    given = [name for name in RECORDING_OPTIONS if getattr(options, name) is not None]
    if given:
        raise SourceError(
            f"source.{given[0]} is for recordings, but this source holds windows already. "
            'Remove it, or set source.layout = "recordings".'
        )
    given = [name for name in CONTINUOUS_OPTIONS if getattr(options, name)]
    if given:
        raise SourceError(
            f"source.{given[0]} needs continuous signals, with what stands before and after a "
            "window; this source holds windows that are cut already. Remove it, or name the "
            "signals that they were cut from with source.signals."
        )


def _mark_and_fill(windows: NDArray[Any], fill: NDArray[np.float64] | None) -> NDArray[np.bool_]:
    """Which windows (n, T, C) hold NaN or infinity; those become `fill` (C,) if it is given."""
    marked = np.zeros(len(windows), dtype=bool)
    size = max(1, SLICE_BYTES // max(1, windows[:1].nbytes))
    for start, stop in slices(len(windows), size):
        part = windows[start:stop]
        finite = np.isfinite(part)
        marked[start:stop] = ~finite.all(axis=(1, 2))
        if fill is not None and marked[start:stop].any():
            np.copyto(part, fill, where=~finite, casting="same_kind")
    return marked
