"""The result of an ablation: its rows, table and page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.intervals import LEAST_GROUPS, paired_accuracy
from headrace.model.scores import summarise_confusion
from headrace.pipeline.config.load import config_bytes
from headrace.pipeline.evaluation.metrics import read_metrics
from headrace.pipeline.runs.history import read_history
from headrace.stores.text import format_seconds

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.console import Console
    from headrace.pipeline.evaluation.metrics import ClassifierScores, GroupScores, Metrics
    from headrace.pipeline.runs.folder import RunFolder

COLUMNS = ("", "epochs, at most", "seconds", "accuracy, %", "macro-F1", "difference, points")


@dataclass(frozen=True)
class Trained:
    """An evaluated run.

    Attributes:
        path: its folder.
        metrics: its scores.
        epochs: that were trained before it stopped.
        seconds: that they took.
    """

    path: str
    metrics: Metrics
    epochs: int
    seconds: float

    @classmethod
    def read(cls, run: RunFolder) -> Trained:
        """Of a run that has just been evaluated."""
        seconds = [row["seconds"] for row in read_history(run.log)]
        return cls(str(run.path), read_metrics(run), len(seconds), sum(seconds))


@dataclass
class Outcome:
    """What a variant reached.

    Attributes:
        name: of the variant.
        epochs: that each training was given; None for what is not trained so.
        kind: of the classifier, a key of `Metrics.scores`.
        trained: runs of each seed, in the order of the folds.
    """

    name: str
    epochs: int | None
    kind: str = "plain"
    trained: list[list[Trained]] = field(default_factory=list)

    def windows(self) -> list[int]:
        """(G,) windows of the groups tested, over all folds."""
        return [group.windows for group in self._groups(self.trained[0])]

    def right(self) -> NDArray[np.float64]:
        """(S, G) of them labelled rightly, of each seed."""
        rows = [
            [round(group.accuracy * group.windows) for group in self._groups(of_seed)]
            for of_seed in self.trained
        ]
        return np.array(rows, np.float64)

    def row(self, reference: Outcome, classes: Sequence[str]) -> dict[str, Any]:
        """JSON-able: scores, and the difference of accuracy to the reference."""
        windows, right = self.windows(), self.right()
        accuracy, interval = paired_accuracy(windows, np.zeros(len(windows)), right)
        difference, edges = paired_accuracy(windows, reference.right(), right)
        runs = [each for of_seed in self.trained for each in of_seed]
        return {
            "name": self.name,
            "epochs": self.epochs,
            "seconds": None if self.epochs is None else float(np.mean([r.seconds for r in runs])),
            "accuracy": accuracy,
            "interval": interval,
            "macro_f1": float(np.mean([self._macro_f1(each, classes) for each in self.trained])),
            "difference": difference,
            "difference_interval": edges,
            "accuracy_of_seeds": (right.sum(axis=1) / sum(windows)).tolist(),
            "runs": [each.path for each in runs],
        }

    def _groups(self, runs: Sequence[Trained]) -> list[GroupScores]:
        return [group for score in self._scores(runs) for group in score.per_group.values()]

    def _macro_f1(self, runs: Sequence[Trained], classes: Sequence[str]) -> float:
        counts = np.sum([score.confusion for score in self._scores(runs)], axis=0)
        return float(summarise_confusion(counts, classes)["macro_f1"])

    def _scores(self, runs: Sequence[Trained]) -> list[ClassifierScores]:
        return [run.metrics.scores()[self.kind] for run in runs]


def result_of(
    outcomes: Sequence[Outcome], classes: Sequence[str], baseline: bool
) -> dict[str, Any]:
    """Rows of all outcomes, the reference first, with its views averaged and the baseline last."""
    first = outcomes[0]
    more = [replace(first, name=f"{first.name}, views averaged", epochs=None, kind="tta")]
    if baseline:
        more.append(replace(first, name="extra trees", epochs=None, kind="baseline"))
    return {
        "rows": [each.row(first, classes) for each in (*outcomes, *more)],
        "groups": len(first.windows()),
        "windows": sum(first.windows()),
        "seeds": len(first.trained),
    }


def print_ablation(result: Mapping[str, Any], console: Console) -> None:
    """The table for the terminal, and how to read it."""
    console.table(_title(result), COLUMNS, [_cells(row) for row in result["rows"]])
    for sentence in _reading(result):
        console.say(sentence)


def ablation_page(result: Mapping[str, Any], config: Config) -> bytes:
    """The table and its figure on one HTML page that needs no other file."""
    from headrace.model.figures import differences
    from headrace.pipeline.evaluation.html_page import html_page

    others = result["rows"][1:]
    none = (math.nan, math.nan)
    figure = differences(
        [row["name"] for row in others],
        [100 * row["difference"] for row in others],
        100 * np.array([row["difference_interval"] or none for row in others], np.float64),
    )
    return html_page(
        "ablation.html.j2",
        title=f"{config.name}: ablation",
        heading=_title(result),
        columns=COLUMNS,
        rows=[_cells(row) for row in result["rows"]],
        reading=_reading(result),
        figure=figure,
        runs=[path for row in result["rows"] if row["epochs"] for path in row["runs"]],
        config=config_bytes(config).decode(),
    )


def _title(result: Mapping[str, Any]) -> str:
    return (
        f"{result['windows']:,} windows of {result['groups']} groups tested; epochs for "
        f"{format_seconds(60 * result['minutes'])}; trainings of each and fold: {result['seeds']}"
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["name"],
        "" if row["epochs"] is None else f"{row['epochs']:,}",
        "" if row["seconds"] is None else f"{row['seconds']:.0f}",
        f"{100 * row['accuracy']:.2f}{_edges(row['interval'], '.1f')}",
        f"{row['macro_f1']:.3f}",
        f"{100 * row['difference']:+.2f}{_edges(row['difference_interval'], '+.2f')}",
    )


def _edges(interval: Sequence[float] | None, digits: str) -> str:
    if interval is None:
        return ""
    low, high = (format(100 * edge, digits) for edge in interval)
    return f" [{low}, {high}]"


def _reading(result: Mapping[str, Any]) -> list[str]:
    """What the numbers do and do not say."""
    first, *others = result["rows"]
    if result["groups"] < LEAST_GROUPS:
        return [
            f"{result['groups']} tested groups are too few to tell a difference from chance: test "
            "all folds with --crossval."
        ]
    beyond = [
        row["name"]
        for row in others
        if row["difference_interval"][0] > 0 or row["difference_interval"][1] < 0
    ]
    sentences = [
        "In brackets: 95 % intervals, of whole groups"
        + (" and trainings" if result["seeds"] > 1 else "")
        + " drawn anew (bootstrap).",
        f"More than chance against {first['name']}: {', '.join(beyond) or 'none'}. Of so many "
        f"comparisons ({len(others)}) one in twenty is by chance.",
    ]
    if result["seeds"] == 1:
        sentences.append(
            "One training of each: what another seed would change is not in the intervals. Put it "
            "in with --seeds 3."
        )
    return sentences
