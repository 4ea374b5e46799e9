"""The sampling rate: from attributes, arrays of one number, times, names; and what times count."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from headrace.pipeline.commands.guess.facts import Guess, few, shortened
from headrace.pipeline.commands.guess.time_columns import SUFFIX, says_time, with_day
from headrace.pipeline.commands.guess.words import joined, word
from headrace.stores.source.beside import RATES
from headrace.stores.source.channels import ATTRIBUTES, MAX_RATE, MIN_RATE
from headrace.stores.source.formats.text_above import ABOVE
from headrace.stores.source.probe.found import FoundArray, FoundFile
from headrace.stores.source.times.rate import epoch_unit

VAGUE = frozenset(("rate", "freq", "frequency", "hz"))
"""Words that may say how often something turns or beats, where another says the sampling rate."""
RATE_WORDS = RATES | VAGUE | {
    "sr",
    "samplespersecond", "sps", "fps", "odr", joined(ABOVE),
}  # fmt: skip
PERIOD_WORDS = {
    "dt": 1.0, "samplinginterval": 1.0, "sampleinterval": 1.0, "samplingperiod": 1.0,
    "sampleperiod": 1.0, "ts": 1.0, "dtms": 1e-3, "samplingintervalms": 1e-3,
    "sampleperiodms": 1e-3, "samplingperiodms": 1e-3, "timestep": 1.0,
}  # fmt: skip
"""Names of the time between two samples, and seconds of its unit."""
IN_NAME = re.compile(r"(?<![0-9.])(\d+(?:\.\d+)?)\s?_?(k?)hz", re.IGNORECASE)
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
SUFFIXES = {"s": "s", "se": "s", "ms": "ms", "mi": "ms", "us": "us", "µs": "us", "ns": "ns",
            "na": "ns"}  # fmt: skip
USUAL_RATES = (0.5, 2000.0)
"""Hz, of most sensors that people wear or machines have."""


def tell_rate(
    guess: Guess,
    files: Sequence[FoundFile],
    data: FoundArray,
    times: FoundArray | None,
    others: Sequence[FoundFile] = (),
) -> float | None:
    """Write down the rate, or that it is asked for; returns it where it is known.

    Args:
        guess: what is known so far.
        files: of one recording.
        data: the signals or windows.
        times: a column of times, one a row.
        others: of other recordings, whose own numbers may say another rate.
    """
    usual = ATTRIBUTES["rate_hz"]
    found = _attribute(data)
    if found is not None and not (found[0] == ABOVE and times is not None):
        name, rate = found
        if name == usual or joined(name) in RATES:
            # A key would hold for recordings of another rate too; the source refuses them.
            guess.notes.append(f"The rate is the file's {shortened(name)} = {rate:g} Hz.")
            if name != usual:
                guess.unsure.append(f"that the attribute {shortened(name)} = {rate:g} is in Hz.")
            return rate
        guess.source["rate_hz"] = (rate, f"Hz, the attribute {shortened(name)}")
        guess.unsure.append(f"that the attribute {shortened(name)} = {rate:g} is the rate in Hz.")
        return rate
    stated = [each for file in files for each in _scalars(file)]
    every = stated + [each for file in others for each in _scalars(file)] if stated else []
    if len({rate for _, rate in every}) > 1:
        shown = few(list(dict.fromkeys(f"{name} = {rate:g}" for name, rate in every)), 3)
        say = "the file says" if len({rate for _, rate in stated}) > 1 else "files say"
        guess.source["rate_hz"] = (None, f"sampling rate in Hz; {say} several: {shown}")
        guess.unsure.append(f"the sampling rate: {say} several: {shown}.")
        return None
    if stated:
        name, rate = stated[0]
        guess.source["rate_hz"] = (rate, f"Hz, the number {shortened(name)} of the file")
        guess.unsure.append(f"that {shortened(name)} is the sampling rate: {rate:g} Hz.")
        return rate
    if times is not None:
        return _of_times(guess, files, times)
    named = {float(m[1]) * (1000 if m[2] else 1) for f in files for m in IN_NAME.finditer(f.name)}
    if len(named) == 1:
        rate = named.pop()
        guess.source["rate_hz"] = (rate, "??? Hz, as names of files say")
        guess.unsure.append(f"that {rate:g} Hz in names of files is the sampling rate.")
        return rate
    guess.source["rate_hz"] = (None, "sampling rate in Hz")
    guess.unsure.append("the sampling rate: the file does not say it.")
    return None


def nearest_rate(data: FoundArray) -> float | None:
    """What the nearest attribute says that is called as a rate, in Hz; None: there is none."""
    found = _among(data, list(data.attributes))
    return None if found is None else found[1]


def known_rate_of(data: FoundArray, times: FoundArray | None) -> float | None:
    """The rate that an attribute or times say, in Hz, without writing it down."""
    said = nearest_rate(data)
    if said is not None or times is None or not times.step or not times.is_number:
        return said
    return 1 / (abs(times.step) * UNITS[time_unit(times)[0]])


def _attribute(data: FoundArray) -> tuple[str, float] | None:
    """Name and value of the attribute that says the rate, the usual one first."""
    usual = ATTRIBUTES["rate_hz"]
    return _among(data, sorted(data.attributes, key=lambda each: each != usual))


def _among(data: FoundArray, names: Sequence[str]) -> tuple[str, float] | None:
    usual = ATTRIBUTES["rate_hz"]
    for name in names:
        number = _number(data.attributes[name])
        if number is None:
            continue
        bare = joined(name)
        rate = number if bare in RATE_WORDS or name == usual else None
        if bare in PERIOD_WORDS and number > 0:
            rate = float(f"{1 / (number * PERIOD_WORDS[bare]):.9g}")
        if rate is not None and MIN_RATE <= rate <= MAX_RATE:
            return name, rate
    return None


def _scalars(file: FoundFile) -> list[tuple[str, float]]:
    """Arrays of one number that are called as a rate."""
    found = []
    for each in file.arrays:
        if not each.shape or math.prod(each.shape) == 1:
            number = _number(each.values)
            bare = word(each.name)
            if number is not None and bare in PERIOD_WORDS and number > 0:
                number, bare = float(f"{1 / (number * PERIOD_WORDS[bare]):.9g}"), "fs"
            if number is not None and bare in RATE_WORDS and MIN_RATE <= number <= MAX_RATE:
                found.append((each.name, number))
    return [each for each in found if word(each[0]) not in VAGUE] or found


def _number(value: Any) -> float | None:
    """The one finite number that a value is, in whatever brackets; of text, before Hz."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(k?)(hz)?\s*", value, re.IGNORECASE)
        try:
            value = float(match[1]) * (1000 if match[2] else 1) if match else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def _of_times(guess: Guess, files: Sequence[FoundFile], times: FoundArray) -> float | None:
    """Write down the column of times and what it counts; returns the rate that it gives."""
    name = with_day(times, [each for file in files for each in file.arrays])
    guess.source["time"] = (name, "times: the rate is taken from them, and gaps cut")
    if not says_time(times.name) and times.is_number:
        guess.unsure.append(
            f"that {shortened(times.name)} holds times: its name does not say it, and its values "
            f"go on by {times.step:g}."
        )
    if not times.is_number:
        guess.source["time_unit"] = ("date", f"dates, such as {shortened(str(times.first[0]))}")
        return None
    unit, sure = time_unit(times)
    guess.source["time_unit"] = (unit, ("" if sure else "??? ") + "what the times count")
    step = abs(times.step or 0) * UNITS[unit]
    if not sure:
        guess.unsure.append(
            f"that {shortened(times.name)} counts {unit}: one step is {times.step:g}."
        )
    return float(f"{1 / step:.4g}") if step else None


