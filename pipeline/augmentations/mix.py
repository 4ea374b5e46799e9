"""Mix: a window is blended with another, label and weight alike (mixup)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headrace.pipeline.augmentations.registry import (
    Apply,
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
        middles,
        where_chosen,
    )

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


register(Augmentation("mix", MixOptions, mix, Stage.PAIRS, STREAM, place=3, always_recorded=True))
