"""Moments computed in parts and merged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stores.moments import channel_moments, column_moments, empty_moments, merge_all


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(0, 2**32))
def test_parts_merge_to_the_moments_of_the_whole(sizes: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).normal(5, 3, (sum(sizes), 4))
    parts = np.split(values, np.cumsum(sizes)[:-1])
    merged = merge_all((column_moments(part) for part in parts), 4)
    assert merged.count == len(values)
    if len(values):
        np.testing.assert_allclose(merged.mean, values.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(merged.std, values.std(axis=0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_large_mean_does_not_eat_a_small_deviation(dtype: str) -> None:
    values = np.random.default_rng(0).normal(1e6, 1.0, (400, 32, 3)).astype(dtype)
    exact = values.astype(np.float64)
    found = channel_moments(values)
    np.testing.assert_allclose(found.mean, exact.mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(found.std, exact.std(axis=(0, 1)), rtol=1e-6)
    assert found.count == 400 * 32


def test_moments_of_nothing_change_nothing() -> None:
    some = column_moments(np.arange(6.0).reshape(3, 2))
    assert empty_moments(2).merge(some) is some
    assert some.merge(empty_moments(2)) is some
