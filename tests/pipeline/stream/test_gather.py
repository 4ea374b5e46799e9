"""Gathered rows are the right ones, with the bits of the saved model's layers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from headrace.model.normalisation_layers import normalise_features, normalise_raw
from headrace.model.normaliser import Normaliser
from headrace.pipeline.stream.gather import (
    LANES,
    Floats,
    Gather,
    gather,
    gather_features,
    gather_in_units,
    gather_raw,
)
from headrace.stores.spec import WindowSpec

ROWS = 5 * LANES + 3


def sample_of(rng: np.random.Generator, rows: int) -> NDArray[np.float32]:
    """Features of many shapes: normal, skewed, whole numbers, constant, huge, tiny, two-valued."""
    columns = [
        rng.normal(size=rows),
        rng.lognormal(sigma=4, size=rows),
        rng.integers(5, size=rows),
        np.full(rows, -7.0),
        rng.normal(size=rows) * 1e30,
        rng.normal(size=rows) * 1e-30,
        rng.integers(2, size=rows),
        np.maximum(rng.normal(size=rows), 0),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


@pytest.mark.parametrize("scaling", ["quantile", "standard"])
@pytest.mark.parametrize("rows", [1, LANES, ROWS])
def test_features_have_the_bits_of_the_layers(scaling: str, rows: int) -> None:
    rng = np.random.default_rng(0)
    sample = sample_of(rng, 3000).astype(np.float64)
    zero, one = np.zeros(2), np.ones(2)
    normaliser = Normaliser.fit(zero, one, sample.mean(0), sample.std(0), sample, scaling)
    features = sample_of(rng, rows)
    # Beyond the knots, the knots themselves, and both zeros.
    features[0] = sample.max(axis=0) * 2
    if rows == ROWS and scaling == "quantile":
        features[1:51] = np.nan_to_num(normaliser.knots[:, 25:75].T, posinf=3.0)
        features[51], features[52] = 0.0, -0.0
    features[-1, ::2], features[-1, 1::2] = np.inf, -np.inf
    expected = normalise_features(tf.constant(features), normaliser).numpy()
    chosen = rng.integers(rows, size=3 * rows)
    found = gather_features(normaliser)(features, chosen)
    np.testing.assert_array_equal(found, expected[chosen])


def test_no_features_are_no_work() -> None:
    normaliser = Normaliser.fit(np.zeros(1), np.ones(1))
    found = gather_features(normaliser)(np.empty((4, 0), np.float32), np.array([3, 1]))
    assert found.shape == (2, 0)


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 33, 5), (0, 8, 2)])
def test_raw_has_the_bits_of_the_layers(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    raw = (rng.normal(size=shape) * 1e3).astype(np.float32)
    channels = shape[-1]
    normaliser = Normaliser.fit(rng.normal(size=channels), rng.uniform(0, 9, size=channels))
    expected = normalise_raw(tf.constant(raw), normaliser).numpy()
    rows = rng.permutation(shape[0])
    np.testing.assert_array_equal(gather_raw(normaliser, shape[1])(raw, rows), expected[rows])


@pytest.mark.parametrize("shape", [(9,), (9, 3), (9, 4, 5)])
def test_rows_of_any_shape_are_gathered_as_they_are(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(-99, 99, size=shape).astype(np.int16)
    rows = np.array([8, 0, 0, 3])
    found = gather(values, rows)
    np.testing.assert_array_equal(found, values[rows])
    assert found.dtype == np.int16
    assert found.ctypes.data % 64 == 0


def test_bits_are_those_of_tensorflows_threads_for_the_smallest_numbers() -> None:
    """Those threads take subnormal numbers for 0."""
    rng = np.random.default_rng(0)
    rows = np.arange(200)
    features = (rng.normal(size=(200, 4)) * 3e-38).astype(np.float32)
    zero, one = np.zeros(3), np.ones(3)
    moments = features.mean(0, np.float64), features.std(0, np.float64)
    normaliser = Normaliser.fit(zero, one, *moments, features.astype(np.float64), "quantile")
    raw = (rng.normal(size=(200, 8, 3)) * 3e-38).astype(np.float32)
    spec = WindowSpec(8, 50.0, ("a", "b", "c"), ("",) * 3, np.dtype(np.float32), (0.5,) * 3)
    gathers = [
        (gather_features(normaliser), features),
        (gather_in_units(spec), raw),
        (gather_raw(normaliser, 8), raw),
        (gather_raw(normaliser, 8, spec.scale), raw),
    ]
    for function, source in gathers:

        def inside(_: object, function: Gather = function, source: Floats = source) -> Floats:
            return function(source, rows)

        there = tf.data.Dataset.range(1).map(
            lambda number, inside=inside: tf.numpy_function(inside, [number], tf.float32)
        )
        (expected,) = there.as_numpy_iterator()
        assert function(source, rows).tobytes() == expected.tobytes()
