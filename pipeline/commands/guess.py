"""Guesses what the datasets of an HDF5 file are, each with its reason."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from headrace.pipeline.config.load import toml_value
from headrace.stores.errors import CommandError
from headrace.stores.source.probe import Contents, FoundDataset
from headrace.stores.source.signals import USUAL_SIGNALS, USUAL_WINDOWS

LABEL_WORDS = ("y", "label", "labels", "activity", "class", "target", "annotation", "event")
GROUP_WORDS = (
    "group", "groups", "subject", "subjects", "participant", "patient", "person", "user",
    "machine", "bearing", "device", "session", "id",
)  # fmt: skip
SPLIT_WORDS = ("split", "official_split", "partition", "set", "fold")
RATE_WORDS = ("sampling_rate_hz", "sampling_rate", "sample_rate", "fs", "rate", "rate_hz", "hz",
              "frequency", "sampling_frequency")  # fmt: skip
CHANNEL_WORDS = ("channels", "channel_names", "columns", "axes", "signals")
UNIT_WORDS = ("units", "unit")
GRAVITY_UNITS = ("g", "m/s2", "m/s^2", "m/s²")
LEFT_OUT = re.compile(r"unlabel|unknown|undefined|null|none|other|transient|ignore", re.IGNORECASE)
ACCELEROMETER = re.compile(r"acc|(^|_)a$", re.IGNORECASE)
AXIS = re.compile(r"^(.*?)[ _.-]?([xyz])$", re.IGNORECASE)
MOST_CHANNELS = 512


@dataclass
class Guess:
    """What a file seems to be.

    Attributes:
        source, features: keys of these sections, each with a comment; a value of None is written
            as a comment to be filled in.
        unsure: what its owner should look at, in the order of the file.
        notes: what the file itself says, and no key has to repeat.
    """

    source: dict[str, tuple[Any, str]] = field(default_factory=dict)
    features: dict[str, tuple[Any, str]] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def guess_config(contents: Contents, where: str) -> Guess:
    """What the datasets of a file seem to be.

    Raises:
        UserError: none may be signals.
    """
    guess = Guess()
    windows = [d for d in contents.datasets if _is_windows(d)]
    signals = [d for d in contents.datasets if _is_signals(d)]
    if windows:
        data = _best(windows, USUAL_WINDOWS)
        _name(guess, "windows", data, USUAL_WINDOWS, windows, "windows (window, time, channel)")
        _, time, channels = data.shape
        if channels > time:
            guess.unsure.append(
                f"{data.name} has {channels} channels of {time} samples: if these are (window, "
                "channel, time), write it anew with the last two axes swapped."
            )
    elif signals:
        data = _best(signals, USUAL_SIGNALS)
        _name(guess, "signals", data, USUAL_SIGNALS, signals, "signals (row, channel)")
        _table(guess, contents)
    else:
        shown = ", ".join(f"{d.name} {d.shape}" for d in contents.datasets[:12]) or "no dataset"
        raise CommandError(
            f"{where} has no dataset of numbers (window, time, channel) or (row, channel). It "
            f"holds: {shown}. Write the signals into one of these shapes."
        )
    _columns(guess, contents, data, windows=bool(windows))
    _channels(guess, contents, data)
    return guess


def _is_text(name: str) -> bool:
    """Whether a file of UTF-8 can hold a name: bytes that are none stand in it as surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _is_windows(found: FoundDataset) -> bool:
    return len(found.shape) == 3 and found.kind in "fiu" and min(found.shape) > 0


def _is_signals(found: FoundDataset) -> bool:
    shape = found.shape
    return len(shape) == 2 and found.kind in "fiu" and 0 < shape[1] <= min(MOST_CHANNELS, shape[0])


def _best(found: list[FoundDataset], usual: tuple[str, ...]) -> FoundDataset:
    """One of a usual name, else the largest."""
    named = [each for each in found if each.name in usual]
    return named[0] if named else max(found, key=_size)


def _size(found: FoundDataset) -> int:
    size = 1
    for length in found.shape:
        size *= length
    return size


def _name(
    guess: Guess,
    key: str,
    data: FoundDataset,
    usual: tuple[str, ...],
    all_of_them: list[FoundDataset],
    what: str,
) -> None:
    shape = " x ".join(f"{length:,}" for length in data.shape)
    guess.source[key] = (data.name, f"{what}: {shape}")
    if len(all_of_them) > 1 and data.name not in usual:
        others = ", ".join(each.name for each in all_of_them if each is not data)
        guess.unsure.append(f"{data.name} is the largest that may be {what}; there are {others}.")


