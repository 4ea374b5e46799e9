"""Noise: normal, in standard deviations of each channel, out of a seeded table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.augmentations.registry import (
    Apply,
    ApplyArrays,
    Augmentation,
    Options,
    Probability,
    Setting,
    Stage,
    Strength,
    register,
)

STREAM = 1
TABLE_BYTES = 4 * 2**20
"""Most bytes of the noise table (one window, if that is more)."""


class NoiseOptions(Options):
    """How often, and how much."""

    probability: Probability = 1.0
    """Share of windows that get noise."""
    strength: Strength = 0.05
    """Standard deviation of the noise, in standard deviations of the channel."""


def noise(options: NoiseOptions, setting: Setting, stream: int = STREAM) -> Apply:
    """Add a row of the noise table, in units, times +-`strength`; row and sign are hashed."""
    import tensorflow as tf

    from headrace.pipeline.augmentations.chance import Sample, chances, look_up, where_chosen

    # Eager, so that a map captures it once: a NumPy array would be copied into every graph.
    rows = tf.constant(noise_table(setting.time, setting.deviations, setting.seed))

    def apply(sample: Sample) -> Sample:
        chance = chances(sample, setting.seed, stream, 3)
        sign = tf.where(chance[1] < 0.5, options.strength, -options.strength)
        size = where_chosen(chance[0], options.probability, sign)
        return {**sample, "raw": sample["raw"] + look_up(rows, chance[2]) * size[:, None, None]}

    return apply


def noise_arrays(options: NoiseOptions, setting: Setting) -> ApplyArrays:
    """The same for arrays."""
    from headrace.pipeline.augmentations.kernels import add_rows, as_rows
    from headrace.pipeline.augmentations.levels import array_chances, whole

    rows = as_rows(noise_table(setting.time, setting.deviations, setting.seed))
    strength = np.float32(options.strength)

    def apply(sample: dict[str, NDArray[Any]], epoch: int) -> None:
        chance = array_chances(sample["source_index"], epoch, setting.seed, STREAM, 3)
        sign = np.where(chance[1] < 0.5, strength, -strength)
        size = np.where(chance[0] < options.probability, sign, np.float32(0))
        add_rows(as_rows(sample["raw"]), rows, whole(chance[2], len(rows)), size)

    return apply


def noise_table(time: int, deviations: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Normal noise (rows, T, C), a few MiB, of the standard deviations (C,), in units."""
    shape = (time, deviations.size)
    rows = noise_rows(*shape)
    normal = np.random.default_rng([seed, STREAM]).standard_normal((rows, *shape), np.float32)
    normal *= deviations
    return normal


def noise_rows(time: int, channels: int) -> int:
    """Windows of noise that TABLE_BYTES hold: 910 of 128 x 9; at least 1."""
    return max(1, TABLE_BYTES // (4 * time * channels))


def held(time: int, channels: int) -> int:
    """Bytes of the table, as it is made and as a constant of the graph."""
    return 2 * noise_rows(time, channels) * 4 * time * channels


register(
    Augmentation(
        "noise",
        NoiseOptions,
        noise,
        Stage.UNITS,
        STREAM,
        noise_arrays,
        place=2,
        held=("noise table", held),
        always_recorded=True,
    )
)
