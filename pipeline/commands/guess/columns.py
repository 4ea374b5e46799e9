"""Labels, groups and split: columns beside the data, of one value a window, row or recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.pipeline.commands.guess.facts import Guess, few, listed_values, plain, values_of
from headrace.pipeline.commands.guess.time_columns import are_dates
from headrace.pipeline.commands.guess.words import (
    DOUBTED_GROUPS,
    GROUP_WORDS,
    LABEL_WORDS,
    LEFT_OUT,
    OF_LABELS,
    SPLIT_WORDS,
    joined,
    word,
)
from headrace.pipeline.config.load import toml_value
from headrace.stores.source.probe.found import FoundArray

MOST_CLASSES = 60
NO_LABELS = "where the labels are"
USUAL_PERIODS = (1.0, 2.0, 4.0, 5.0, 10.0, 20.0, 30.0, 60.0)
"""Seconds that one label stands for, as sleep stages do."""
NO_GROUPS = (
    "If nothing says whom the data are of, set split_by_window = true: scores are then too high"
)


def tell_labels(guess: Guess, fitting: Sequence[FoundArray], what: str, declared: Any) -> bool:
    """Write down which column holds the labels; False: there is none.

    Args:
        guess: what is known so far.
        fitting: columns of the right length.
        what: a window or a row, of which each has a label.
        declared: the list of classes, if the file has one.
    """
    others = (by_words(fitting, GROUP_WORDS), by_words(fitting, SPLIT_WORDS))
    labels = by_words([each for each in fitting if may_be_names(each)], LABEL_WORDS)
    sure = labels is not None and word(labels.name) in LABEL_WORDS
    if labels is None:
        fit = [each for each in fitting if each not in others and not are_dates(each)]
        labels = few_valued(fit)
    if labels is None:
        guess.source["labels"] = (None, f"no array holds one label for each {what}")
        guess.unsure.append(f"{NO_LABELS}: no array holds one for each {what}.")
        return False
    names = declared if isinstance(declared, list) else []
    tell_left_out(guess, list(dict.fromkeys([*names, *(labels.values or [])])), len(names))
    if not sure and labels.is_number and not _is_called(labels, LABEL_WORDS):
        # Few whole numbers may be anything: a gear, a person, a state of the sensor.
        guess.likely["labels"] = labels.name
        shown = f"{labels.name}, {values_of(labels)}"
        guess.source["labels"] = (None, f'"{labels.name}", if it says what is to be told apart')
        guess.unsure.append(f"{NO_LABELS}: perhaps in {shown}; its name does not say it.")
        return False
    guess.source["labels"] = (labels.name, values_of(labels))
    if not sure:
        more = _called_alike(labels, fitting)
        beside = f", and none of {more} columns that are called alike" if more else ""
        guess.unsure.append(f"that {labels.name} holds the labels ({values_of(labels)}){beside}.")
    return True


def _called_alike(labels: FoundArray, fitting: Sequence[FoundArray]) -> int:
    """How many other columns have names that begin so, as label:sitting and label:walking."""
    begins = [match and match[1] for each in fitting if (match := OF_LABELS.match(each.name))]
    own = OF_LABELS.match(labels.name)
    return begins.count(own[1]) - 1 if own else 0


def _is_called(found: FoundArray, words: Sequence[str]) -> bool:
    """Whether one of the words is part of its name."""
    return by_words([found], words) is not None


def tell_left_out(guess: Guess, names: Sequence[Any], declared: int = 0) -> None:
    """Labels that say that there is none; with a list of `declared` classes, those it lacks."""
    lacking = [plain(each) for each in names if _is_outside(each, declared)]
    if lacking:
        guess.source["exclude_labels"] = (
            lacking,
            f"??? the {declared} classes are counted from 0",
        )
        guess.unsure.append(f"that {few(lacking)} is no class, but to be left out.")
        return
    if any(not plain(each).strip() for each in names):
        guess.source["exclude_labels"] = ([""], "??? rows whose label is empty")
        guess.unsure.append("that rows whose label is empty are of no class.")
        return
    doubtful = [each for each in map(plain, names) if LEFT_OUT.search(each) or each == "-1"]
    if doubtful:
        shown = ", ".join(doubtful[:5])
        guess.source["exclude_labels"] = (
            None,
            f"{toml_value(doubtful[:5])}, if these are no classes",
        )
        guess.unsure.append(f"whether {shown} is a class, or to be left out (exclude_labels).")


def tell_null(guess: Guess, counts: Mapping[str, int]) -> None:
    """Labels that may say that there is none, and how many stretches have them.

    Args:
        guess: what is known so far.
        counts: by label, its stretches.
    """
    doubtful = [each for each in counts if LEFT_OUT.search(each) or each == "-1"]
    if not doubtful and _zero_is_null(counts):
        doubtful = ["0"]
    if not doubtful or guess.value("exclude_labels") is not None:
        return
    total = sum(counts.values())
    shown = ", ".join(f"{each}: {counts[each]:,} of {total:,} stretches" for each in doubtful[:5])
    guess.source["exclude_labels"] = (
        None,
        f"{toml_value(doubtful[:5])}, if these are no classes ({shown})",
    )
    guess.unsure = [doubt for doubt in guess.unsure if "(exclude_labels)" not in doubt]
    guess.unsure.append(f"whether these are classes, or to be left out (exclude_labels): {shown}.")


def _zero_is_null(counts: Mapping[str, int]) -> bool:
    """Whether 0 stands between other numbers, or before numbers of a list of its own."""
    if len(counts) < 3 or "0" not in counts or not all(each.isdecimal() for each in counts):
        return False
    others = [int(each) for each in counts if each != "0"]
    apart = sorted(others) != list(range(1, len(others) + 1))
    # Each stretch of another is followed by one of it.
    between = counts["0"] > 0.4 * sum(counts.values())
    return apart or between


def _is_outside(label: Any, declared: int) -> bool:
    """Whether a number is none of the list of classes that labels count."""
    is_number = isinstance(label, (int, float)) and not isinstance(label, bool)
    return bool(declared) and is_number and not 0 <= label < declared


def tell_groups(guess: Guess, fitting: Sequence[FoundArray], whose: str) -> None:
    """Write down which column says whom the data are of."""
    naming = [each for each in fitting if not counts_rows(each)]
    groups = by_words(naming, GROUP_WORDS) or in_blocks(fitting)
    if groups is None:
        named = few([each.name for each in fitting]) or "none"
        guess.source["groups"] = (
            None,
            f"the person or machine of {whose}; columns of that length: {named}. {NO_GROUPS}",
        )
        guess.unsure.append(
            "whom the data come from, as folds are made of whole people or machines; columns of "
            f"the right length: {named}."
        )
        return
    guess.source["groups"] = (groups.name, values_of(groups))
    if word(groups.name) in DOUBTED_GROUPS or groups.name.isdecimal():
        guess.unsure.append(f"that {groups.name} tells people or machines apart.")


def counts_rows(found: FoundArray) -> bool:
    """Whether each row has the next number."""
    return found.whole and found.rises and found.even and found.step == 1 and found.still == 0


def in_blocks(found: Sequence[FoundArray]) -> FoundArray | None:
    """Of columns without names one of numbers that stand in blocks, one after another."""
    unnamed = (each for each in found if each.name.isdecimal() and each.whole and each.rises)
    return next((each for each in unnamed if each.values and len(each.values) > 2), None)


def tell_split(guess: Guess, fitting: Sequence[FoundArray]) -> None:
    """Write down an official split."""
    found = by_words(fitting, SPLIT_WORDS)
    if found is not None and found.values and 2 <= len(found.values) <= 3:
        name = found.name.rpartition("/")[2] if "recordings" in guess.source else found.name
        guess.source["split"] = (name, f"official split: {listed_values(found.values)}")


def tell_slow_labels(
    guess: Guess, arrays: Sequence[FoundArray], rows: int, rate_hz: float | None
) -> FoundArray | None:
    """Write down labels of which there is one every so many seconds; None: there are none."""
    if rate_hz is None or guess.value("labels") is not None:
        return None
    named = [each for each in arrays if each.shape and each.is_flat and may_be_names(each)]
    labels = by_words([each for each in named if each.rows * 2 < rows], LABEL_WORDS)
    if labels is None:
        return None
    seconds = rows / labels.rows / rate_hz
    usual = next((each for each in USUAL_PERIODS if abs(seconds / each - 1) < 0.02), None)
    guess.source["labels"] = (labels.name, values_of(labels))
    guess.source["label_every_s"] = (
        int(usual) if usual else float(f"{seconds:.4g}"),
        f"{labels.rows:,} labels for {rows / rate_hz:,.0f} s",
    )
    tell_left_out(guess, labels.values or [])
    guess.unsure = [doubt for doubt in guess.unsure if not doubt.startswith(NO_LABELS)]
    guess.unsure.append(f"that {labels.name} has a label every {seconds:.4g} s.")
    return labels


def by_words(found: Sequence[FoundArray], words: Sequence[str]) -> FoundArray | None:
    """The first that is called by one of the words, else the first that one of them is part of."""
    named = {joined(each): each for each in words}
    for each in named:
        for array in found:
            if word(array.name) == each:
                return array
    for array in found:
        if any(len(each) > 3 and each in word(array.name) for each in named):
            return array
    return None


def may_be_names(found: FoundArray) -> bool:
    """Whether a column may hold labels or names: texts, truths or whole numbers."""
    if found.kind in "SOUb":
        return True
    return found.whole and (found.values is not None or not found.rises)


def few_valued(found: Sequence[FoundArray]) -> FoundArray | None:
    """The column of fewest different values, two at least and sixty at most, whole or texts."""
    few_ones = [
        each
        for each in found
        if each.values and 2 <= len(each.values) <= MOST_CLASSES and may_be_names(each)
    ]
    # Numbers in blocks are rather those of people than of what they do.
    return min(few_ones, key=lambda each: (each.rises, len(each.values or ())), default=None)
