"""How large the network of `model.network` is, known before it is built."""

from __future__ import annotations

import itertools
import math

from headrace.model.interface import NetworkTarget
from headrace.model.options import NetworkOptions


def parameters(
    options: NetworkOptions, time: int, channels: int, features: int, target: NetworkTarget
) -> int:
    """Count the weights of `build_network` of the same arguments, moving averages included."""
    count, joined = 0, 0
    steps = _steps(options, target)
    if options.inputs != "features":
        width = options.filters
        convolution = options.kernel * width + width * width + 4 * width
        count += 2 * channels + options.stem_kernel * channels * width + 4 * width
        count += 2 * len(options.dilations) * convolution
        if steps is not None and steps[0] > 1:
            count += 2 * steps[0] * width * width + 4 * width
        joined += 2 * width if steps is None else width
    if options.inputs != "raw":
        widths = (features, *options.feature_units)
        count += sum((before + 4) * after for before, after in itertools.pairwise(widths))
        joined += widths[-1]
    if options.inputs == "hybrid":
        count += (joined + 2) * target.count
    return count + (joined + 1) * options.fusion_units + (options.fusion_units + 1) * target.count


def activation_bytes(
    options: NetworkOptions,
    time: int,
    channels: int,
    features: int,
    target: NetworkTarget,
    training: bool,
) -> int:
    """Bytes of the float32 outputs of all layers for one window.

    Per step of the tower: 3 outputs of the stem and 8 of each block, `filters` wide. A training
    step keeps all blocks; prediction drops a block's outputs when the next has run. Of a sequence
    the heads and what joins the branches are held for each of its steps.
    """
    heads = 3 if options.inputs == "hybrid" else 1
    steps, length = _steps(options, target), target.length
    floats = length * (2 * options.fusion_units + 2 * heads * target.count)
    if options.inputs != "features":
        blocks = len(options.dilations) if training else 1
        stem = -(-time // options.stem_stride)
        floats += 2 * time * channels + stem * options.filters * (3 + 8 * blocks)
        if steps is not None:
            more, means = steps
            finer = stem * more * (3 if more > 1 else 0) + length * means
            floats += options.filters * (finer + 2 * length)
    if options.inputs != "raw":
        floats += 2 * features + 4 * sum(options.feature_units)
        if steps is not None:
            floats += length * options.feature_units[-1]
    if steps is not None and options.inputs == "hybrid":
        floats += length * (options.filters + options.feature_units[-1])
    return 4 * floats


def _steps(options: NetworkOptions, target: NetworkTarget) -> tuple[int, int] | None:
    """For a target that keeps time: what `step_factors` of the network gives."""
    return step_factors(options, target) if target.keeps_time else None


def step_factors(options: NetworkOptions, target: NetworkTarget) -> tuple[int, int]:
    """How many times the stem's steps are made more, and of how many of these means are taken."""
    shared = math.gcd(options.stem_stride, target.every)
    return options.stem_stride // shared, target.every // shared
