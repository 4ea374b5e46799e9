"""Scale: a window is multiplied by one factor near 1."""

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

STREAM = 0


class ScaleOptions(Options):
    """How often, and how much."""

    probability: Probability = 1.0
    """Share of windows that are multiplied by a factor near 1."""
    strength: Strength = 0.05
    """Standard deviation of the factor around 1, one factor a window."""


def scale(options: ScaleOptions, setting: Setting) -> Apply:
    """Multiply a window by one factor, normal around 1 with standard deviation `strength`."""
    import tensorflow as tf

    from headrace.pipeline.augmentations.chance import (
        Sample,
        chances,
        look_up,
        where_chosen,
    )
    from headrace.pipeline.augmentations.levels import normal_levels

    deviations = tf.constant(normal_levels() * options.strength, tf.float32)

    def apply(sample: Sample) -> Sample:
        chance = chances(sample, setting.seed, STREAM, 2)
        deviation = look_up(deviations, chance[1])
        factor = 1.0 + where_chosen(chance[0], options.probability, deviation)
        return {**sample, "raw": sample["raw"] * factor[:, None, None]}

    return apply


def scale_arrays(options: ScaleOptions, setting: Setting) -> ApplyArrays:
    """The same for arrays."""
    from headrace.pipeline.augmentations.kernels import as_rows, multiply
    from headrace.pipeline.augmentations.levels import array_chances, normal_levels, whole

    deviations = (normal_levels() * options.strength).astype(np.float32)

    def apply(sample: dict[str, NDArray[Any]], epoch: int) -> None:
        chance = array_chances(sample["source_index"], epoch, setting.seed, STREAM, 2)
        deviation = deviations[whole(chance[1], len(deviations))]
        chosen = np.where(chance[0] < options.probability, deviation, np.float32(0))
        multiply(as_rows(sample["raw"]), np.float32(1) + chosen)

    return apply


register(
    Augmentation(
        "scale",
        ScaleOptions,
        scale,
        Stage.UNITS,
        STREAM,
        scale_arrays,
        place=1,
        always_recorded=True,
    )
)
