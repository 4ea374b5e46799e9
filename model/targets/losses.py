"""Losses and metrics that Keras lacks: element by element, so that each label has its weight."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="headrace")
class LabelCrossentropy(keras.losses.Loss):
    """Binary cross-entropy of each label (B, K), so that weights may be (B, K) too."""

    def __init__(self, label_smoothing: float, name: str) -> None:
        """Smoothing moves 0 and 1 towards 1/2, by half of itself."""
        super().__init__(name=name)
        self.label_smoothing = label_smoothing

    def get_config(self) -> dict[str, Any]:
        """Config of the loss, with its smoothing."""
        return {"name": self.name, "label_smoothing": self.label_smoothing}

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The mean over windows and labels; weights (B,), or (B, K) of each label."""
        if sample_weight is not None and len(sample_weight.shape) == 1:
            sample_weight = ops.broadcast_to(sample_weight[:, None], ops.shape(y_pred))
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Cross-entropy (B, K) of probabilities, in nats."""
        smoothed = y_true * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        return ops.binary_crossentropy(smoothed, y_pred)


def label_accuracy() -> keras.metrics.Metric:
    """Share of labels on the right side of 1/2; of mixed ones the larger share counts."""
    return keras.metrics.MeanMetricWrapper(_same_side, name="accuracy")


@keras.saving.register_keras_serializable(package="headrace")
def _same_side(y_true: Any, y_pred: Any) -> Any:
    return ops.cast(ops.equal(y_true > 0.5, y_pred > 0.5), "float32")
