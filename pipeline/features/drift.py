"""Whether new recordings look like those of the store that they are added to."""

from __future__ import annotations

import numpy as np

from headrace.stores.source.source import Source
from headrace.stores.store import Store
from headrace.stores.text import listed
from headrace.stores.units import in_units

LOOKS = 64
"""Windows that are looked at, evenly spread over the source."""
UNLIKE = 5.0
"""Ratio of what two channels hold beyond which a unit is taken to be another: g and m/s2 are 9.8
apart, degrees and radians 57."""


def drift_said(base: Store, source: Source) -> str | None:
    """What channels of `source` hold many times more or less than the store; None: none does.

    Compared are root mean squares in units: of a sample of the source, and of all of the store.
    """
    moments = base.moments([fold.name for fold in base.folds])
    known = np.sqrt(np.square(moments.raw_mean) + np.square(moments.raw_std))
    places = np.unique(np.linspace(0, source.windows - 1, LOOKS).astype(np.int64)).tolist()
    windows = np.concatenate([source.read_windows(place, place + 1) for place in places])
    values = np.square(in_units(windows, source.spec.scale), dtype=np.float64)
    finite = np.isfinite(values)
    found = np.sqrt(np.where(finite, values, 0).sum((0, 1)) / np.maximum(finite.sum((0, 1)), 1))
    both = (known > 0) & (found > 0)
    ratio = np.divide(found, known, out=np.ones_like(known), where=both)
    unlike = [
        f"{name} {size:.3g}, in the store {there:.3g}"
        for name, size, there, times in zip(source.spec.channels, found, known, ratio, strict=True)
        if not 1 / UNLIKE < times < UNLIKE
    ]
    if not unlike:
        return None
    return (
        f"Warning: root mean squares of {source.path} are unlike those of the store: "
        f"{listed(unlike)}. If its unit is another, convert it; Ctrl-C leaves the store as it is."
    )
