"""What candidates are labelled with: classes or other targets, groups and official parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from headrace.stores.io.places import Place
from headrace.stores.source.labels.labels import LabelRuns, Labels
from headrace.stores.source.labels.window_groups import WindowGroups
from headrace.stores.source.names import slices
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.recordings import RecordingsLayout
from headrace.stores.source.targets.look import LookedAt, look_at, slice_of
from headrace.stores.source.windows import WindowsLayout
from headrace.stores.target import Target, class_target

LABEL_SLICE = 1 << 18
"""Candidates whose labels are read at a time: a few MiB."""


class Labelled:
    """N candidates with their labels; see `Source`, whose attributes these are."""

    path: Place
    options: SourceOptions
    windows: int
    parts: tuple[str, ...]
    groups: tuple[str, ...]
    grouped: bool
    _layout: WindowsLayout | RecordingsLayout

    @property
    def recordings(self) -> RecordingsLayout | None:
        """Of recordings where windows are cut; None of windows."""
        return self._layout if isinstance(self._layout, RecordingsLayout) else None

    def _number_groups(self) -> None:
        """Set what is known of names once the layout is there."""
        names = self._layout.names
        self._names, self.parts = names.classes.names, names.parts.names
        self.grouped = self._layout.columns.group is not None
        self.groups = names.groups.names
        if not self.grouped:
            self._window_groups = WindowGroups(
                self.windows,
                self.parts,
                lambda start, stop: self._layout.read_labels(start, stop)[2],
            )
            self.groups = self._window_groups.names

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes or labels that candidates have; () of values."""
        reader = self._layout.target
        return self._names if reader is None else reader.target.classes

    @property
    def unlabelled(self) -> bool:
        """Whether labels were left out on purpose: windows are all of one class."""
        return self.options.labels == "" and self._layout.target is None

    @cached_property
    def target(self) -> Target:
        """What the labels of candidates are; of values with bins, for which all are read once.

        Raises:
            UserError: some are no such labels, or are missing, and `source.non_finite` is not
                "drop".
        """
        return self._looked_at.target

    def without_target(self) -> NDArray[np.int64]:
        """Numbers of the candidates that have no label to learn from, ascending."""
        return self._looked_at.without

    @cached_property
    def _looked_at(self) -> LookedAt:
        reader = self._layout.target
        if reader is None:
            return LookedAt(class_target(self._names), np.zeros(0, np.int64))
        found = look_at(reader, self.windows)
        if len(found.without) and self.options.non_finite != "drop":
            raise found.refusal(self.path)
        return found

    def read_labels(self, start: int, stop: int) -> Labels:
        """Labels, groups and parts of the candidates `start` to `stop`.

        Raises:
            IndexError: the range is not within 0 to N.
        """
        found, reader = self._read_names(start, stop), self._layout.target
        if reader is not None:
            return replace(found, label=reader.read(start, stop))
        return found

    def read_groups(self, start: int, stop: int) -> NDArray[np.int32]:
        """Groups of the candidates alone, (n,).

        Raises:
            IndexError: the range is not within 0 to N.
        """
        return self._read_names(start, stop).group

    def _read_names(self, start: int, stop: int) -> Labels:
        """`read_labels`, as if all that are no classes were of one."""
        self._check_range(start, stop)
        label, group, part = self._layout.read_labels(start, stop)
        if not self.grouped:
            group = self._window_groups.numbers(start, part)
        return Labels(label, group, part.astype(np.int8))

    def counted_runs(self) -> Iterator[LabelRuns]:
        """`label_runs`, each with its label: of other targets than classes each window is one."""
        if self._layout.target is None:
            yield from self.label_runs()
            return
        step = slice_of(self._layout.target.target, LABEL_SLICE // 4)
        for low, high in slices(self.windows, step):
            number = np.arange(low, high)
            yield LabelRuns(number, number + 1, self.read_labels(low, high))

    def label_runs(self) -> Iterator[LabelRuns]:
        """All candidates in order, as runs, slice by slice; a border of slices may part a run.

        Recordings know their runs; of the windows layout every label is read. Labels are those of
        classes: all that have other targets are of one.
        """
        if self.recordings is not None and self.grouped:
            for start, stop, label, group, part in self.recordings.label_runs():
                yield LabelRuns(start, stop, Labels(label, group, part.astype(np.int8)))
            return
        for low, high in slices(self.windows, LABEL_SLICE):
            labels = self._read_names(low, high)
            columns = np.stack([labels.label, labels.group, labels.part])
            heads = np.flatnonzero(np.append(True, (np.diff(columns) != 0).any(axis=0)))
            yield LabelRuns(low + heads, low + np.append(heads[1:], high - low), labels.take(heads))

    def _check_range(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self.windows:
            raise IndexError(f"Candidates {start} to {stop} are not within 0 to {self.windows}.")
