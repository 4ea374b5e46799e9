"""Channels that hold nothing to train on, or NaN in places; and how many windows hold NaN."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from headrace.stores.io.places import Place
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source

LOOKS, LOOK_BYTES = 16, 1 << 20
"""Places that are looked at, evenly spread, and bytes of each."""


@dataclass(frozen=True)
class Missing:
    """What a look at some windows and rows found.

    Attributes:
        never: channels without any finite value.
        slow: channels whose values nearly all have NaN between them, as of a slower sensor.
        bad: windows that hold NaN or infinity.
        looked: windows that were looked at.
        beside: channels that measure nothing, and why.
    """

    never: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    bad: int = 0
    looked: int = 0
    beside: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> str:
        """Its attributes."""
        return json.dumps(asdict(self))


def missing_of(path: Place, options: SourceOptions) -> Missing:
    """What is missing in a source.

    Raises:
        UserError: as `open_source`.
    """
    with open_source(path, options) as source:
        beside = source.beside_signals()
        if source.spec.dtype.kind != "f":
            return Missing(beside=beside)
        bad, looked = non_finite_windows(source)
        if not bad:
            return Missing(looked=looked, beside=beside)
        channels = source.spec.channels
        found = np.zeros(len(channels), np.int64)
        apart: list[list[NDArray[np.int64]]] = [[] for _ in channels]
        for rows in source.sampled_rows(LOOKS, LOOK_BYTES):
            finite = np.isfinite(rows)
            found += finite.sum(axis=0)
            for column, distances in enumerate(apart):
                distances.append(np.diff(np.flatnonzero(finite[:, column])))
        joined = [np.concatenate(each) for each in apart]
        return Missing(
            tuple(name for name, count in zip(channels, found.tolist(), strict=True) if not count),
            tuple(
                name
                for name, each in zip(channels, joined, strict=True)
                if len(each) and np.median(each) > 1
            ),
            bad,
            looked,
            beside,
        )


def non_finite_windows(source: Source) -> tuple[int, int]:
    """How many of some windows, evenly spread, hold NaN or infinity; and how many these are."""
    if source.spec.dtype.kind != "f" or not source.windows:
        return 0, 0
    each = max(1, LOOK_BYTES // source.spec.stored_bytes)
    last = max(0, source.windows - each)
    bad = looked = stop = 0
    for place in np.unique(np.linspace(0, last, LOOKS).astype(np.int64)).tolist():
        start, stop = max(place, stop), min(place + each, source.windows)
        if start < stop:
            bad += int(source.read_marked_windows(start, stop)[1].sum())
            looked += stop - start
    return bad, looked
