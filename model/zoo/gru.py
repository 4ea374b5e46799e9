"""Convolutions, then a GRU over what they leave: order matters, at any distance.

`headrace train --set model.build=headrace.model.zoo.gru:build`

After Ordonez and Roggen 2016, Deep convolutional and LSTM recurrent neural networks for multimodal
wearable activity recognition, Sensors 16(1), 115; with one gated recurrent layer (Cho et al. 2014,
arXiv 1406.1078) in place of two LSTMs, and strides, as a recurrent layer takes its steps one after
another. Where there are features, they join before the last layer.
"""

from __future__ import annotations

import keras
from keras import layers

from headrace.model.interface import NetworkInputs, NetworkTarget

FILTERS = 32
UNITS = 64


def build(inputs: NetworkInputs, target: NetworkTarget) -> keras.Model:
    """A network of normalised raw (B, T, C), features (B, F) or both to probabilities (B, K)."""
    given, parts = inputs.tensors(), []
    if "raw" in given:
        x = given["raw"]
        for _ in range(2):
            x = layers.Conv1D(FILTERS, 5, strides=2, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        parts.append(layers.Dropout(0.3)(layers.GRU(UNITS)(x)))
    if "features" in given:
        x = layers.Dense(UNITS, activation="relu")(given["features"])
        parts.append(layers.Dropout(0.3)(x))
    x = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    return keras.Model(given, layers.Dense(target.count, activation="softmax", name="label")(x))
