"""Scores of sequences from streamed counts: samples and segments, by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.model.interface import NetworkTarget
from headrace.model.intervals import confusion_scores, drawn_intervals
from headrace.model.scores import summarise_confusion
from headrace.model.targets.interface import NOTHING_CHOSEN, Chosen, check_codes, check_rows
from headrace.model.targets.segments import OVERLAPS, segment_counts, segment_f1
from headrace.model.targets.worst import Worst, spread

SEGMENTS = tuple(f"segment_f1_{round(100 * overlap)}" for overlap in OVERLAPS)
"""Keys of the F1 of segments, by overlap in percent."""


class SequenceScores:
    """Confusion counts of samples and counts of segments within windows, by group.

    They are whole numbers: the result does not depend on how the windows were cut into batches.
    A segment that a window's border cuts is two; of whole recordings `segment_counts` tells.
    """

    def __init__(self, target: NetworkTarget, groups: Sequence[str], mistakes: int = 20) -> None:
        """Start empty: K classes, `length` steps, G names of groups, windows to keep."""
        self.classes, self.groups = target.classes, tuple(str(name) for name in groups)
        self._shapes = (target.shape, (target.length,))
        count, width = len(groups), target.count
        self.windows = np.zeros(count, np.int64)
        self.confusion = np.zeros((count, width, width), np.int64)
        """(G, K, K) samples by group, label and prediction."""
        self.segments = np.zeros((count, len(OVERLAPS), 3), np.int64)
        """(G, 3, 3) by group, overlap, and found, made up and missed."""
        self.unlabelled = 0
        columns = [("wrong", np.int64), ("samples", np.int64), ("group", np.int64)]
        self._worst = Worst(mistakes, "wrong", columns)

    def update(
        self,
        prediction: NDArray[np.floating],
        label: NDArray[np.integer],
        group: NDArray[np.integer],
        source_index: NDArray[np.integer],
    ) -> None:
        """Count n windows: probabilities (n, length, K), codes (n, length), -1 for none."""
        check_rows(prediction, label, group, source_index, self._shapes, len(self.groups))
        width = len(self.classes)
        check_codes("label", label, width, least=-1)
        predicted, there = prediction.argmax(axis=2), label >= 0
        of_group = np.broadcast_to(group.astype(np.int64)[:, None], label.shape)
        code = ((of_group * width + label) * width + predicted)[there]
        self.confusion += np.bincount(code, minlength=self.confusion.size).reshape(
            self.confusion.shape
        )
        self.windows += np.bincount(group, minlength=len(self.groups))
        self.unlabelled += int((~there).sum())
        window = np.repeat(np.arange(len(label)), label.shape[1])
        np.add.at(self.segments, group, _counts(label.ravel(), predicted.ravel(), window, group))
        wrong = ((predicted != label) & there).sum(axis=1)
        self._worst.keep(
            wrong > 0,
            wrong=wrong,
            samples=there.sum(axis=1),
            group=group,
            source_index=source_index,
        )

    def summary(self, intervals: bool = True) -> dict[str, Any]:
        """Everything measured, JSON-able.

        `windows`; `samples` with a label, and `unlabelled`; accuracy, macro_f1, balanced_accuracy,
        `per_class`, `absent_classes`, `confusion` and what groups have, of samples, as
        `model.scores.summarise_confusion`; `segment_f1_10`, `_25` and `_50`, and the `segments`
        found, made up and missed (3, 3); `mistakes`, windows with most samples wrong.
        """
        per_group = {
            name: {
                "windows": int(self.windows[number]),
                **_scores(self.confusion[number], self.segments[number], self.classes),
            }
            for number, name in enumerate(self.groups)
            if self.windows[number]
        }
        whole = _renamed(summarise_confusion(self.confusion.sum(axis=0), self.classes))
        spreads = ("accuracy", "macro_f1", SEGMENTS[-1])
        return {
            "windows": int(self.windows.sum()),
            "unlabelled": self.unlabelled,
            **whole,
            **_segment_scores(self.segments.sum(axis=0)),
            "segments": self.segments.sum(axis=0).tolist(),
            "intervals": self._intervals() if intervals else {},
            "per_group": per_group,
            **{
                f"group_{key}": spread([each[key] for each in per_group.values()])
                for key in spreads
            },
            "mistakes": [
                {
                    "source_index": int(each["source_index"]),
                    "group": self.groups[each["group"]],
                    "wrong": int(each["wrong"]),
                    "samples": int(each["samples"]),
                }
                for each in self._worst.rows
            ],
        }

    def chosen(self) -> Chosen:
        """Nothing."""
        return NOTHING_CHOSEN

    def _intervals(self) -> dict[str, list[float]]:
        there = self.confusion.any(axis=(1, 2))
        if not there.any():
            return {}
        width, split = len(self.classes), len(self.classes) ** 2
        sums = np.concatenate(
            [each[there].reshape(there.sum(), -1) for each in (self.confusion, self.segments)],
            axis=1,
        )

        def scores(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
            samples = confusion_scores(drawn[:, :split].reshape(-1, width, width))
            segments = segment_f1(drawn[:, split:].reshape(-1, len(OVERLAPS), 3))
            return np.concatenate([samples, segments], axis=1)

        names = ("accuracy", "macro_f1", "balanced_accuracy", *SEGMENTS)
        return drawn_intervals(sums, scores, names)


def pooled_sequences(
    summaries: Sequence[Mapping[str, Any]], classes: Sequence[str]
) -> dict[str, Any]:
    """Scores of the counts of disjoint groups together, as a summary's first part."""
    confusion, segments = (
        np.sum([each[key] for each in summaries], axis=0) for key in ("confusion", "segments")
    )
    return {
        **{key: sum(each[key] for each in summaries) for key in ("windows", "unlabelled")},
        **_renamed(summarise_confusion(confusion, classes)),
        **_segment_scores(segments),
        "segments": segments.tolist(),
    }


def _counts(
    label: NDArray[np.integer],
    predicted: NDArray[np.integer],
    window: NDArray[np.int64],
    group: NDArray[np.integer],
) -> NDArray[np.int64]:
    """(n, 3, 3) of n windows."""
    found = segment_counts(label, predicted, window)
    return found if len(found) == len(group) else np.zeros((len(group), *found.shape[1:]), np.int64)


def _scores(
    confusion: NDArray[np.int64], segments: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, Any]:
    found = _renamed(summarise_confusion(confusion, classes))
    kept = {key: found[key] for key in ("samples", "accuracy", "macro_f1")}
    return kept | _segment_scores(segments)


def _segment_scores(counts: ArrayLike) -> dict[str, float]:
    """F1 by overlap of counts (3, 3)."""
    return dict(zip(SEGMENTS, segment_f1(counts).tolist(), strict=True))


def _renamed(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary of a confusion of samples: they are no windows."""
    table = {"samples": summary.pop("windows")} | summary
    table["per_class"] = {
        name: {"samples": each["windows"]} | {k: v for k, v in each.items() if k != "windows"}
        for name, each in table["per_class"].items()
    }
    return table
