"""Which labels are classes, and the numbers that classes, groups and parts get."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import GroupError, SourceError, UserError
from headrace.stores.source.arrays import distinct
from headrace.stores.source.derived.held import HeldArray
from headrace.stores.source.interface import SourceArray, SourceNode
from headrace.stores.source.labels.row_labels import LabelStretches
from headrace.stores.source.names import (
    Codes,
    NameColumn,
    OneName,
    matches,
    natural_order,
)
from headrace.stores.source.options import SourceOptions
from headrace.stores.target import UNLABELLED
from headrace.stores.text import shown

OF_NO_CLASS = (UNLABELLED, "-1")
"""What samples of a sequence are called that have no label."""
PARTS = ("train", "test", "validation")
PART_SPELLINGS = {"training": "train", "testing": "test", "val": "validation"}


@dataclass(frozen=True)
class NameColumns:
    """The columns of names of a source; groups and parts where it has them."""

    label: NameColumn | OneName
    group: NameColumn | None
    part: NameColumn | None

    def stored_labels(self) -> list[SourceArray]:
        """The array of labels, if there is one, and what they mean."""
        if not isinstance(self.label, NameColumn):
            return []
        array, meanings = self.label.array, self.label.meanings
        held = {"label_table": [f"{label}\0{name}" for label, name in meanings.items()]}
        if isinstance(array, LabelStretches):  # Its codes say nothing without their names.
            held["label_names"] = [*(self.label.index or ())]
        return [array, *(HeldArray(name, array.where, own) for name, own in held.items() if own)]


class LabelSelection:
    """Which labels are classes: `class_map` and `exclude_labels` of the options."""

    def __init__(self, options: SourceOptions) -> None:
        """Nothing is read yet: names are judged as they are met."""
        self._map = options.class_map
        self._exclude = options.exclude_labels
        stretches = options.intervals is not None or options.label_every_s is not None
        self._between: tuple[str, ...] = (UNLABELLED,) if stretches else ()
        if options.target.kind == "sequence":
            self._between = OF_NO_CLASS
        self._known: dict[str, str | None] = {}

    @property
    def selects(self) -> bool:
        """Whether any label could be left out."""
        return bool(self._map or self._exclude)

    def class_of(self, label: str) -> str | None:
        """The class that `label` belongs to; None if it is left out.

        Raises:
            UserError: `class_map` lists the label in two classes.
        """
        if label not in self._known:
            self._known[label] = self._judge(label)
        return self._known[label]

    def kept(self, labels: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each label belongs to a class, bool."""
        return np.array([self.class_of(label) is not None for label in labels], dtype=bool)

    def order(self, labels: Sequence[str], declared: Sequence[str] | None) -> list[str]:
        """All classes of `labels`: in the order of class_map, else as declared, else natural."""
        found = {name for name in map(self.class_of, labels) if name is not None}
        if self._map:
            return [name for name in self._map if name in found]
        if declared is not None:
            self._require_declared(found, declared)
            return [name for name in dict.fromkeys(declared) if name in found]
        ordered = sorted(found)
        return [ordered[position] for position in natural_order(ordered)]

    def _require_declared(self, found: set[str], declared: Sequence[str]) -> None:
        missing = sorted(found.difference(declared))
        if missing:
            raise SourceError(
                f"The list of classes, {shown(declared)}, lacks {shown(missing)}, which windows "
                'have. Add it, set source.classes = "" to take the labels as they are, or leave '
                f"its windows out: source.exclude_labels = [{missing[0]!r}]."
            )

    def check_patterns(self, labels: Sequence[str]) -> None:
        """Check that every pattern matches one of `labels`: else it is misspelt.

        Raises:
            UserError: names the pattern and the labels there are.
        """
        listed = [
            (f"source.class_map.{name}", pattern)
            for name, patterns in self._map.items()
            for pattern in patterns
        ]
        listed += [("source.exclude_labels", pattern) for pattern in self._exclude]
        for option, pattern in listed:
            if not any(matches(label, pattern) for label in labels):
                raise SourceError(
                    f"{option} lists {pattern!r}, which matches no label. "
                    f"The labels are: {shown(labels)}."
                )

    def _judge(self, label: str) -> str | None:
        if label in self._between or any(matches(label, pattern) for pattern in self._exclude):
            return None
        if not self._map:
            return label
        classes = [
            name
            for name, patterns in self._map.items()
            if any(matches(label, pattern) for pattern in patterns)
        ]
        if len(classes) > 1:
            raise SourceError(
                f"source.class_map lists the label {label!r} in {' and in '.join(classes)}. "
                "Keep it in one class."
            )
        return classes[0] if classes else None


@dataclass(frozen=True)
class Numbering:
    """Names in their final order, and the number of each code (-1: no window has it).

    Attributes:
        names: the names that windows have.
        of_code: (codes,) int32.
    """

    names: tuple[str, ...]
    of_code: Codes


def number_classes(
    labels: Sequence[str],
    used: Codes,
    selection: LabelSelection,
    declared: Sequence[str] | None,
) -> Numbering:
    """Number the classes of the label codes in `used`."""
    order = selection.order([labels[code] for code in used.tolist()], declared)
    number = {name: position for position, name in enumerate(order)}
    of_code = [number.get(selection.class_of(label) or "", -1) for label in labels]
    return Numbering(tuple(order), np.array(of_code, dtype=np.int32))


