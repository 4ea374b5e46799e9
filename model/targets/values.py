"""K numbers with units a window: standardised for the network, Huber's loss, errors in units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.model.baseline import fit_value_baseline
from headrace.model.interface import NetworkTarget
from headrace.model.targets.classes import sums_to_one
from headrace.model.targets.interface import (
    NO_STATISTICS,
    NOTHING_CHOSEN,
    Baseline,
    Chosen,
    Floats,
    Headline,
    RefusesOptions,
    TargetStatistics,
)
from headrace.model.targets.labels import activated
from headrace.model.targets.value_scores import ValueScores, pooled_values

if TYPE_CHECKING:
    import keras

DELTA = 1.0
"""Standard deviations of an error from where Huber's loss grows linearly."""


@dataclass(frozen=True)
class ValueTarget(RefusesOptions):
    """Labels and predictions (n, K) float32 in units; standardised for the network."""

    target: NetworkTarget
    paired: ClassVar[tuple[str, str]] = ("mae", "windows")
    refusals: ClassVar[Mapping[str, str]] = {
        "balance": "values are no classes, so none can be drawn as often as the others",
        "label_smoothing": "a value has no other classes to spread a share of it over",
        "class_weight_power": "values are no classes, so none is rare",
    }
    metric_names: ClassVar[tuple[str, ...]] = ("scaled_mae",)
    curves: ClassVar[Mapping[str, str]] = {
        "val_mae": "validation MAE",
        "val_rmse": "validation RMSE",
    }
    weight_shape: ClassVar[tuple[int, ...]] = ()

    @property
    def headlines(self) -> tuple[Headline, ...]:
        """In the unit of the value; of several in standard deviations of each."""
        unit = self.target.units[0] if self.target.count == 1 else "sd"
        return (
            Headline("mae", "MAE", larger_is_better=False, unit=unit),
            Headline("rmse", "RMSE", larger_is_better=False, unit=unit),
            Headline("r2", "R2", unit=""),
        )

    def head(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Standardised values (B, K)."""
        return activated(x, self.target.count, "linear", name)

    def fault(self, output: NDArray[np.float64]) -> str | None:
        """Values that are not finite, or the probabilities of a softmax."""
        if not np.isfinite(output).all():
            return "gives values that are not finite"
        if sums_to_one(output):
            return "gives probabilities, as of a softmax. End it with a linear layer"
        return None

    def loss(self, label_smoothing: float, name: str = "label") -> keras.losses.Loss:
        """Huber's loss of standardised values: squares of errors below DELTA, halved."""
        import keras

        return keras.losses.Huber(delta=DELTA, name=name)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Mean absolute error of standardised values."""
        import keras

        return [keras.metrics.MeanAbsoluteError(name="scaled_mae")]

    def encode(
        self, label: Any, statistics: TargetStatistics, weights: Floats | None = None
    ) -> tuple[Any, Any]:
        """Standardised float32 (n, K) and weights (n,) of 1."""
        import tensorflow as tf

        encoded = (tf.cast(label, tf.float32) - statistics.mean) * statistics.scale
        return encoded, tf.ones_like(encoded[:, 0])

    def encode_arrays(
        self, label: NDArray[Any], statistics: TargetStatistics, weights: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """The same of arrays."""
        encoded = (label.astype(np.float32) - statistics.mean) * statistics.scale
        return encoded, np.ones(len(label), np.float32)

    def decode(self, statistics: TargetStatistics) -> keras.layers.Layer:
        """Standardised values to units; a layer of Keras' own."""
        from keras import layers

        mean, deviation = statistics.mean.tolist(), statistics.deviation.tolist()
        return layers.Rescaling(deviation, mean, dtype="float32", name="in_units")

    def as_given(
        self, prediction: NDArray[np.floating], statistics: TargetStatistics
    ) -> NDArray[np.floating]:
        """Standardised values."""
        return (prediction - statistics.mean) * statistics.scale

    def class_weights(self, tally: ArrayLike, windows: int, power: float) -> None:
        """None: the option is refused."""

    def loss_sum(
        self, prediction: NDArray[np.floating], label: NDArray[Any], statistics: TargetStatistics
    ) -> tuple[float, int]:
        """Huber's loss of standardised values, the mean over them."""
        error = np.abs(prediction.astype(np.float64) - label) * statistics.scale
        loss = np.where(error <= DELTA, error**2 / 2, DELTA * (error - DELTA / 2))
        return float(loss.mean(axis=1).sum()), len(label)

    def scores(
        self,
        groups: Sequence[str],
        mistakes: int = 20,
        statistics: TargetStatistics = NO_STATISTICS,
        chosen: Chosen = NOTHING_CHOSEN,
    ) -> ValueScores:
        """Errors by group and value; several values are weighed by the statistics' deviations."""
        return ValueScores(self.target, groups, mistakes, statistics)

    def pooled(self, summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Errors over all windows; R2 about the mean of all labels."""
        return pooled_values(summaries)

    def baseline(
        self,
        features: NDArray[np.floating],
        label: NDArray[Any],
        seed: int = 0,
        trees: int | None = None,
        threads: int = 2,
    ) -> Baseline:
        """Extra trees of all values at once; raises ValueError without a row."""
        return fit_value_baseline(features, label, seed, trees, threads)

    def predictions(
        self, output: NDArray[np.floating], chosen: Chosen = NOTHING_CHOSEN
    ) -> dict[str, NDArray[Any]]:
        """A column a value, in units, under its name."""
        return {name: output[:, at] for at, name in enumerate(self.target.names)}

    def figures(self, summary: Mapping[str, Any]) -> dict[str, bytes]:
        """Predicted against true, residuals over all and by group."""
        from headrace.model.figures_values import (
            group_residuals,
            predicted_against_true,
            residuals,
        )

        return {
            "predicted": predicted_against_true(summary),
            "residuals": residuals(summary),
            "groups": group_residuals(summary, self.headlines[0].unit),
        }

    def example(self, rows: int, seed: int = 0) -> NDArray[Any]:
        """(rows, K) float32."""
        shape = (rows, self.target.count)
        return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
