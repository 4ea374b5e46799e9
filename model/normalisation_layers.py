"""Normalisation as layers of the saved model; `pipeline/stream/gather.py` gives the same bits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headrace.model.normaliser import SCORE_LIMIT, SEGMENT, STANDARD_LIMIT, Normaliser


def normalise_raw(raw: tf.Tensor, normaliser: Normaliser) -> tf.Tensor:
    """Map raw (..., C), of any real dtype and in the store's units, to float32 (..., C)."""
    return _standardise(raw, normaliser.raw_mean, normaliser.raw_scale)


def normalise_features(features: tf.Tensor, normaliser: Normaliser) -> tf.Tensor:
    """Map features (n, F) to float32 (n, F), by quantiles or by moments as the normaliser says.

    One core maps about 70,000 windows/s of 283 features by quantiles.
    """
    if normaliser.scaling == "quantile":
        return _to_normal(features, *_quantile_arrays(normaliser))
    return _clipped(features, normaliser.feature_mean, normaliser.feature_scale)


def _standardise(values: tf.Tensor, mean: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    return (tf.cast(values, tf.float32) - mean) * scale


def _clipped(features: tf.Tensor, mean: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    scores = _standardise(features, mean, scale)
    return tf.clip_by_value(scores, -STANDARD_LIMIT, STANDARD_LIMIT)


def _to_normal(features: tf.Tensor, knots: tf.Tensor, segments: tf.Tensor) -> tf.Tensor:
    """Piecewise-linear map of (n, F); knots (F, Q), segments (F * (Q + 1), SEGMENT).

    Segments are gathered as packed rows: three gathers were measured a fifth slower.
    """
    count, width = knots.shape
    values = tf.transpose(tf.cast(features, tf.float32))
    position = tf.searchsorted(knots, values, side="right")
    row = position + tf.range(count, dtype=tf.int32)[:, None] * (width + 1)
    start, score, slope = tf.unstack(tf.gather(segments, row), axis=-1)
    mapped = tf.clip_by_value(score + slope * (values - start), -SCORE_LIMIT, SCORE_LIMIT)
    return tf.transpose(mapped)


def _quantile_arrays(normaliser: Normaliser) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return normaliser.knots, normaliser.segments().reshape(-1, SEGMENT)


@keras.saving.register_keras_serializable(package="headrace")
class RawNormalisation(keras.layers.Layer):
    """`normalise_raw` as the first layer of a saved model; (batch, T, C) to float32."""

    def __init__(self, **kwargs: Any) -> None:
        """Statistics are set by `assign`, or by loading."""
        super().__init__(dtype="float32", trainable=False, **_without(kwargs))

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make room for one mean and scale per channel."""
        channels = (input_shape[-1],)
        self.mean = self.add_weight(shape=channels, initializer="zeros", name="mean")
        self.scale = self.add_weight(shape=channels, initializer="ones", name="scale")

    def assign(self, normaliser: Normaliser) -> None:
        """Take the statistics of `normaliser`; the layer must be built."""
        self.mean.assign(normaliser.raw_mean)
        self.scale.assign(normaliser.raw_scale)

    def call(self, raw: tf.Tensor) -> tf.Tensor:
        """Normalise (batch, T, C)."""
        return _standardise(raw, self.mean, self.scale)


@keras.saving.register_keras_serializable(package="headrace")
class FeatureNormalisation(keras.layers.Layer):
    """`normalise_features` as the first layer of a saved model; (batch, F) to float32.

    `knot_count` is Q, and 0 standardises.
    """

    def __init__(self, knot_count: int, **kwargs: Any) -> None:
        """Statistics are set by `assign`, or by loading."""
        super().__init__(dtype="float32", trainable=False, **_without(kwargs))
        self.knot_count = knot_count

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make room for the statistics of F features."""
        count = input_shape[-1]
        segments = (count * (self.knot_count + 1), SEGMENT)
        shapes: dict[str, tuple[int, ...]] = (
            {"knots": (count, self.knot_count), "segments": segments}
            if self.knot_count
            else {"mean": (count,), "scale": (count,)}
        )
        self.statistics = [
            self.add_weight(shape=shape, initializer="zeros", name=name)
            for name, shape in shapes.items()
        ]

    def assign(self, normaliser: Normaliser) -> None:
        """Take the statistics of `normaliser`; the layer must be built."""
        arrays = (
            _quantile_arrays(normaliser)
            if self.knot_count
            else (normaliser.feature_mean, normaliser.feature_scale)
        )
        for weight, array in zip(self.statistics, arrays, strict=True):
            weight.assign(array)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Normalise (batch, F)."""
        normalise = _to_normal if self.knot_count else _clipped
        return normalise(features, *(tf.convert_to_tensor(each) for each in self.statistics))

    def get_config(self) -> dict[str, Any]:
        """Config of the layer, Q included."""
        return {**super().get_config(), "knot_count": self.knot_count}


def statistics_of(model: keras.Model) -> dict[str, dict[str, NDArray[np.float32]]]:
    """What a saved model normalises with: `raw` and `features`, those that it takes.

    Returns:
        `raw`: mean, scale (C,). `features`: mean, scale (F,), or knots, scores (F, Q).
    """
    found: dict[str, dict[str, NDArray[np.float32]]] = {}
    for layer in model.layers:
        if isinstance(layer, RawNormalisation):
            found["raw"] = {"mean": layer.mean.numpy(), "scale": layer.scale.numpy()}
        elif isinstance(layer, FeatureNormalisation):
            one, two = (weight.numpy() for weight in layer.statistics)
            if layer.knot_count:
                # A segment starts at each knot, with the score there; the first is the outer one.
                scores = two.reshape(len(one), -1, SEGMENT)[:, 1:, 1]
                found["features"] = {"knots": one, "scores": scores}
            else:
                found["features"] = {"mean": one, "scale": two}
    return found


def _without(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What a loaded config repeats and these layers fix: statistics stay float32, untrained."""
    return {name: value for name, value in kwargs.items() if name not in ("dtype", "trainable")}