def number_groups(groups: Sequence[str], used: Codes) -> Numbering:
    """Number the group codes in `used` in natural order."""
    codes = used.tolist()
    order = [codes[position] for position in natural_order([groups[code] for code in codes])]
    of_code = np.full(len(groups), -1, dtype=np.int32)
    of_code[order] = np.arange(len(order), dtype=np.int32)
    return Numbering(tuple(groups[code] for code in order), of_code)


def number_parts(values: Sequence[str], used: Codes, options: SourceOptions) -> Numbering:
    """Number the parts of an official split: train, test, validation, those that are used.

    A source that is added to a store may be of one part; see `require_split`.

    Raises:
        UserError: a value means none of them.
    """
    meaning = {value: _part(value, options.split_names) for value in values}
    found = {meaning[values[code]] for code in used.tolist()}
    if not found <= set(PARTS):
        raise _without_parts(meaning)
    names = tuple(part for part in PARTS if part in found)
    of_code = [names.index(meaning[v]) if meaning[v] in names else -1 for v in values]
    return Numbering(names, np.array(of_code, dtype=np.int32))


def require_split(parts: Collection[str]) -> None:
    """Check that an official split has what training and testing need.

    Raises:
        UserError: it has no train or no test part.
    """
    if parts and not {"train", "test"} <= set(parts):
        raise _without_parts(parts)


def _without_parts(values: Iterable[str]) -> SourceError:
    return SourceError(
        f"The split has the values {shown(sorted(values))}; train and test are needed. Say what "
        'they mean with source.split_names = {"value" = "train", ...}, or set source.split = "" '
        "to ignore it."
    )


@dataclass(frozen=True)
class Names:
    """The final names and numbers of classes, groups and parts."""

    classes: Numbering
    groups: Numbering
    parts: Numbering


def number_names(
    columns: NameColumns,
    used: NDArray[np.int32],
    selection: LabelSelection,
    declared: Sequence[str] | None,
    options: SourceOptions,
) -> Names:
    """Number what the candidates have.

    Args:
        columns: the columns, every row read.
        used: (combinations, 3) codes of label, group and part that occur together; -1 for a
            column that is absent.
        selection: the labels that are kept.
        declared: the names of all classes in the file's order, where it lists them.
        options: for the meaning of the parts.

    Raises:
        UserError: a misspelt label, a split without train and test, a group in two parts.
    """
    labels = columns.label.names
    columns.label.require_sure(selection.class_of)
    selection.check_patterns([*dict.fromkeys([*(declared or ()), *labels])])
    if len(used) == 0:
        raise SourceError(
            f"No window of {columns.label.array.where} has a label that is kept. The labels "
            f"are: {shown(labels)}. Change source.class_map or source.exclude_labels."
        )
    classes = number_classes(labels, np.unique(used[:, 0]), selection, declared)
    nothing = Numbering((), np.zeros(0, dtype=np.int32))
    groups = parts = nothing
    if columns.group is not None:
        groups = number_groups(columns.group.names, np.unique(used[:, 1]))
    if columns.part is not None:
        parts = number_parts(columns.part.names, np.unique(used[:, 2]), options)
    if columns.group is not None and columns.part is not None:
        check_groups_in_one_part(
            groups.of_code[used[:, 1]], parts.of_code[used[:, 2]], groups.names
        )
    return Names(classes, groups, parts)


def combinations(codes: NDArray[np.int32]) -> set[tuple[int, ...]]:
    """The different rows of `codes` (n, 3), entries -1 and up."""
    if len(codes) == 0:
        return set()
    base = codes.max(axis=0).astype(np.int64) + 2
    _, groups, parts = base.tolist()
    key = ((codes[:, 0].astype(np.int64) + 1) * groups + codes[:, 1] + 1) * parts + codes[:, 2] + 1
    keys, _ = distinct(key)
    rows = np.stack([keys // parts // groups, keys // parts % groups, keys % parts], axis=1) - 1
    return {tuple(row) for row in rows.tolist()}


def check_groups_in_one_part(
    groups: NDArray[np.int32], parts: NDArray[np.int32], names: Sequence[str]
) -> None:
    """Check that no group stands in two parts of an official split.

    Args:
        groups: (pairs,) group numbers.
        parts: (pairs,) the part of each.
        names: names of the groups.

    Raises:
        UserError: names the groups.
    """
    pairs = np.unique(np.stack([groups, parts], axis=1), axis=0)
    numbers, counts = np.unique(pairs[:, 0], return_counts=True)
    twice = [names[number] for number in numbers[counts > 1].tolist()]
    if twice:
        raise GroupError(
            f"The official split puts the group {shown(twice)} in two parts: its scores would "
            'leak. Correct the split, or set source.split = "" to ignore it.'
        )


def no_groups(node: SourceNode, usual: Sequence[str]) -> UserError:
    """The error for a source that does not say whom its windows come from."""
    return GroupError(
        f"{node.where} has no groups (looked for {', '.join(usual)}), so train and test "
        f"could share a person or machine. Name one of its datasets ({node.contents()}) with "
        "source.groups; where each file is of one of them, by a field of the files' names, "
        'paths.data = "raw/{subject}.h5"; or set source.split_by_window = true and read the scores '
        "as too high: they leak."
    )


def _part(value: str, names: dict[str, str]) -> str:
    meant = names.get(value)
    if meant is None:
        patterns = (meaning for name, meaning in names.items() if fnmatchcase(value, name))
        meant = next(patterns, value)
    meaning = meant.strip().lower()
    return PART_SPELLINGS.get(meaning, meaning)
