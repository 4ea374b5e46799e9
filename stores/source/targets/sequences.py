"""Sequences of the windows of recordings: a class for each sample, or each k-th."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.labels.classes import LabelSelection, NameColumns
from headrace.stores.source.labels.runs import Stretches, classes_of, read_stretches, relabel
from headrace.stores.source.names import NameColumn, OneName
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.targets.kind import pieces
from headrace.stores.source.targets.of_windows import CODES
from headrace.stores.source.targets.rows import WindowRows
from headrace.stores.target import Target
from headrace.stores.text import shown


class RowSequences:
    """A class for each row, looked up in stretches of equal ones; see `TargetReader`."""

    def __init__(
        self,
        column: NameColumn | OneName,
        declared: tuple[str, ...] | None,
        rows: WindowRows,
        options: SourceOptions,
    ) -> None:
        """Read all labels once, in slices.

        Args:
            column: labels, one a row of the signals.
            declared: the file's list of classes, if it has one.
            rows: where windows are.
            options: label selection, and `target.every`.

        Raises:
            UserError: no label is kept, or `every` does not fit the window.
        """
        every = options.target.every or 1
        if rows.time % every:
            raise SourceError(
                f"target.every = {every} does not divide a window of {rows.time} samples. Set "
                "another, or another source.window_samples."
            )
        coded = read_stretches(column, rows.table, rows.ratio)
        column.require_sure(LabelSelection(options).class_of)
        order, of_code = classes_of(column.names, declared, options)
        if not order:
            raise SourceError(
                f"No row of {column.array.where} has a label that is kept. The labels are: "
                f"{shown(column.names)}. Change source.class_map or source.exclude_labels."
            )
        self.target = Target("sequence", tuple(order), every=every, length=rows.time // every)
        self._stretches: Stretches = relabel(coded, np.array(of_code, dtype=np.int32))
        before = np.cumsum(rows.lengths) - rows.lengths
        self._before, self._rows = before, rows
        self._first = before[self._stretches.recording] + self._stretches.start
        self.arrays: list[SourceArray] = NameColumns(column, None, None).stored_labels()
        held = (self._first, self._stretches.label, before)
        self.held_bytes = 2 * sum(each.nbytes for each in held)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """(n, L) int32, -1 where unlabelled."""
        target = self.target
        found = np.empty((stop - start, target.length), np.int32)
        inside = target.sample_of_step
        for low, high in pieces(start, stop, max(1, CODES // target.length)):
            piece, row = self._rows.places_within(low, high)
            at = (self._before[piece] + row)[:, None] + inside
            which = np.searchsorted(self._first, at.reshape(-1), side="right") - 1
            found[low - start : high - start] = self._stretches.label[which].reshape(at.shape)
        return found
