"""Scores of several labels from streamed counts: at thresholds, and of the ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.intervals import drawn_intervals
from headrace.model.targets.interface import NOTHING_CHOSEN, Chosen, check_codes, check_rows
from headrace.model.targets.ranking import (
    BINS,
    auroc,
    auroc_error,
    average_precision,
    average_precision_error,
    best_threshold,
    bins_of,
    curve,
)
from headrace.model.targets.worst import Worst, spread

COARSE = 250
"""Bins of a group, for intervals: 2 kB a label and group."""
THRESHOLDS = "thresholds"
_BLOCK_NUMBERS = 4_000_000
"""Sums of drawn groups at a time: 32 MB."""


class LabelScores:
    """Counts at thresholds by group, and histograms of the scores of each label.

    All are whole numbers: the result does not depend on how the windows were cut into batches.
    """

    def __init__(
        self,
        names: Sequence[str],
        groups: Sequence[str],
        mistakes: int = 20,
        chosen: Chosen = NOTHING_CHOSEN,
    ) -> None:
        """Start empty: K names of labels, G of groups; `chosen` of a validation's scores."""
        self.names = tuple(str(name) for name in names)
        self.groups = tuple(str(name) for name in groups)
        self.thresholds = thresholds_of(chosen, names)
        count, width = len(groups), len(names)
        self.windows = np.zeros(count, np.int64)
        self.exact = np.zeros(count, np.int64)
        """(G,) windows whose labels are all right."""
        self.counts = np.zeros((count, width, 3), np.int64)
        """(G, K, 3) right, made up and missed."""
        self.ranks = np.zeros((width, 2, BINS), np.int64)
        """(K, 2, BINS) windows without and with the label, by their probability."""
        self._group_ranks = np.zeros((count, width, 2, COARSE), np.uint32)
        columns = [("off", float), ("group", int), ("name", int), ("there", int), ("p", float)]
        self._worst = Worst(mistakes, "off", columns)

    def update(
        self,
        prediction: NDArray[np.floating],
        label: NDArray[np.integer],
        group: NDArray[np.integer],
        source_index: NDArray[np.integer],
    ) -> None:
        """Count n windows: probabilities and labels (n, K)."""
        shape = (len(self.names),)
        check_rows(prediction, label, group, source_index, (shape, shape), len(self.groups))
        check_codes("label", label, 2)
        there, found = label > 0, prediction >= self.thresholds
        cases = np.stack([there & found, ~there & found, there & ~found], axis=-1)
        np.add.at(self.counts, group, cases.astype(np.int64))
        self.windows += np.bincount(group, minlength=len(self.groups))
        self.exact += np.bincount(group[(there == found).all(axis=1)], minlength=len(self.groups))
        bins, column = bins_of(prediction), np.arange(shape[0])
        code = (column * 2 + there) * BINS + bins
        np.add.at(self.ranks.reshape(-1), code.ravel(), 1)
        of_group = group.astype(np.int64)[:, None] * shape[0] + column
        code = (of_group * 2 + there) * COARSE + bins * COARSE // BINS
        np.add.at(self._group_ranks.reshape(-1), code.ravel(), 1)
        self._keep_mistakes(prediction, there, found, group, source_index)

    def summary(self, intervals: bool = True) -> dict[str, Any]:
        """Everything measured, JSON-able.

        `windows`; macro_f1 and micro_f1 at the thresholds, label_accuracy (share of labels that
        are right) and exact_match (share of windows all of whose labels are); average_precision
        and auroc, the means over the labels that occur and do not always; `ranking_error`, at
        most how far these two are from those of scores that are in no bins; `per_label`,
        `absent_labels`, `intervals`, `per_group`, `curves` (label -> recall and precision) and
        `mistakes`, the surest first.
        """
        per_group = {
            name: {"windows": int(self.windows[number]), **self._of_groups(number)}
            for number, name in enumerate(self.groups)
            if self.windows[number]
        }
        whole, per_label = self._of_groups(slice(None)), self._per_label()
        errors = [
            each[key] for each in per_label.values() for key in each if key.endswith("_error")
        ]
        return {
            "windows": int(self.windows.sum()),
            **whole,
            **{key: float(value) for key, value in self._ranked(self.ranks).items()},
            "ranking_error": max(errors),
            "per_label": per_label,
            "absent_labels": [
                name for name, each in zip(self.names, self.ranks, strict=True) if not each[1].any()
            ],
            "intervals": self._intervals() if intervals else {},
            "per_group": per_group,
            **{f"group_{key}": spread([each[key] for each in per_group.values()]) for key in whole},
            "curves": {
                name: curve(each) for name, each in zip(self.names, self.ranks, strict=True)
            },
            "mistakes": [
                {
                    "source_index": int(each["source_index"]),
                    "group": self.groups[each["group"]],
                    "name": self.names[each["name"]],
                    "there": bool(each["there"]),
                    "probability": float(each["p"]),
                }
                for each in self._worst.rows
            ],
        }

    def chosen(self) -> Chosen:
        """The threshold of each label with the largest F1 on these windows."""
        return {THRESHOLDS: [best_threshold(each) for each in self.ranks]}

    def _keep_mistakes(
        self,
        prediction: NDArray[np.floating],
        there: NDArray[np.bool_],
        found: NDArray[np.bool_],
        group: NDArray[np.integer],
        source_index: NDArray[np.integer],
    ) -> None:
        row, name = np.nonzero(there != found)
        p, true = prediction[row, name].astype(np.float64), there[row, name]
        self._worst.keep(
            np.ones(len(row), bool),
            off=np.abs(true - p),
            group=group[row],
            name=name,
            there=true,
            p=p,
            source_index=source_index[row],
        )

    def _of_groups(self, which: int | slice) -> dict[str, float]:
        """Scores at thresholds of one group, or of all."""
        chosen = slice(which, which + 1) if isinstance(which, int) else which
        sums = [each[chosen].sum(axis=0) for each in (self.counts, self.windows, self.exact)]
        return {name: float(value) for name, value in _at_thresholds(*sums).items()}

    def _ranked(self, ranks: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
        """(...,) means of counts (..., K, 2, B), over labels that are there and are not always."""
        decided = ranks.any(axis=-1).all(axis=-1)
        several = np.maximum(decided.sum(axis=-1), 1)
        return {
            "average_precision": (average_precision(ranks) * decided).sum(axis=-1) / several,
            "auroc": (auroc(ranks) * decided).sum(axis=-1) / several,
        }

    def _per_label(self) -> dict[str, dict[str, float]]:
        right, more, less = np.moveaxis(self.counts.sum(axis=0), -1, 0)
        columns = {
            "threshold": self.thresholds,
            "precision": right / np.maximum(right + more, 1),
            "recall": right / np.maximum(right + less, 1),
            "f1": _f1(right, more, less),
            "average_precision": average_precision(self.ranks),
            "average_precision_error": average_precision_error(self.ranks),
            "auroc": auroc(self.ranks),
            "auroc_error": auroc_error(self.ranks),
        }
        return {
            name: {
                "windows": int(right[at] + less[at]),
                "right": int(right[at]),
                "made_up": int(more[at]),
                "missed": int(less[at]),
                **{key: float(values[at]) for key, values in columns.items()},
            }
            for at, name in enumerate(self.names)
        }

    def _intervals(self) -> dict[str, list[float]]:
        there = self.windows > 0
        if not there.any():
            return {}
        parts = (self.counts, self.windows, self.exact, self._group_ranks)
        sums = np.concatenate([each[there].reshape(there.sum(), -1) for each in parts], axis=1)
        width = len(self.names)
        ends = np.cumsum([3 * width, 1, 1])

        def scores(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
            counts, windows, exact, ranks = np.split(drawn, ends, axis=1)
            found = _at_thresholds(counts.reshape(-1, width, 3), windows[:, 0], exact[:, 0])
            ranked = self._ranked(ranks.reshape(-1, width, 2, COARSE))
            return np.stack([*found.values(), *ranked.values()], axis=1)

        names = (*_at_thresholds(self.counts, self.windows, self.exact), *self._ranked(self.ranks))
        block = max(1, min(200, _BLOCK_NUMBERS // sums.shape[1]))
        return drawn_intervals(sums, scores, names, block=block)


def pooled_labels(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Scores of disjoint groups together: `windows`, the headlines and the like, `per_label`.

    Counts are added up. Probabilities of networks that were trained apart are not comparable, so
    of the ranking it is the mean over the summaries, by their windows (Forman and Scholz 2010,
    SIGKDD Explorations 12(1)).
    """
    names = list(summaries[0]["per_label"])
    keys = ("right", "made_up", "missed")
    counts = np.sum(
        [[[each["per_label"][n][key] for key in keys] for n in names] for each in summaries], axis=0
    )
    windows = np.array([each["windows"] for each in summaries])
    exact = sum(each["exact_match"] * each["windows"] for each in summaries)
    ranked = {
        key: float(np.dot(windows, [each[key] for each in summaries]) / max(windows.sum(), 1))
        for key in ("average_precision", "auroc")
    }
    found = _at_thresholds(counts, windows.sum(), exact)
    f1 = _f1(*counts.T)
    return {
        "windows": int(windows.sum()),
        **{key: float(value) for key, value in found.items()},
        **ranked,
        "per_label": {
            name: {
                "windows": int(counts[at, 0] + counts[at, 2]),
                **dict(zip(keys, counts[at].tolist(), strict=True)),
                "f1": float(f1[at]),
            }
            for at, name in enumerate(names)
        },
    }


def thresholds_of(chosen: Chosen, names: Sequence[str]) -> NDArray[np.float64]:
    """(K,) thresholds; 0.5 where none were chosen. Raises ValueError for another number of them."""
    found = np.asarray(chosen.get(THRESHOLDS, [0.5] * len(names)), np.float64)
    if found.shape != (len(names),):
        raise ValueError(f"{len(names)} labels need as many thresholds, got {found.shape}.")
    return found


def _at_thresholds(counts: Any, windows: Any, exact: Any) -> dict[str, NDArray[np.float64]]:
    """(...,) scores of counts (..., K, 3), windows and exact matches (...,).

    Macro-F1 is the mean over the labels that occur or were predicted.
    """
    right, more, less = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    seen = right + more + less > 0
    labels = np.maximum(windows, 1) * counts.shape[-2]
    micro = _f1(right.sum(axis=-1), more.sum(axis=-1), less.sum(axis=-1))
    return {
        "macro_f1": (_f1(right, more, less) * seen).sum(-1) / np.maximum(seen.sum(-1), 1),
        "micro_f1": micro,
        "label_accuracy": 1 - (more + less).sum(axis=-1) / labels,
        "exact_match": exact / np.maximum(windows, 1),
    }


def _f1(right: Any, more: Any, less: Any) -> Any:
    return 2 * right / np.maximum(2 * right + more + less, 1)
