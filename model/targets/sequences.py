"""A class for each step of a window: softmax over time, cross-entropy where there is a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.model.baseline import fit_sequence_baseline
from headrace.model.figures import CLASS_CURVES
from headrace.model.interface import NetworkTarget
from headrace.model.targets.classes import (
    class_columns,
    cross_entropy,
    no_probabilities,
    softmax,
)
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
from headrace.model.targets.sequence_scores import SequenceScores, pooled_sequences
from headrace.model.targets.weights import class_weights

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class SequenceTarget(GivenAsMade):
    """Labels (n, length) int32, -1 where unlabelled; predictions (n, length, K), probabilities."""

    target: NetworkTarget
    paired: ClassVar[tuple[str, str]] = ("accuracy", "samples")
    refusals: ClassVar[Mapping[str, str]] = {
        "balance": "a window holds samples of several classes, so none can be drawn as often as "
        "the others. Let rare classes weigh more: train.class_weight_power"
    }
    headlines: ClassVar[tuple[Headline, ...]] = (
        Headline("accuracy", "accuracy of samples"),
        Headline("macro_f1", "macro-F1 of samples"),
        Headline("segment_f1_50", "F1 of segments at overlap 0.5"),
    )
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy",)
    curves: ClassVar[Mapping[str, str]] = CLASS_CURVES

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """A weight a step: 0 where it has no label."""
        return (self.target.length,)

    def head(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Probabilities (B, length, K)."""
        return softmax(x, self.target.count, name)

    def fault(self, output: NDArray[np.float64]) -> str | None:
        """Steps that do not sum to 1."""
        return no_probabilities(output)

    def loss(self, label_smoothing: float, name: str = "label") -> keras.losses.Loss:
        """Cross-entropy, the mean over the steps of a batch by their weights, in nats."""
        import keras

        return keras.losses.CategoricalCrossentropy(
            label_smoothing=label_smoothing, reduction="mean_with_sample_weight", name=name
        )

    def metrics(self) -> list[keras.metrics.Metric]:
        """Accuracy of steps."""
        import keras

        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    def encode(
        self, label: Any, statistics: TargetStatistics, weights: Floats | None = None
    ) -> tuple[Any, Any]:
        """One-hot (n, length, K), zeros where unlabelled, and weights (n, length), 0 there."""
        import tensorflow as tf

        weight = tf.gather(tf.constant(self._table(weights)), label + 1)
        return tf.one_hot(label, self.target.count), weight

    def encode_arrays(
        self, label: NDArray[Any], statistics: TargetStatistics, weights: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """The same of arrays."""
        one_hot = np.eye(self.target.count + 1, dtype=np.float32)[:, 1:]
        return one_hot[label + 1], self._table(weights)[label + 1]

    def _table(self, weights: Floats | None) -> Floats:
        """(1 + K,) float32: of no label, and of each class."""
        given = np.ones(self.target.count) if weights is None else weights
        return np.concatenate([[0], given]).astype(np.float32)

    def class_weights(self, tally: ArrayLike, windows: int, power: float) -> Floats | None:
        """(K,) by class, of samples by class: the tally's first K columns."""
        return class_weights(np.asarray(tally)[: self.target.count], power)

    def loss_sum(
        self, prediction: NDArray[np.floating], label: NDArray[Any], statistics: TargetStatistics
    ) -> tuple[float, int]:
        """Cross-entropy over the samples with a label, in nats."""
        there = label >= 0
        return cross_entropy(prediction[there], label[there]), int(there.sum())

    def scores(
        self,
        groups: Sequence[str],
        mistakes: int = 20,
        statistics: TargetStatistics = NO_STATISTICS,
        chosen: Chosen = NOTHING_CHOSEN,
    ) -> SequenceScores:
        """Confusion counts of samples, and segments within windows."""
        return SequenceScores(self.target, groups, mistakes)

    def pooled(self, summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Scores of the counts of samples and segments added up."""
        return pooled_sequences(summaries, self.target.classes)

    def baseline(
        self,
        features: NDArray[np.floating],
        label: NDArray[Any],
        seed: int = 0,
        trees: int | None = None,
        threads: int = 2,
    ) -> Baseline:
        """Extra trees of the class that most of a window has, given to all of its steps."""
        return fit_sequence_baseline(features, label, self.target.count, seed, trees, threads)

    def predictions(
        self, output: NDArray[np.floating], chosen: Chosen = NOTHING_CHOSEN
    ) -> dict[str, NDArray[Any]]:
        """`step` of the window, then as of classes: (n * length,) each, a row a step."""
        flat = output.reshape(-1, self.target.count)
        step = np.tile(np.arange(self.target.length, dtype=np.int32), len(output))
        return {"step": step, **class_columns(flat, self.target.classes)}

    def figures(self, summary: Mapping[str, Any]) -> dict[str, bytes]:
        """The confusion matrix of samples, bars of classes and of groups."""
        from headrace.model import figures

        return {
            "confusion": figures.confusion_matrix(summary["confusion"], self.target.classes),
            "classes": figures.class_bars(summary),
            "groups": figures.group_bars(summary),
        }

    def example(self, rows: int, seed: int = 0) -> NDArray[Any]:
        """(rows, length) int32, some of them -1."""
        rng = np.random.default_rng(seed)
        return rng.integers(-1, self.target.count, (rows, self.target.length)).astype(np.int32)
