"""Normalisation: the NumPy statistics, and the one arithmetic that stream and model share."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, rankdata

from headrace.model.normalisation_layers import normalise_features, normalise_raw
from headrace.model.normaliser import SAMPLE_ROWS, SCORE_LIMIT, STANDARD_LIMIT, Normaliser
from tests.refusals import refused


def fitted(sample: np.ndarray, scaling: str = "quantile") -> Normaliser:
    values = sample.astype(np.float64)
    return Normaliser.fit(
        [0.0], [1.0], values.mean(axis=0), values.std(axis=0), sample, scaling=scaling
    )


def scores(sample: np.ndarray, features: np.ndarray, scaling: str = "quantile") -> np.ndarray:
    mapped = normalise_features(tf.constant(features.astype(np.float32)), fitted(sample, scaling))
    return mapped.numpy()


def test_raw_is_centred_and_scaled_per_channel_from_any_real_dtype() -> None:
    raw = np.array([[[10, -4], [30, 0]]], np.int16)
    normaliser = Normaliser.fit([20.0, -2.0], [10.0, 2.0])
    expected = [[[-1.0, -1.0], [1.0, 1.0]]]
    np.testing.assert_allclose(normalise_raw(tf.constant(raw), normaliser), expected)
    assert normalise_raw(tf.constant(raw), normaliser).dtype == tf.float32


def test_a_constant_channel_reads_zero() -> None:
    normaliser = Normaliser.fit([1e6], [0.01])
    assert normalise_raw(tf.constant([[[1e6 + 1.0]]]), normaliser).numpy() == 0.0


def test_quantiles_make_a_skewed_feature_normal() -> None:
    sample = np.random.default_rng(0).lognormal(size=(8_000, 1))
    mapped = scores(sample, sample)[:, 0]
    expected = norm.ppf((rankdata(sample[:, 0]) - 0.5) / len(sample))
    inside = np.abs(expected) < 2.5
    np.testing.assert_allclose(mapped[inside], expected[inside], atol=0.03)


def test_scores_are_clipped_outside_the_sample() -> None:
    sample = np.random.default_rng(0).normal(size=(500, 1))
    mapped = scores(sample, np.array([[-1e30], [-1e3], [1e3], [1e30]]))
    np.testing.assert_allclose(mapped[:, 0], np.array([-1, -1, 1, 1]) * SCORE_LIMIT)


def test_tied_values_get_the_score_of_the_middle_of_their_mass() -> None:
    sample = np.concatenate([np.zeros(400), np.linspace(1, 2, 600)])[:, None]
    zero = scores(sample, np.array([[0.0]]))[0, 0]
    assert zero == pytest.approx(norm.ppf(0.2), abs=0.05)


def test_a_constant_feature_scores_zero_whatever_comes() -> None:
    sample = np.full((100, 1), 7.0)
    np.testing.assert_array_equal(
        scores(sample, np.array([[7.0], [8.0], [-1e30]])), np.zeros((3, 1))
    )


def test_two_valued_features_keep_their_order_and_stay_finite() -> None:
    sample = np.repeat([[0.0], [1.0]], [50, 50], axis=0)
    low, middle, high = scores(sample, np.array([[0.0], [0.5], [1.0]]))[:, 0]
    assert -SCORE_LIMIT < low < middle < high < SCORE_LIMIT


def test_standard_scaling_is_clipped() -> None:
    sample = np.array([[0.0], [2.0]])
    mapped = scores(sample, np.array([[1.0], [2.0], [1e9]]), "standard")
    np.testing.assert_allclose(mapped[:, 0], [0.0, 1.0, STANDARD_LIMIT])


def test_only_the_first_rows_of_a_sample_are_used() -> None:
    sample = np.random.default_rng(0).normal(size=(SAMPLE_ROWS + 500, 2))
    changed = sample.copy()
    changed[SAMPLE_ROWS:] = 99.0
    np.testing.assert_array_equal(
        Normaliser.fit([0], [1], [0, 0], [1, 1], sample).knots,
        Normaliser.fit([0], [1], [0, 0], [1, 1], changed).knots,
    )


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=60)
@given(
    sample=arrays.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(2)), elements=finite),
    features=arrays.arrays(np.float32, (16, 2), elements=finite),
)
def test_scores_are_finite_bounded_and_never_fall_as_the_feature_rises(
    sample: np.ndarray, features: np.ndarray
) -> None:
    normaliser = Normaliser.fit([0], [1], [0, 0], [1, 1], sample)
    mapped = normalise_features(tf.constant(np.sort(features, axis=0)), normaliser).numpy()
    assert np.isfinite(mapped).all()
    assert np.abs(mapped).max() <= SCORE_LIMIT
    # Rounding inside a segment may undo an equal step, never a real one.
    assert (np.diff(mapped, axis=0) >= -1e-5).all()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([0, 1], [1]), ("(2,)", "(1,)")),
        (([np.nan], [1]), ()),
        (([0], [-1]), ()),
        (([0], [1], [0], [1]), ()),
        (([0], [1], [0], [1], np.zeros((0, 1))), ("(n, 1)", "(0, 1)")),
        (([0], [1], [0], [1], np.zeros((4, 2))), ("(n, 1)", "(4, 2)")),
        (([0], [1], [0], [1], np.array([[np.inf]])), ()),
    ],
)
def test_unfit_statistics_are_refused(arguments: tuple, named: tuple[str, ...]) -> None:
    with refused(ValueError, *named):
        Normaliser.fit(*arguments)
