"""Recordings within one file: groups such as subject_01/trial_3/acc, each a recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

from headrace.pipeline.commands.guess.channels import tell_channels
from headrace.pipeline.commands.guess.columns import (
    NO_GROUPS,
    by_words,
    tell_labels,
    tell_slow_labels,
)
from headrace.pipeline.commands.guess.data import (
    CLEARLY_LONGER,
    MOST_CHANNELS,
    SHORTEST_SIGNAL,
    Data,
)
from headrace.pipeline.commands.guess.facts import Guess, few, listed_values, plain
from headrace.pipeline.commands.guess.folder import GROUP_FIELDS
from headrace.pipeline.commands.guess.names import Proposal, propose
from headrace.pipeline.commands.guess.rate import tell_rate
from headrace.pipeline.commands.guess.rates import lasting_alike, tell_rates
from headrace.pipeline.commands.guess.time_columns import times_among
from headrace.pipeline.commands.guess.words import (
    GROUP_WORDS,
    LABEL_WORDS,
    TIME_WORDS,
    joined,
    word,
)
from headrace.stores.source.probe.found import FoundArray, FoundFile
from headrace.stores.source.signals import names_of


def guess_nested(file: FoundFile) -> Guess | None:
    """What a file of many recordings seems to be; None: its arrays are of all recordings."""
    arrays = {each.name: each for each in file.arrays}
    names = [each.name for each in file.arrays if _may_be_signals(each)]
    proposal = propose(names, labelled=_has_labels(file)) if len(names) > 1 else None
    if proposal is None or not proposal.columns or len(proposal.names[0]) < 2:
        return None
    proposal = _of_trials(proposal, arrays)
    turned = _are_turned([arrays[name] for names in proposal.names for name in names])
    if turned:
        arrays = {name: replace(each, shape=each.shape[::-1]) for name, each in arrays.items()}
    first = arrays[proposal.names[0][0]]
    apart = any("/" in pattern.partition("}")[2] for pattern in proposal.patterns)
    lengths = {_rows(arrays[name]) for name in proposal.names[0]}
    if not apart and (len(first.shape) < 2 or len(lengths) == 1):
        return None
    guess = Guess()
    firsts = [arrays[each[0]] for each in proposal.names]
    lasting = lasting_alike(firsts, list(map(_rows, firsts)))
    kept = lasting.places
    examples = [firsts[n] for n in kept]
    first = max(examples, key=_rows)
    patterns = [proposal.patterns[n] for n in kept]
    fields = "; ".join(
        f"{name}: {listed_values(list(dict.fromkeys(values)))}"
        for name, values in proposal.columns.items()
    )
    guess.source["signals"] = (
        patterns if len(patterns) > 1 else patterns[0],
        f"{len(proposal.names[0]):,} recordings; {fields}",
    )
    if turned:
        shown = f"{first.shape[1]} channels of {first.shape[0]:,} samples"
        guess.source["axes"] = (["channel", "row"], f"??? {shown}")
        guess.unsure.append(f"that {first.name} has {shown} (axes).")
    beside = _beside(file, first)
    times = times_among(beside)
    _tell_labels(guess, proposal, beside, first, arrays)
    _tell_groups(guess, proposal, arrays)
    channels = sum(each.shape[1] if len(each.shape) > 1 else 1 for each in examples)
    titles = _titles(proposal, examples, kept)
    data = Data("signals", tuple(patterns), first, _rows(first), channels, (), None, times)
    if lasting.rates_hz:
        tell_rates(guess, lasting, patterns)
        rate = lasting.highest
    else:
        rate = tell_rate(guess, [file], first, times)
    if times is not None and "time" in guess.source:
        name, comment = guess.source["time"]
        names = [_with_fields(each, patterns[0]) for each in names_of(name)]
        guess.source["time"] = (names if len(names) > 1 else names[0], comment)
    _tell_slow_labels(guess, file, proposal, first, rate)
    tell_channels(guess, data, titles)
    return guess


def _of_trials(proposal: Proposal, arrays: Mapping[str, FoundArray]) -> Proposal:
    """`proposal`, whose numbers are of trials where something in each group says whose it is."""
    guessed = "subject" in proposal.columns and "subject" not in proposal.prefixed
    if not guessed or "trial" in proposal.columns or not _of_each(proposal, arrays, GROUP_WORDS):
        return proposal
    return replace(
        proposal,
        patterns=tuple(each.replace("{subject}", "{trial}") for each in proposal.patterns),
        columns={
            "trial" if name == "subject" else name: values
            for name, values in proposal.columns.items()
        },
    )


def _of_each(
    proposal: Proposal, arrays: Mapping[str, FoundArray], words: Sequence[str]
) -> tuple[str, str] | None:
    """The array of one value in each recording's group that is called so: a pattern, its values.

    The first word that one is called by counts: subject comes before session.
    """
    folders = [name.rpartition("/")[0] for name in proposal.names[0]]
    found = [
        name.rpartition("/")[2]
        for name, each in arrays.items()
        if name.rpartition("/")[0] == folders[0] and prod(each.shape) == 1
    ]
    for each in words:
        for leaf in found:
            if joined(leaf) != joined(each):
                continue
            values = [arrays.get(f"{folder}/{leaf}") for folder in folders]
            told = [str(plain(v.values[0])) for v in values if v is not None and v.values]
            if len(set(told)) > 1:
                name = _with_fields(leaf, proposal.patterns[0])
                return name, listed_values(list(dict.fromkeys(told)))
    return None


def _are_turned(found: Sequence[FoundArray]) -> bool:
    """Whether arrays are (channel, row): few rows of as many each, and far more columns."""
    shapes = [each.shape for each in found]
    if any(len(shape) != 2 for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
        return False
    return all(rows > 1 and CLEARLY_LONGER * rows <= columns for rows, columns in shapes)


def _may_be_signals(found: FoundArray) -> bool:
    if found.kind not in "fiu" or word(found.name) in (*LABEL_WORDS, *GROUP_WORDS, *TIME_WORDS):
        return False
    if len(found.shape) == 2 and not found.is_flat:
        return min(found.shape) <= MOST_CHANNELS and max(found.shape) >= SHORTEST_SIGNAL
    return bool(found.shape) and found.is_flat and found.rows >= SHORTEST_SIGNAL


def _rows(found: FoundArray) -> int:
    return found.rows if found.is_flat else found.shape[0]


def _has_labels(file: FoundFile) -> bool:
    return any(word(each.name) in LABEL_WORDS for each in file.arrays)


def _beside(file: FoundFile, first: FoundArray) -> list[FoundArray]:
    """What stands in the group of an array and has one value a row of it."""
    folder = first.name.rpartition("/")[0]
    return [
        each
        for each in file.arrays
        if each is not first
        and each.name.rpartition("/")[0] == folder
        and each.shape
        and each.is_flat
        and each.rows == _rows(first)
    ]


def _tell_slow_labels(
    guess: Guess, file: FoundFile, proposal: Proposal, first: FoundArray, rate_hz: float | None
) -> None:
    """Labels every so many seconds, in the groups of the recordings or beside them."""
    found = tell_slow_labels(guess, file.arrays, _rows(first), rate_hz)
    if found is None:
        return
    leaf = word(found.name)
    names = [each.name for each in file.arrays if word(each.name) == leaf]
    own = propose(names, labelled=True)
    if own is not None and set(own.columns) == set(proposal.columns):
        guess.source["labels"] = (own.patterns[0], guess.source["labels"][1])


def _with_fields(name: str, pattern: str) -> str:
    """A name beside an array, with the fields of the array's own."""
    folder = pattern.rpartition("/")[0]
    leaf = name.rpartition("/")[2]
    return f"{folder}/{leaf}" if folder else leaf