def time_unit(times: FoundArray) -> tuple[str, bool]:
    """What times count, and whether that is sure: by name, by times since 1970, by the rate."""
    match = SUFFIX.search(times.name) or re.search(r"(ms|us|ns)$", times.name)
    if match:
        return SUFFIXES.get(match[1].lower()[:2], "s"), True
    since_1970 = None if times.least is None else epoch_unit(times.least)
    if since_1970 is not None:
        return since_1970, True
    step = abs(times.step or 0)
    plausible = [
        unit
        for unit, seconds in UNITS.items()
        if step and USUAL_RATES[0] < 1 / (step * seconds) < USUAL_RATES[1]
    ]
    if len(plausible) == 1:
        return plausible[0], not times.whole or step > 1
    return ("s" if step <= 1 or not plausible else plausible[0]), False


def tell_order(guess: Guess, refusal: str) -> bool:
    """Write down that rows are to be sorted, if they were refused as they are; False: they weren't.

    Args:
        guess: what is known so far.
        refusal: what was said of the source.
    """
    if "source.time_order" not in refusal or "time_order" in guess.source:
        return False
    place = re.search(r"in recording .{0,300}?: it (?:goes back|is repeated)", refusal)
    shown = f": {place[0]}" if place else ""
    guess.source["time_order"] = (
        "sort",
        f"??? times do not ascend{shown}. Rows are sorted, repeats left out",
    )
    guess.unsure.append(f"that rows may be sorted by their times (time_order){shown}.")
    return True
