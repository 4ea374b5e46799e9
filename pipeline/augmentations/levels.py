"""Tables that chance is looked up in, and chance itself as arrays: no TensorFlow.

Values are looked up in tables, never computed by `log` or `exp`, whose last bit depends on a
window's place in the batch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

LEVELS = 4096
"""Entries of an inverse-CDF table; values lie at the middles of as many equal probabilities."""


def middles() -> NDArray[np.float64]:
    """Middles of LEVELS equal probabilities, (LEVELS,)."""
    return (np.arange(LEVELS) + 0.5) / LEVELS


def normal_levels() -> NDArray[np.float64]:
    """Values of a normal distribution at them, scaled to standard deviation 1, (LEVELS,)."""
    levels = ndtri(middles())
    return levels / levels.std()


def array_chances(
    index: NDArray[np.int64], epoch: int, seed: int, stream: int, count: int
) -> NDArray[np.float32]:
    """Float32 (count, n), uniform in [0, 1): the bits of `chance.chances`."""
    key = _splitmix(_splitmix(np.array([seed], np.uint64)) ^ np.uint64(epoch))
    state = _splitmix(key ^ index.astype(np.uint64))
    streams = (np.uint64(stream * 16) + np.arange(count, dtype=np.uint64))[:, None]
    hashed = _splitmix(state ^ _splitmix(streams))
    return (hashed >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def whole(chance: NDArray[np.float32], count: int | NDArray[np.int32]) -> NDArray[np.int32]:
    """Uniform int32 in 0..count-1 of a chance in [0, 1)."""
    return (chance * np.asarray(count, np.float32)).astype(np.int32)


def _splitmix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))