def _tell_labels(
    guess: Guess,
    proposal: Proposal,
    beside: Sequence[FoundArray],
    first: FoundArray,
    arrays: Mapping[str, FoundArray],
) -> None:
    labels = by_words(beside, LABEL_WORDS)
    each = _of_each(proposal, arrays, LABEL_WORDS) if labels is None else None
    if each is not None:
        guess.source["labels"] = (each[0], f"of each recording: {each[1]}")
        return
    if labels is None and "activity" in proposal.columns:
        values = list(dict.fromkeys(proposal.columns["activity"]))
        guess.source["label_column"] = ("activity", f"from the names: {listed_values(values)}")
        return
    tell_labels(guess, beside, "row", first.attributes.get("classes"))
    name = guess.value("labels")
    if name is not None:
        comment = guess.source["labels"][1]
        guess.source["labels"] = (_with_fields(name, proposal.patterns[0]), comment)


def _tell_groups(guess: Guess, proposal: Proposal, arrays: Mapping[str, FoundArray]) -> None:
    each = _of_each(proposal, arrays, GROUP_WORDS)
    if each is not None and "subject" not in proposal.columns:
        guess.source["groups"] = (each[0], f"of each recording: {each[1]}")
        return
    for field in GROUP_FIELDS:
        if field in proposal.columns:
            values = list(dict.fromkeys(proposal.columns[field]))
            guess.source["groups"] = (field, f"from the names: {listed_values(values)}")
            if field != "subject" or field not in proposal.prefixed:
                guess.unsure.append(f"that {few(values, 4)} tells people or machines apart.")
            return
    fields = ", ".join(proposal.columns)
    guess.source["groups"] = (
        None,
        f"person or machine: one of {fields}. {NO_GROUPS}",
    )
    guess.unsure.append("whom the recordings come from, as folds are made of whole people.")


def _titles(
    proposal: Proposal, examples: Sequence[FoundArray], kept: Sequence[int]
) -> list[str] | None:
    if len(examples) == 1:
        return None
    leaves = [each.name.rpartition("/")[2] for each in examples]
    if all(each.is_flat for each in examples) and len(set(leaves)) == len(leaves):
        return leaves
    found = []
    for number, each in zip(kept, examples, strict=True):
        sensor = proposal.sensors[number]
        count = each.shape[1] if len(each.shape) > 1 else 1
        axes = list("xyz") if count == 3 else list(map(str, range(count)))
        found += [sensor] if count == 1 else [f"{sensor}_{axis}" for axis in axes]
    return found
