"""What channels are called, and their units: from attributes, and from names of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.pipeline.commands.guess.axes import tell_triads, units_in
from headrace.pipeline.commands.guess.data import Data
from headrace.pipeline.commands.guess.facts import Guess
from headrace.pipeline.commands.guess.names import Proposal
from headrace.pipeline.commands.guess.words import AXIS_LETTERS, CHANNEL_WORDS, UNIT_WORDS, joined
from headrace.stores.source.channels import ATTRIBUTES
from headrace.stores.source.formats.columns import channel_names
from headrace.stores.source.probe.found import FoundArray


def tell_channels(guess: Guess, data: Data, titles: Sequence[str] | None) -> None:
    """Write down names and units of the channels, and their triads.

    Args:
        guess: what is known so far.
        data: the windows or signals.
        titles: names that columns give, of all channels of a recording; None: the data may say.
    """
    array, count = data.array, data.channels
    if titles is None:
        names = _told(guess, array, count)
    else:
        names = _writable(titles)
        own = data.is_table and names == list(data.titles or ())
        if names is not None and not own and not (len(names) == 1 and not data.is_table):
            told = channel_names(names).tolist()
            guess.source["channels"] = (told, "by the names of arrays, columns and files")
    if names is None:
        count = count if titles is None else len(titles)
        if count == 1:
            return
        guess.source["channels"] = (None, f"names of the {count} channels, in their order")
        guess.unsure.append(f"what the {count} channels are called; they become ch0, ch1, ...")
        return
    _units(guess, array, names, names if titles is None else channel_names(names).tolist())


def _told(guess: Guess, array: FoundArray, count: int) -> list[str] | None:
    """Names that an attribute says; the usual one needs no key."""
    for name, value in _attributes(array, CHANNEL_WORDS):
        names = _texts(value, count)
        if names is not None:
            if name != ATTRIBUTES["channels"]:
                guess.source["channels"] = (names, f"the attribute {name}")
            return names
    return None


def _units(guess: Guess, array: FoundArray, names: Sequence[str], called: Sequence[str]) -> None:
    """Units of channels, by attributes or their names, and triads of what they are called."""
    units = None
    for name, value in _attributes(array, UNIT_WORDS):
        units = _texts(value, len(names))
        if units is not None:
            if name != ATTRIBUTES["units"]:
                guess.source["units"] = (units, f"the attribute {name}")
            break
    bracketed = units_in(names)
    if units is None and bracketed is not None:
        units = bracketed
        guess.source["units"] = (units, "in brackets behind the names")
    said = any(True for _ in _attributes(array, UNIT_WORDS))
    if units is None and not said and array.kind in "iu" and not array.name.endswith("table"):
        guess.source["scale"] = (
            None,
            f"units a stored count, one for each of {len(names)} channels",
        )
        guess.unsure.append("what a count is in units: the values are whole numbers (scale).")
    tell_triads(guess, called, units or [""] * len(names))


def _attributes(array: FoundArray, words: Sequence[str]) -> list[tuple[str, Any]]:
    """Attributes that are called as one of the words, in the words' order."""
    return [
        (name, value)
        for word in words
        for name, value in array.attributes.items()
        if joined(name) == joined(word)
    ]


def _texts(value: Any, count: int) -> list[str] | None:
    while isinstance(value, list) and len(value) == 1 and count != 1:
        value = value[0]
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list) or len(value) != count or not all(value):
        return None
    return _writable([str(each) for each in value])


def _writable(names: Sequence[str]) -> list[str] | None:
    """Names that a file of UTF-8 can hold: bytes that are none stand in them as surrogates."""
    if any("\ud800" <= letter <= "\udfff" for name in names for letter in name):
        return None
    return list(names)


def titles_of(proposal: Proposal, side_by_side: Sequence[Data]) -> list[str] | None:
    """Names of all channels of a recording, each with its sensor where names come twice."""
    if len(side_by_side) == 1:
        data, sensor = side_by_side[0], proposal.sensors[0]
        if data.titles is None and data.channels == len(AXIS_LETTERS) and sensor:
            return [f"{sensor}_{axis}" for axis in sorted(AXIS_LETTERS)]
        return None if data.titles is None else list(data.titles)
    found = []
    for sensor, data in zip(proposal.sensors, side_by_side, strict=True):
        own = data.titles
        if own is None:
            axes = sorted(AXIS_LETTERS) if data.channels == 3 else map(str, range(data.channels))
            own = ("",) if data.channels == 1 else tuple(axes)
        found.append([(sensor, title) for title in own])
    plain = [title for each in found for _, title in each]
    if len(set(plain)) == len(plain) and all(plain):
        return plain
    return ["_".join(filter(None, pair)) for each in found for pair in each]
