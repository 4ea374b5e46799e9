"""Guesses what a file or a folder of files is: the keys of a first configuration, with reasons."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.pipeline.catalogue.build import SHORTEST_WINDOW
from headrace.pipeline.commands.guess.channels import tell_channels
from headrace.pipeline.commands.guess.columns import (
    by_words,
    tell_groups,
    tell_labels,
    tell_slow_labels,
    tell_split,
)
from headrace.pipeline.commands.guess.data import Data, tell_data
from headrace.pipeline.commands.guess.facts import Guess, values_of
from headrace.pipeline.commands.guess.folder import guess_folder
from headrace.pipeline.commands.guess.long import tell_long
from headrace.pipeline.commands.guess.nested import guess_nested
from headrace.pipeline.commands.guess.rate import tell_rate
from headrace.pipeline.commands.guess.words import GROUP_WORDS, LABEL_WORDS, SPLIT_WORDS, word
from headrace.stores.source.probe.found import Contents, FoundArray, FoundFile


def guess_config(contents: Contents, where: str) -> Guess:
    """What a file or a folder seems to be.

    Raises:
        UserError: nothing may be signals.
    """
    if contents.names:
        guess = guess_folder(contents, where)
    else:
        (file,) = contents.files
        guess = guess_nested(file) or _guess_file(file, where)
    _tell_encoding(guess, contents)
    return guess


def _tell_encoding(guess: Guess, contents: Contents) -> None:
    """Write down the encoding of tables of text that are not UTF-8."""
    found = next((file for file in contents.files if file.encoding), None)
    if found is not None:
        name = found.name or "the file"
        guess.source["encoding"] = (found.encoding, f"??? {name} is not UTF-8")
        guess.unsure.append(f"that {name} is {found.encoding}: look at names and units.")


def _guess_file(file: FoundFile, where: str) -> Guess:
    """What one file seems to be, whose arrays are of all of its recordings."""
    guess = Guess()
    data = tell_data(guess, file, where)
    declared = file.named("classes")
    classes = data.array.attributes.get("classes") or (declared.values if declared else None)
    of = f"{'window' if data.key == 'windows' else 'row'} ({data.rows:,})"
    table = _tell_recordings(guess, file) if data.key == "signals" else None
    if data.key == "signals":
        tell_labels(guess, _without(data.columns, GROUP_WORDS, SPLIT_WORDS), of, classes)
        if table is None:
            rest = [c for c in data.columns if c.name != guess.value("labels")]
            tell_groups(guess, rest, "each row")
            tell_split(guess, [c for c in rest if c.name != guess.value("groups")])
    else:
        tell_labels(guess, data.columns, of, classes)
        rest = [c for c in data.columns if c.name != guess.value("labels")]
        tell_groups(guess, rest, "each window")
        tell_split(guess, [c for c in rest if c.name != guess.value("groups")])
    _tell_one_hot(guess, file, data.rows)
    rate = tell_rate(guess, [file], data.array, data.times)
    if data.key == "signals":
        tell_slow_labels(guess, file.arrays, data.rows, rate)
    tell_channels(guess, data, data.titles)
    tell_long(guess, data, file.arrays)
    _tell_short(guess, data)
    return guess


def _tell_one_hot(guess: Guess, file: FoundFile, rows: int) -> None:
    """Say what an array of several numbers a row is that is called as labels are."""
    for each in file.arrays:
        several = len(each.shape) == 2 and each.shape[0] == rows and not each.is_flat
        if guess.value("labels") is None and several and word(each.name) in LABEL_WORDS:
            guess.unsure.append(
                f"that {each.name} has the labels: {each.shape[1]} numbers for each. Of one-hot "
                f"labels, of which one is 1, add an array, {each.name}.argmax(axis=1), and name it "
                f"with labels; several labels or values are read as they are: labels = "
                f'"{each.name}", and target.kind = "labels", "value" or "sequence".'
            )


def _tell_short(guess: Guess, data: Data) -> None:
    """Write down that there are no features, where windows are too short for any."""
    shape = data.array.shape
    time = shape[2] if len(shape) == 3 and guess.value("axes") else shape[1] if shape[1:] else 0
    if data.key == "windows" and time < SHORTEST_WINDOW:
        guess.features = {"select": ([], f"features need windows of {SHORTEST_WINDOW} samples")}


def _without(columns: Sequence[FoundArray], *kinds: Sequence[str]) -> list[FoundArray]:
    left_out = [by_words(columns, words) for words in kinds]
    return [each for each in columns if each not in left_out]


def _tell_recordings(guess: Guess, file: FoundFile) -> str | None:
    """The table of recordings: columns of equal length in one group, start and length of them."""
    folders: dict[str, list[FoundArray]] = {}
    for found in file.arrays:
        folder, slash, _ = found.name.rpartition("/")
        if slash and found.is_flat:
            folders.setdefault(folder, []).append(found)
    for folder, columns in folders.items():
        words = {word(each.name): each for each in columns}
        start = next((words[w] for w in ("start", "begin", "offset", "first") if w in words), None)
        length = next((words[w] for w in ("length", "rows", "count", "size") if w in words), None)
        if start is None or length is None:
            continue
        guess.source["recordings"] = (folder, f"table of {start.rows:,} recordings")
        for key, usual, found in (
            ("start_column", "start", start),
            ("length_column", "length", length),
        ):
            if word(found.name) != usual:
                guess.source[key] = (found.name.rpartition("/")[2], "of the table")
        rest = [each for each in columns if each not in (start, length)]
        groups = by_words(rest, GROUP_WORDS)
        if groups is None:
            guess.source["groups"] = (None, "the column of the table with people or machines")
            guess.unsure.append(f"which column of {folder} says whom a recording is of.")
        else:
            guess.source["groups"] = (groups.name.rpartition("/")[2], values_of(groups))
        tell_split(guess, [each for each in rest if each is not groups])
        return folder
    return None
