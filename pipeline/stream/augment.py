"""Augmentations and views: factories that return a function dict -> dict of TensorFlow tensors.

A sample is a dict of tensors of n windows, float32 unless said: `raw` (n, T, C) in units, `label`
(n, K), `source_index` (n,) int64, `epoch` () int64, and what else the stream carries. Chance is a
hash of (seed, epoch, source_index, stream), so a window is augmented the same way whatever the
batch or the thread, and differently each epoch. Values are looked up in tables, never computed by
`log` or `exp`, whose last bit depends on a window's place in the batch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

from headrace.pipeline.config.sections import VIEWS
from headrace.pipeline.stream.buffers import noise_rows

if TYPE_CHECKING:
    from headrace.pipeline.config.sections import AugmentOptions

Sample = dict[str, tf.Tensor]
Augmentation = Callable[[Sample], Sample]

LEVELS = 4096
"""Entries of an inverse-CDF table; values lie at the middles of as many equal probabilities."""

# Streams keep the chances of the augmentations independent of each other.
_SCALE, _NOISE, _MASK, _MIX, _VIEW = range(5)


def augments_in_units(options: AugmentOptions) -> bool:
    """Whether `augmentations_in_units` are any."""
    scaled = options.scale_probability and options.scale_strength
    return bool(scaled or (options.noise_probability and options.noise_strength))


def augmentations_in_units(
    options: AugmentOptions, time: int, std: NDArray[np.float32], seed: int
) -> list[Augmentation]:
    """Those that `options` turns on and that take `raw` in units, in order: scale, noise."""
    chosen = []
    if options.scale_probability and options.scale_strength:
        chosen.append(scale(options.scale_probability, options.scale_strength, seed))
    if options.noise_probability and options.noise_strength:
        table = noise_table(time, std, seed)
        chosen.append(noise(options.noise_probability, options.noise_strength, table, seed))
    return chosen


def augmentations_once_normalised(
    options: AugmentOptions, time: int, seed: int, mixed: Sequence[str]
) -> list[Augmentation]:
    """Those that `options` turns on and that take normalised arrays, in order: mask, mix."""
    chosen = []
    if "raw" in mixed and options.mask_probability and int(options.mask_fraction * time):
        chosen.append(mask(options.mask_probability, options.mask_fraction, time, seed))
    if options.mix_probability:
        chosen.append(mix(options.mix_probability, options.mix_strength, seed, mixed))
    return chosen


def scale(probability: float, strength: float, seed: int) -> Augmentation:
    """Multiply a window by one factor, normal around 1 with standard deviation `strength`."""
    deviations = tf.constant(_normal_levels() * strength, tf.float32)

    def apply(sample: Sample) -> Sample:
        chance = _chances(sample, seed, _SCALE, 2)
        deviation = _look_up(deviations, chance[1])
        factor = 1.0 + _where_chosen(chance[0], probability, deviation)
        return {**sample, "raw": sample["raw"] * factor[:, None, None]}

    return apply


def noise(
    probability: float, strength: float, table: NDArray[np.float32], seed: int, stream: int = _NOISE
) -> Augmentation:
    """Add a row of `table` (rows, T, C), in units, times +-`strength`; row and sign are hashed."""
    # Eager, so that a map captures it once: a NumPy array would be copied into every graph.
    rows = tf.constant(table)

    def apply(sample: Sample) -> Sample:
        chance = _chances(sample, seed, stream, 3)
        sign = tf.where(chance[1] < 0.5, strength, -strength)
        size = _where_chosen(chance[0], probability, sign)
        return {**sample, "raw": sample["raw"] + _look_up(rows, chance[2]) * size[:, None, None]}

    return apply


def noise_table(time: int, std: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Normal noise (rows, T, C), a few MiB, of the standard deviations `std` (C,), in units."""
    shape = (time, std.size)
    rows = noise_rows(*shape)
    normal = np.random.default_rng([seed, _NOISE]).standard_normal((rows, *shape), np.float32)
    normal *= std
    return normal


def mask(probability: float, fraction: float, time: int, seed: int) -> Augmentation:
    """Put the channels' means in one stretch of 1 to `fraction` * T samples, place hashed too.

    Takes normalised `raw`, where every mean is 0: a product, four times as fast as a choice
    between raw and means in units, with the same result.
    """
    longest = int(fraction * time)
    steps = tf.range(time)

    def apply(sample: Sample) -> Sample:
        chance = _chances(sample, seed, _MASK, 3)
        length = 1 + _whole(chance[1], longest)
        start = _whole(chance[2], time + 1 - length)[:, None]
        stop = start + tf.where(chance[0] < probability, length, 0)[:, None]
        kept = tf.cast((steps < start) | (steps >= stop), tf.float32)
        return {**sample, "raw": sample["raw"] * kept[:, :, None]}

    return apply


