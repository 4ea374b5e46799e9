"""What crossval.json holds: the scores of all folds of a cross-validation, written and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from headrace.model.intervals import paired_accuracy
from headrace.model.scores import summarise_confusion
from headrace.pipeline.evaluation.metrics import (
    HEADLINES,
    TITLES,
    ClassifierScores,
    ClassScores,
    GroupScores,
    Metrics,
)
from headrace.pipeline.runs.folder import CROSSVAL_FIRST_FOLD, CROSSVAL_RESULT
from headrace.stores.errors import RunError, first_line


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class FoldResult(_Record):
    """A fold: its run, and the groups that it tests."""

    run: str
    test_groups: list[str]


class ScoreOverFolds(_Record):
    """Of one score; `sd` with ddof 1, `folds` in their order."""

    mean: float
    sd: float
    folds: list[float]


class PooledScores(_Record):
    """Of all test windows together: `model.scores.summarise_confusion`."""

    windows: int
    accuracy: float
    macro_f1: float
    balanced_accuracy: float
    per_class: dict[str, ClassScores]
    absent_classes: list[str]
    confusion: list[list[int]]


class ClassifierResult(_Record):
    """Of one classifier, over all folds.

    Attributes:
        accuracy, macro_f1, balanced_accuracy: over the folds.
        pooled: of all test windows together.
        per_group: each group, which exactly one fold tests, by name.
    """

    accuracy: ScoreOverFolds
    macro_f1: ScoreOverFolds
    balanced_accuracy: ScoreOverFolds
    pooled: PooledScores
    per_group: dict[str, GroupScores]

    def interval(self) -> list[float] | None:
        """95 % interval of the pooled accuracy over groups; None for fewer than two."""
        windows = [each.windows for each in self.per_group.values()]
        right = [round(each.accuracy * each.windows) for each in self.per_group.values()]
        return paired_accuracy(windows, np.zeros(len(windows)), right)[1]


class CrossvalResult(_Record):
    """A cross-validation that is complete.

    Attributes:
        store: fingerprint.
        folds: in their order.
        plain, tta, baseline: as of `Metrics`.
    """

    store: str
    folds: list[FoldResult]
    plain: ClassifierResult
    tta: ClassifierResult
    baseline: ClassifierResult | None = None

    def classifiers(self) -> dict[str, ClassifierResult]:
        """Those that were scored: a key of TITLES -> over all folds."""
        return {name: found for name in TITLES if (found := getattr(self, name)) is not None}


def read_crossval(folder: Path) -> CrossvalResult:
    """The result in a folder of a cross-validation.

    Raises:
        UserError: it is not complete, or damaged, or of a version that did not record the store.
    """
    file = folder / CROSSVAL_RESULT
    again = f"headrace crossval --config {folder / CROSSVAL_FIRST_FOLD}"
    if (folder / "fold-0").is_dir():
        again += f" --run {folder}"
    try:
        return CrossvalResult.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise RunError(
            f"The cross-validation {folder} is not complete. Go on with it: {again}"
        ) from error
    except (OSError, ValidationError) as error:
        raise RunError(
            f"{file} is damaged, or of an older version ({first_line(error)}). Write it again, "
            f"which trains no fold that is complete: {again}"
        ) from error


def summarise(folds: Mapping[str, Metrics], classes: Sequence[str]) -> dict[str, Any]:
    """JSON-able: spread over the folds, and scores of all their test groups together.

    Args:
        folds: path of each fold's run -> its scores.
        classes: names of the classes, in the order of the confusion counts.
    """
    scores = {run: fold.scores() for run, fold in folds.items()}
    kinds = [kind for kind in TITLES if all(kind in fold for fold in scores.values())]
    return {
        "folds": [
            {"run": run, "test_groups": fold.test_groups}
            | {kind: scores[run][kind].headlines() for kind in kinds}
            for run, fold in folds.items()
        ],
        **{kind: _spread([fold[kind] for fold in scores.values()], classes) for kind in kinds},
    }


def _spread(scores: Sequence[ClassifierScores], classes: Sequence[str]) -> dict[str, Any]:
    values = {key: np.array([getattr(score, key) for score in scores]) for key in HEADLINES}
    confusion = np.sum([score.confusion for score in scores], axis=0)
    return {
        **{
            key: {
                "mean": float(value.mean()),
                "sd": float(value.std(ddof=1)) if len(value) > 1 else 0.0,
                "folds": value.tolist(),
            }
            for key, value in values.items()
        },
        "pooled": summarise_confusion(confusion, classes),
        "per_group": {
            name: group.as_table() for score in scores for name, group in score.per_group.items()
        },
    }
