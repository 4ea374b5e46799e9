"""Any of K labels a window: a sigmoid each, binary cross-entropy, counts at thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.model.baseline import fit_label_baseline
from headrace.model.interface import NetworkTarget
from headrace.model.targets.classes import LEAST_PROBABILITY, sums_to_one
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
from headrace.model.targets.label_scores import LabelScores, pooled_labels, thresholds_of
from headrace.model.targets.weights import label_weights

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LabelsTarget(GivenAsMade):
    """Labels (n, K) of 0 and 1, uint8; predictions (n, K), the probability of each label."""

    target: NetworkTarget
    paired: ClassVar[tuple[str, str]] = ("label_accuracy", "windows")
    refusals: ClassVar[Mapping[str, str]] = {
        "balance": "a window may have several labels, so none can be drawn as often as the others "
        "without drawing those too. Let rare labels weigh more: train.class_weight_power"
    }
    headlines: ClassVar[tuple[Headline, ...]] = (
        Headline("macro_f1", "macro-F1"),
        Headline("micro_f1", "micro-F1"),
        Headline("average_precision", "average precision"),
        Headline("auroc", "AUROC"),
    )
    weight_shape: ClassVar[tuple[int, ...]] = ()
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy",)
    curves: ClassVar[Mapping[str, str]] = {
        "accuracy": "training accuracy of labels",
        "val_label_accuracy": "validation accuracy of labels",
        "val_macro_f1": "validation macro-F1",
    }

    def head(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Probabilities (B, K), each of its own label."""
        return activated(x, self.target.count, "sigmoid", name)

    def fault(self, output: NDArray[np.float64]) -> str | None:
        """Values that are no probabilities, or those of a softmax."""
        if not (np.isfinite(output).all() and (output >= 0).all() and (output <= 1).all()):
            found = f"{output.min():.3g} to {output.max():.3g}"
            return f"gives no probabilities: for noise, {found}. End it with a sigmoid"
        if sums_to_one(output):
            return "gives labels of which one excludes the others (softmax). End it with a sigmoid"
        return None

    def loss(self, label_smoothing: float, name: str = "label") -> keras.losses.Loss:
        """Binary cross-entropy, the mean over labels, in nats."""
        from headrace.model.targets.losses import LabelCrossentropy

        return LabelCrossentropy(label_smoothing, name)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Share of labels that are right."""
        from headrace.model.targets.losses import label_accuracy

        return [label_accuracy()]

    def encode(
        self, label: Any, statistics: TargetStatistics, weights: Floats | None = None
    ) -> tuple[Any, Any]:
        """Float32 labels (n, K) and weights (n,), or (n, K) where rare labels weigh more."""
        import tensorflow as tf

        encoded = tf.cast(label, tf.float32)
        if weights is None:
            return encoded, tf.ones_like(encoded[:, 0])
        absent, there = (tf.constant(row, tf.float32) for row in weights)
        return encoded, tf.where(encoded > 0, there, absent)

    def encode_arrays(
        self, label: NDArray[Any], statistics: TargetStatistics, weights: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """The same of arrays."""
        encoded = label.astype(np.float32)
        if weights is None:
            return encoded, np.ones(len(label), np.float32)
        return encoded, np.where(encoded > 0, weights[1], weights[0]).astype(np.float32)

    def class_weights(self, tally: ArrayLike, windows: int, power: float) -> Floats | None:
        """(2, K): where a label is absent and where it is there.

        The tally's first K columns are the windows that have each label.
        """
        return label_weights(np.asarray(tally)[: self.target.count], windows, power)

    def loss_sum(
        self, prediction: NDArray[np.floating], label: NDArray[Any], statistics: TargetStatistics
    ) -> tuple[float, int]:
        """Binary cross-entropy, the mean over labels, in nats."""
        right = np.where(label > 0, prediction, 1.0 - prediction.astype(np.float64))
        loss = -np.log(np.maximum(right, LEAST_PROBABILITY))
        return float(loss.mean(axis=1).sum()), len(label)

    def scores(
        self,
        groups: Sequence[str],
        mistakes: int = 20,
        statistics: TargetStatistics = NO_STATISTICS,
        chosen: Chosen = NOTHING_CHOSEN,
    ) -> LabelScores:
        """Counts at the thresholds chosen, 0.5 unless they are; histograms of scores."""
        return LabelScores(self.target.names, groups, mistakes, chosen)

    def pooled(self, summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Scores of the counts added up; average precision and AUROC are means over the parts."""
        return pooled_labels(summaries)

    def baseline(
        self,
        features: NDArray[np.floating],
        label: NDArray[Any],
        seed: int = 0,
        trees: int | None = None,
        threads: int = 2,
    ) -> Baseline:
        """Extra trees of all labels at once; raises ValueError without a row."""
        return fit_label_baseline(features, label, seed, trees, threads)

    def predictions(
        self, output: NDArray[np.floating], chosen: Chosen = NOTHING_CHOSEN
    ) -> dict[str, NDArray[Any]]:
        """`NAME` of each label, whether it is there, then `p_NAME`, its probability."""
        limits = thresholds_of(chosen, self.target.names)
        names = list(enumerate(self.target.names))
        found = {name: output[:, at] >= limits[at] for at, name in names}
        return found | {f"p_{name}": output[:, at] for at, name in names}

    def figures(self, summary: Mapping[str, Any]) -> dict[str, bytes]:
        """Precision over recall, bars of labels and of groups."""
        from headrace.model import figures
        from headrace.model.figures_labels import precision_recall_curves

        return {
            "precision_recall": precision_recall_curves(summary),
            "labels": figures.class_bars(summary, "per_label"),
            "groups": figures.group_bars(summary, "label_accuracy", "accuracy of labels"),
        }

    def example(self, rows: int, seed: int = 0) -> NDArray[Any]:
        """(rows, K) uint8."""
        rng = np.random.default_rng(seed)
        return rng.integers(2, size=(rows, self.target.count)).astype(np.uint8)


def activated(x: keras.KerasTensor, count: int, activation: str, name: str) -> keras.KerasTensor:
    """An output (B, count) in float32, whatever the policy, through a layer named after it."""
    from keras import layers

    x = layers.Dense(count, name=f"{name}_logits")(x)
    return layers.Activation(activation, dtype="float32", name=name)(x)
