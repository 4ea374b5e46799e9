"""What a selection of columns makes necessary: signals, kernels, lags, bins, column positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.catalogue.columns import Triad, signal_names
from headrace.pipeline.catalogue.registry import AUTOCORR_SECONDS, BANDS_HZ, SIGNAL, Family

LAGS_AT_ONCE: Final = 12
"""Lags whose sums run together: three times four of them share seven loads of the signal."""

LEAD: Final = 8
"""Zeros before each centred row: what the sums of the shorter lags of twelve begin with."""

VECTOR: Final = 16
"""Terms that sums of products are rounded up to: one 512-bit register of float32."""


@dataclass(frozen=True)
class Lags:
    """Lags searched for a peak, in samples, inclusive; none when ``last < first``."""

    first: int
    last: int

    @property
    def zeros(self) -> int:
        """Zeros that must follow each centred row, so that no sum needs a border case.

        A sum over t runs up to VECTOR - 1 past its end, and looks three lags further.
        """
        return VECTOR + 3 if self.last >= self.first else 0


def searched_lags(time: int, rate_hz: float) -> Lags:
    """Lags of 0.2 to 1.5 s that fit ``time`` samples with a neighbour on each side."""
    shortest, longest = AUTOCORR_SECONDS
    # The slack keeps 0.2 s x 15 Hz at 3 samples although the product exceeds 3 by a rounding.
    first = max(1, math.ceil(shortest * rate_hz - 1e-9))
    return Lags(first, min(math.floor(longest * rate_hz + 1e-9), time - 2))


def band_bins(time: int, rate_hz: float) -> NDArray[np.int64]:
    """First and one-past-last bin of each band, (bands, 2); bin 0 is DC and in no band."""
    frequencies = np.arange(time // 2 + 1) * rate_hz / time
    edges = [np.searchsorted(frequencies, band, side="left") for band in BANDS_HZ]
    return np.maximum(np.asarray(edges, dtype=np.int64), 1)


@dataclass(frozen=True)
class Group:
    """Signals of one length that go through the kernels together.

    ``columns`` are positions in the flat (signals x 27) table, ``places`` those in the result.
    """

    signals: int
    time: int
    families: frozenset[Family]
    lags: Lags
    bands: NDArray[np.int64]
    columns: NDArray[np.int64]
    places: NDArray[np.int64]


@dataclass(frozen=True)
class Across:
    """The features across one triad: ``slots`` of its channels, columns and their places."""

    slots: tuple[int, int, int]
    width: int
    columns: NDArray[np.int64]
    places: NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """All work for one window.

    Signals of ``full`` are ``channels`` in that order, then one magnitude for each entry of
    ``magnitudes``; those of ``jerk`` are one for each entry of ``jerks``. An entry gives the
    slots of the triad's channels within ``full``.
    """

    channels: tuple[int, ...]
    magnitudes: tuple[tuple[int, int, int], ...]
    jerks: tuple[tuple[int, int, int], ...]
    full: Group
    jerk: Group
    across: tuple[Across, ...]

    @property
    def columns(self) -> int:
        """How many columns there are."""
        own = self.full.columns.size + self.jerk.columns.size
        return own + sum(across.columns.size for across in self.across)


@dataclass
class _Chosen:
    """Selected columns of one group while the plan is made."""

    columns: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    families: set[Family] = field(default_factory=set)

    def add(self, slot: int, features: Sequence[tuple[int, int]]) -> None:
        for feature, place in features:
            self.columns.append(slot * len(SIGNAL) + feature)
            self.places.append(place)
            self.families.add(SIGNAL[feature].family)

    def group(self, signals: int, time: int, rate_hz: float) -> Group:
        return Group(
            signals,
            time,
            frozenset(self.families),
            searched_lags(time, rate_hz),
            band_bins(time, rate_hz),
            np.asarray(self.columns, dtype=np.int64),
            np.asarray(self.places, dtype=np.int64),
        )


def make_plan(
    channels: Sequence[str],
    triads: Sequence[Triad],
    rate_hz: float,
    time: int,
    selected: Sequence[int],
) -> Plan:
    """Plan the columns ``selected``: ascending positions in `columns.column_names`."""
    wanted = _by_owner(channels, triads, selected)
    needed = {c for c in range(len(channels)) if c in wanted}
    for number, triad in enumerate(triads):
        if any(owner in wanted for owner in _owners_of(number, len(channels), len(triads))):
            needed.update(triad.channels)
    used = tuple(sorted(needed))

    full, jerk = _Chosen(), _Chosen()
    magnitudes: list[tuple[int, int, int]] = []
    jerks: list[tuple[int, int, int]] = []
    across: list[Across] = []
    for slot, channel in enumerate(used):
        full.add(slot, wanted.get(channel, ()))
    for number, triad in enumerate(triads):
        x, y, z = (used.index(c) if c in needed else -1 for c in triad.channels)
        slots = (x, y, z)
        magnitude, jerk_magnitude, between = _owners_of(number, len(channels), len(triads))
        if magnitude in wanted:
            full.add(len(used) + len(magnitudes), wanted[magnitude])
            magnitudes.append(slots)
        if jerk_magnitude in wanted:
            jerk.add(len(jerks), wanted[jerk_magnitude])
            jerks.append(slots)
        if between in wanted:
            columns, places = np.asarray(wanted[between], dtype=np.int64).T
            across.append(Across(slots, len(triad.definitions), columns.copy(), places.copy()))
    return Plan(
        used,
        tuple(magnitudes),
        tuple(jerks),
        full.group(len(used) + len(magnitudes), time, rate_hz),
        jerk.group(len(jerks), time - 1, rate_hz),
        tuple(across),
    )


def _owners_of(number: int, channels: int, triads: int) -> tuple[int, int, int]:
    """Owner numbers of a triad: its magnitude, its jerk magnitude, and what lies across it."""
    return channels + 2 * number, channels + 2 * number + 1, channels + 2 * triads + number


def _by_owner(
    channels: Sequence[str], triads: Sequence[Triad], selected: Sequence[int]
) -> dict[int, list[tuple[int, int]]]:
    """For each owner (signal, then triad) its selected (feature, place in the result)."""
    widths = [len(SIGNAL)] * len(signal_names(channels, triads))
    widths += [len(triad.definitions) for triad in triads]
    starts = np.cumsum([0, *widths])
    owners: dict[int, list[tuple[int, int]]] = {}
    for place, column in enumerate(selected):
        owner = int(np.searchsorted(starts, column, side="right")) - 1
        owners.setdefault(owner, []).append((column - int(starts[owner]), place))
    return owners
