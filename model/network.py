"""The two-branch network: a dilated separable tower on raw, a dense tower on features.

Where the target keeps time, the raw tower is not pooled but brought to the target's steps, and the
feature branch is the same at each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras import layers, regularizers

from headrace.model.interface import LABEL, NetworkTarget
from headrace.model.normalisation_layers import FeatureNormalisation, RawNormalisation
from headrace.model.normaliser import Normaliser
from headrace.model.options import NetworkOptions
from headrace.model.sizes import step_factors
from headrace.model.targets.registry import target_model


def build_network(
    options: NetworkOptions, time: int, channels: int, features: int, target: NetworkTarget
) -> keras.Model:
    """Build the trainable network.

    Takes a dict of normalised float32 `raw` (batch, time, channels) and `features`
    (batch, features), only those that `options.inputs` names. Returns a dict of what the target
    wants (batch, *target.shape): `label`, and with both branches `raw_label` and `feature_label`,
    which serve training alone. Raises ValueError for a shape that holds nothing, or for a sequence
    whose steps are not in the window.
    """
    model = target_model(target)
    steps = target if target.keeps_time else None
    least = 2 if target.activation == "softmax" else 1
    if target.count < least:
        raise ValueError(f"A target of kind {target.kind} needs {least} or more: {target.count}.")
    _check_shape(options, time, channels, features, steps)
    with precision(options.mixed_precision):
        inputs, branches = {}, {}
        if options.inputs != "features":
            inputs["raw"] = keras.Input((time, channels), name="raw", dtype="float32")
            branches["raw"] = _raw_tower(inputs["raw"], options, steps)
        if options.inputs != "raw":
            inputs["features"] = keras.Input((features,), name="features", dtype="float32")
            branches["feature"] = _feature_tower(inputs["features"], options, steps)
        outputs = {}
        if len(branches) > 1:
            joined = layers.Concatenate(name="join")(list(branches.values()))
            for name, branch in branches.items():
                outputs[f"{name}_label"] = model.head(branch, f"{name}_label")
        else:
            (joined,) = branches.values()
        fused = _dense(joined, options.fusion_units, options.dropout, "fusion")
        outputs[LABEL] = model.head(fused, LABEL)
        # Inside too: its policy tells `compile` to scale the loss for float16.
        return keras.Model(inputs, outputs, name="headrace")


def with_normalisation(
    network: keras.Model,
    normaliser: Normaliser,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    decode: keras.layers.Layer | None = None,
) -> keras.Model:
    """Wrap a trained network for use: raw and features as the store holds them, to `label` alone.

    Returns a model from the dict of inputs to what users get, float32 (batch, ...): `decode`, of
    the target, makes it of what the network gives. It shares the
    network's weights; saved as `.keras` it loads with `safe_mode=True` once `model.network` has
    been imported. `shapes` are those of its inputs, where it is not made of inputs and outputs.
    Raises ValueError when the normaliser was fitted to other columns.
    """
    inputs, normalised = {}, {}
    fitted = {"raw": normaliser.raw_mean.size, "features": normaliser.feature_mean.size}
    if shapes is None:
        shapes = {name: tuple(tensor.shape[1:]) for name, tensor in network.input.items()}
    for name, shape in shapes.items():
        if shape[-1] != fitted[name]:
            raise ValueError(
                f"The network takes {shape[-1]} columns of {name}, the normaliser was "
                f"fitted to {fitted[name]}: use the two of one run."
            )
        inputs[name] = keras.Input(shape, name=name, dtype="float32")
        layer = (
            RawNormalisation(name="raw_normalisation")
            if name == "raw"
            else FeatureNormalisation(normaliser.knots.shape[1], name="feature_normalisation")
        )
        normalised[name] = layer(inputs[name])
        layer.assign(normaliser)
    given = network(normalised)
    label = given[LABEL] if isinstance(given, dict) else given
    if decode is not None:
        label = decode(label)
    return keras.Model(inputs, label, name="headrace_normalised")


def _check_shape(
    options: NetworkOptions,
    time: int,
    channels: int,
    features: int,
    steps: NetworkTarget | None,
) -> None:
    if steps is not None and not (steps.length - 1) * steps.every < time:
        raise ValueError(
            f"A window of {time} samples has no {steps.length} steps of {steps.every} samples."
        )
    if options.inputs != "features" and min(time, channels) < 1:
        raise ValueError(f"The raw branch needs samples and channels, got {time} x {channels}.")
    if options.inputs != "raw" and features < 1:
        raise ValueError("The feature branch needs features, got 0: set model.inputs = 'raw'.")


@contextmanager
def precision(mixed: bool) -> Iterator[None]:
    """Layers built inside use float16 or float32; the policy of before is put back."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _raw_tower(
    raw: keras.KerasTensor, options: NetworkOptions, steps: NetworkTarget | None
) -> keras.KerasTensor:
    """Summarise normalised raw (batch, time, channels) as (batch, 2 x filters).

    Of a sequence (batch, length, filters): each of its steps.
    """
    # Without scale and centre it only tracks how the batches differ from the training moments.
    x = _normalised(center=False, scale=False, name="raw_norm")(raw)
    x = layers.Conv1D(
        options.filters,
        options.stem_kernel,
        strides=options.stem_stride,
        padding="same",
        use_bias=False,
        name="stem",
    )(x)
    x = _normalised(name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    for number, dilation in enumerate(options.dilations, start=1):
        x = _block(x, dilation, options, f"block_{number}")
    if steps is not None:
        return layers.Dropout(options.dropout, name="steps_dropout")(_at_steps(x, options, steps))
    average = layers.GlobalAveragePooling1D(name="average")(x)
    largest = layers.GlobalMaxPooling1D(name="largest")(x)
    pooled = layers.Concatenate(name="pooled")([average, largest])
    return layers.Dropout(options.dropout, name="pooled_dropout")(pooled)


def _at_steps(
    x: keras.KerasTensor, options: NetworkOptions, steps: NetworkTarget
) -> keras.KerasTensor:
    """Bring the stem's steps to those of a sequence: (batch, length, filters).

    Both divide the same samples, so that a step of the one stands over its own of the other: the
    stem's are made more by a transposed convolution, and means are taken of what is left over.
    """
    more, means = step_factors(options, steps)
    if more > 1:
        x = layers.Conv1DTranspose(
            options.filters, 2 * more, strides=more, padding="same", use_bias=False, name="finer"
        )(x)
        x = _normalised(name="finer_norm")(x)
        x = layers.ReLU(name="finer_relu")(x)
    # A stride that does not divide the window leaves a step that is partly padding; a last step
    # of the sequence may be cut by the window's end.
    spare = x.shape[1] - steps.length * means
    if spare > 0:
        x = layers.Cropping1D((0, spare), name="steps_cut")(x)
    elif spare < 0:
        x = layers.ZeroPadding1D((0, -spare), name="steps_padded")(x)
    return layers.AveragePooling1D(means, name="steps")(x) if means > 1 else x


def _block(
    x: keras.KerasTensor, dilation: int, options: NetworkOptions, name: str
) -> keras.KerasTensor:
    """Residual block of two separable convolutions (batch, steps, filters)."""
    shortcut = x
    for half in ("a", "b"):
        x = layers.SeparableConv1D(
            options.filters,
            options.kernel,
            padding="same",
            dilation_rate=dilation,
            use_bias=False,
            depthwise_regularizer=regularizers.L2(options.l2),
            pointwise_regularizer=regularizers.L2(options.l2),
            name=f"{name}{half}",
        )(x)
        x = _normalised(name=f"{name}{half}_norm")(x)
        if half == "a":
            x = layers.ReLU(name=f"{name}{half}_relu")(x)
    x = layers.SpatialDropout1D(options.spatial_dropout, name=f"{name}_dropout")(x)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.ReLU(name=f"{name}_relu")(x)


def _feature_tower(
    features: keras.KerasTensor, options: NetworkOptions, steps: NetworkTarget | None
) -> keras.KerasTensor:
    """Summarise normalised features (batch, F) as (batch, last of feature_units).

    Of a sequence the same at each step: (batch, length, last of feature_units).
    """
    x = layers.Dropout(options.feature_dropout, name="feature_dropout")(features)
    for number, units in enumerate(options.feature_units, start=1):
        x = layers.Dense(units, use_bias=False, name=f"feature_{number}")(x)
        x = _normalised(name=f"feature_{number}_norm")(x)
        x = layers.ReLU(name=f"feature_{number}_relu")(x)
        x = layers.Dropout(options.dropout, name=f"feature_{number}_dropout")(x)
    return x if steps is None else layers.RepeatVector(steps.length, name="feature_steps")(x)


def _dense(x: keras.KerasTensor, units: int, dropout: float, name: str) -> keras.KerasTensor:
    x = layers.Dense(units, activation="relu", name=name)(x)
    return layers.Dropout(dropout, name=f"{name}_dropout")(x)


def _normalised(**options: Any) -> keras.layers.Layer:
    """Batch normalisation with the moments of the whole batch, however many devices share it."""
    shared = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return layers.BatchNormalization(synchronized=shared, **options)
