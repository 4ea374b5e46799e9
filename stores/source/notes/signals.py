"""Notes on the signals: axes that may be the other way round, channels without a signal."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import rows_of
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.notes.note import SHOWN, Layout, Note
from headrace.stores.source.options import SourceOptions
from headrace.stores.text import listed

LOOKS, LOOK_BYTES = 8, 64 << 10
"""Slices of the data that are looked at, evenly spread, and bytes of each."""
WINDOWS, MOST_BYTES = 24, 1 << 20
"""Windows that are looked at where NaN is filled, and bytes of one."""


def signal_notes(layout: Layout, options: SourceOptions) -> Iterator[Note]:
    """On axes and channels."""
    shape = layout.data.shape or ()
    if options.axes is None and len(shape) == 3 and shape[2] > shape[1]:
        yield Note(
            f"{layout.data.where} has {shape[2]} channels of {shape[1]} samples a window. If these "
            'are (window, channel, time), set source.axes = ["window", "channel", "time"].',
            "source.axes",
        )
    yield from _without_signal(layout.data, layout.stated.channels)
    if options.non_finite == "fill":
        yield from _filled_whole(layout)


def _without_signal(data: SourceArray, channels: tuple[str, ...]) -> Iterator[Note]:
    """Channels that are constant, or never finite, in a few slices."""
    low, high = np.full(len(channels), np.inf), np.full(len(channels), -np.inf)
    for values in sampled(data, LOOKS, LOOK_BYTES):
        finite = np.isfinite(values)
        low = np.minimum(low, np.where(finite, values, np.inf).min(axis=0))
        high = np.maximum(high, np.where(finite, values, -np.inf).max(axis=0))
    never = [name for name, value in zip(channels, low, strict=True) if value == np.inf]
    constant = [
        f"{name} ({value:g})"
        for name, value, other in zip(channels, low, high, strict=True)
        if value == other
    ]
    what = f"in {LOOKS} slices of {data.where} that were looked at"
    if never:
        yield Note(
            f"{_channels(never)} no finite value {what}. Leave it out, or see source.non_finite.",
            "source.non_finite",
        )
    if constant:
        yield Note(f"{_channels(constant)} one value only {what}.", "source.signals")


def _filled_whole(layout: Layout) -> Iterator[Note]:
    """Channels that have no finite value in some windows, which are then filled from end to end."""
    channels = layout.stated.channels
    lacking: dict[str, list[int]] = {}
    has = np.zeros(len(channels), dtype=bool)
    places = np.unique(np.linspace(0, layout.windows - 1, WINDOWS).astype(np.int64)).tolist()
    for place in places if layout.spec.stored_bytes <= MOST_BYTES else ():
        for low, high in layout.row_spans(place, place + 1):
            finite = np.isfinite(layout.data.read(low, high)).reshape(-1, len(channels)).any(axis=0)
            has |= finite
            for name in np.array(channels, dtype=object)[~finite]:
                lacking.setdefault(name, []).append(place)
    some = [name for name, value in zip(channels, has, strict=True) if value and name in lacking]
    if some:
        names = layout.names.groups.names
        groups = [int(layout.read_labels(n, n + 1)[1][0]) for each in some for n in lacking[each]]
        of = listed([names[group] for group in dict.fromkeys(groups) if group >= 0], SHOWN)
        count = len({place for name in some for place in lacking[name]})
        yield Note(
            f"{_channels(some)} no finite value in {count} of {len(places)} windows that were "
            f"looked at{f', of {of}' if of else ''}: source.fill_value stands for all of it there. "
            "Leave the channel out with source.use_channels, or those recordings.",
            "source.non_finite",
        )


def _channels(names: list[str]) -> str:
    several = len(names) > 1
    return f"Channel{'s' * several} {listed(names, SHOWN)} {'have' if several else 'has'}"


def sampled(data: SourceArray, looks: int, size: int) -> Iterator[NDArray[np.float64]]:
    """Rows (n, C) of some slices of (S, C) or (N, T, C), evenly spread, of `size` bytes each."""
    shape = data.shape or (0,)
    row = max(1, int(np.prod(shape[1:])) * data.dtype.itemsize)
    length = min(rows_of(data), max(1, size // row))
    starts = np.unique(np.linspace(0, rows_of(data) - length, looks).astype(np.int64))
    for start in starts.tolist():
        values = data.read(start, start + length).reshape(-1, shape[-1])
        step = max(1, size // max(1, shape[-1]))
        for low in range(0, len(values), step):  # One window may be large.
            yield values[low : low + step].astype(np.float64)
