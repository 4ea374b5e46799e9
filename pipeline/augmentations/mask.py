"""Mask: one stretch of a window is hidden."""

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

STREAM = 2


class MaskOptions(Options):
    """How often, and how much."""

    probability: Probability = 0.5
    """Share of windows of which one stretch is hidden."""
    fraction: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    """Longest masked stretch, as a fraction of the window; the mask is the channel's mean."""


def mask(options: MaskOptions, setting: Setting) -> Apply:
    """Put the channels' means in one stretch of 1 to `fraction` * T samples, place hashed too.

    Takes normalised `raw`, where every mean is 0: a product, four times as fast as a choice
    between raw and means in units, with the same result.
    """
    import tensorflow as tf

    from headrace.pipeline.augmentations.chance import Sample, chances, whole

    longest = int(options.fraction * setting.time)
    if not longest:
        return dict
    steps = tf.range(setting.time)

    def apply(sample: Sample) -> Sample:
        chance = chances(sample, setting.seed, STREAM, 3)
        length = 1 + whole(chance[1], longest)
        start = whole(chance[2], setting.time + 1 - length)[:, None]
        stop = start + tf.where(chance[0] < options.probability, length, 0)[:, None]
        kept = tf.cast((steps < start) | (steps >= stop), tf.float32)
        return {**sample, "raw": sample["raw"] * kept[:, :, None]}

    return apply


def mask_arrays(options: MaskOptions, setting: Setting) -> ApplyArrays:
    """The same for arrays."""
    from headrace.pipeline.augmentations.kernels import as_rows, hide
    from headrace.pipeline.augmentations.levels import array_chances, whole

    longest, channels = int(options.fraction * setting.time), setting.deviations.size

    def apply(sample: dict[str, NDArray[Any]], epoch: int) -> None:
        if not longest:
            return
        chance = array_chances(sample["source_index"], epoch, setting.seed, STREAM, 3)
        length = np.int32(1) + whole(chance[1], longest)
        start = whole(chance[2], np.int32(setting.time + 1) - length)
        stop = start + np.where(chance[0] < options.probability, length, np.int32(0))
        hide(as_rows(sample["raw"]), start * channels, stop * channels)

    return apply


register(
    Augmentation(
        "mask",
        MaskOptions,
        mask,
        Stage.NORMALISED,
        STREAM,
        mask_arrays,
        place=0,
        always_recorded=True,
    )
)
