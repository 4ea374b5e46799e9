"""Which columns a catalogue has: their names in order, and the selection by name or glob."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from headrace.pipeline.catalogue.registry import GRAVITY, SIGNAL, TRIAD, Definition


@dataclass(frozen=True)
class Triad:
    """Three channels that are the x, y and z axis of one sensor.

    Args:
        name: Prefix of its columns, for example ``acc``.
        channels: Column numbers of x, y and z in the window.
        accelerometer: Whether the window mean is gravity, so that its angles are features.
    """

    name: str
    channels: tuple[int, int, int]
    accelerometer: bool

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """The features across its three channels, in column order."""
        return TRIAD + GRAVITY if self.accelerometer else TRIAD


def signal_names(channels: Sequence[str], triads: Sequence[Triad]) -> tuple[str, ...]:
    """Every signal that gets the 27 features: the channels, then two for each triad."""
    derived = (f"{triad.name}_{kind}" for triad in triads for kind in ("mag", "jerk_mag"))
    return (*channels, *derived)


def column_names(channels: Sequence[str], triads: Sequence[Triad]) -> tuple[str, ...]:
    """All columns in their fixed order: per signal its 27, then those across each triad."""
    of_signals = (
        f"{signal}__{definition.name}"
        for signal in signal_names(channels, triads)
        for definition in SIGNAL
    )
    across = (
        f"{triad.name}__{definition.name}" for triad in triads for definition in triad.definitions
    )
    return (*of_signals, *across)


def select_columns(names: Sequence[str], patterns: Sequence[str]) -> tuple[int, ...]:
    """Positions of the selected ``names``, ascending, whatever the order of the patterns.

    A pattern is a name or a glob (``*``, ``?``, ``[...]``, case-sensitive); with a leading ``!``
    it excludes. Excluding wins; with exclusions only, everything else is kept; without patterns
    nothing is.

    Raises:
        ValueError: A pattern matches no column, or nothing is left.
    """
    if not patterns:
        return ()
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    kept = _matching(names, wanted) if wanted else set(range(len(names)))
    kept -= _matching(names, unwanted)
    if not kept:
        raise ValueError(
            f"features.select = {list(patterns)} leaves no column of {len(names)}. "
            f'Name at least one, use ["*"], or set [] for none.'
        )
    return tuple(sorted(kept))


def _matching(names: Sequence[str], patterns: Sequence[str]) -> set[int]:
    found: set[int] = set()
    for pattern in patterns:
        hits = {i for i, name in enumerate(names) if fnmatchcase(name, pattern)}
        if not hits:
            raise ValueError(
                f"features.select: {pattern!r} matches none of {len(names)} columns. "
                f"Closest: {', '.join(_closest(pattern, names))}."
            )
        found |= hits
    return found


def _closest(pattern: str, names: Sequence[str]) -> list[str]:
    endings = {f"*__{name.split('__', 1)[-1]}" for name in names}
    candidates = sorted(endings) + list(names)
    return difflib.get_close_matches(pattern, candidates, n=3, cutoff=0.0)
