"""Which channels are axes of one sensor: x_acc, accX, ax, userAcceleration.x, attitude.roll."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from headrace.pipeline.commands.guess.facts import Guess

AXES = (("x", "y", "z"), ("roll", "pitch", "yaw"), ("1", "2", "3"))
GRAVITY_UNITS = ("g", "m/s2", "m/s^2", "m/s²", "m/s/s", "m.s-2")
UNIT = re.compile(r"[\[(]\s*([^\])]{1,16}?)\s*[\])]\s*$")
ACCELEROMETER = re.compile(r"acc(?!.*lin)|(^|_)a$", re.IGNORECASE)
NO_GRAVITY = re.compile(r"user|lin|body|jerk", re.IGNORECASE)
"""In names of accelerations that gravity was taken from."""


def triads_of(names: Sequence[str]) -> dict[str, list[str]]:
    """By sensor, three channels whose names differ in nothing but the axis."""
    for axes in AXES:
        found: dict[str, dict[str, str]] = {}
        for name in names:
            for stem, axis in _stems(name, axes):
                found.setdefault(stem, {}).setdefault(axis, name)
        triads = {stem: list(map(each.get, axes)) for stem, each in found.items()}
        whole = {_called(stem): list(filter(None, t)) for stem, t in triads.items() if all(t)}
        if whole and axes != AXES[-1]:
            others = [name for name in names if not any(name in each for each in whole.values())]
            return whole | {k: v for k, v in triads_of(others).items() if k not in whole}
        # Three numbered channels are axes where their name says so.
        if whole:
            return {k: v for k, v in whole.items() if re.search(r"acc|gyr|mag", k, re.IGNORECASE)}
    return {}


def tell_triads(guess: Guess, names: Sequence[str], units: Sequence[str]) -> None:
    """Write down the triads among channels, and which of them measure gravity too."""
    triads = triads_of(names)
    if not triads:
        return
    guess.features["triads"] = (triads, "three axes of one sensor, by their names")
    unit = dict(zip(names, units, strict=True))
    accelerometers = [
        name
        for name, axes in triads.items()
        if not NO_GRAVITY.search(name)
        and (unit[axes[0]].lower() in GRAVITY_UNITS or ACCELEROMETER.search(name))
    ]
    if accelerometers:
        guess.features["accelerometers"] = (
            accelerometers,
            "??? these measure gravity too, as their units or names say: they get angles",
        )
        guess.unsure.append(f"that {', '.join(accelerometers[:4])} measures gravity too.")


def units_in(names: Sequence[str]) -> list[str] | None:
    """The units that stand in brackets behind names; None: not behind all."""
    found = [match[1] if (match := UNIT.search(name)) else "" for name in names]
    return found if all(found) else None


def _stems(name: str, axes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What a name is without its axis, and the axis: one for each place where it may stand."""
    bare = UNIT.sub("", name).strip()
    letters = "|".join(axes)
    # Between what is no letter: x_acc, acc_x, acc.x, Acc X, body_acc_x_train.
    for match in re.finditer(rf"(?<![a-z0-9])({letters})(?![a-z0-9])", bare, re.IGNORECASE):
        yield f"{bare[: match.start()]}\0{bare[match.end() :]}", match[1].lower()
    # A capital behind a small letter: accelerometerX, accX1.
    for match in re.finditer(rf"(?<=[a-z])({letters.upper()})(?![a-z])", bare):
        yield f"{bare[: match.start()]}\0{bare[match.end() :]}", match[1].lower()
    # At the end or the beginning of a short word: ax, gx, accx, xacc.
    short = re.fullmatch(rf"(.*?)([a-z]{{1,5}})({letters})(\d*)", bare, re.IGNORECASE)
    if short:
        yield f"{short[1]}{short[2]}\0{short[4]}", short[3].lower()
    numbered = re.fullmatch(r"(.*[a-z_])([123])", bare, re.IGNORECASE)
    if axes == AXES[-1] and numbered:
        yield f"{numbered[1]}\0", numbered[2]


def _called(stem: str) -> str:
    """A name of a triad; without what stood beside its axis."""
    name = re.sub(r"[\W_]+", "_", stem.replace("\0", "_")).strip("_")
    return name or "xyz"
