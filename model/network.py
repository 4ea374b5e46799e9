"""The two-branch network: a dilated separable tower on raw, a dense tower on features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras import layers, regularizers

from headrace.model.interface import LABEL
from headrace.model.normalisation_layers import FeatureNormalisation, RawNormalisation
from headrace.model.normaliser import Normaliser
from headrace.model.options import NetworkOptions


def build_network(
    options: NetworkOptions, time: int, channels: int, features: int, classes: int
) -> keras.Model:
    """Build the trainable network.

    Takes a dict of normalised float32 `raw` (batch, time, channels) and `features`
    (batch, features), only those that `options.inputs` names. Returns a dict of probabilities
    (batch, classes): `label`, and with both branches `raw_label` and `feature_label`, which serve
    training alone. Raises ValueError for a shape that holds nothing.
    """
    _check_shape(options, time, channels, features, classes)
    with precision(options.mixed_precision):
        inputs, branches = {}, {}
        if options.inputs != "features":
            inputs["raw"] = keras.Input((time, channels), name="raw", dtype="float32")
            branches["raw"] = _raw_tower(inputs["raw"], options)
        if options.inputs != "raw":
            inputs["features"] = keras.Input((features,), name="features", dtype="float32")
            branches["feature"] = _feature_tower(inputs["features"], options)
        outputs = {}
        if len(branches) > 1:
            joined = layers.Concatenate(name="join")(list(branches.values()))
            for name, branch in branches.items():
                outputs[f"{name}_label"] = _probabilities(branch, classes, f"{name}_label")
        else:
            (joined,) = branches.values()
        fused = _dense(joined, options.fusion_units, options.dropout, "fusion")
        outputs[LABEL] = _probabilities(fused, classes, LABEL)
        # Inside too: its policy tells `compile` to scale the loss for float16.
        return keras.Model(inputs, outputs, name="headrace")


def with_normalisation(
    network: keras.Model,
    normaliser: Normaliser,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> keras.Model:
    """Wrap a trained network for use: raw and features as the store holds them, to `label` alone.

    Returns a model from the dict of inputs to float32 probabilities (batch, K). It shares the
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
    return keras.Model(inputs, label, name="headrace_normalised")


def _check_shape(
    options: NetworkOptions, time: int, channels: int, features: int, classes: int
) -> None:
    if classes < 2:
        raise ValueError(f"A classifier needs 2 classes or more, got {classes}.")
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


def _raw_tower(raw: keras.KerasTensor, options: NetworkOptions) -> keras.KerasTensor:
    """Summarise normalised raw (batch, time, channels) as (batch, 2 x filters)."""
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
    average = layers.GlobalAveragePooling1D(name="average")(x)
    largest = layers.GlobalMaxPooling1D(name="largest")(x)
    pooled = layers.Concatenate(name="pooled")([average, largest])
    return layers.Dropout(options.dropout, name="pooled_dropout")(pooled)


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


def _feature_tower(features: keras.KerasTensor, options: NetworkOptions) -> keras.KerasTensor:
    """Summarise normalised features (batch, F) as (batch, last of feature_units)."""
    x = layers.Dropout(options.feature_dropout, name="feature_dropout")(features)
    for number, units in enumerate(options.feature_units, start=1):
        x = layers.Dense(units, use_bias=False, name=f"feature_{number}")(x)
        x = _normalised(name=f"feature_{number}_norm")(x)
        x = layers.ReLU(name=f"feature_{number}_relu")(x)
        x = layers.Dropout(options.dropout, name=f"feature_{number}_dropout")(x)
    return x


def _dense(x: keras.KerasTensor, units: int, dropout: float, name: str) -> keras.KerasTensor:
    x = layers.Dense(units, activation="relu", name=name)(x)
    return layers.Dropout(dropout, name=f"{name}_dropout")(x)


def _normalised(**options: Any) -> keras.layers.Layer:
    """Batch normalisation with the moments of the whole batch, however many devices share it."""
    shared = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return layers.BatchNormalization(synchronized=shared, **options)


def _probabilities(x: keras.KerasTensor, classes: int, name: str) -> keras.KerasTensor:
    x = layers.Dense(classes, name=f"{name}_logits")(x)
    # In float32 whatever the policy: float16 cannot hold the tails of a softmax.
    return layers.Softmax(dtype="float32", name=name)(x)
