"""How much is computed at once, and what that takes in bytes. Loads no compiler."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import DTypeLike

from headrace.pipeline.catalogue.plan import LEAD, VECTOR, Plan
from headrace.pipeline.catalogue.registry import SIGNAL

TILE_SAMPLES: Final = 1 << 16
"""Samples of all signals of a tile: its arrays, 1.2 MB together, stay in the caches of a core.

Measured on 128 x 9, microseconds a window: 2^13 11.1, 2^14 10.2, 2^15 9.7, 2^16 9.3, 2^17 9.0. What
small tiles lose is the calls.
"""

LARGE_PRIME: Final = 31
LONGEST_DIRECT: Final = 256
"""Direct sums serve up to this length where the largest prime factor is `LARGE_PRIME` or more.

An FFT is slow there, and the jerk of a window of 128 or 200 samples has 127 or 199. Time of the
FFT over that of the sums, one core: 31 samples 1.8, 127 3.9, 199 2.0, 249 (3 x 83) 1.3.
"""

DIRECT_ROWS: Final = 3
DIRECT_COLUMNS: Final = 4
"""Rows and columns of the tables that a direct sum takes at once."""


def tile_windows(plan: Plan) -> int:
    """Windows computed at once. Results do not depend on it."""
    samples = plan.full.signals * plan.full.time + plan.jerk.signals * plan.jerk.time
    return max(1, TILE_SAMPLES // samples)


def working_dtype(dtype: DTypeLike) -> np.dtype[np.float32] | np.dtype[np.float64]:
    """float32 when it holds every value of ``dtype`` exactly, else float64.

    Raises:
        TypeError: Not a real number type.
    """
    given = np.dtype(dtype)
    if given.kind not in "biuf":
        raise TypeError(f"Windows of dtype {given} have no features. Convert them to real numbers.")
    if np.can_cast(given, np.float32):
        return np.dtype(np.float32)
    return np.dtype(np.float64)


def sums_directly(time: int) -> bool:
    """Whether spectra of ``time`` samples are made by direct sums rather than an FFT."""
    return time <= LONGEST_DIRECT and _largest_prime(time) >= LARGE_PRIME


def scratch_bytes(plan: Plan, windows: int, channels: int, dtype: DTypeLike) -> int:
    """Bytes allocated at once by `extract` besides its result; windows have ``channels``."""
    if not plan.columns:
        return 0
    tile = min(windows, tile_windows(plan))
    item = working_dtype(dtype).itemsize
    total = tile * plan.full.time * channels * item
    for group in (plan.full, plan.jerk):
        row = group.time * item + (LEAD + group.time + group.lags.zeros) * 4
        row += 2 * item + 16 + len(SIGNAL) * 8
        total += tile * group.signals * row
        if "spectrum" in group.families:
            total += _spectrum_bytes(tile * group.signals, group.time)
    return total + tile * sum(across.width for across in plan.across) * 8


def up_to(count: int, multiple: int) -> int:
    """The next multiple, or ``count`` itself."""
    return -(-count // multiple) * multiple


def _spectrum_bytes(signals: int, time: int) -> int:
    half = time // 2 + 1
    if not sums_directly(time):
        return signals * half * (4 + 8)
    terms, bins = up_to(half, VECTOR), up_to(half, DIRECT_COLUMNS)
    tables = 8 * terms * bins + 4 * 8 * half**2  # Made in float64.
    return 4 * signals * half + 8 * up_to(signals, DIRECT_ROWS) * (terms + bins) + tables


def _largest_prime(number: int) -> int:
    largest, factor = 1, 2
    while factor * factor <= number:
        while number % factor == 0:
            largest, number = factor, number // factor
        factor += 1
    return max(largest, number)
