"""Windows that hold NaN or infinity: which they are, in which channels, and what can be done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.layout.layout import join_ranges
from headrace.stores.shards.cut import CutWindows
from headrace.stores.source.source import Source
from headrace.stores.text import listed

LOOKED_BYTES = 16 << 20
COUNTED_BYTES = 1 << 20
SPARSE = 0.3
"""Of a channel's values: with more that are missing it looks like a slow one."""
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class NonFinite:
    """What was found.

    Attributes:
        ranges: (R, 2) of candidate windows.
        shares: (C,) share of each channel's values, in all windows that were looked at.
    """

    ranges: Integers
    shares: NDArray[np.float64]


def find_non_finite(
    source: Source, advance: Callable[[int], None] = lambda windows: None
) -> NonFinite:
    """The candidate windows that hold NaN or infinity; reads every window once.

    Args:
        source: the source.
        advance: told the windows that were looked at.
    """
    found, counts = [no_ranges()], np.zeros(len(source.spec.channels), dtype=np.int64)
    if source.spec.dtype.kind == "f":
        step = max(1, LOOKED_BYTES // source.spec.stored_bytes)
        for start in range(0, source.windows, step):
            windows, marked = source.read_marked_windows(start, min(start + step, source.windows))
            bad = np.flatnonzero(marked)
            counts += count_non_finite(windows, bad)
            found.append(np.stack([start + bad, start + bad + 1], axis=1))
            advance(len(windows))
    values = max(1, source.windows * source.spec.time)
    without = np.sort(source.without_target())
    found.append(np.stack([without, without + 1], axis=1))
    return NonFinite(_united(np.concatenate(found)), counts / values)


def _united(ranges: Integers) -> Integers:
    """Ascending ranges that cover what these (R, 2), each of one number, do."""
    starts = np.unique(ranges[:, 0])
    return join_ranges(np.stack([starts, starts + 1], axis=1))


def no_ranges() -> Integers:
    """No range at all, (0, 2)."""
    return np.zeros((0, 2), dtype=np.int64)


def count_non_finite(windows: NDArray[Any] | CutWindows, rows: NDArray[np.intp]) -> Integers:
    """(C,) values of the windows (n, T, C) at `rows` that are not finite, by channel."""
    counts = np.zeros(windows.shape[2], dtype=np.int64)
    step = max(1, COUNTED_BYTES // max(1, windows[:1].nbytes))
    for at in range(0, len(rows), step):
        counts += (~np.isfinite(windows[rows[at : at + step]])).sum(axis=(0, 1))
    return counts


def described(source: Source, shares: NDArray[np.float64]) -> str:
    """`heart_rate (91 %), broken (all of it)`: the channels that hold NaN, and of what share."""
    order = [at for at in np.argsort(-shares, kind="stable").tolist() if shares[at] > 0]
    return listed([f"{source.spec.channels[at]} ({_share(float(shares[at]))})" for at in order], 8)


def remedies(source: Source, shares: NDArray[np.float64]) -> str:
    """Which keys help with these shares of missing values, as a sentence without its end."""
    names = source.spec.channels
    empty = [name for name, share in zip(names, shares, strict=True) if share == 1]
    sparse = [name for name, share in zip(names, shares, strict=True) if SPARSE < share < 1]
    ways = []
    if empty and len(empty) < len(names):
        ways.append(f"leave out what holds no value: source.use_channels = {_toml(empty, '!')}")
    if sparse and source.layout == "recordings" and not source.options.slow_channels:
        ways.append(f"bridge the gaps of slow channels: source.slow_channels = {_toml(sparse)}")
    if sparse and source.options.slow_channels:
        ways.append("bridge wider gaps of slow channels: source.slow_max_gap_s")
    if not empty and not sparse and 0 < (shares > 0).sum() < len(names):
        ways.append("leave channels out with source.use_channels")
    return "; ".join(ways)


def _share(share: float) -> str:
    if share == 1:
        return "all of it"
    percent = 100 * share
    return f"{percent:.0f} %" if 1 <= percent < 99 else f"{percent:.2g} %"


def _toml(names: list[str], before: str = "") -> str:
    return json.dumps([f"{before}{name}" for name in names], ensure_ascii=False)
