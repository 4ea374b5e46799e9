"""Normalises rows in place, as they are read: the bits of `model.normalisation`.

The layers of a saved model take six operations of TensorFlow, each through memory, where this takes
one pass: a fifth of the time by quantiles. A test holds the bits together, but for subnormal
numbers, which TensorFlow takes for 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from model.normaliser import SCORE_LIMIT, STANDARD_LIMIT, Normaliser
from pipeline.catalogue.compiled import exact_kernel

Floats = NDArray[np.float32]
LANES = 16
"""Rows that are searched side by side: as many float32 as the widest registers hold."""


def raw_scaler(normaliser: Normaliser, time: int) -> Callable[[Floats], None]:
    """A function that normalises raw (n, T, C) float32, in units, C order, in place."""
    # A row of T x C values at a time: a loop over channels alone is too short to be vectorised.
    mean, scale = (np.tile(each, time) for each in (normaliser.raw_mean, normaliser.raw_scale))
    level = np.float32(np.inf)
    return lambda raw: _standardise(raw.reshape(len(raw), mean.size), mean, scale, level)


def feature_scaler(normaliser: Normaliser) -> Callable[[Floats], None]:
    """A function that scales features (n, F) float32, C order, in place; any thread may call it."""
    if normaliser.scaling == "standard":
        mean, scale = normaliser.feature_mean, normaliser.feature_scale
        return lambda features: _standardise(features, mean, scale, np.float32(STANDARD_LIMIT))
    count, width = normaliser.knots.shape
    # A whole number of halvings, and past the last knot nothing is above a value.
    filled = np.full((count, 1 << width.bit_length()), np.inf, np.float32)
    filled[:, :width] = normaliser.knots
    columns = np.ascontiguousarray(normaliser.segments().transpose(2, 0, 1))
    return lambda features: _map_by_quantiles(features, filled, columns, np.float32(SCORE_LIMIT))


@exact_kernel
def _standardise(features: Floats, mean: Floats, scale: Floats, limit: np.float32) -> None:
    for row in range(features.shape[0]):
        for column in range(features.shape[1]):
            value = (features[row, column] - mean[column]) * scale[column]
            features[row, column] = min(max(value, -limit), limit)


@exact_kernel
def _map_by_quantiles(features: Floats, knots: Floats, segments: Floats, limit: np.float32) -> None:
    """Find the last knot at or below each value by halving, LANES rows at a time."""
    values, found = np.empty(LANES, np.float32), np.empty(LANES, np.int32)
    for first in range(0, features.shape[0], LANES):
        rows = min(LANES, features.shape[0] - first)
        for column in range(features.shape[1]):
            own, starts = knots[column], segments[0, column]
            scores, slopes = segments[1, column], segments[2, column]
            for lane in range(rows):
                values[lane] = features[first + lane, column]
            found[:] = 0
            step = own.size // 2
            while step > 0:
                for lane in range(LANES):
                    above = values[lane] >= own[found[lane] + step - 1]
                    found[lane] += np.int32(step) * np.int32(above)
                step //= 2
            for lane in range(rows):
                at, value = found[lane], values[lane]
                score = scores[at] + slopes[at] * (value - starts[at])
                features[first + lane, column] = min(max(score, -limit), limit)
