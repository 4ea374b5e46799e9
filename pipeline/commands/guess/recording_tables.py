"""A table beside the recordings with a row for each of them, or for each person: `source.table`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.pipeline.commands.guess.beside import plain
from headrace.pipeline.commands.guess.columns import NO_LABELS
from headrace.pipeline.commands.guess.facts import Guess, few, values_of
from headrace.pipeline.commands.guess.names import RESERVED, Proposal
from headrace.pipeline.commands.guess.words import (
    DOUBTED_GROUPS,
    GROUP_WORDS,
    LABEL_WORDS,
    joined,
    word,
)
from headrace.stores.source.probe.found import FoundArray, FoundFile

LABELLED = ("labels", "label_column", "intervals", "labels_file", "label_every_s")
NAMING = re.compile(
    r"(id|name|number)$|subj|particip|patient|person|user|record|file|machine|bearing|engine",
    re.IGNORECASE,
)
"""In names of columns that say which person or recording a row is of."""
MEANING = re.compile(r"label|class|activ|event|gesture|state", re.IGNORECASE)
"""In names of columns of what labels mean."""
MOST_LACKING = 2
"""As many rows, for each recording that is there, has a table of a part of the recordings."""
FIELDS = "{}"
"""What no name of a field holds."""


@dataclass(frozen=True)
class _Key:
    """A column of a table that says which recording a row is of.

    Attributes:
        column: it.
        field: of the patterns, whose values it has.
        prefix: what stands before these in it: sub-01.
    """

    column: FoundArray
    field: str
    prefix: str = ""


def tell_table(guess: Guess, proposal: Proposal, rest: Sequence[FoundFile]) -> None:
    """Write down a table that says whose the recordings are, or what was done in them."""
    used = [guess.value(key) or {} for key in ("intervals", "label_table")]
    for file in rest:
        if any(each.get("file") == file.name for each in used):
            continue
        columns = [each for each in file.arrays if len(each.shape) == 1]
        if file.format != "text" or all(each.name.isdecimal() for each in columns):
            continue
        key = _key(columns, proposal, guess.value("groups"))
        patterns = None if key is None else _renamed(proposal, key)
        if key is None or patterns is None:
            continue
        others = [each for each in columns if each is not key.column]
        group, label = _called(others, GROUP_WORDS), _called(others, LABEL_WORDS)
        lacking = all(guess.value(each) is None for each in LABELLED)
        if group is None and not lacking:
            continue
        comment = guess.source["files"][1].replace(f" {key.field}: ", f" {key.column.name}: ")
        guess.source["files"] = (patterns, comment)
        guess.source["table"] = (file.name, f"a row for each {key.column.name}")
        guess.unsure.append(f"that {file.name} says more of each {key.column.name}.")
        _tell_groups(guess, key, group)
        if lacking:
            _tell_label(guess, file, label, others)
        return


def _called(columns: Sequence[FoundArray], words: Sequence[str]) -> FoundArray | None:
    named = {word(each.name): each for each in columns if word(each.name) not in DOUBTED_GROUPS}
    return next((named[joined(each)] for each in words if joined(each) in named), None)


def _key(columns: Sequence[FoundArray], proposal: Proposal, groups: str | None) -> _Key | None:
    """The column that has each value of a field, and each once; called like it, or the first."""
    found = [
        _Key(column, field, prefix)
        for column in columns
        if NAMING.search(column.name) and not MEANING.search(column.name)
        for field, values in proposal.columns.items()
        if field == groups or 1 < len(set(values)) == len(values)
        if len(set(values)) > 1 and (prefix := _prefix(column, values)) is not None
    ]
    called = [each for each in found if joined(each.column.name) == joined(each.field)]
    most = sorted(found, key=lambda each: -len(set(proposal.columns[each.field])))
    return next(iter([*called, *most]), None)


def _prefix(column: FoundArray, values: Sequence[str]) -> str | None:
    """What the column has before the values of a field; None: it has not each of them once."""
    theirs = {plain(each) for each in values}
    if MOST_LACKING * len(theirs) < column.rows:
        return None
    if column.values is None:
        numbers = [int(each) for each in theirs if each.isdecimal()]
        counted = column.whole and column.rises and column.still == 0
        if not counted or len(numbers) < len(theirs):
            return None
        inside = (column.least or 0) <= min(numbers) and max(numbers) <= (column.most or 0)
        return "" if inside else None
    own = {plain(each) for each in column.values}
    if len(own) < column.rows:
        return None
    if theirs <= own:
        return ""
    first, whole = values[0], set(map(str, column.values))
    before = {each.removesuffix(first) for each in whole if each.endswith(first)}
    fitting = (each for each in sorted(before) if {each + value for value in values} <= whole)
    return next(fitting, None)


def _renamed(proposal: Proposal, key: _Key) -> list[str] | None:
    """The patterns with the field called as the column is; None: it cannot be."""
    name, field = key.column.name, f"{key.prefix}{{{key.field}}}"
    if name in RESERVED or any(each in name for each in FIELDS) or not name.isidentifier():
        return None
    if name != key.field and name in proposal.columns:
        return None
    renamed = [pattern.replace(field, f"{{{name}}}") for pattern in proposal.patterns]
    left = name != key.field and any(f"{{{key.field}}}" in each for each in renamed)
    return None if left or f"{{{name}}}" not in renamed[0] else renamed


def _tell_groups(guess: Guess, key: _Key, group: FoundArray | None) -> None:
    """The table's column of people, or the field by its new name."""
    told = guess.source.get("groups")
    if group is not None and told is not None and told[0] in (None, key.field):
        guess.source["groups"] = (group.name, f"of the table: {values_of(group)}")
        guess.unsure = [
            doubt
            for doubt in guess.unsure
            if "tells people or machines apart" not in doubt and not doubt.startswith("whom ")
        ]
        return
    for each in ("groups", "label_column", "split"):
        if guess.value(each) == key.field:
            guess.source[each] = (key.column.name, guess.source[each][1])


def _tell_label(
    guess: Guess, file: FoundFile, label: FoundArray | None, others: Sequence[FoundArray]
) -> None:
    guess.unsure = [doubt for doubt in guess.unsure if not doubt.startswith(NO_LABELS)]
    if label is not None:
        guess.source.pop("labels", None)
        guess.source["label_column"] = (label.name, f"of the table: {values_of(label)}")
        guess.unsure.append(f"that {label.name} of {file.name} holds the labels.")
        return
    named = few([each.name for each in others], 8)
    guess.source.pop("labels", None)
    guess.source["label_column"] = (None, f'a column of the table: {named}; or labels = ""')
    guess.unsure.append(f"{NO_LABELS}: perhaps in a column of {file.name}: {named}.")
