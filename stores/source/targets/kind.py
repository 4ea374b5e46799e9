"""Which kind of target the labels of a source are: as it is said, or by what is seen in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.labels.classes import Names
from headrace.stores.source.labels.several_values import looks
from headrace.stores.source.names import NameColumn, OneName
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.target_options import TargetOptions
from headrace.stores.target import Kind

MOST_CLASSES = 12
"""Different numbers that are taken for classes, whatever their order: more may be values."""
FILLED = 0.5
"""Of the range of whole numbers: codes of classes that fill less of it are no values."""
OF_CLASSES = ("class_map", "exclude_labels", "label_table", "classes")
OF_NAMES = ("intervals", "label_column", "label_every_s")
"""Where labels are names, unless the kind is said."""


def said_kind(options: SourceOptions) -> Kind | None:
    """The kind that the options say; a class where they say of labels what only classes have."""
    if options.target.meant is not None:
        return options.target.meant
    named = any(getattr(options, key) for key in (*OF_CLASSES[:3], *OF_NAMES))
    return "class" if options.labels == "" or named else None


def seen_kind(array: SourceArray) -> Kind:
    """The kind that is plain from some of the labels.

    Args:
        array: (n,), or (n, K) of several columns.

    Raises:
        UserError: it is not plain: names the ways.
    """
    shape = array.shape or ()
    if array.dtype.kind not in "biuf":
        return "sequence" if len(shape) == 2 else "class"
    if len(shape) == 1:
        return "value" if array.dtype.kind == "f" and _are_values(array) else "class"
    if len(shape) != 2 or not shape[1]:
        return "class"  # Which is refused for its shape.
    return _kind_of_columns(array, shape[1])


def _kind_of_columns(array: SourceArray, count: int) -> Kind:
    marked = [np.zeros(0, np.int64)]
    for values in looks(array):
        if not np.isin(values, (0, 1)).all():
            break
        marked.append(np.count_nonzero(values, axis=1))
    else:
        several = np.concatenate(marked)
        if not several.any():
            raise SourceError(
                f"{array.where} has shape {array.shape}, and none of {len(several):,} rows looked "
                "at has anything but 0. Name another dataset with source.labels."
            )
        if (several == 1).all():
            raise SourceError(
                f"{array.where} has shape {array.shape}, and each of {len(several):,} rows looked "
                f"at marks one of {count} columns: one class of {count}, or labels that never come "
                'together. Set target.kind = "labels"; for classes write each row\'s column as a '
                "dataset (N,), and name it with source.labels."
            )
        return "labels"
    if array.dtype.kind == "f" and _has_fractions(array):
        return "value"
    raise SourceError(
        f"{array.where} has shape {array.shape}: {count} whole numbers a row. Say what they are: "
        f'target.kind = "value" ({count} values), or target.kind = "sequence" (a class for each '
        f"sample, or each k-th). Or name another dataset with source.labels."
    )


def _has_fractions(array: SourceArray) -> bool:
    return any(
        bool((np.isfinite(values) & (values != np.trunc(values))).any()) for values in looks(array)
    )


def _are_values(array: SourceArray) -> bool:
    """Whether numbers have fractions: most of them, or of many different ones some.

    A fraction among few codes is a slip.
    """
    different, fractions, count = np.zeros(0), 0, 0
    for values in looks(array):
        finite = values[np.isfinite(values)]
        count += len(finite)
        fractions += int((finite != np.trunc(finite)).sum())
        if len(different) <= MOST_CLASSES:
            different = np.unique(np.concatenate([different, finite]))
    most = len(different) > 1 and 2 * fractions >= count
    return fractions > 0 and (most or len(different) > MOST_CLASSES)


def require_classes(
    column: NameColumn | OneName,
    names: Names,
    declared: Sequence[str] | None,
    options: SourceOptions,
) -> None:
    """Check that whole numbers that were taken for classes may not as well be values.

    Args:
        column, names: of labels.
        declared: the file's list of classes, if it has one.
        options: that may say what they are.

    Raises:
        UserError: they may; names both ways.
    """
    if options.target.kind is not None or not isinstance(column, NameColumn):
        return
    named = declared or column.meanings or options.class_map or options.exclude_labels
    if column.array.dtype.kind not in "iuf" or named:
        return
    whole = [int(name) for name in names.classes.names if name.lstrip("-").isdecimal()]
    span = max(whole, default=0) - min(whole, default=0) + 1
    if len(whole) > MOST_CLASSES and len(whole) > FILLED * span:
        raise SourceError(
            f"The labels of {column.array.where} are {len(whole)} different whole numbers, "
            f"{min(whole)} to {max(whole)}: values, whose order and distance count, or classes, of "
            'which each is its own. Say which: target.kind = "value", or target.kind = "class".'
        )


def refuse_class_options(kind: Kind, options: SourceOptions) -> None:
    """Check that nothing is said of classes where the target has none.

    Raises:
        UserError: it is.
    """
    if kind == "sequence" or (kind == "labels" and options.class_map):
        return
    keys = OF_CLASSES[:3] if kind == "labels" else OF_CLASSES
    given = [key for key in keys if getattr(options, key)]
    given += ["intervals"] if options.intervals is not None else []
    if given:
        raise SourceError(
            f'source.{given[0]} is for classes, and target.kind is "{kind}". Remove one of them.'
        )


def without_classes(options: SourceOptions) -> SourceOptions:
    """Options by which windows are cut and counted as if there were no labels."""
    return options.model_copy(
        update={
            "labels": "",
            "labels_file": None,
            "label_column": None,
            "label_table": None,
            "label_every_s": None,
            "intervals": None,
            "classes": "",
            "class_map": {},
            "exclude_labels": [],
            "label_rule": "pure",
            "target": TargetOptions(),
        }
    )


def numbers_of(array: SourceArray, start: int, stop: int) -> NDArray[Any]:
    """Rows of an array of numbers, or of texts that are such; NaN where a text is empty.

    Raises:
        UserError: there are others.
    """
    if array.dtype.kind in "biuf":
        return array.read(start, stop)
    try:
        texts = array.texts(start, stop)
        flat = [float(text) if text.strip() else np.nan for text in texts.reshape(-1).tolist()]
    except (ValueError, TypeError) as error:
        raise SourceError(
            f"{array.where} holds what is no number ({error}), and target.kind is "
            '"value". Name another dataset with source.labels, or set target.kind = "class".'
        ) from error
    return np.array(flat).reshape(texts.shape)


def pieces(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of consecutive pieces of at most `step`."""
    for low in range(start, stop, step):
        yield low, min(low + step, stop)


def columns_of(array: SourceArray) -> int:
    """K of (n, K); 1 of (n,).

    Raises:
        UserError: it has more axes, or no column.
    """
    shape = array.shape or ()
    if len(shape) not in (1, 2) or 0 in shape[1:]:
        raise SourceError(
            f"{array.where} has shape {array.shape}; one number a row, or several columns, are "
            "needed. Name another dataset with source.labels."
        )
    return shape[1] if len(shape) == 2 else 1


def require_rows(array: SourceArray, rows: int, what: str) -> None:
    """Check that there is one entry for each of `rows`.

    Raises:
        UserError: there is not.
    """
    if rows_of(array) != rows:
        raise SourceError(
            f"{array.where} has {rows_of(array)} entries for the {rows} {what}. Name another "
            "dataset with source.labels, or correct the file."
        )


def refused_names(given: Sequence[str], count: int, where: str, key: str) -> SourceError:
    """The error for names or units that are more or fewer than columns."""
    return SourceError(
        f"{key} has {len(given)} entries ({', '.join(given)}), and {where} has "
        f"{count} column{'s' * (count > 1)}: one each is needed."
    )
