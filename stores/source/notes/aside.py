"""Channels that say something of the rows, and measure nothing: ages, row counters, labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.notes.note import SHOWN, Layout, Note
from headrace.stores.text import listed

LOOKS, NEAR = 12, 256
"""Places that are looked at, evenly spread, and windows around each whose labels are read."""
FEWEST = 3
"""Stretches of which it is told."""
MOST_BYTES = 1 << 20
"""Of a window that is looked at."""
SHORTEST = 8
"""Samples of a window whose steps are compared."""
FAR = 4
"""Windows apart from which on two of one stretch show that a slow sensor is none."""
LABEL, GROUP, STRETCH = (
    "one value for each label",
    "constant within each group",
    "constant within each recording",
)
ROWS, ONE_HOT = "a count of rows", "1 where a label holds, else 0 (one-hot)"
LEAKS = (LABEL, ONE_HOT)


@dataclass(frozen=True)
class Stretch:
    """Two windows of one label, group and recording.

    Attributes:
        label, group: their numbers.
        apart: how many windows they are apart; 0: they are one.
        low, high: (C,) of both.
        step: (C,) from sample to sample, where it is always the same; else NaN.
        bits: (n, C) the rows, 2 where a value is neither 0 nor 1.
    """

    label: int
    group: int
    apart: int
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    step: NDArray[np.float64]
    bits: NDArray[np.int8]


def beside_signals(layout: Layout) -> dict[str, str]:
    """Channels that measure nothing, each with the reason; {} where that cannot be told.

    Two windows of a few stretches of one label, group and recording are read.
    """
    if layout.spec.time < SHORTEST or layout.spec.stored_bytes > MOST_BYTES:
        return {}
    found = list(_stretches(layout))
    if len(found) < FEWEST or 2 * sum(each.apart > 0 for each in found) < len(found):
        return {}
    low, high = np.stack([s.low for s in found]), np.stack([s.high for s in found])
    steps = np.stack([s.step for s in found])
    names = layout.spec.channels
    told: dict[int, str] = dict.fromkeys(_one_hot(found, low, high), ONE_HOT)
    for channel in range(len(names)):
        if channel in told:
            continue
        values = low[:, channel]
        if (values == high[:, channel]).all() and len(np.unique(values)) > 1:
            reason = _constant(found, values)
        else:
            reason = ROWS if _counts(steps[:, channel]) else None
        if reason is not None:
            told[channel] = reason
    if len(told) == len(names):
        return {}
    return {names[channel]: why for channel, why in sorted(told.items())}


def aside_notes(layout: Layout) -> Iterator[Note]:
    """One for each reason."""
    by_reason: dict[str, list[str]] = {}
    for name, why in beside_signals(layout).items():
        by_reason.setdefault(why, []).append(name)
    for why, names in by_reason.items():
        several = len(names) > 1
        leaks = " Training would read the labels from that." if why in LEAKS else ""
        left_out = ", ".join(f'"!{name}"' for name in names[:SHOWN])
        yield Note(
            f"Channel{'s' * several} {listed(names, SHOWN)} seem{'s' * (not several)} to measure "
            f"nothing: {why}, in a few windows that were looked at.{leaks} To leave out: "
            f"source.use_channels = [{left_out}{', ...' * (len(names) > SHOWN)}].",
            "source.use_channels",
        )


def _stretches(layout: Layout) -> Iterator[Stretch]:
    last = -1
    for place in np.unique(np.linspace(0, layout.windows - 1, LOOKS).astype(np.int64)).tolist():
        if place <= last:
            continue
        start, stop = max(last + 1, place - NEAR // 2), min(layout.windows, place + NEAR // 2)
        label, group, _ = layout.read_labels(start, stop)
        at = layout.locate(start, stop)
        keys = np.stack([label, group, label if at is None else at[0]])
        same = (keys == keys[:, place - start : place - start + 1]).all(axis=0)
        before, after = same[: place - start][::-1], same[place - start :]
        first = place - (len(before) if before.all() else int(before.argmin()))
        length = len(after) if after.all() else int(after.argmin())
        last = place + length - 1
        count = last + 1 - first
        one, two = first + count // 4, first + (3 * count) // 4
        windows = [
            layout.read_windows(n, n + 1, marks=False)[0][0].astype(np.float64)
            for n in dict.fromkeys((one, two))
        ]
        rows = np.concatenate(windows)
        yield Stretch(
            int(label[place - start]),
            int(group[place - start]),
            two - one,
            rows.min(axis=0),
            rows.max(axis=0),
            _step(windows, layout.spec.dtype),
            np.where(np.isin(rows, (0, 1)), rows, 2).astype(np.int8),
        )


def _step(windows: list[NDArray[np.float64]], dtype: np.dtype[Any]) -> NDArray[np.float64]:
    """(C,) the step from row to row, NaN where it varies, or is none."""
    with np.errstate(invalid="ignore"):  # Infinity less infinity.
        steps = np.concatenate([np.diff(each, axis=0) for each in windows])
    step = np.median(steps, axis=0)
    rounding = 4 * np.finfo(dtype).eps if dtype.kind == "f" else 0.0
    largest = np.max([np.abs(each).max(axis=0) for each in windows], axis=0)
    slack = 1e-3 * np.abs(step) + rounding * largest
    even = (np.abs(steps - step) <= slack).all(axis=0) & (np.abs(step) > 4 * rounding * largest)
    return np.where(even & (step != 0), step, np.nan)


def _counts(steps: NDArray[np.float64]) -> bool:
    """Whether rows are counted, at the same step everywhere."""
    first = steps[0]
    return bool((np.abs(steps - first) <= 0.01 * abs(first)).all())


def _constant(found: list[Stretch], values: NDArray[np.float64]) -> str | None:
    """Of what a channel says something that is constant within each stretch; None: not sure."""
    far = 2 * sum(each.apart >= FAR for each in found) > len(found)
    pairs = _pairs(values, [each.label for each in found])
    if pairs is not None and pairs > 1 and (far or pairs < len(found)):
        return LABEL
    groups: dict[int, list[float]] = {}
    for each, value in zip(found, values.tolist(), strict=True):
        groups.setdefault(each.group, []).append(value)
    if all(len(set(held)) == 1 for held in groups.values()):
        return GROUP if far or len(groups) < len(found) else None
    return STRETCH if far else None


def _pairs(values: NDArray[np.float64], labels: list[int]) -> int | None:
    """How many pairs of a value and a label there are, if each has one other; None: it has not."""
    pairs = set(zip(values.tolist(), labels, strict=True))
    alone = len({value for value, _ in pairs}) == len({label for _, label in pairs}) == len(pairs)
    return len(pairs) if alone else None


def _one_hot(
    found: list[Stretch], low: NDArray[np.float64], high: NDArray[np.float64]
) -> list[int]:
    """Channels of 0 and 1 of which each row marks one."""
    bits = [
        channel
        for channel in np.flatnonzero((low.min(axis=0) == 0) & (high.max(axis=0) == 1)).tolist()
        if all((each.bits[:, channel] != 2).all() for each in found)
    ]
    ones = [each.bits[:, bits].sum(axis=1, dtype=np.int64) for each in found]
    if len(bits) < 2 or not all((each == 1).all() for each in ones):
        return []
    return bits
