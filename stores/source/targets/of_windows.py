"""Labels of a source of windows: values (N, K), columns of 0 and 1 (N, K), codes (N, L)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.derived.shaped import Flattened
from headrace.stores.source.interface import SourceArray, SourceFile
from headrace.stores.source.labels.classes import LabelSelection
from headrace.stores.source.labels.columns import (
    declared_classes,
    label_array,
    label_column,
    named_labels,
    seen_labels,
)
from headrace.stores.source.labels.runs import classes_of
from headrace.stores.source.names import slices
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.targets.interface import TargetReader
from headrace.stores.source.targets.kind import (
    columns_of,
    numbers_of,
    pieces,
    refuse_class_options,
    require_rows,
    said_kind,
    seen_kind,
)
from headrace.stores.source.targets.mapped import MappedMarks
from headrace.stores.source.targets.marks import marks_of
from headrace.stores.source.targets.named import as_marks
from headrace.stores.source.targets.naming import labels_target, values_target
from headrace.stores.target import Target

CODES = 1 << 17
"""Of a sequence's labels that are looked up at a time."""


def target_of_windows(
    file: SourceFile, data: SourceArray, usual: tuple[str, ...], options: SourceOptions
) -> TargetReader | None:
    """What gives the labels of windows `data` (N, T, C); None: they are classes.

    Raises:
        UserError: it is not plain what they are, or they are not what is said.
    """
    kind = said_kind(options)
    if kind == "class":
        return None
    if options.target.remaining:
        raise SourceError(
            "target.remaining counts rows to the end of a recording, and this source holds "
            "windows: nothing says where they end. Name the value with source.labels, and set "
            'target.kind = "value".'
        )
    kind = kind or seen_labels(file, usual, options, seen_kind) or "class"
    if kind == "class":
        return None
    target = options.target.model_copy(update={"kind": kind})
    options = options.model_copy(update={"target": target})
    refuse_class_options(kind, options)
    if kind == "labels" and options.class_map:
        column, _ = label_column(file, data, usual, options)
        require_rows(column.array, rows_of(data), f"windows of {data.name}")
        mapped = MappedMarks(column, options)
        return WindowLabels(mapped, mapped.target)
    array = label_array(file, usual, options, names=False)
    require_rows(array, rows_of(data), f"windows of {data.name}")
    if kind == "value":
        return WindowValues(
            array.ready(), values_target(array, columns_of(array), options), options
        )
    if kind == "labels":
        array = as_marks(array, options.target.names)
        marked = labels_target(array, file, columns_of(array), options)
        return WindowLabels(array.ready(), marked)
    return WindowSequences(file, data, array, options)


class WindowValues:
    """Values (N,) or (N, K); see `TargetReader`."""

    def __init__(self, array: SourceArray, target: Target, options: SourceOptions) -> None:
        """Of an array that is ready."""
        if options.target.at is not None:
            raise SourceError(
                "target.at chooses among the rows of a recording's window, and this source has "
                "one value a window. Remove it."
            )
        self.target, self.arrays, self.held_bytes = target, [array], 0
        self._cap = options.target.cap

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """(n, K) float32."""
        found = numbers_of(self.arrays[0], start, stop).reshape(stop - start, *self.target.shape)
        return capped(found.astype(np.float64), self._cap)


class WindowLabels:
    """Columns (N, K) of 0 and 1; see `TargetReader`."""

    def __init__(self, array: SourceArray, target: Target) -> None:
        """Of an array that is ready."""
        self.target, self.arrays, self.held_bytes = target, [array], 0

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """(n, K) uint8."""
        return marks_of(self.arrays[0], start, stop).reshape(stop - start, *self.target.shape)


class WindowSequences:
    """Codes or names (N, L); see `TargetReader`."""

    def __init__(
        self, file: SourceFile, data: SourceArray, array: SourceArray, options: SourceOptions
    ) -> None:
        """Read all labels once, to know their names.

        Raises:
            UserError: the number of labels does not fit the samples of a window, or no label is
                kept.
        """
        self._given, self.target = _spacing(data, array, options)
        declared = declared_classes(file, (array, data), options.classes)
        column, declared = named_labels(file, Flattened(array), declared, declared, options)
        for start, stop in slices(len(column)):
            column.read(start, stop)
        column.require_sure(LabelSelection(options).class_of)
        order, of_code = classes_of(column.names, declared, options)
        if not order:
            raise SourceError(
                f"No sample of {array.where} has a label that is kept. Change source.class_map or "
                "source.exclude_labels."
            )
        self.target = self.target.reordered(order)
        self._column, self._of_code = column, np.array(of_code, np.int32)
        self.arrays, self.held_bytes = [array], 0
        # Of each label the middle one of those given for it.
        per = self._given // self.target.length
        self._taken = np.arange(self.target.length) * per + per // 2

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """(n, L) int32, -1 where unlabelled."""
        found = np.empty((stop - start, self.target.length), np.int32)
        for low, high in pieces(start, stop, max(1, CODES // self._given)):
            codes = self._column.read(low * self._given, high * self._given)
            codes = self._of_code[codes].reshape(high - low, self._given)
            found[low - start : high - start] = codes[:, self._taken]
        return found


def _spacing(data: SourceArray, array: SourceArray, options: SourceOptions) -> tuple[int, Target]:
    """Labels that stand in a row, and the target without its names."""
    shape, time = array.shape or (), (data.shape or (0, 1))[1]
    if len(shape) != 2 or not shape[1] or shape[1] > time or time % shape[1]:
        raise SourceError(
            f"{array.where} has shape {shape} for windows of {time} samples; a sequence has a "
            "label for each sample, (N, T), or each k-th. Name another dataset with source.labels."
        )
    every = options.target.every or time // shape[1]
    if time % every or every % (time // shape[1]):
        raise SourceError(
            f"target.every = {every} does not fit {shape[1]} labels in windows of {time} samples: "
            f"it is a multiple of {time // shape[1]}, and {time} one of it."
        )
    return shape[1], Target("sequence", every=every, length=time // every)


def capped(values: NDArray[np.float64], cap: float | None) -> NDArray[np.float32]:
    """Values as they are stored: those above `cap` are it."""
    with np.errstate(over="ignore"):
        return (values if cap is None else np.minimum(values, cap)).astype(np.float32)
