"""Mix: a window is blended with another, label and weight alike (mixup)."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from headrace.pipeline.augmentations.registry import (
    Apply,
    ApplyArrays,
    Augmentation,
    Options,
    Probability,
    Setting,
    Stage,
    register,
)

STREAM = 3


class MixOptions(Options):
    """How often, and how much."""

    probability: Probability = 0.0
    """Share of windows that are blended with another (mixup)."""
    strength: Annotated[float, Field(gt=0.0)] = 0.2
    """alpha of the Beta(alpha, alpha) that the mixing coefficient is drawn from."""


def mix(options: MixOptions, setting: Setting) -> Apply:
    """Blend each window with the next one; the last is only a partner, and dropped.

    One coefficient, Beta(alpha, alpha), blends every array of `blended`, float32 (n + 1, ...);
    only they are returned, as (n, ...). See Zhang et al. 2018, arXiv 1710.09412.
    """
    import tensorflow as tf
    from scipy.special import betaincinv

    from headrace.pipeline.augmentations.chance import (
        Sample,
        chances,
        look_up,
        where_chosen,
    )
    from headrace.pipeline.augmentations.levels import middles

    alpha = options.strength
    shares = tf.constant(betaincinv(alpha, alpha, middles()), tf.float32)

    def apply(sample: Sample) -> Sample:
        chance = chances(sample, setting.seed, STREAM, 2)[:, :-1]
        share = where_chosen(chance[0], options.probability, look_up(shares, chance[1]))

        def blend(value: tf.Tensor) -> tf.Tensor:
            own, partner = value[:-1], value[1:]
            return own + tf.reshape(share, [-1] + [1] * (value.shape.rank - 1)) * (partner - own)

        return {name: blend(sample[name]) for name in setting.blended}

    return apply


def mix_arrays(options: MixOptions, setting: Setting) -> ApplyArrays:
    """The same for arrays."""
    from scipy.special import betaincinv

    from headrace.pipeline.augmentations.kernels import as_rows, blend
    from headrace.pipeline.augmentations.levels import array_chances, middles, whole

    alpha = options.strength
    shares = betaincinv(alpha, alpha, middles()).astype(np.float32)

    def apply(sample: dict[str, NDArray[Any]], epoch: int) -> None:
        index = sample["source_index"][:-1]
        chance = array_chances(index, epoch, setting.seed, STREAM, 2)
        drawn = shares[whole(chance[1], len(shares))]
        share = np.where(chance[0] < options.probability, drawn, np.float32(0))
        for name in setting.blended:
            blend(as_rows(sample[name]), share)

    return apply


register(
    Augmentation(
        "mix",
        MixOptions,
        mix,
        Stage.PAIRS,
        STREAM,
        mix_arrays,
        place=3,
        always_recorded=True,
    )
)
