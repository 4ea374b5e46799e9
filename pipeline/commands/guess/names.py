"""Patterns of names: what is constant in them, and what varies and becomes a field."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headrace.pipeline.commands.guess.tokens import TOKEN, apart, end_of, kind_of, segments
from headrace.pipeline.commands.guess.words import (
    ACTIVITIES,
    AXIS_LETTERS,
    FIELD_OF,
    SENSORS,
    TRAIN_OR_TEST,
)
from headrace.stores.source.file_patterns import OUT, PLAIN, compiled

SPECIAL = re.compile(r"[*?\[\]{}]+")
"""What a pattern gives a meaning, and stands for anything in it."""
RESERVED = ("start", "length", "file")
"""Columns of the table of recordings, which no field may be called."""
MOST_SIDE_BY_SIDE = 64
MOST_LEFT_OUT = 0.5
"""Of the recordings that a sensor may lack without being left out itself."""


@dataclass(frozen=True)
class Proposal:
    """Patterns of names.

    Attributes:
        patterns: of files whose channels stand side by side; one of most.
        columns: by field, its value in each of the first pattern's names.
        names: by pattern, those that match it.
        sensors: by pattern, the words that tell it from the others.
        rest: names that no pattern takes.
        prefixed: fields that a word of the names says.
    """

    patterns: tuple[str, ...]
    columns: Mapping[str, list[str]]
    names: tuple[tuple[str, ...], ...]
    sensors: tuple[str, ...] = ("",)
    rest: tuple[str, ...] = ()
    prefixed: frozenset[str] = frozenset()


_Fields = list[tuple[tuple[int, int], str, bool]]


@dataclass
class _Family:
    """Names of one shape, in tokens; (names, tokens)."""

    names: list[str]
    tokens: list[list[str]] = field(default_factory=list)

    def column(self, place: int) -> list[str]:
        return [row[place] for row in self.tokens]


def propose(names: Sequence[str], labelled: bool) -> Proposal | None:
    """The patterns of most names that are alike; None: no two are.

    Args:
        names: with slashes; all of one kind of file.
        labelled: whether labels are known: then no word of a name is taken for one.
    """
    families: dict[tuple[str, ...], _Family] = {}
    for name in names:
        tokens = TOKEN.findall(name)
        shape = tuple(kind_of(token) for token in tokens)
        families.setdefault(shape, _Family([])).names.append(name)
        families[shape].tokens.append(tokens)
    if not families:
        return None
    family = max(families.values(), key=lambda each: len(each.names))
    combinations = _by_sensor(family)
    fields, patterns, found = _widest(family, combinations, labelled, names)
    kept = _complete(found)
    patterns = [patterns[n] for n in kept]
    matched = [found[n] for n in kept]
    taken = {name for each in matched for name in each.values()}
    # In the order of the names, which is that of the first pattern's keys.
    keys = sorted(matched[0], key=lambda key: matched[0][key])
    named = _names_of(patterns[0])
    sensors = [_label(list(combinations)[n], list(combinations)) for n in kept]
    return Proposal(
        tuple(patterns),
        {name: [key[n] for key in keys] for n, name in enumerate(named)},
        tuple(tuple(each[key] for key in keys if key in each) for each in matched),
        tuple(sensors),
        tuple(name for name in names if name not in taken),
        frozenset(name for _, name, sure in fields if sure),
    )


def training_alone(names: Sequence[str]) -> list[str]:
    """Names without those of test, where files of a third kind are called alike: RUL_FD001.

    No pattern takes train and test, and not the third.
    """
    tokens = {name: TOKEN.findall(name) for name in names}
    kinds: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[str, str]] = {}
    for name, found in tokens.items():
        for at, token in enumerate(found):
            if token.isalpha():
                key = tuple(found[:at]), tuple(found[at + 1 :])
                kinds.setdefault(key, {})[token.lower()] = name
    left_out: set[str] = set()
    for each in kinds.values():
        if len(each) > len(TRAIN_OR_TEST & set(each)) > 1:
            left_out |= {name for word, name in each.items() if not word.startswith("train")}
    return [name for name in names if name not in left_out]


def _widest(
    family: _Family,
    combinations: Mapping[tuple[str, ...], Sequence[int]],
    labelled: bool,
    names: Sequence[str],
) -> tuple[_Fields, list[str], list[dict[tuple[str, ...], str]]]:
    """The fields that take most names: a number that is one in names of this shape may vary."""

    def tried(loose: frozenset[int]) -> tuple[_Fields, list[str], list[dict[tuple[str, ...], str]]]:
        fields = _fields(family, combinations, labelled, loose)
        patterns = [_pattern(family, rows[0], fields) for rows in combinations.values()]
        return fields, patterns, _matched(patterns, names)

    best, loose = tried(frozenset()), frozenset[int]()
    numbers = [n for n, token in enumerate(family.tokens[0][:-1]) if kind_of(token) == "0"]
    for place in numbers if sum(map(len, best[2])) < len(names) else ():
        other = tried(loose | {place})
        if sum(map(len, other[2])) > sum(map(len, best[2])):
            best, loose = other, loose | {place}
    return best


def literal(text: str) -> str:
    """A pattern of one name: what would mean something in it stands for anything."""
    return SPECIAL.sub("*", text)


def _by_sensor(family: _Family) -> dict[tuple[str, ...], list[int]]:
    """Rows of the names by their words of sensors: each combination is a pattern."""
    count = len(family.tokens[0])
    places = [
        place
        for place in range(count)
        if family.tokens[0][place][0].isalpha() and _are_sensors(family.column(place))
    ]
    whole = [place for place in range(count) if not places and _are_files(family, place)]
    places = places or whole[:1]
    found: dict[tuple[str, ...], list[int]] = {}
    for row, tokens in enumerate(family.tokens):
        if whole and tokens[whole[0]].lower() not in SENSORS:
            continue
        found.setdefault(tuple(tokens[place] for place in places), []).append(row)
    if len(found) > MOST_SIDE_BY_SIDE:
        return {(): list(range(len(family.names)))}
    return found


def _are_files(family: _Family, place: int) -> bool:
    """Whether most files are called after their sensors alone, in folders: S01/ACC.csv."""
    tokens = family.tokens[0]
    if not 0 < place < len(tokens) - 1 or tokens[place - 1] != "/" or tokens[place + 1] != ".":
        return False
    words = {each.lower() for each in family.column(place)}
    return len(words & SENSORS) >= 2 and len(words) < 2 * len(words & SENSORS)


def _are_sensors(words: Sequence[str]) -> bool:
    different = {each.lower() for each in words}
    if len(different) < 2:
        return False
    return different <= SENSORS or different <= AXIS_LETTERS


def _fields(
    family: _Family,
    combinations: Mapping[tuple[str, ...], Sequence[int]],
    labelled: bool,
    loose: frozenset[int],
) -> _Fields:
    """Tokens (first, stop) that vary, the field that they are, and whether a word says so."""
    rows = [family.tokens[row] for rows in combinations.values() for row in rows]
    fixed = {
        place
        for place in range(len(rows[0]))
        if place not in loose
        and all(
            len({family.tokens[row][place] for row in members}) == 1
            for members in combinations.values()
        )
    }
    spans = [
        (vary[0], end_of(vary, segment, rows[0]))
        for segment in segments(rows[0])
        for vary in apart([place for place in segment if place not in fixed], rows[0])
    ]
    values = {span: ["".join(tokens[slice(*span)]) for tokens in rows] for span in spans}
    named: dict[tuple[int, int], tuple[str, bool]] = {}
    # What a word says first: what is left is guessed beside it.
    for certain in (True, False):
        for span in spans:
            same = next((each for each in named if values[each] == values[span]), None)
            taken = [name for name, _ in named.values()]
            if span in named:
                continue
            if same is not None:
                named[span] = named[same]
            elif certain and (said := _said(span, values[span], rows[0])) is not None:
                named[span] = _free(said, taken), True
            elif not certain:
                unnamed = {each: values[each] for each in spans if each not in named}
                named[span] = _guessed(span, unnamed, taken, labelled)
    return [(span, *named[span]) for span in spans]


def _said(span: tuple[int, int], own: Sequence[str], tokens: Sequence[str]) -> str | None:
    """The field that a word says, which stands before a number or begins each value."""
    first = span[0]
    if {each.lower() for each in own} <= TRAIN_OR_TEST:
        return "split"
    if not all(each.isdecimal() for each in own):
        begins = [re.match(r"[^\W\d_]*(?=\d)", each) for each in own]
        said = {FIELD_OF.get(each[0].lower()) if each else None for each in begins}
        return said.pop() if len(said) == 1 else None
    before = first - 1
    # Of sub-01 and user_3 the word stands before a separator.
    if before >= 1 and tokens[before] in "-_ =" and tokens[before - 1].isalpha():
        before -= 1
    if before < 0 or not tokens[before].isalpha():
        return None
    said_word = tokens[before].lower()
    return FIELD_OF.get(said_word) or FIELD_OF.get(said_word.removesuffix("s"))


def _guessed(
    span: tuple[int, int],
    values: Mapping[tuple[int, int], Sequence[str]],
    taken: Sequence[str],
    labelled: bool,
) -> tuple[str, bool]:
    """What a field is called that no word names, and whether its values say so."""
    if all(each.isdecimal() for each in values[span]):
        many = len(set(values[span])) > 2
        return _free("subject" if many and "subject" not in taken else "trial", taken), False
    words = [each for each in values if not all(v.isdecimal() for v in values[each])]
    if _done(values[span]) > 0.5:
        return _free("activity", taken), True
    likeliest = max(words, key=lambda each: _done(values[each])) == span
    if not labelled and likeliest and "activity" not in taken:
        return "activity", False
    return _free("recording" if "subject" in taken else "subject", taken), False


def _done(values: Sequence[str]) -> float:
    """Share of different values that say what was done."""
    different = set(values)
    return sum(bool(ACTIVITIES.search(each)) for each in different) / len(different)


def _free(name: str, taken: Sequence[str]) -> str:
    """`name`, or with a number behind it."""
    found, number = name, 1
    while found in taken or found in RESERVED:
        number += 1
        found = f"{name}{number}"
    return found


def _pattern(family: _Family, row: int, fields: _Fields) -> str:
    tokens, starts = family.tokens[row], {span[0]: (span[1], name) for span, name, _ in fields}
    found, place = [], 0
    while place < len(tokens):
        if place in starts:
            stop, name = starts[place]
            found.append(f"{{{name}}}")
            place = stop
        else:
            found.append(literal(tokens[place]))
            place += 1
    pattern = re.sub(r"\*+", "*", "".join(found))
    return PLAIN[:-1] + pattern if pattern.startswith(OUT) else pattern


def _names_of(pattern: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"\{([^{}]*)\}", pattern)))


def _matched(patterns: Sequence[str], names: Sequence[str]) -> list[dict[tuple[str, ...], str]]:
    """By pattern, the names that match it by their fields' values; none that an earlier one has."""
    fields = _names_of(patterns[0])
    found = []
    for pattern in patterns:
        expression = compiled(pattern)
        matched: dict[tuple[str, ...], str] = {}
        for name in names:
            match = expression.fullmatch(name)
            if match is not None:
                matched.setdefault(tuple(match[each] for each in fields) or (name,), name)
        found.append(matched)
    return found


def _complete(found: Sequence[Mapping[tuple[str, ...], str]]) -> list[int]:
    """The patterns that most recordings have a file of."""
    counts = Counter(key for matched in found for key in matched)
    most = max(len(matched) for matched in found)
    kept = [n for n, matched in enumerate(found) if len(matched) > MOST_LEFT_OUT * most]
    return kept if counts else [0]


def _label(combination: tuple[str, ...], all_of_them: Sequence[tuple[str, ...]]) -> str:
    """What tells a sensor's files from the others': its words, each once, that differ."""
    varying = [
        word
        for place, word in enumerate(combination)
        if len({each[place] for each in all_of_them}) > 1
    ]
    return "_".join(dict.fromkeys(word.lower() for word in varying))
