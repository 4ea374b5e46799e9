"""Bins that values are counted in, so that folds can be balanced in them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 8
"""Of values, with about as many windows in each."""


def bin_edges(values: NDArray[Any]) -> tuple[float, ...]:
    """Quantiles of values (n,), each once; of two values at least, where there are two."""
    wide = values[np.isfinite(values)].astype(np.float64)
    if not len(wide):
        return ()
    shares = np.arange(1, BINS) / BINS
    found = np.unique(np.quantile(wide, shares, method="inverted_cdf"))
    low, high = float(wide.min()), float(wide.max())
    # Nothing is before the least.
    found = found[found > low]
    if not len(found) and high > low:
        found = np.array([high])
    return tuple(found.tolist())


def bin_names(name: str, unit: str, edges: Sequence[float]) -> tuple[str, ...]:
    """`rul < 12`, `rul 12 to 30`, `rul >= 30`, with the unit."""
    unit = f" {unit}" if unit else ""
    if not edges:
        return (name,)
    shown = [f"{edge:.9g}" for edge in edges]
    between = [f"{name} {a} to {b}{unit}" for a, b in pairwise(shown)]
    return (f"{name} < {shown[0]}{unit}", *between, f"{name} >= {shown[-1]}{unit}")