def _word(name: str) -> str:
    return name.rpartition("/")[2].lower()


def _columns(guess: Guess, contents: Contents, data: FoundDataset, windows: bool) -> None:
    """Labels, groups and split: one value a window, or a row of the signals."""
    rows = data.shape[0]
    fitting = [d for d in contents.datasets if d.shape == (rows,)]
    others = (_by_words(fitting, GROUP_WORDS), _by_words(fitting, SPLIT_WORDS))
    labels = _by_words(fitting, LABEL_WORDS)
    if labels is None:
        labels = _few_valued([each for each in fitting if each not in others])
    if labels is None:
        guess.source["labels"] = (None, f"no dataset of {rows:,} labels was found")
        guess.unsure.append(f"no dataset holds {rows:,} labels, one a row of {data.name}.")
    else:
        guess.source["labels"] = (labels.name, _values(labels))
        _left_out(guess, contents, labels)
        if _word(labels.name) not in LABEL_WORDS:
            guess.unsure.append(f"that {labels.name} holds the labels ({_values(labels)}).")
    if not windows:
        return
    rest = [each for each in fitting if each is not labels]
    groups = _by_words(rest, GROUP_WORDS)
    if groups is None:
        named = ", ".join(each.name for each in rest) or "none"
        guess.source["groups"] = (None, f"whom each window is of; of its length: {named}")
        guess.unsure.append(
            "whom windows come from, as folds are made of whole people or machines; datasets of "
            f"that length: {named}."
        )
    else:
        guess.source["groups"] = (groups.name, _values(groups))
        if _word(groups.name) in ("id", "session", "device"):
            guess.unsure.append(f"that {groups.name} tells people or machines apart.")
    _split(guess, [each for each in rest if each is not groups])


def _left_out(guess: Guess, contents: Contents, labels: FoundDataset) -> None:
    """Labels that say that there is none."""
    _, names = _attribute(contents, labels, ("classes",))
    known = names if isinstance(names, list) else labels.values or []
    doubtful = [str(each) for each in known if LEFT_OUT.search(str(each))]
    if doubtful:
        shown = ", ".join(doubtful[:5])
        guess.source["exclude_labels"] = (
            None,
            f"leave out {toml_value(doubtful[:5])}, if they say it",
        )
        guess.unsure.append(f"whether {shown} is a class, or to be left out (exclude_labels).")


def _table(guess: Guess, contents: Contents) -> None:
    """The table of recordings: columns of equal length in one group, start and length of them."""
    folders: dict[str, list[FoundDataset]] = {}
    for found in contents.datasets:
        folder, slash, _ = found.name.rpartition("/")
        if slash and len(found.shape) == 1:
            folders.setdefault(folder, []).append(found)
    for folder, columns in folders.items():
        words = {_word(each.name): each for each in columns}
        start = next((words[w] for w in ("start", "begin", "offset", "first") if w in words), None)
        length = next((words[w] for w in ("length", "rows", "count", "size") if w in words), None)
        if start is None or length is None:
            continue
        guess.source["recordings"] = (folder, f"table of {start.shape[0]:,} recordings")
        for key, usual, found in (
            ("start_column", "start", start),
            ("length_column", "length", length),
        ):
            if _word(found.name) != usual:
                guess.source[key] = (found.name.rpartition("/")[2], "of the table")
        rest = [each for each in columns if each not in (start, length)]
        groups = _by_words(rest, GROUP_WORDS)
        if groups is None:
            guess.source["groups"] = (None, "the column of the table with people or machines")
            guess.unsure.append(f"which column of {folder} says whom a recording is of.")
        else:
            guess.source["groups"] = (groups.name.rpartition("/")[2], _values(groups))
        _split(guess, [each for each in rest if each is not groups])
        return
    guess.source["recordings"] = (None, "group with the columns start, length and subject")
    guess.unsure.append("where each recording starts in the signals, and how long it is.")


def _split(guess: Guess, fitting: list[FoundDataset]) -> None:
    found = _by_words(fitting, SPLIT_WORDS)
    if found is not None and found.values and 2 <= len(found.values) <= 3:
        name = found.name.rpartition("/")[2] if "recordings" in guess.source else found.name
        guess.source["split"] = (name, f"official split: {_values(found)}")


