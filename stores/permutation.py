"""Bijections of 0..n-1 that are computed, never listed: the shuffle's arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDS = 6
_MASK64 = (1 << 64) - 1


def mix_key(*numbers: int) -> int:
    """Hash integers into one key below 2**64 (splitmix64, Steele et al. 2014, chained)."""
    state = 0x243F6A8885A308D3
    for number in numbers:
        state = (state ^ (number & _MASK64)) * 0x9E3779B97F4A7C15 & _MASK64
        state ^= state >> 30
        state = state * 0xBF58476D1CE4E5B9 & _MASK64
        state ^= state >> 27
        state = state * 0x94D049BB133111EB & _MASK64
        state ^= state >> 31
    return state


@dataclass(frozen=True)
class Bijection:
    """A keyed pseudo-random bijection of 0..size-1 in O(1) memory.

    A Feistel network over the next power of two (Luby and Rackoff 1988); values that leave the
    range walk on until they are back in it (Black and Rogaway 2002), fewer than two steps in the
    mean.
    """

    size: int
    key: int

    def forward(self, index: ArrayLike) -> NDArray[np.int64]:
        """Images of `index`, any shape, integers in 0..size-1; int64 of the same shape."""
        return self._walk(index, inverse=False)

    def inverse(self, image: ArrayLike) -> NDArray[np.int64]:
        """The indices whose images are `image`: `inverse(forward(i)) == i`."""
        return self._walk(image, inverse=True)

    def _walk(self, index: ArrayLike, *, inverse: bool) -> NDArray[np.int64]:
        given = np.asarray(index, dtype=np.int64)
        values = given.astype(np.uint64).ravel()
        if values.size and (given.min() < 0 or given.max() >= self.size):
            raise ValueError(
                f"An index must be in 0..{self.size - 1}, not {given.min()}..{given.max()}."
            )
        if self.size > 1:
            values = self._network(values, inverse)
            while (outside := np.flatnonzero(values >= self.size)).size:
                values[outside] = self._network(values[outside], inverse)
        return values.astype(np.int64).reshape(given.shape)

    def _network(self, values: NDArray[np.uint64], inverse: bool) -> NDArray[np.uint64]:
        bits = (self.size - 1).bit_length()
        low_bits, high_bits = np.uint64(bits // 2), np.uint64(bits - bits // 2)
        low_mask = np.uint64((1 << (bits // 2)) - 1)
        high_mask = np.uint64((1 << (bits - bits // 2)) - 1)
        high, low = values >> low_bits, values & low_mask
        rounds = range(ROUNDS)
        for number in reversed(rounds) if inverse else rounds:
            key = np.uint64(mix_key(self.key, number))
            if number % 2 == 0:
                high = high ^ (_hash(low, key) & high_mask)
            else:
                low = low ^ (_hash(high, key) >> (np.uint64(64) - high_bits) & low_mask)
        return high << low_bits | low


def permutation(size: int, key: int) -> Bijection:
    """The bijection of 0..size-1 that `key` (non-negative, below 2**64) names."""
    return Bijection(size, key)


def _hash(values: NDArray[np.uint64], key: np.uint64) -> NDArray[np.uint64]:
    mixed = (values ^ key) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(32)
    return mixed
