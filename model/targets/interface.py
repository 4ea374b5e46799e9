"""What a kind of target knows, and how its predictions are scored: nothing else asks for the kind.

NumPy alone; what needs Keras imports it when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.model.interface import NetworkTarget
from headrace.model.normaliser import standardisation

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.float32]
Chosen = Mapping[str, list[float]]
"""What is chosen on validation and used from then on: the thresholds of labels."""
NOTHING_CHOSEN: Chosen = {}


@dataclass(frozen=True, eq=False)
class TargetStatistics:
    """Statistics of the labels of the training rows; empty where a kind needs none.

    Attributes:
        mean: (K,) float32, in units.
        scale: (K,) float32, reciprocal standard deviation; 0 for a constant value.
    """

    mean: Floats
    scale: Floats

    @classmethod
    def fit(cls, mean: ArrayLike = (), std: ArrayLike = ()) -> TargetStatistics:
        """Build from moments (K,), ddof 0.

        Raises ValueError when shapes disagree or a moment is not finite.
        """
        return cls(*standardisation("value", mean, std))

    @property
    def deviation(self) -> Floats:
        """(K,) float32 standard deviation, 0 for a constant value."""
        constant = self.scale == 0
        return np.where(constant, 0, 1 / np.where(constant, 1, self.scale)).astype(np.float32)


NO_STATISTICS = TargetStatistics.fit()


@dataclass(frozen=True)
class Headline:
    """A score that summaries show.

    Attributes:
        key: in a summary, in `intervals` of it, and where a group has it in `per_group`.
        title: for people.
        larger_is_better: how two are compared.
        unit: `%` for a share, which is printed in percent; else of the value.
    """

    key: str
    title: str
    larger_is_better: bool = True
    unit: str = "%"

    def text(self, value: float, interval: Sequence[float] | None = None) -> str:
        """A score with its interval: `88.67 % [84.1, 92.0]`, `13.21 cycles [11.8, 15]`."""
        if self.unit == "%":
            edges = "" if interval is None else " [{:.1f}, {:.1f}]".format(*_percent(interval))
            return f"{100 * value:.2f} %{edges}"
        edges = "" if interval is None else " [{:.3g}, {:.3g}]".format(*interval)
        return f"{value:.4g} {self.unit}".rstrip() + edges


class TargetScores(Protocol):
    """Scores from streamed predictions; memory does not grow with the windows."""

    def update(
        self,
        prediction: NDArray[np.floating],
        label: NDArray[Any],
        group: NDArray[np.integer],
        source_index: NDArray[np.integer],
        /,
    ) -> None:
        """Count n windows: predictions (n, *shape) in units, labels as stored; the rest (n,).

        Raises ValueError for a shape that does not fit, for a label or group out of range, and
        for predictions that are not finite.
        """

    def summary(self, intervals: bool = True) -> dict[str, Any]:
        """Everything measured, JSON-able: headlines, `windows`, `intervals`, `per_group`, more."""

    def chosen(self) -> Chosen:
        """What scoring and predicting use from now on, chosen on these windows; else nothing."""


class Baseline(Protocol):
    """A fitted forest."""

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Predictions (n, *shape), in units, of features (n, F)."""


