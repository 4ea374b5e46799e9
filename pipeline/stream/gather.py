"""Rows of a buffer put in their order, and normalised on the way.

One pass over memory, without the interpreter's lock, to the bits of `normalisation_layers`: the
layers of a saved model take six operations of TensorFlow for a quantile map, five times as long.
TensorFlow's threads take subnormal numbers for 0, and so do these kernels in any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.compiled.kernels import exact_kernel
from headrace.model.normaliser import SCORE_LIMIT, STANDARD_LIMIT, Normaliser
from headrace.stores.shards.aligned import aligned_empty
from headrace.stores.shards.cut import CutWindows

if TYPE_CHECKING:
    from headrace.stores.spec import WindowSpec

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Source = NDArray[Any] | CutWindows
Gather = Callable[[Source, Rows], NDArray[Any]]
"""Function of an array (n, ...), or of windows that are to be cut, and the numbers (k,) of rows:
these rows, (k, ...)."""
_BITS = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}
"""Types of whole numbers that rows are copied as, by their bytes."""
TINY = np.finfo(np.float32).tiny
"""Below it a number is subnormal."""
LANES = 16
"""Rows that are searched side by side: as many float32 as the widest registers hold."""


def gather(source: Source, rows: Rows) -> NDArray[Any]:
    """Rows as they are, of any shape and dtype."""
    if isinstance(source, CutWindows):
        values = source.values
        target = aligned_empty((len(rows), *source.shape[1:]), values.dtype)
        bits = _BITS[values.dtype.itemsize]
        _copy(values.view(bits), source.first[rows], target.view(bits).reshape(len(rows), -1))
        return target
    target = aligned_empty((len(rows), *source.shape[1:]), source.dtype)
    # Rows are in range: checking them would buffer the target.
    np.take(source, rows, axis=0, out=target, mode="clip")
    return target


def gather_raw(normaliser: Normaliser, time: int, to_units: ArrayLike = 1.0) -> Gather:
    """A function that gathers raw (n, T, C) as stored, puts it into units, and normalises it.

    Args:
        normaliser: fitted in units.
        time: T.
        to_units: (C,) factors from stored values to units.
    """
    # A row of T x C values at a time: a loop over channels alone is too short to be vectorised.
    mean, scale = (np.tile(each, time) for each in (normaliser.raw_mean, normaliser.raw_scale))
    factor = np.broadcast_to(np.asarray(to_units, np.float32), normaliser.raw_mean.shape)
    return _standardised(mean, scale, np.inf, np.tile(factor, time))


def gather_in_units(spec: WindowSpec) -> Gather:
    """A function that gathers raw (n, T, C) as it is stored, in units: float32."""
    factor = _flushed(np.tile(np.asarray(spec.scale, np.float32), spec.time))
    if (factor == 1).all():
        return lambda source, rows: gather(source, rows).astype(np.float32, copy=False)

    def in_units(source: Source, rows: Rows) -> Floats:
        found = gather(source, rows).astype(np.float32, copy=False)
        _multiply(found.reshape(len(found), factor.size), factor)
        return found

    return in_units


def standardise_in_place(normaliser: Normaliser, time: int) -> Callable[[Floats], None]:
    """A function that normalises raw (n, T, C) float32, in units, where it is."""
    mean, scale = (
        _flushed(np.tile(each, time)) for each in (normaliser.raw_mean, normaliser.raw_scale)
    )

    def standardise(raw: Floats) -> None:
        rows = raw.reshape(len(raw), mean.size)
        first = np.arange(len(rows)) * mean.size
        _standardise(rows.reshape(-1), first, mean, scale, np.float32(np.inf), rows)

    return standardise


def gather_features(normaliser: Normaliser) -> Gather:
    """A function that gathers features (n, F) float32, normalised."""
    if normaliser.scaling == "standard":
        return _standardised(normaliser.feature_mean, normaliser.feature_scale, STANDARD_LIMIT)
    count, width = normaliser.knots.shape
    # A whole number of halvings, and past the last knot nothing is above a value.
    knots = np.full((count, 1 << width.bit_length()), np.inf, np.float32)
    knots[:, :width] = normaliser.knots
    knots = _flushed(knots)
    columns = _flushed(np.ascontiguousarray(normaliser.segments().transpose(2, 0, 1)))

    def mapped(source: Source, rows: Rows) -> Floats:
        assert isinstance(source, np.ndarray)
        target = aligned_empty((len(rows), count), np.dtype(np.float32))
        _map_by_quantiles(source, rows, knots, columns, width, np.float32(SCORE_LIMIT), target)
        return target

    return mapped


def _standardised(
    mean: Floats, scale: Floats, limit: float, factor: Floats | None = None
) -> Gather:
    mean, scale = _flushed(mean), _flushed(scale)
    factor = np.ones_like(mean) if factor is None else _flushed(factor)

    def standardised(source: Source, rows: Rows) -> Floats:
        if isinstance(source, CutWindows):
            values, first = source.values, source.first[rows]
        else:
            values, first = source.reshape(-1), rows * mean.size
        if values.dtype == np.float16:
            values = values.astype(np.float32)  # The compiler knows no float16.
        target = aligned_empty((len(rows), *source.shape[1:]), np.dtype(np.float32))
        bound, result = np.float32(limit), target.reshape(len(rows), mean.size)
        if values.dtype == np.float32 and (factor == 1).all():
            _standardise(values, first, mean, scale, bound, result)
        else:
            _scale_and_standardise(values, first, factor, mean, scale, bound, result)
        return target

    return standardised


def _flushed(values: Floats) -> Floats:
    """Subnormal numbers as 0, with their signs."""
    return np.where(np.abs(values) < TINY, np.copysign(np.float32(0), values), values)


@exact_kernel
def _flush(value: np.float32) -> np.float32:
    return value if abs(value) >= TINY else value * np.float32(0)


@exact_kernel
def _multiply(values: Floats, factor: Floats) -> None:
    for row in range(values.shape[0]):
        for column in range(factor.size):
            values[row, column] = _flush(_flush(values[row, column]) * factor[column])


@exact_kernel
def _copy(values: NDArray[Any], first: Rows, target: NDArray[Any]) -> None:
    for place in range(first.size):
        start = first[place]
        for column in range(target.shape[1]):
            target[place, column] = values[start + column]


@exact_kernel
def _standardise(
    values: Floats, first: Rows, mean: Floats, scale: Floats, limit: np.float32, target: Floats
) -> None:
    for place in range(first.size):
        start = first[place]
        for column in range(mean.size):
            value = _flush(_flush(values[start + column]) - mean[column])
            value = _flush(value * scale[column])
            target[place, column] = min(max(value, -limit), limit)


@exact_kernel
def _scale_and_standardise(
    values: NDArray[Any],
    first: Rows,
    factor: Floats,
    mean: Floats,
    scale: Floats,
    limit: np.float32,
    target: Floats,
) -> None:
    for place in range(first.size):
        start = first[place]
        for column in range(mean.size):
            value = _flush(_flush(np.float32(values[start + column])) * factor[column])
            value = _flush(_flush(value - mean[column]) * scale[column])
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
                values[lane] = _flush(source[rows[first + lane], column])
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
                score = _flush(slopes[at] * _flush(value - starts[at]))
                score = _flush(scores[at] + score)
                target[first + lane, column] = min(max(score, -limit), limit)