def mix(probability: float, alpha: float, seed: int, names: Sequence[str]) -> Augmentation:
    """Blend each window with the next one; the last is only a partner, and dropped.

    One coefficient, Beta(alpha, alpha), blends every array of `names`, float32 (n + 1, ...); only
    they are returned, as (n, ...). See Zhang et al. 2018, arXiv 1710.09412.
    """
    shares = tf.constant(betaincinv(alpha, alpha, _middles()), tf.float32)

    def apply(sample: Sample) -> Sample:
        chance = _chances(sample, seed, _MIX, 2)[:, :-1]
        share = _where_chosen(chance[0], probability, _look_up(shares, chance[1]))

        def blend(value: tf.Tensor) -> tf.Tensor:
            own, partner = value[:-1], value[1:]
            return own + tf.reshape(share, [-1] + [1] * (value.shape.rank - 1)) * (partner - own)

        return {name: blend(sample[name]) for name in names}

    return apply


def view(
    spec: str, time: int, std: NDArray[np.float32], strength: float, seed: int
) -> Augmentation:
    """A test-time view: `identity`, `noise` or `noise:SD`, `scale:FACTOR`.

    Needs only `raw` and `source_index`; the same window gets the same view every time.

    Args:
        spec: the name and, after a colon, its number.
        time: samples of a window.
        std: (C,) standard deviations of the channels over the training folds, in units.
        strength: of a noise without a number, in standard deviations of the channel.
        seed: of the noise.

    Raises:
        ValueError: there is no view of that name.
    """
    if not re.fullmatch(VIEWS, spec):
        raise ValueError(f"A view is identity, noise, noise:SD or scale:FACTOR, not {spec!r}.")
    name, _, number = spec.partition(":")
    if name == "noise":
        table = noise_table(time, std, seed)
        return noise(1.0, float(number) if number else strength, table, seed, _VIEW)
    if name == "scale":
        factor = float(number)
        return lambda sample: {**sample, "raw": sample["raw"] * factor}
    return dict


def _chances(sample: Sample, seed: int, stream: int, count: int) -> tf.Tensor:
    """Float32 (count, n), uniform in [0, 1): splitmix64 (Steele et al. 2014), chained."""
    index = tf.cast(sample["source_index"], tf.uint64)
    epoch = tf.cast(sample.get("epoch", tf.constant(0, tf.int64)), tf.uint64)
    key = _splitmix(_xor(_splitmix(_uint64(seed)), epoch))
    state = _splitmix(_xor(key, index))
    streams = tf.constant([[stream * 16 + each] for each in range(count)], tf.uint64)
    hashed = _splitmix(_xor(state, _splitmix(streams)))
    # The upper 24 bits are what float32 holds exactly.
    upper = tf.bitwise.right_shift(hashed, _uint64(40))
    return tf.cast(tf.cast(upper, tf.int32), tf.float32) * 2.0**-24


def _splitmix(state: tf.Tensor) -> tf.Tensor:
    state = state + _uint64(0x9E3779B97F4A7C15)
    state = _xor_shift(state, 30) * _uint64(0xBF58476D1CE4E5B9)
    state = _xor_shift(state, 27) * _uint64(0x94D049BB133111EB)
    return _xor_shift(state, 31)


def _xor_shift(state: tf.Tensor, bits: int) -> tf.Tensor:
    return _xor(state, tf.bitwise.right_shift(state, _uint64(bits)))


_xor = tf.bitwise.bitwise_xor


def _uint64(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint64)


def _look_up(table: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
    """Rows of a table, each as likely as the others: (n, ...)."""
    return tf.gather(table, _whole(chance, table.shape[0]))


def _whole(chance: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """Uniform int32 in 0..count-1 of a chance in [0, 1)."""
    return tf.cast(chance * tf.cast(count, tf.float32), tf.int32)


def _where_chosen(chance: tf.Tensor, probability: float, value: tf.Tensor) -> tf.Tensor:
    return tf.where(chance < probability, value, 0.0)


def _middles() -> NDArray[np.float64]:
    return (np.arange(LEVELS) + 0.5) / LEVELS


def _normal_levels() -> NDArray[np.float64]:
    levels = ndtri(_middles())
    return levels / levels.std()
