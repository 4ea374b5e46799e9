"""What a network of the user's own is given, and must give: no Keras, so that anyone may ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LABEL = "label"
"""Name of the output that counts; others are auxiliary, and serve training alone."""


@dataclass(frozen=True)
class NetworkInputs:
    """What a network takes: float32 arrays by name, normalised.

    Attributes:
        shapes: `raw` -> (T, C), T samples of C channels; `features` -> (F,). Those that
            `model.inputs` names.
        channels: C names, in the order of the last axis of raw.
        features: F names, in the order of the columns.
        rate_hz: of the samples.
    """

    shapes: Mapping[str, tuple[int, ...]]
    channels: tuple[str, ...]
    features: tuple[str, ...]
    rate_hz: float
    dtype: str = "float32"

    def tensors(self) -> dict[str, Any]:
        """A `keras.Input` for each, by name: `keras.Model(inputs.tensors(), ...)`."""
        import keras

        return {
            name: keras.Input(shape, name=name, dtype=self.dtype)
            for name, shape in self.shapes.items()
        }


@dataclass(frozen=True)
class NetworkTarget:
    """What a network gives: probabilities (B, K) that sum to 1.

    Attributes:
        classes: K names, in the order of the columns.
    """

    classes: tuple[str, ...]

    @property
    def count(self) -> int:
        """K."""
        return len(self.classes)
