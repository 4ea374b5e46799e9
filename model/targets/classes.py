"""One of K classes a window: softmax, cross-entropy, confusion counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.model.baseline import TREES, fit_baseline
from headrace.model.figures import CLASS_CURVES
from headrace.model.interface import NetworkTarget
from headrace.model.scores import Scores, summarise_confusion
from headrace.model.targets.interface import (
    NO_STATISTICS,
    NOTHING_CHOSEN,
    Baseline,
    Chosen,
    Floats,
    GivenAsMade,
    Headline,
    TargetStatistics,
)
from headrace.model.targets.weights import class_weights

if TYPE_CHECKING:
    import keras

LEAST_PROBABILITY = 1e-7
"""Floor of a probability inside a logarithm, Keras' own."""


@dataclass(frozen=True)
class ClassTarget(GivenAsMade):
    """Labels (n,) int32; predictions (n, K), probabilities that sum to 1."""

    target: NetworkTarget
    paired: ClassVar[tuple[str, str]] = ("accuracy", "windows")
    headlines: ClassVar[tuple[Headline, ...]] = (
        Headline("accuracy", "accuracy"),
        Headline("macro_f1", "macro-F1"),
        Headline("balanced_accuracy", "balanced accuracy"),
    )
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy",)
    curves: ClassVar[Mapping[str, str]] = CLASS_CURVES
    weight_shape: ClassVar[tuple[int, ...]] = ()

    def head(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Probabilities (B, K)."""
        return softmax(x, self.target.count, name)

    def fault(self, output: NDArray[np.float64]) -> str | None:
        """Rows that do not sum to 1."""
        return no_probabilities(output)

    def loss(self, label_smoothing: float, name: str = "label") -> keras.losses.Loss:
        """Cross-entropy, in nats."""
        import keras

        return keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing, name=name)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Accuracy."""
        import keras

        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    def encode(
        self, label: Any, statistics: TargetStatistics, weights: Floats | None = None
    ) -> tuple[Any, Any]:
        """One-hot (n, K) and weights (n,)."""
        import tensorflow as tf

        table = np.ones(self.target.count, np.float32) if weights is None else weights
        weight = tf.gather(tf.constant(table, tf.float32), label)
        return tf.one_hot(label, self.target.count), weight

    def encode_arrays(
        self, label: NDArray[Any], statistics: TargetStatistics, weights: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """The same of arrays."""
        table = np.ones(self.target.count, np.float32) if weights is None else weights
        return np.eye(self.target.count, dtype=np.float32)[label], table.astype(np.float32)[label]

    def class_weights(self, tally: ArrayLike, windows: int, power: float) -> Floats | None:
        """(K,) by class, of windows by class."""
        return class_weights(tally, power)

    def loss_sum(
        self, prediction: NDArray[np.floating], label: NDArray[Any], statistics: TargetStatistics
    ) -> tuple[float, int]:
        """Cross-entropy, in nats."""
        return cross_entropy(prediction, label), len(label)

    def scores(
        self,
        groups: Sequence[str],
        mistakes: int = 20,
        statistics: TargetStatistics = NO_STATISTICS,
        chosen: Chosen = NOTHING_CHOSEN,
    ) -> Scores:
        """Confusion counts, calibration, the most confident mistakes."""
        return Scores(self.target.classes, groups, mistakes)

    def pooled(self, summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Scores of the confusion counts added up: `model.scores.summarise_confusion`."""
        confusion = np.sum([each["confusion"] for each in summaries], axis=0)
        return summarise_confusion(confusion, self.target.classes)

    def baseline(
        self,
        features: NDArray[np.floating],
        label: NDArray[Any],
        seed: int = 0,
        trees: int | None = None,
        threads: int = 2,
    ) -> Baseline:
        """Extra trees; raises ValueError without a row or with a label out of range."""
        count = self.target.count
        return fit_baseline(features, label, count, seed, trees or TREES, threads)

    def predictions(
        self, output: NDArray[np.floating], chosen: Chosen = NOTHING_CHOSEN
    ) -> dict[str, NDArray[Any]]:
        """`class`, `probability` of it, and `p_NAME` of each class, (n,) each."""
        return class_columns(output, self.target.classes)

    def figures(self, summary: Mapping[str, Any]) -> dict[str, bytes]:
        """The confusion matrix, bars of classes and of groups, the calibration."""
        from headrace.model import figures

        return {
            "confusion": figures.confusion_matrix(summary["confusion"], self.target.classes),
            "classes": figures.class_bars(summary),
            "groups": figures.group_bars(summary),
            "calibration": figures.calibration_curve(summary),
        }

    def example(self, rows: int, seed: int = 0) -> NDArray[Any]:
        """Codes (rows,) int32."""
        rng = np.random.default_rng(seed)
        return rng.integers(self.target.count, size=rows).astype(np.int32)


def softmax(x: keras.KerasTensor, classes: int, name: str) -> keras.KerasTensor:
    """Probabilities over the last axis of (B, ..., K), through logits named after them."""
    from keras import layers

    x = layers.Dense(classes, name=f"{name}_logits")(x)
    # In float32 whatever the policy: float16 cannot hold the tails of a softmax.
    return layers.Softmax(dtype="float32", name=name)(x)


def no_probabilities(output: NDArray[np.float64]) -> str | None:
    """Why (..., K) are no probabilities that sum to 1; None if they are."""
    if sums_to_one(output, within=1e-2):
        return None
    found = output.sum(axis=-1).ravel()[0]
    return (
        f"gives no probabilities: for noise, rows of its output sum to {found:.3g}. "
        "End it with a softmax"
    )


def sums_to_one(output: NDArray[np.float64], within: float = 1e-5) -> bool:
    """Whether all of (..., K) are probabilities that sum to 1, as of a softmax."""
    positive = np.isfinite(output).all() and (output >= 0).all()
    return bool(positive and np.allclose(output.sum(axis=-1), 1, atol=within))


def cross_entropy(probability: NDArray[np.floating], label: NDArray[np.integer]) -> float:
    """Sum over n rows of probabilities (n, K) and codes (n,), in nats."""
    found = np.take_along_axis(probability, label[:, None], axis=1)
    return float(-np.log(np.maximum(found, LEAST_PROBABILITY)).sum())


def class_columns(
    probability: NDArray[np.floating], classes: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Class, its probability, and a column a class, of probabilities (n, K)."""
    names = np.asarray(classes)[probability.argmax(axis=1)]
    each = {f"p_{name}": probability[:, column] for column, name in enumerate(classes)}
    return {"class": names, "probability": probability.max(axis=1, initial=0), **each}
