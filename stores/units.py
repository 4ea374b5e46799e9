"""Stored values in units: one arithmetic for extracting, for moments and for checking them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def in_units(raw: NDArray[Any], scale: Sequence[float]) -> NDArray[Any]:
    """`raw` (n, T, C) in units: float32, or float64 where float32 would not hold the integers.

    Args:
        raw: stored values, any real type.
        scale: C factors, raw * scale = units.
    """
    wide = raw.dtype.itemsize > 4 or (raw.dtype.kind in "iu" and raw.dtype.itemsize == 4)
    units = raw.astype(np.float64 if wide else np.float32, copy=False)
    return units if all(factor == 1 for factor in scale) else units * np.array(scale, units.dtype)
