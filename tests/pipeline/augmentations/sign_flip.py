"""An augmentation from outside: some windows change sign, by one more file and no other change."""

from __future__ import annotations

from headrace.pipeline.augmentations.registry import (
    Apply,
    Augmentation,
    Options,
    Probability,
    Setting,
    Stage,
)

STREAM = 40


class FlipOptions(Options):
    """How often."""

    probability: Probability = 0.0
    """Share of windows whose sign changes."""
    factor: float = -1.0
    """What they are multiplied by."""


def flip(options: FlipOptions, setting: Setting) -> Apply:
    import tensorflow as tf

    from headrace.pipeline.augmentations.chance import Sample, chances

    def apply(sample: Sample) -> Sample:
        (chance,) = tf.unstack(chances(sample, setting.seed, STREAM, 1))
        sign = tf.where(chance < options.probability, options.factor, 1.0)
        return {**sample, "raw": sample["raw"] * sign[:, None, None]}

    return apply


FLIP = Augmentation(
    "flip",
    FlipOptions,
    flip,
    Stage.NORMALISED,
    STREAM,
    held=("signs", lambda time, channels: 1000 * time * channels),
)