def _by_words(found: list[FoundDataset], words: tuple[str, ...]) -> FoundDataset | None:
    for word in words:
        for each in found:
            if _word(each.name) == word:
                return each
    for each in found:
        if any(len(word) > 3 and word in _word(each.name) for word in words):
            return each
    return None


def _few_valued(found: list[FoundDataset]) -> FoundDataset | None:
    """The column of fewest different values, two at least and fifty at most."""
    few = [each for each in found if each.values and 2 <= len(each.values) <= 50]
    return min(few, key=lambda each: len(each.values or ()), default=None)


def _values(found: FoundDataset) -> str:
    if not found.values:
        return "many values"
    shown = ", ".join(str(value) for value in found.values[:6])
    more = ", ..." if len(found.values) > 6 else ""
    return f"{len(found.values)} values: {shown}{more}"


def _attribute(contents: Contents, data: FoundDataset, words: tuple[str, ...]) -> tuple[str, Any]:
    for attributes in (data.attributes, contents.attributes):
        for word in words:
            for name, value in attributes.items():
                if name.lower() == word:
                    return name, value
    return "", None


def _channels(guess: Guess, contents: Contents, data: FoundDataset) -> None:
    """Rate, names, units and triads."""
    count = data.shape[-1]
    name, rate = _attribute(contents, data, RATE_WORDS)
    while isinstance(rate, list) and len(rate) == 1:
        rate = rate[0]
    if name == RATE_WORDS[0]:
        guess.notes.append(f"The rate is the file's {name} = {rate} Hz.")
    elif isinstance(rate, (int, float)) and 0 < rate < math.inf:
        guess.source["rate_hz"] = (float(rate), f"Hz, the attribute {name}")
        guess.unsure.append(f"that the attribute {name} = {rate} is the sampling rate in Hz.")
    else:
        guess.source["rate_hz"] = (None, "sampling rate in Hz")
        guess.unsure.append("the sampling rate: the file does not say it.")
    name, names = _attribute(contents, data, CHANNEL_WORDS)
    names = _texts(names, count)
    if names is None:
        guess.source["channels"] = (None, f"names of the {count} channels, in their order")
        guess.unsure.append(f"what the {count} channels are called; they become ch0, ch1, ...")
        return
    if name != CHANNEL_WORDS[0]:
        guess.source["channels"] = (names, f"the attribute {name}")
    unit_name, units = _attribute(contents, data, UNIT_WORDS)
    if unit_name and unit_name != "units" and (found := _texts(units, count)):
        guess.source["units"] = (found, f"the attribute {unit_name}")
    _, units = _attribute(contents, data, UNIT_WORDS)
    if units is None and data.kind in "iu":
        guess.source["scale"] = (None, f"units a stored count, one for each of {count} channels")
        guess.unsure.append("what a count is in units: the values are whole numbers (scale).")
    _triads(guess, names, _texts(units, count) or [""] * count)


def _texts(value: Any, count: int) -> list[str] | None:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list) or len(value) != count:
        return None
    texts = [str(each) for each in value]
    return texts if all(map(_is_text, texts)) else None


def _triads(guess: Guess, names: list[str], units: list[str]) -> None:
    """Channels whose names differ in a last x, y and z."""
    stems: dict[str, dict[str, str]] = {}
    for name in names:
        match = AXIS.match(name)
        if match:
            stems.setdefault(match[1], {})[match[2].lower()] = name
    triads = {
        re.sub(r"\W+", "_", stem) or "xyz": [axes["x"], axes["y"], axes["z"]]
        for stem, axes in stems.items()
        if len(axes) == 3
    }
    if not triads:
        return
    guess.features["triads"] = (triads, "three axes of one sensor, by their names")
    unit = dict(zip(names, units, strict=True))
    accelerometers = [
        name
        for name, axes in triads.items()
        if unit[axes[0]].lower() in GRAVITY_UNITS or ACCELEROMETER.search(name)
    ]
    if accelerometers:
        guess.features["accelerometers"] = (
            accelerometers,
            "??? these measure gravity too, as their units or names say: they get angles",
        )
        guess.unsure.append(f"that {', '.join(accelerometers)} measures gravity too.")
