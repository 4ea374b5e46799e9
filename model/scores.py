"""Scores of a classifier from streamed counts: no prediction is kept but the worst mistakes.

Where a class is missing they follow scikit-learn: macro-F1 is the mean over the classes that have
a window or a prediction, balanced accuracy over those that have a window, and a quotient of
nothing is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.model.intervals import group_intervals

Counts = NDArray[np.int64]

BINS = 15
"""Equal bins of confidence for the calibration error, as Guo et al. 2017 (arXiv 1706.04599)."""


class Scores:
    """Confusion counts per group, calibration bins and the most confident mistakes.

    The result does not depend on how the windows were cut into batches, but for the last bits of
    the confidence sums.
    """

    def __init__(self, classes: Sequence[str], groups: Sequence[str], mistakes: int = 20) -> None:
        """Start empty: K names of classes, G names of groups, how many mistakes to keep."""
        self.classes = tuple(str(name) for name in classes)
        self.groups = tuple(str(name) for name in groups)
        self.confusion: Counts = np.zeros((len(groups), len(classes), len(classes)), np.int64)
        """(G, K, K) windows by group, label and prediction."""
        self._calibration = np.zeros((3, BINS))
        self._kept = mistakes
        self._mistakes = np.zeros(
            0,
            dtype=[
                ("confidence", np.float64),
                ("source_index", np.int64),
                ("label", np.int64),
                ("predicted", np.int64),
            ],
        )

    def update(
        self,
        probability: NDArray[np.floating],
        label: NDArray[np.integer],
        group: NDArray[np.integer],
        source_index: NDArray[np.integer],
    ) -> None:
        """Count n windows: probabilities (n, K), labels, groups and source indices (n,).

        Raises ValueError for a shape that does not fit, for a label or group out of range, and
        for probabilities that are not finite.
        """
        count, width = len(label), len(self.classes)
        if probability.shape != (count, width) or len(group) != count or len(source_index) != count:
            raise ValueError(
                f"{count} labels over {width} classes need probabilities ({count}, {width}) and as "
                f"many groups and indices; got {probability.shape}, {len(group)}, "
                f"{len(source_index)}."
            )
        if not np.isfinite(probability).all():
            raise ValueError("A probability is not finite: the network's weights are damaged.")
        _check_range("label", label, width)
        _check_range("group", group, len(self.groups))
        predicted = probability.argmax(axis=1)
        confidence = probability[np.arange(count), predicted].astype(np.float64)
        # Counted by code: numpy's add.at on three indices was 10 times slower.
        code = (group.astype(np.int64) * width + label) * width + predicted
        counts = np.bincount(code, minlength=self.confusion.size)
        self.confusion += counts.reshape(self.confusion.shape)
        self._calibrate(confidence, predicted == label)
        self._keep_mistakes(confidence, source_index, label, predicted)

    def summary(self, intervals: bool = True) -> dict[str, Any]:
        """Everything measured, JSON-able; see `summarise_confusion` for the first part.

        Drawing groups anew for `intervals` takes a while; without them there are none.

        Then `intervals` (`model.intervals.group_intervals`), `per_group` (name -> windows,
        accuracy, macro_f1; groups with windows only),
        `group_accuracy` and `group_macro_f1` (mean, sd with ddof 1, least), `ece` (expected
        calibration error, 0 to 1), `calibration` (per bin: windows, confidence, accuracy) and
        `mistakes` (most confident first: source_index, label, predicted, confidence).
        """
        per_group = {
            name: {
                "windows": int(confusion.sum()),
                "accuracy": _accuracy(confusion),
                "macro_f1": _macro_f1(confusion),
            }
            for name, confusion in zip(self.groups, self.confusion, strict=True)
            if confusion.any()
        }
        return {
            **summarise_confusion(self.confusion.sum(axis=0), self.classes),
            "intervals": group_intervals(self.confusion) if intervals else {},
            "per_group": per_group,
            **{
                f"group_{key}": _spread([group[key] for group in per_group.values()])
                for key in ("accuracy", "macro_f1")
            },
            **self._calibration_summary(),
            "mistakes": [
                {
                    "source_index": int(mistake["source_index"]),
                    "label": self.classes[mistake["label"]],
                    "predicted": self.classes[mistake["predicted"]],
                    "confidence": float(mistake["confidence"]),
                }
                for mistake in self._mistakes
            ],
        }

    def chosen(self) -> dict[str, list[float]]:
        """Nothing: a class is the likeliest, whatever a validation shows."""
        return {}

    def _calibrate(self, confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> None:
        # Bins are open below and closed above, so that a confidence of 1 lies in the last.
        bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
        for row, weights in enumerate((None, confidence, right)):
            self._calibration[row] += np.bincount(bins, weights, BINS)

    def _keep_mistakes(
        self,
        confidence: NDArray[np.float64],
        source_index: NDArray[np.integer],
        label: NDArray[np.integer],
        predicted: NDArray[np.integer],
    ) -> None:
        wrong = np.flatnonzero(predicted != label)
        found = np.empty(wrong.size, self._mistakes.dtype)
        columns = (confidence, source_index, label, predicted)
        for name, column in zip(self._mistakes.dtype.names or (), columns, strict=True):
            found[name] = column[wrong]
        both = np.concatenate([self._mistakes, found])
        # Ties by source index: which are kept must not depend on the order of batches.
        order = np.lexsort((both["source_index"], -both["confidence"]))
        self._mistakes = both[order[: self._kept]]

    def _calibration_summary(self) -> dict[str, Any]:
        windows, confidence, right = self._calibration
        total = max(windows.sum(), 1.0)
        filled = windows > 0
        return {
            "ece": float(np.abs(confidence - right).sum() / total),
            "calibration": [
                {"windows": int(n), "confidence": float(c / n), "accuracy": float(r / n)}
                for n, c, r in zip(windows[filled], confidence[filled], right[filled], strict=True)
            ],
        }


def summarise_confusion(confusion: ArrayLike, classes: Sequence[str]) -> dict[str, Any]:
    """Scores of confusion counts (K, K), rows by label and columns by prediction; JSON-able.

    `windows`, `accuracy`, `macro_f1`, `balanced_accuracy`, `per_class` (name -> windows,
    precision, recall, f1), `absent_classes` (no window in the part that was scored) and
    `confusion`. Raises ValueError when the counts are not (K, K).
    """
    counts: Counts = np.asarray(confusion, np.int64)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"{len(classes)} classes need square counts, got {counts.shape}.")
    precision, recall, f1 = _per_class(counts)
    windows = counts.sum(axis=1)
    return {
        "windows": int(windows.sum()),
        "accuracy": _accuracy(counts),
        "macro_f1": _macro_f1(counts),
        "balanced_accuracy": _mean(recall[windows > 0]),
        "per_class": {
            str(name): {
                "windows": int(windows[row]),
                "precision": float(precision[row]),
                "recall": float(recall[row]),
                "f1": float(f1[row]),
            }
            for row, name in enumerate(classes)
        },
        "absent_classes": [
            str(name) for name, count in zip(classes, windows, strict=True) if count == 0
        ],
        "confusion": counts.tolist(),
    }


def _check_range(name: str, values: NDArray[np.integer], limit: int) -> None:
    if values.size and not 0 <= values.min() <= values.max() < limit:
        raise ValueError(
            f"A {name} is out of range: {values.min()} to {values.max()}, not 0 to {limit - 1}."
        )


def _per_class(counts: Counts) -> tuple[NDArray[np.float64], ...]:
    """Precision, recall and F1 (K,) each; 0 where undefined."""
    right = np.diagonal(counts).astype(np.float64)
    labelled, predicted = counts.sum(axis=1), counts.sum(axis=0)
    return (
        right / np.maximum(predicted, 1),
        right / np.maximum(labelled, 1),
        2 * right / np.maximum(labelled + predicted, 1),
    )


def _accuracy(counts: Counts) -> float:
    return float(np.trace(counts) / max(int(counts.sum()), 1))


def _macro_f1(counts: Counts) -> float:
    seen = counts.any(axis=0) | counts.any(axis=1)
    return _mean(_per_class(counts)[2][seen])


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else 0.0


def _spread(values: Sequence[float]) -> dict[str, float]:
    array = np.asarray(values, np.float64)
    return {
        "mean": _mean(array),
        "sd": float(array.std(ddof=1)) if array.size > 1 else 0.0,
        "least": float(array.min()) if array.size else 0.0,
    }
