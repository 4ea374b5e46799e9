"""Rows of a buffer put in their order, and normalised on the way.

One pass over memory, without the interpreter's lock, to the bits of `model.normalisation`: the
layers of a saved model take six operations of TensorFlow for a quantile map, five times as long.
Outside of TensorFlow's threads subnormal numbers differ: those take them for 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.normaliser import SCORE_LIMIT, STANDARD_LIMIT, Normaliser
from headrace.pipeline.catalogue.compiled import exact_kernel
from headrace.stores.store import aligned_empty

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Gather = Callable[[NDArray[Any], Rows], NDArray[Any]]
"""Function of an array (n, ...) and the numbers (k,) of rows: these rows, (k, ...)."""
LANES = 16
"""Rows that are searched side by side: as many float32 as the widest registers hold."""


def gather(source: NDArray[Any], rows: Rows) -> NDArray[Any]:
    """Rows as they are, of any shape and dtype."""
    target = aligned_empty((len(rows), *source.shape[1:]), source.dtype)
    # Rows are in range: checking them would buffer the target.
    np.take(source, rows, axis=0, out=target, mode="clip")
    return target


def gather_raw(normaliser: Normaliser, time: int) -> Gather:
    """A function that gathers raw (n, T, C) float32, in units, normalised."""
    # A row of T x C values at a time: a loop over channels alone is too short to be vectorised.
    mean, scale = (np.tile(each, time) for each in (normaliser.raw_mean, normaliser.raw_scale))
    return _standardised(mean, scale, np.inf)


def gather_features(normaliser: Normaliser) -> Gather:
    """A function that gathers features (n, F) float32, normalised."""
    if normaliser.scaling == "standard":
        return _standardised(normaliser.feature_mean, normaliser.feature_scale, STANDARD_LIMIT)
    count, width = normaliser.knots.shape
    # A whole number of halvings, and past the last knot nothing is above a value.
    knots = np.full((count, 1 << width.bit_length()), np.inf, np.float32)
    knots[:, :width] = normaliser.knots
    columns = np.ascontiguousarray(normaliser.segments().transpose(2, 0, 1))

    def mapped(source: Floats, rows: Rows) -> Floats:
        target = aligned_empty((len(rows), count), np.dtype(np.float32))
        _map_by_quantiles(source, rows, knots, columns, width, np.float32(SCORE_LIMIT), target)
        return target

    return mapped


def _standardised(mean: Floats, scale: Floats, limit: float) -> Gather:
    def standardised(source: Floats, rows: Rows) -> Floats:
        target = aligned_empty((len(rows), *source.shape[1:]), np.dtype(np.float32))
        flat = (len(source), mean.size), (len(rows), mean.size)
        bound, result = np.float32(limit), target.reshape(flat[1])
        _standardise(source.reshape(flat[0]), rows, mean, scale, bound, result)
        return target

    return standardised


@exact_kernel
def _standardise(
    source: Floats, rows: Rows, mean: Floats, scale: Floats, limit: np.float32, target: Floats
) -> None:
    for place in range(rows.size):
        row = rows[place]
        for column in range(mean.size):
            value = (source[row, column] - mean[column]) * scale[column]
            target[place, column] = min(max(value, -limit), limit)


@exact_kernel
def _map_by_quantiles(
    source: Floats,
    rows: Rows,
    knots: Floats,
    segments: Floats,
    width: int,
    limit: np.float32,
    target: Floats,
) -> None:
    """Find the last of `width` knots at or below each value by halving, LANES rows at a time."""
    values, found = np.empty(LANES, np.float32), np.empty(LANES, np.int32)
    for first in range(0, rows.size, LANES):
        lanes = min(LANES, rows.size - first)
        for column in range(knots.shape[0]):
            own, starts = knots[column], segments[0, column]
            scores, slopes = segments[1, column], segments[2, column]
            for lane in range(lanes):
                values[lane] = source[rows[first + lane], column]
            found[:] = 0
            step = own.size // 2
            while step > 0:
                for lane in range(LANES):
                    above = values[lane] >= own[found[lane] + step - 1]
                    found[lane] += np.int32(step) * np.int32(above)
                step //= 2
            for lane in range(lanes):
                # Infinity is above what the knots are filled up with, too.
                at, value = min(found[lane], width), values[lane]
                score = scores[at] + slopes[at] * (value - starts[at])
                target[first + lane, column] = min(max(score, -limit), limit)
