"""One pass over the times of all rows: gaps, disorder, and the mean step of each recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.names import slices
from headrace.stores.source.times.rate import Steps, steps_of
from headrace.stores.source.times.stamps import Stamps

SAMPLES, SAMPLE_ROWS = 64, 4096
MOST_CUTS = 1 << 19
"""That are kept: 40 bytes each, and as much again for a moment."""
SHOWN = 3
"""Rows of disorder that are shown."""
REGULAR = 0.75
"""A step counts for the mean when it differs from the usual one by less, as a share of it."""
BEGINNING = 0.1
"""Times that go back to this share of what was recorded since they began begin afresh."""


@dataclass(frozen=True)
class Places:
    """Where recordings, or their parts, lie in the signals, by their first row.

    Attributes:
        start, stop: (n,) int64, rows.
        owner: (n,) int64, row in the table of recordings.
    """

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    owner: NDArray[np.int64]


@dataclass(frozen=True)
class Cuts:
    """Rows before which recordings are cut.

    Attributes:
        row: (k,) int64, ascending.
        before, at: (k,) times of the row before, and of the row.
        restart: (k,) bool: times begin afresh, else samples are missing.
    """

    row: NDArray[np.int64]
    before: NDArray[Any]
    at: NDArray[Any]
    restart: NDArray[np.bool_]


@dataclass(frozen=True)
class Scan:
    """What the pass finds.

    Attributes:
        cuts: gaps and restarts.
        shown: rows of disorder, the first few: row, time of the row before, time.
        disorder: how many steps go back or stay.
        disordered: (n,) bool: places with such a step.
        mean: (n,) mean regular step of each place, in ticks; NaN of none.
        regular: (n,) how many they are.
        steps: (n,) all of them.
        deviation: standard deviation of the regular steps, in ticks.
        first, last: (n,) time of the first and of the last row of each place.
    """

    cuts: Cuts
    shown: list[tuple[int, Any, Any]]
    disorder: int
    disordered: NDArray[np.bool_]
    mean: NDArray[np.float64]
    regular: NDArray[np.int64]
    steps: NDArray[np.int64]
    deviation: float
    first: NDArray[Any]
    last: NDArray[Any]


def sample(stamps: Stamps, places: Places) -> Steps | None:
    """The steps in 64 evenly spread stretches of up to 4,096 rows."""
    length = places.stop - places.start
    before = np.concatenate(([0], np.cumsum(length)))
    wanted = np.unique(np.linspace(0, max(0, int(before[-1]) - 1), SAMPLES).astype(np.int64))
    found: list[NDArray[np.float64]] = []
    at, resolution, done = 0.0, 0.0, -1
    for row in wanted.tolist():
        place = int(np.searchsorted(before, row, side="right")) - 1
        # Short recordings whole.
        low = max(0, min(row - int(before[place]), int(length[place]) - SAMPLE_ROWS))
        first = int(places.start[place]) + low
        stop = min(first + SAMPLE_ROWS, int(places.stop[place]))
        first = max(first, done) if int(places.start[place]) <= done < stop else first
        done = stop
        if stop - first < 2:
            continue
        ticks = stamps.read(first, stop)
        found.append((ticks - ticks[0]).astype(np.float64))
        at, resolution = float(ticks[0]), max(resolution, stamps.resolution(ticks))
    return steps_of(found, resolution, at)


def scan(stamps: Stamps, places: Places, usual: Steps, longest: float, may_restart: bool) -> Scan:
    """Read all times, in slices.

    Args:
        stamps: the times.
        places: of the recordings, none of them empty, ascending and apart.
        usual: the usual step.
        longest: the longest step that is no gap, in ticks.
        may_restart: whether times that go back to their beginning begin a recording.

    Raises:
        UserError: a time is missing; there are more than 2**19 gaps.
    """
    count = len(places.start)
    dtype = np.int64 if stamps.whole else np.float64
    first, last, since = (np.zeros(count, dtype) for _ in range(3))
    total, squares = np.zeros(count), np.zeros(count)
    regular, steps = np.zeros(count, np.int64), np.zeros(count, np.int64)
    disordered, disorder = np.zeros(count, bool), 0
    shown: list[tuple[int, Any, Any]] = []
    cuts: list[Cuts] = []
    for low, place, ticks in slices_of(stamps, places):
        row = np.arange(low, low + len(ticks))
        heads = np.flatnonzero(places.start[place] == row)
        first[place[heads]] = since[place[heads]] = ticks[heads]
        tails = np.flatnonzero((place >= 0) & (places.stop[place] == row + 1))
        last[place[tails]] = ticks[tails]
        step, owner = np.diff(ticks).astype(np.float64), place[1:]
        inside = (owner == place[:-1]) & (owner >= 0)
        away = step - usual.step
        even = inside & (np.abs(away) < REGULAR * usual.step)
        _add(steps, owner[inside], None)
        _add(regular, owner[even], None)
        _add(total, owner[even], away[even])
        _add(squares, owner[even], away[even] ** 2)
        wrong = inside & (step <= 0)
        restart = _restarts(wrong & (-step > longest) & may_restart, ticks, owner, since)
        cut = np.flatnonzero((inside & (step > longest)) | restart)
        cuts.append(Cuts(low + cut + 1, ticks[cut], ticks[cut + 1], restart[cut]))
        _check_count(cuts)
        wrong &= ~restart
        disorder += int(wrong.sum())
        disordered[owner[wrong]] = True
        for at in np.flatnonzero(wrong)[: SHOWN - len(shown)].tolist():
            shown.append((low + at + 1, ticks[at], ticks[at + 1]))
    measured = max(1, int(regular.sum()))
    mean = usual.step + total / np.where(regular > 0, regular, np.nan)
    variance = squares.sum() / measured - (total.sum() / measured) ** 2
    return Scan(
        _joined(cuts, dtype),
        shown,
        disorder,
        disordered,
        mean,
        regular,
        steps,
        float(np.sqrt(max(0.0, variance))),
        first,
        last,
    )


def _restarts(
    back: NDArray[np.bool_], ticks: NDArray[Any], owner: NDArray[np.int64], since: NDArray[Any]
) -> NDArray[np.bool_]:
    """At which of the steps `back` times begin afresh; sets since when those of a place run."""
    restart = np.zeros_like(back)
    for at in np.flatnonzero(back).tolist():
        begun = since[owner[at]]
        if ticks[at + 1] <= begun + BEGINNING * float(ticks[at] - begun):
            since[owner[at]] = ticks[at + 1]
            restart[at] = True
    return restart


def _add(sums: NDArray[Any], owner: NDArray[np.int64], values: NDArray[np.float64] | None) -> None:
    """Add values, or counts, to those that own them; owners ascend."""
    if len(owner):
        lowest = int(owner[0])
        found = np.bincount(owner - lowest, values)
        sums[lowest : lowest + len(found)] += found.astype(sums.dtype, copy=False)


def _check_count(cuts: list[Cuts]) -> None:
    if sum(len(each.row) for each in cuts) > MOST_CUTS:
        raise SourceError(
            f"There are more than {MOST_CUTS:,} gaps between the times of rows. Set a longer "
            'source.max_gap_s, or source.time = "" and source.rate_hz.'
        )


def _joined(cuts: list[Cuts], dtype: Any) -> Cuts:
    none = np.zeros(0, dtype)
    return Cuts(
        np.concatenate([np.zeros(0, np.int64), *(each.row for each in cuts)]),
        np.concatenate([none, *(each.before for each in cuts)]),
        np.concatenate([none, *(each.at for each in cuts)]),
        np.concatenate([np.zeros(0, bool), *(each.restart for each in cuts)]),
    )


def slices_of(
    stamps: Stamps, places: Places
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[Any]]]:
    """First row, place and time of rows; a slice begins with the last row of the one before.

    Rows of no recording have the place -1 - n, that of the next one.
    """
    if len(places.start) == 0:
        return
    lowest, highest = int(places.start[0]), int(places.stop.max())
    for low, high in slices(highest - lowest):
        low, high = lowest + low, lowest + high
        low = max(lowest, low - 1)
        rows = np.arange(low, high, dtype=np.int64)
        place = np.searchsorted(places.start, rows, side="right") - 1
        outside = rows >= places.stop[place]
        if outside.all():
            continue
        yield low, np.where(outside, -1 - place, place), stamps.read(low, high)
