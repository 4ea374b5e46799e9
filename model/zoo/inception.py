"""InceptionTime, small: filters of several lengths side by side, with shortcuts.

`headrace train --set model.build=headrace.model.zoo.inception:build`

Ismail Fawaz et al. 2020, InceptionTime: finding AlexNet for time series classification,
Data Mining and Knowledge Discovery 34, arXiv 1909.04939. Theirs is an ensemble of five networks of
six modules of 128 filters; this is one of three modules of 64. Where there are features, they join
before the last layer.
"""

from __future__ import annotations

import keras
from keras import layers

from headrace.model.interface import NetworkInputs, NetworkTarget

MODULES = 3
FILTERS = 16
"""Of each branch; a module has four."""
KERNELS = (39, 19, 9)


def build(inputs: NetworkInputs, target: NetworkTarget) -> keras.Model:
    """A network of normalised raw (B, T, C), features (B, F) or both to probabilities (B, K)."""
    given, parts = inputs.tensors(), []
    if "raw" in given:
        x = shortcut = given["raw"]
        for number in range(MODULES):
            x = inception(x)
            if number % 3 == 2:
                shortcut = layers.Conv1D(4 * FILTERS, 1, use_bias=False)(shortcut)
                x = layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(shortcut)]))
        parts.append(layers.GlobalAveragePooling1D()(x))
    if "features" in given:
        x = layers.Dense(64, use_bias=False)(given["features"])
        x = layers.ReLU()(layers.BatchNormalization()(x))
        parts.append(layers.Dropout(0.3)(x))
    x = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    return keras.Model(given, layers.Dense(target.count, activation="softmax", name="label")(x))


def inception(x: keras.KerasTensor) -> keras.KerasTensor:
    """One module: (B, T, any) to (B, T, 4 x FILTERS)."""
    narrow = layers.Conv1D(FILTERS, 1, padding="same", use_bias=False)(x)
    branches = [
        layers.Conv1D(FILTERS, size, padding="same", use_bias=False)(narrow) for size in KERNELS
    ]
    pooled = layers.MaxPooling1D(3, strides=1, padding="same")(x)
    branches.append(layers.Conv1D(FILTERS, 1, padding="same", use_bias=False)(pooled))
    return layers.ReLU()(layers.BatchNormalization()(layers.Concatenate()(branches)))
