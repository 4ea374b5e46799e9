"""Files beside the recordings that say something of them: intervals, labels, names of labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from headrace.pipeline.commands.guess.columns import MOST_CLASSES
from headrace.pipeline.commands.guess.data import Data
from headrace.pipeline.commands.guess.facts import Guess, values_of
from headrace.pipeline.commands.guess.names import Proposal, literal
from headrace.pipeline.commands.guess.rate import known_rate_of
from headrace.pipeline.commands.guess.words import GROUP_WORDS, LABEL_WORDS, joined
from headrace.stores.source.file_patterns import compiled
from headrace.stores.source.probe.found import FoundArray, FoundFile

STARTS = ("start", "begin", "onset", "from", "first", "t0", "starttime", "startsample", "tstart")
STOPS = (
    "stop",
    "end",
    "to",
    "until",
    "last",
    "t1",
    "endtime",
    "stoptime",
    "endsample",
    "tend",
    "offset",
)
COUNTED = re.compile(r"[\W_]+(ms|s|secs?|seconds?|msecs?|milliseconds?)\W*$", re.IGNORECASE)
"""What starts and stops count, at the end of their names: start_s, end (ms)."""
FEWEST = 2
"""Columns of intervals without a name: start, stop and label."""

FEW_ROWS, ROUNDED = 5, 1.05
"""Rows for each unit of whole numbers that may be seconds; how far the last may be rounded up."""


def tell_beside(guess: Guess, proposal: Proposal, data: Data, rest: Sequence[FoundFile]) -> bool:
    """Write down what files beside the recordings say; True: they hold the labels."""
    found = False
    for file in rest:
        if file.arrays and not found and tell_intervals(guess, proposal, data, file):
            found = True
    for file in rest:
        found = _tell_column(guess, proposal, data, file) or found
    for file in rest:
        _tell_names(guess, file)
    return found


def _columns(file: FoundFile) -> list[FoundArray]:
    return [each for each in file.arrays if each.shape and len(each.shape) == 1]


def tell_intervals(guess: Guess, proposal: Proposal, data: Data, file: FoundFile) -> bool:
    """A table of labelled intervals: a start, a stop after it, a label, and whose it is."""
    columns = _columns(file)
    if len(columns) < FEWEST + 1 or data.key == "windows" or file.format != "text":
        return False
    meant: dict[str, str] = {}
    start, stop = _ends(columns)
    if start is None or stop is None:
        return False
    meant[start.name], meant[stop.name] = "start", "stop"
    for name, values in _by_match(columns, {**proposal.columns, "file": proposal.names[0]}):
        if name not in meant and values not in meant.values():
            meant[name] = values
    open_ones = [each for each in columns if each.name not in meant and each.values]
    named = [each for each in open_ones if joined(each.name) in LABEL_WORDS]
    label = next(iter(named), None) or min(
        open_ones, key=lambda each: len(each.values or ()), default=None
    )
    if label is None:
        return False
    meant[label.name] = "label"
    names = [meant.get(each.name, f"column{n}") for n, each in enumerate(columns)]
    unit, first = _unit(start, stop, data)
    table: dict[str, object] = {"file": file.name}
    if names != [each.name for each in columns]:
        table["columns"] = names
    table["unit"] = unit
    last_included = unit == "rows" and _includes_stop(start, stop)
    if last_included and (start.least or 0) > 0:
        first = 1  # Who counts so counts from 1, as MATLAB does.
    if unit == "rows" and first:
        table["first"] = first
    if last_included:
        table["inclusive"] = True
    guess.source["intervals"] = (table, f"labelled stretches: {values_of(label)}")
    counted = f"{unit}{f' from {first} on' if unit == 'rows' else ''}"
    guess.unsure.append(
        f"that {file.name} holds intervals, in {counted}, and their stop is "
        f"{'the last row of them' if last_included else 'not part of them'}."
    )
    return True


def _ends(columns: Sequence[FoundArray]) -> tuple[FoundArray | None, FoundArray | None]:
    """The columns of starts and stops: by name, else two that follow each other and rise."""
    named = {joined(COUNTED.sub("", each.name)): each for each in columns}
    start = next((named[each] for each in STARTS if each in named), None)
    stop = next((named[each] for each in STOPS if each in named), None)
    if start is not None and stop is not None:
        return start, stop
    if not all(each.name.isdecimal() for each in columns):
        return None, None
    for one, other in pairwise(columns):
        if (
            one.is_number
            and other.is_number
            and one.values is None
            and other.values is None
            and None not in (one.least, other.least)
            and all(a <= b for a, b in zip(one.first, other.first, strict=True))
        ):
            return one, other
    numbers = [each for each in columns if each.is_number]
    # Starts and stops have more values than labels and numbers of people, which stand beside them.
    for one, other in sorted(pairwise(numbers), key=lambda pair: -min(map(_count, pair))):
        pairs = list(zip(one.first, other.first, strict=False))
        if pairs and all(a < b for a, b in pairs) and (other.most or 0) > 10 * len(columns):
            return one, other
    return None, None


def _count(column: FoundArray) -> float:
    """Different values."""
    return float("inf") if column.values is None else len(column.values)


def _by_match(
    columns: Sequence[FoundArray], fields: Mapping[str, Sequence[str]]
) -> list[tuple[str, str]]:
    """Columns whose values are those of a field of the names, or called like one."""
    found: list[tuple[float, str, str]] = []
    for column in columns:
        own = {plain(value) for value in column.values or ()}
        for name, values in fields.items():
            theirs = {plain(value) for value in values}
            if joined(column.name) == joined(name):
                found.append((2.0, column.name, name))
            elif own and own <= theirs:
                found.append((len(own) / len(theirs), column.name, name))
    found.sort(key=lambda each: -each[0])
    given: dict[str, str] = {}
    for _, column_name, field in found:
        if column_name not in given and field not in given.values():
            given[column_name] = field
    return list(given.items())


def plain(value: object) -> str:
    """A value of a column as names of files have it: 1.0 and 01 are 1."""
    text = str(int(value)) if isinstance(value, float) and value == int(value) else str(value)
    return str(int(text)) if text.isdecimal() else text


def _unit(start: FoundArray, stop: FoundArray, data: Data) -> tuple[str, int]:
    """What starts and stops count, and the number of the first row."""
    said = COUNTED.search(start.name)
    if said is not None:
        return "ms" if said[1].lower().startswith("m") else "s", 0
    if not (start.whole and stop.whole):
        return "s", 0
    last = stop.most or 0
    if last > 20 * data.rows:
        return "ms", 0
    rate = known_rate_of(data.array, data.times)
    # Who labels whole seconds ends within the recording, and far before its last row.
    if rate is not None and last < data.rows / FEW_ROWS and last <= ROUNDED * data.rows / rate:
        return "s", 0
    return "rows", 0 if start.least == 0 else 1 if start.least == 1 else 0


def _includes_stop(start: FoundArray, stop: FoundArray) -> bool:
    """Whether stops are last rows: the next start follows, or rows count from 1, as in MATLAB."""
    steps = [b - a for a, b in zip(stop.first, start.first[1:], strict=False)]
    return 0 not in steps and (1 in steps or start.least == 1)


def _tell_column(guess: Guess, proposal: Proposal, data: Data, file: FoundFile) -> bool:
    """A file beside each recording with a label, or a group, for each of its rows."""
    columns = [each for each in file.arrays if each.shape and each.is_flat]
    single = [each for each in columns if each.rows == data.rows]
    base = joined(re.sub(r"\.[^.]*$", "", file.name.rpartition("/")[2]))
    if not single:
        return False
    if len(columns) > 2:
        return base.startswith("label") and _tell_table_of_labels(guess, proposal, file, single)
    pattern = as_pattern(file.name, proposal)
    key = None
    if base.startswith(("y", "label", "activit", "class", "target")):
        key = "labels_file"
    elif any(base.startswith(each) for each in GROUP_WORDS if len(each) > 3):
        key = "groups_file"
    if key is None or pattern is None or key in guess.source:
        return False
    guess.source[key] = (pattern, f"one for each of the data: {values_of(single[0])}")
    return key == "labels_file"


def _tell_table_of_labels(
    guess: Guess, proposal: Proposal, file: FoundFile, columns: Sequence[FoundArray]
) -> bool:
    """A table beside each recording with times, and labels of several kinds, for each row."""
    labels = next((each for each in columns if 1 < len(each.values or ()) <= MOST_CLASSES), None)
    pattern = as_pattern(file.name, proposal) or as_pattern(file.name, proposal, whole=False)
    if labels is None or pattern is None or "labels_file" in guess.source:
        return False
    guess.source["labels_file"] = (pattern, "labels of each row beside each recording")
    guess.source["labels"] = (labels.name, values_of(labels))
    guess.unsure.append(f"that column {labels.name} of {file.name} holds the labels.")
    return True


def as_pattern(name: str, proposal: Proposal, whole: bool = True) -> str | None:
    """A name with the fields of a recording's own in place of their values; None: it has none.

    Args:
        name: of a file beside the recordings.
        proposal: their patterns.
        whole: whether it has to have each field; else it has some, as many as it can.
    """
    fields = list(proposal.columns)
    best: tuple[int, str | None] = (0, None)
    for at in range(len(proposal.names[0])):
        values = {proposal.columns[field][at]: field for field in fields}
        expression = "|".join(map(_alone, values))
        parts, found = re.split(expression, name), re.findall(expression, name)
        if set(found) == set(values) or (not whole and len(set(found)) > best[0]):
            pattern = literal(parts[0]) + "".join(
                f"{{{values[each]}}}{literal(part)}"
                for each, part in zip(found, parts[1:], strict=True)
            )
            if compiled(pattern).fullmatch(name):
                best = len(set(found)), pattern
                if whole:
                    break
    return best[1]


def _alone(value: str) -> str:
    """A value in a name: of digits between others, else between what is no letter or digit."""
    if value.isdecimal():
        return rf"(?<!\d){value}(?!\d)"
    return rf"(?<![^\W_]){re.escape(value)}(?![^\W_])"


def _tell_names(guess: Guess, file: FoundFile) -> None:
    """A table of what labels mean: a number and a name a row."""
    columns = _columns(file)
    base = joined(file.name.rpartition("/")[2])
    texts = [each for each in columns if each.kind in "SOU"]
    if len(columns) == 2 and len(texts) == 1 and ("label" in base or "activit" in base):
        guess.source.setdefault("label_table", ({"file": file.name}, values_of(texts[0])))
