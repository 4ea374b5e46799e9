"""Chance as a hash of (seed, epoch, source index, stream), and tables to look its values up in.

A window is augmented the same way whatever the batch or the thread, and differently each epoch.
Values are looked up in tables, never computed by `log` or `exp`, whose last bit depends on a
window's place in the batch.
"""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf

Sample = dict[str, tf.Tensor]
"""Tensors of n windows, float32 unless said: `raw` (n, T, C), `label` (n, K), `source_index` (n,)
int64, `epoch` () int64, and what else the stream carries."""


def chances(sample: Sample, seed: int, stream: int, count: int) -> tf.Tensor:
    """Float32 (count, n), uniform in [0, 1): splitmix64 (Steele et al. 2014), chained."""
    return _uniform(_state(sample, seed), [stream * 16 + each for each in range(count)])


def seeds(sample: Sample, seed: int, stream: int) -> tf.Tensor:
    """Int32 (n, 2): what `tf.random.stateless_*`, or `uniform`, draws from for each window."""
    hashed = _splitmix(_xor(_state(sample, seed), _splitmix(_uint64(stream * 16))))
    return tf.bitcast(hashed, tf.int32)


def uniform(seeds: tf.Tensor, count: int) -> list[tf.Tensor]:
    """Draw numbers for each window of a block from its seeds.

    Args:
        seeds: int32 (n, 2), as a function of `augment.custom` is given them.
        count: of numbers.

    Returns:
        That many tensors float32 (n,), uniform in [0, 1), the same whatever block a window is in.
    """
    return tf.unstack(_uniform(tf.bitcast(seeds, tf.uint64), range(count)))


def _state(sample: Sample, seed: int) -> tf.Tensor:
    index = tf.cast(sample["source_index"], tf.uint64)
    epoch = tf.cast(sample.get("epoch", tf.constant(0, tf.int64)), tf.uint64)
    key = _splitmix(_xor(_splitmix(_uint64(seed)), epoch))
    return _splitmix(_xor(key, index))


def _uniform(state: tf.Tensor, streams: Iterable[int]) -> tf.Tensor:
    numbered = tf.constant([[each] for each in streams], tf.uint64)
    hashed = _splitmix(_xor(state, _splitmix(numbered)))
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


def look_up(table: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
    """Rows of a table, each as likely as the others: (n, ...)."""
    return tf.gather(table, whole(chance, table.shape[0]))


def whole(chance: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """Uniform int32 in 0..count-1 of a chance in [0, 1)."""
    return tf.cast(chance * tf.cast(count, tf.float32), tf.int32)


def where_chosen(chance: tf.Tensor, probability: float, value: tf.Tensor) -> tf.Tensor:
    """`value` with a probability, else 0: float32 (n,)."""
    return tf.where(chance < probability, value, 0.0)
