"""A Transformer encoder over patches: each sees every other, however far apart.

`headrace train --set model.build=headrace.model.zoo.transformer:build`

Vaswani et al. 2017, arXiv 1706.03762; patches of a time series after Nie et al. 2023 (PatchTST),
arXiv 2211.14730, with all channels in one patch; normalisation before each part after Xiong et al.
2020, arXiv 2002.04745. It shows a layer of one's own: registered, so that a model that holds one is
saved under a name. Where there are features, they are four more patches.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from headrace.model.interface import NetworkInputs, NetworkTarget

PATCH = 16
"""Samples of a patch, half of which the next one shares."""
WIDTH, HEADS, BLOCKS = 64, 4, 2
FEATURE_STEPS = 4
"""Patches that the features become."""


@keras.saving.register_keras_serializable(package="headrace.zoo")
class Positions(layers.Layer):
    """Adds a learnt vector to each of a fixed number of steps (B, steps, width)."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the vectors."""
        self.vectors = self.add_weight(
            shape=input_shape[1:], initializer=keras.initializers.RandomNormal(stddev=0.02)
        )

    def call(self, steps: Any) -> Any:
        """Steps, each with its vector."""
        return steps + self.vectors


def build(inputs: NetworkInputs, target: NetworkTarget) -> keras.Model:
    """A network of normalised raw (B, T, C), features (B, F) or both to probabilities (B, K)."""
    given, parts = inputs.tensors(), []
    if "raw" in given:
        size = min(PATCH, inputs.shapes["raw"][0])
        parts.append(layers.Conv1D(WIDTH, size, strides=max(1, size // 2))(given["raw"]))
    if "features" in given:
        wide = layers.Dense(FEATURE_STEPS * WIDTH)(given["features"])
        parts.append(layers.Reshape((FEATURE_STEPS, WIDTH))(wide))
    x = layers.Concatenate(axis=1)(parts) if len(parts) > 1 else parts[0]
    x = layers.Dropout(0.1)(Positions()(x))
    for _ in range(BLOCKS):
        x = encoder(x)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(given, layers.Dense(target.count, activation="softmax", name="label")(x))


def encoder(x: keras.KerasTensor) -> keras.KerasTensor:
    """One block: attention, then two dense layers, each with a shortcut; (B, steps, WIDTH)."""
    attended = layers.LayerNormalization()(x)
    attended = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, dropout=0.1)(attended, attended)
    x = layers.Add()([x, layers.Dropout(0.1)(attended)])
    dense = layers.Dense(2 * WIDTH, activation="gelu")(layers.LayerNormalization()(x))
    return layers.Add()([x, layers.Dropout(0.1)(layers.Dense(WIDTH)(dense))])
