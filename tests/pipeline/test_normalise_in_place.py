"""What is normalised in place has the bits of the saved model's layers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from model.normalisation import normalise_features, normalise_raw
from model.normaliser import Normaliser
from pipeline.normalise_in_place import LANES, feature_scaler, raw_scaler

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
    expected = normalise_features(tf.constant(features), normaliser).numpy()
    feature_scaler(normaliser)(features)
    np.testing.assert_array_equal(features, expected)


def test_no_features_are_no_work() -> None:
    normaliser = Normaliser.fit(np.zeros(1), np.ones(1))
    feature_scaler(normaliser)(np.empty((4, 0), np.float32))


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 33, 5), (0, 8, 2)])
def test_raw_has_the_bits_of_the_layers(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    raw = (rng.normal(size=shape) * 1e3).astype(np.float32)
    channels = shape[-1]
    normaliser = Normaliser.fit(rng.normal(size=channels), rng.uniform(0, 9, size=channels))
    expected = normalise_raw(tf.constant(raw), normaliser).numpy()
    raw_scaler(normaliser, shape[1])(raw)
    np.testing.assert_array_equal(raw, expected)
