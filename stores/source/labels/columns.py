"""The column of labels of a source, from wherever it stands, and the classes that are declared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import find_array, require_array
from headrace.stores.source.derived.shaped import Flattened, flat
from headrace.stores.source.derived.side_by_side import SideBySide
from headrace.stores.source.interface import Answer, Files, SourceArray, SourceFile, SourceNode
from headrace.stores.source.labels.classes import OF_NO_CLASS
from headrace.stores.source.labels.meanings import read_label_names
from headrace.stores.source.names import PADDING, NameColumn, OneName
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.signals import names_of
from headrace.stores.target import UNLABELLED

ALONE = ("array", "table")
"""What the only array of a file is called that has no names."""


def declared_classes(
    file: SourceNode, owners: Sequence[SourceArray], named: str | None
) -> tuple[str, ...] | None:
    """The names that integer labels index: an array, else an attribute of `owners`, else None.

    Raises:
        UserError: the named array is missing, or holds something else than strings.
    """
    array = find_array(file, "classes", named, ("classes",))
    if array is not None:
        return _text_list(array.whole())
    if named == "":
        return None
    for owner in owners:
        value = owner.attribute("classes")
        if value is not None:
            return _text_list(value)
    return None


def label_column(
    file: SourceFile, data: SourceArray, usual: Sequence[str], options: SourceOptions
) -> tuple[NameColumn | OneName, tuple[str, ...] | None]:
    """The labels of the rows of `data`, and the classes that the file lists.

    Raises:
        UserError: there are none, and the options do not say so; they or the classes are of a
            wrong type or shape.
    """
    if options.labels == "":
        return OneName(data, UNLABELLED), None
    labels = label_array(file, usual, options)
    declared = declared_classes(file, (labels, data), options.classes)
    return named_labels(file, labels, declared, declared, options)


def seen_labels(
    file: SourceFile,
    usual: Sequence[str],
    options: SourceOptions,
    look: Callable[[SourceArray], Answer],
) -> Answer | None:
    """What `look` says of the labels; of many files of those of the first recording.

    None: they are texts of a table of recordings, or stand in files beside.

    Raises:
        UserError: there are none; as `look`.
    """
    if options.labels_file is not None or _of_recordings(file, options, usual) is not None:
        return None
    return file.example(lambda files: look(_labels_of(files, options, usual)))


def label_array(
    file: SourceFile, usual: Sequence[str], options: SourceOptions, names: bool = True
) -> SourceArray:
    """What `source.labels` names, or the usual array: (n,), or (n, K) of several columns.

    Args:
        file: the source.
        usual: names that are looked for.
        options: for the names.
        names: whether it is of names, that may be kept if they seldom change.

    Raises:
        UserError: there is none.
    """
    beside = options.labels_file
    wanted = usual if beside is None else (*usual, *ALONE)
    found = None if beside is not None else _of_recordings(file, options, usual)
    if found is not None:
        return found
    return file.each(lambda files: _labels_of(files, options, wanted), beside, names=names)


def named_labels(
    file: SourceFile,
    labels: SourceArray,
    index: Sequence[str] | None,
    declared: Sequence[str] | None,
    options: SourceOptions,
) -> tuple[NameColumn, tuple[str, ...] | None]:
    """A column of labels by the names that a table gives them, and the classes in order.

    Args:
        file: the source.
        labels: (n,).
        index: the names that integers of it count into.
        declared: the file's list of classes, if it has one.
        options: where the table is.

    Raises:
        UserError: as `read_label_names`.
    """
    meanings = read_label_names(file.tables, options.label_table, options.encoding)
    if meanings is not None:
        declared = tuple(dict.fromkeys(meanings.values()))
    column = NameColumn(labels, "labels", index, meanings)
    column.left_out = options.exclude_labels
    if options.target.kind == "sequence":
        column.left_out = [*options.exclude_labels, *OF_NO_CLASS]
    return column, None if declared is None else tuple(declared)


def _of_recordings(
    file: SourceFile, options: SourceOptions, usual: Sequence[str]
) -> SourceArray | None:
    """A column of the table of recordings, where the files have no labels of their own."""
    names = usual if options.labels is None else names_of(options.labels)
    named = next((name for name in names if name in file.columns), None)
    if named is None or file.example(lambda files: _found_labels(files, names)) is not None:
        return None
    return file.array(named)


def _labels_of(files: Files, options: SourceOptions, usual: Sequence[str]) -> SourceArray:
    """The labels of a recording, from the first of its files that has some."""
    if isinstance(options.labels, list):
        each = [flat(require_array(files[-1], "labels", name, ())) for name in options.labels]
        if len({array.shape for array in each}) > 1 or len(each[0].shape or ()) != 1:
            shapes = ", ".join(f"{array.where} {array.shape}" for array in each)
            raise SourceError(
                f"The columns of source.labels do not fit side by side: {shapes}. As many rows, "
                "of one value each, are needed."
            )
        return SideBySide(each, 2)
    found = _found_labels(files, usual if options.labels is None else (options.labels,))
    if found is None:
        names = usual if options.labels is None else ()
        found = require_array(files[-1], "labels", options.labels, names)
    if options.lengths is not None and len(found.shape or ()) == 2 and 1 not in (found.shape or ()):
        return Flattened(found)
    return flat(found)


def _found_labels(files: Files, names: Sequence[str]) -> SourceArray | None:
    """The first of these arrays that a file has; y beside an x of one axis is an axis too."""
    for each in files:
        x = each.array("x") if "y" in names else None
        axis = x is not None and len(x.shape or ()) == 1 and len(names) > 1
        likely = [name for name in names if not (axis and name == "y")]
        if (found := find_array(each, "labels", None, likely)) is not None:
            return found
    return None


def _text_list(values: Any) -> tuple[str, ...]:
    array = np.asarray(values).reshape(-1)
    try:
        texts = [value.decode() if isinstance(value, bytes) else value for value in array.tolist()]
    except UnicodeDecodeError as error:
        raise SourceError(
            f"The list of classes is not UTF-8 ({error}). Write it anew, or set "
            'source.classes = "" to use the labels as names.'
        ) from error
    if not all(isinstance(text, str) for text in texts):
        raise SourceError(
            f"The list of classes holds {array.dtype}; strings are needed. Name another dataset "
            'with source.classes, or set source.classes = "" to use the labels as names.'
        )
    return tuple(text.strip(PADDING) for text in texts)