class TargetModel(Protocol):
    """All that a training, an evaluation and a report ask of a target.

    Attributes:
        target: names, units, length.
        headlines: scores that summaries show.
        paired: keys in `per_group` of a mean over all that is counted there, and of that count;
            the differences of two models on the same windows are drawn from them.
        curves: keys of a training's history beside the losses, three at most -> their names.
        refusals: option -> why it is refused, a sentence without its end. Options are `mix`,
            `balance` (by class), `label_smoothing`, `class_weight_power`.
        weight_shape: of the sample weight of one window, where rare classes do not weigh more.
    """

    @property
    def target(self) -> NetworkTarget:
        """See above, as for all that follow."""

    @property
    def headlines(self) -> tuple[Headline, ...]:
        """The first is the one that models are compared by."""

    @property
    def paired(self) -> tuple[str, str]:
        """Keys in `per_group`: a mean, and the count of what it is taken over."""

    @property
    def curves(self) -> Mapping[str, str]:
        """Keys of a training's history beside the losses, and their names."""

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Of `metrics`."""

    @property
    def refusals(self) -> Mapping[str, str]:
        """Options, and why they are refused."""

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Of the sample weight of one window without `class_weights`."""

    def head(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """The output `name` of the last hidden layer, float32 (B, *target.shape)."""

    def fault(self, output: NDArray[np.float64]) -> str | None:
        """Why (n, *target.shape), of a network on noise, is no output of this kind, and the way.

        A predicate of "the network", without an end; None where it may be one.
        """

    def loss(self, label_smoothing: float, name: str = "label") -> keras.losses.Loss:
        """A Keras loss of encoded labels; takes sample weights (B, *weight_shape)."""

    def metrics(self) -> list[keras.metrics.Metric]:
        """New metrics of encoded labels and outputs, weighted like the loss."""

    def encode(
        self, label: Any, statistics: TargetStatistics, weights: Floats | None = None
    ) -> tuple[Any, Any]:
        """Stored labels (n, ...) as the loss takes them and their sample weights, in a graph.

        Args:
            label: a tensor, as the store holds it.
            statistics: of the training rows.
            weights: of `class_weights`; None for 1.
        """

    def encode_arrays(
        self, label: NDArray[Any], statistics: TargetStatistics, weights: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """The same of arrays, the same bits."""

    def decode(self, statistics: TargetStatistics) -> keras.layers.Layer | None:
        """A layer from outputs to what users get; None where they are the same."""

    def as_given(
        self, prediction: NDArray[np.floating], statistics: TargetStatistics
    ) -> NDArray[np.floating]:
        """Predictions in units (n, ...) as the network gave them, to compare with `encode`."""

    def class_weights(self, tally: ArrayLike, windows: int, power: float) -> Floats | None:
        """Sample weights that `encode` looks up, count ** -power, 1 on average; None for 1.

        Args:
            tally: of the training rows, as the store counts this kind.
            windows: training rows.
            power: 0 weighs nothing, 1 balances.
        """

    def loss_sum(
        self, prediction: NDArray[np.floating], label: NDArray[Any], statistics: TargetStatistics
    ) -> tuple[float, int]:
        """The loss summed over all that is labelled, without smoothing, and how many that is.

        Takes predictions in units and labels as stored.
        """

    def scores(
        self,
        groups: Sequence[str],
        mistakes: int = 20,
        statistics: TargetStatistics = NO_STATISTICS,
        chosen: Chosen = NOTHING_CHOSEN,
    ) -> TargetScores:
        """Empty scores over named groups; keeps so many of the worst mistakes."""

    def pooled(self, summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Scores of disjoint groups together, such as those of several folds, JSON-able.

        Args:
            summaries: at least one, of scores of this kind.

        Returns:
            `windows`, the headlines, and of each class, label or value what can be added up.
        """

    def baseline(
        self,
        features: NDArray[np.floating],
        label: NDArray[Any],
        seed: int = 0,
        trees: int | None = None,
        threads: int = 2,
    ) -> Baseline:
        """Extra trees fitted to features (n, F) and labels as stored; the caller bounds n."""

    def predictions(
        self, output: NDArray[np.floating], chosen: Chosen = NOTHING_CHOSEN
    ) -> dict[str, NDArray[Any]]:
        """Columns of a file of predictions (n, *shape): one row a window, or one a step."""

    def figures(self, summary: Mapping[str, Any]) -> dict[str, bytes]:
        """Figures of a summary of scores: name of the file -> PNG."""

    def example(self, rows: int, seed: int = 0) -> NDArray[Any]:
        """Labels of noise as a store would hold them (rows, ...), to try a network on."""

    @property
    def can_mix(self) -> bool:
        """Whether windows can be blended with one another, labels and all."""

    @property
    def can_balance(self) -> bool:
        """Whether rows can be drawn so that each class comes as often."""

    @property
    def can_smooth(self) -> bool:
        """Whether labels can be smoothed."""

    @property
    def can_weigh(self) -> bool:
        """Whether rare classes can weigh more."""


class RefusesOptions:
    """Asks of `refusals`, for all kinds."""

    refusals: ClassVar[Mapping[str, str]] = {}

    @property
    def can_mix(self) -> bool:
        """Whether windows can be blended with one another, labels and all."""
        return "mix" not in self.refusals

    @property
    def can_balance(self) -> bool:
        """Whether rows can be drawn so that each class comes as often."""
        return "balance" not in self.refusals

    @property
    def can_smooth(self) -> bool:
        """Whether labels can be smoothed."""
        return "label_smoothing" not in self.refusals

    @property
    def can_weigh(self) -> bool:
        """Whether rare classes can weigh more."""
        return "class_weight_power" not in self.refusals


class GivenAsMade(RefusesOptions):
    """Gives users what the network gives: probabilities."""

    def decode(self, statistics: TargetStatistics) -> None:
        """None: see `TargetModel`."""

    def as_given(
        self, prediction: NDArray[np.floating], statistics: TargetStatistics
    ) -> NDArray[np.floating]:
        """The same."""
        return prediction


def check_rows(
    prediction: NDArray[np.floating],
    label: NDArray[Any],
    group: NDArray[np.integer],
    source_index: NDArray[np.integer],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    groups: int,
) -> None:
    """Check what scores are given.

    Args:
        prediction, label, group, source_index: of n windows.
        shapes: of the prediction and the label of one window.
        groups: codes that there are.

    Raises:
        ValueError: a shape does not fit, a group is out of range, a prediction is not finite.
    """
    count = len(group)
    pairs = [((count, *shapes[0]), prediction), ((count, *shapes[1]), label)]
    if any(array.shape != shape for shape, array in pairs) or len(source_index) != count:
        raise ValueError(
            f"{count} windows need predictions {pairs[0][0]} and labels {pairs[1][0]}; got "
            f"{prediction.shape}, {label.shape}, {len(source_index)} indices."
        )
    if not np.isfinite(prediction).all():
        raise ValueError("A prediction is not finite: the network's weights are damaged.")
    check_codes("group", group, groups)


def check_codes(name: str, values: NDArray[Any], limit: int, least: int = 0) -> None:
    """Check that values lie in least..limit-1; raises ValueError with both ends of those found."""
    if values.size and not least <= values.min() <= values.max() < limit:
        raise ValueError(
            f"A {name} is out of range: {values.min()} to {values.max()}, "
            f"not {least} to {limit - 1}."
        )


def _percent(interval: Sequence[float]) -> list[float]:
    return [100 * edge for edge in interval]
