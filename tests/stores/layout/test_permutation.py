"""The shuffle's bijections."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.stores.layout.permutation import mix_key, permutation, permutations
from tests.refusals import refused


@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_every_index_has_one_image_and_the_inverse_finds_it(size: int, key: int) -> None:
    bijection = permutation(size, key)
    image = bijection.forward(np.arange(size))
    assert np.array_equal(np.sort(image), np.arange(size))
    assert np.array_equal(bijection.inverse(image), np.arange(size))


@settings(max_examples=30)
@given(st.lists(st.integers(1, 200), min_size=1, max_size=9), st.integers(0, 2**32))
def test_bijections_looked_up_together_are_each_of_their_own_range(
    sizes: list[int], seed: int
) -> None:
    many = permutations(np.array(sizes), [mix_key(seed, n) for n in range(len(sizes))])
    which = np.repeat(np.arange(len(sizes)), sizes)
    index = np.concatenate([np.arange(size) for size in sizes])
    image = many.forward(index, which)
    for number, size in enumerate(sizes):
        assert np.array_equal(np.sort(image[which == number]), np.arange(size))
    assert np.array_equal(many.inverse(image, which), index)
    shuffled = np.random.default_rng(seed).permutation(len(index))
    assert np.array_equal(many.forward(index[shuffled], which[shuffled]), image[shuffled])


@given(st.integers(0, 2**62 - 1))
def test_huge_ranges_cost_no_memory(index: int) -> None:
    bijection = permutation(2**62, 7)
    image = int(bijection.forward(index))
    assert 0 <= image < 2**62
    assert int(bijection.inverse(image)) == index


def test_values_are_fixed_for_ever() -> None:
    """A change here reorders every store that was ever written."""
    assert permutation(10, mix_key(1, 2)).forward(np.arange(10)).tolist() == GOLDEN


GOLDEN = [3, 6, 5, 0, 1, 8, 9, 2, 4, 7]


def test_positions_are_uncorrelated_and_spread() -> None:
    size = 4096
    for key in range(20):
        image = permutation(size, mix_key(key)).forward(np.arange(size))
        assert abs(np.corrcoef(np.arange(size), image)[0, 1]) < 0.06
        neighbours = np.abs(np.diff(image))
        assert 0.9 < neighbours.mean() / (size / 3) < 1.1


def test_an_index_outside_is_refused() -> None:
    with refused(ValueError, "9", "10"):
        permutation(10, 0).forward([10])
