"""What a stream does to windows: the augmentations that are turned on, and views."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.augmentations.noise import NoiseOptions, noise
from headrace.pipeline.augmentations.registry import (
    VIEW_STREAM,
    Apply,
    Setting,
    Stage,
    chosen,
)
from headrace.pipeline.config.sections import VIEWS

if TYPE_CHECKING:
    from headrace.pipeline.config.augment import AugmentOptions


def augments_in_units(section: AugmentOptions) -> bool:
    """Whether `augmentations_in_units` are any."""
    return bool(chosen(section, Stage.UNITS))


def partners(section: AugmentOptions) -> int:
    """Windows that a block holds beyond its own, to be partners: 1 if any are mixed."""
    return len(chosen(section, Stage.PAIRS))


def augments(section: AugmentOptions) -> bool:
    """Whether anything is drawn by chance."""
    return bool(chosen(section, *Stage) or section.custom)


def augmentations_in_units(section: AugmentOptions, setting: Setting) -> list[Apply]:
    """Those that are on and take `raw` in units, in order: scale, noise."""
    return [each.make(options, setting) for each, options in chosen(section, Stage.UNITS)]


def augmentations_once_normalised(
    section: AugmentOptions, setting: Setting, own: Sequence[Apply] = ()
) -> list[Apply]:
    """Those that are on and take normalised arrays, in order: mask, the user's own, mix."""
    alone = chosen(section, Stage.NORMALISED) if "raw" in setting.blended else []
    pairs = chosen(section, Stage.PAIRS)
    made = [[each.make(options, setting) for each, options in some] for some in (alone, pairs)]
    return [*made[0], *own, *made[1]]


def view(spec: str, time: int, std: NDArray[np.float32], strength: float, seed: int) -> Apply:
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
        options = NoiseOptions(probability=1.0, strength=float(number) if number else strength)
        return noise(options, Setting(time, std, seed), VIEW_STREAM)
    if name == "scale":
        factor = float(number)
        return lambda sample: {**sample, "raw": sample["raw"] * factor}
    return dict
