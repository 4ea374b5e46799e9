"""What metrics.json of an evaluated run holds: how it is read and written, and its names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from headrace.pipeline.runs.record import json_bytes
from headrace.stores.errors import RunError, first_line
from headrace.stores.io import disk

if TYPE_CHECKING:
    from headrace.pipeline.runs.folder import RunFolder

HEADLINES = ("accuracy", "macro_f1", "balanced_accuracy")
"""Scores that summaries show."""

TITLES = {
    "plain": "network",
    "tta": "network, views averaged",
    "baseline": "baseline (extra trees)",
}
"""Classifiers of `Metrics`, and how people know them."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    def as_table(self) -> dict[str, Any]:
        """JSON-able, in the order of the file."""
        return self.model_dump(mode="json", exclude_none=True)


class ClassScores(_Record):
    """Of one class."""

    windows: int
    precision: float
    recall: float
    f1: float


class GroupScores(_Record):
    """Of one group that has windows."""

    windows: int
    accuracy: float
    macro_f1: float


class Spread(_Record):
    """Over groups; `sd` with ddof 1."""

    mean: float
    sd: float
    least: float


class CalibrationBin(_Record):
    """Windows of like confidence."""

    windows: int
    confidence: float
    accuracy: float


class Mistake(_Record):
    """A window that was labelled wrongly."""

    source_index: int
    label: str
    predicted: str
    confidence: float


class ClassifierScores(_Record):
    """What `model.scores.Scores.summary` measured of a classifier.

    Attributes:
        loss: cross-entropy of a network in nats, the mean over the windows; None of a baseline.
        training_windows: that a baseline was fitted to; None of a network.
        windows: that were scored.
        accuracy, macro_f1, balanced_accuracy: 0 to 1.
        per_class: by name, in the order of the confusion counts.
        absent_classes: without a window that was scored.
        confusion: (K, K) windows by label and prediction.
        intervals: headline -> [low, high]; empty for fewer than two groups.
        per_group: by name.
        group_accuracy, group_macro_f1: over the groups.
        ece: expected calibration error, 0 to 1.
        calibration: bins that have windows, by confidence.
        mistakes: most confident first.
    """

    loss: float | None = None
    training_windows: int | None = None
    windows: int
    accuracy: float
    macro_f1: float
    balanced_accuracy: float
    per_class: dict[str, ClassScores]
    absent_classes: list[str]
    confusion: list[list[int]]
    intervals: dict[str, tuple[float, float]]
    per_group: dict[str, GroupScores]
    group_accuracy: Spread
    group_macro_f1: Spread
    ece: float
    calibration: list[CalibrationBin]
    mistakes: list[Mistake]

    def headlines(self) -> dict[str, float]:
        """The scores that summaries show, by name."""
        return {key: getattr(self, key) for key in HEADLINES}

    def texts(self) -> list[str]:
        """These in percent, each with its interval if it has one: `88.67 % [84.1, 92.0]`."""
        return [
            f"{100 * score:.2f} %{_edges(self.intervals.get(key))}"
            for key, score in self.headlines().items()
        ]


class Metrics(_Record):
    """An evaluation of a run on its test folds.

    Attributes:
        digest: of the model and the options of evaluation.
        plain: the network on the windows as they are.
        tta: with the probabilities of `views` averaged.
        views: their names.
        test_groups: names of the groups tested.
        notes: what a reader must know before trusting the scores.
        baseline: extra trees on the same windows, if they were asked for.
    """

    digest: str
    plain: ClassifierScores
    tta: ClassifierScores
    views: list[str]
    test_groups: list[str]
    notes: list[str]
    baseline: ClassifierScores | None = None

    def scores(self) -> dict[str, ClassifierScores]:
        """Classifiers that were scored: a key of TITLES -> its scores."""
        return {name: found for name in TITLES if (found := getattr(self, name)) is not None}


def read_metrics(run: RunFolder) -> Metrics:
    """The scores of a run.

    Raises:
        UserError: it is not evaluated, or the file is damaged or of another shape.
    """
    try:
        return Metrics.model_validate_json(run.metrics.read_bytes())
    except (OSError, ValidationError) as error:
        raise RunError(
            f"{run.path} is not evaluated{_why(error)}. Evaluate it: headrace evaluate "
            f"--run {run.path}"
        ) from error


def write_metrics(run: RunFolder, metrics: Metrics) -> None:
    """Write metrics.json, whole or not at all."""
    disk.write_bytes(run.metrics, json_bytes(metrics.as_table()))


def _why(error: OSError | ValidationError) -> str:
    if isinstance(error, FileNotFoundError):
        return ""
    if isinstance(error, OSError):
        return f" ({first_line(error)})"
    first = error.errors(include_url=False)[0]
    where = ".".join(str(each) for each in first["loc"])
    return f" ({where}{': ' if where else ''}{first['msg']})"


def _edges(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return ""
    low, high = (100 * edge for edge in interval)
    return f" [{low:.1f}, {high:.1f}]"
