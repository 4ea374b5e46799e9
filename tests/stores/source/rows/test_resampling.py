from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import resample_poly

from headrace.stores.errors import SourceError
from headrace.stores.source.rows.resampling import Ratio, resampling_ratio
from tests.refusals import refused

RATIOS = st.sampled_from([(1, 4), (1, 2), (2, 1), (3, 1), (2, 3), (3, 2), (5, 7), (25, 32)])


def resample_slice(rows: NDArray[np.float64], ratio: Ratio, first: int, stop: int) -> NDArray:
    """Rows `first` to `stop` from no more than the rows that they need."""
    low, high = ratio.support(first, stop)
    context = rows[np.clip(np.arange(low, high), 0, len(rows) - 1)]
    return ratio.resample(context, low, first, stop)


@given(RATIOS, st.integers(1, 300), st.data())
@settings(max_examples=60)
def test_any_slicing_gives_the_same_bits(terms, length, data):
    ratio = Ratio(*terms)
    rows = np.random.default_rng(length).normal(9.81, 1, (length, 2))
    total = ratio.length(length)
    whole = resample_slice(rows, ratio, 0, total)
    cuts = data.draw(st.lists(st.integers(0, total), max_size=5).map(sorted))
    borders = list(dict.fromkeys([0, *cuts, total]))
    parts = [resample_slice(rows, ratio, a, b) for a, b in pairwise(borders)]
    assert np.array_equal(np.concatenate(parts).view(np.uint32), whole.view(np.uint32))


@given(RATIOS, st.integers(1, 300))
@settings(max_examples=60)
def test_values_are_those_of_scipy_on_the_whole_recording(terms, length):
    ratio = Ratio(*terms)
    rows = np.random.default_rng(length).normal(9.81, 1, (length, 2))
    expected = resample_poly(rows, *terms, axis=0, padtype="edge")
    found = resample_slice(rows, ratio, 0, ratio.length(length))
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_offset_is_kept_at_both_ends():
    found = resample_slice(np.full((400, 1), 9.81), Ratio(1, 4), 0, 100)
    np.testing.assert_allclose(found, 9.81, rtol=1e-6)


@given(RATIOS, st.integers(1, 200))
def test_nearest_row_is_the_one_closest_in_time(terms, length):
    ratio = Ratio(*terms)
    row = np.arange(ratio.length(length))
    distance = np.abs(np.arange(length)[None, :] - (row * ratio.down / ratio.up)[:, None])
    nearest = ratio.nearest(row, length)
    assert nearest.min() >= 0
    np.testing.assert_allclose(distance[row, nearest], distance.min(axis=1), atol=1e-9)


def test_half_way_the_later_row_is_nearest():
    assert Ratio(2, 3).nearest(np.array([0, 1, 2]), 10).tolist() == [0, 2, 3]


@given(RATIOS, st.integers(20, 200), st.integers(0, 199), st.data())
@settings(max_examples=60)
def test_a_marked_row_reaches_what_a_nan_would_reach(terms, length, bad, data):
    ratio = Ratio(*terms)
    bad %= length
    rows = np.zeros((length, 1))
    rows[bad] = np.nan
    total = ratio.length(length)
    first = data.draw(st.integers(0, total - 1))
    found = resample_slice(rows, ratio, first, total)
    low, high = ratio.support(first, total)
    marked = np.isnan(rows[np.clip(np.arange(low, high), 0, length - 1), 0])
    reached = ratio.reached(marked, low, first, total)
    assert np.array_equal(reached, np.isnan(found[:, 0]))


@pytest.mark.parametrize(
    ("source_hz", "target_hz", "terms"),
    [(200, 50, (1, 4)), (51.2, 50, (125, 128)), (50, 50, (1, 1)), (33.3, 100, (1000, 333))],
)
def test_rates_become_a_ratio_of_whole_numbers(source_hz, target_hz, terms):
    assert resampling_ratio(source_hz, target_hz) == Ratio(*terms)


@pytest.mark.parametrize(("source_hz", "target_hz"), [(50, 0.001), (1, 5000), (44100, 48001)])
def test_an_absurd_ratio_is_refused(source_hz, target_hz):
    with refused(SourceError, "source.target_rate_hz", f"{source_hz:g}", f"{target_hz:g}"):
        resampling_ratio(source_hz, target_hz)
