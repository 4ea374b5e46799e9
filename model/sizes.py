"""How large the network of `model.network` is, known before it is built."""

from __future__ import annotations

import itertools

from headrace.model.options import NetworkOptions


def parameters(
    options: NetworkOptions, time: int, channels: int, features: int, classes: int
) -> int:
    """Count the weights of `build_network` of the same arguments, moving averages included."""
    count, joined = 0, 0
    if options.inputs != "features":
        width = options.filters
        convolution = options.kernel * width + width * width + 4 * width
        count += 2 * channels + options.stem_kernel * channels * width + 4 * width
        count += 2 * len(options.dilations) * convolution
        joined += 2 * width
    if options.inputs != "raw":
        widths = (features, *options.feature_units)
        count += sum((before + 4) * after for before, after in itertools.pairwise(widths))
        joined += widths[-1]
    if options.inputs == "hybrid":
        count += (joined + 2) * classes
    return count + (joined + 1) * options.fusion_units + (options.fusion_units + 1) * classes


def activation_bytes(
    options: NetworkOptions, time: int, channels: int, features: int, classes: int, training: bool
) -> int:
    """Bytes of the float32 outputs of all layers for one window.

    Per step of the tower: 3 outputs of the stem and 8 of each block, `filters` wide. A training
    step keeps all blocks; prediction drops a block's outputs when the next has run.
    """
    heads = 3 if options.inputs == "hybrid" else 1
    floats = 2 * options.fusion_units + 2 * heads * classes
    if options.inputs != "features":
        blocks = len(options.dilations) if training else 1
        steps = -(-time // options.stem_stride)
        floats += 2 * time * channels + steps * options.filters * (3 + 8 * blocks)
    if options.inputs != "raw":
        floats += 2 * features + 4 * sum(options.feature_units)
    return 4 * floats
