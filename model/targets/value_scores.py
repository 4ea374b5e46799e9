"""Scores of values from streamed sums: errors in units, by value and by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.interface import NetworkTarget
from headrace.model.intervals import drawn_intervals
from headrace.model.targets.interface import (
    NO_STATISTICS,
    NOTHING_CHOSEN,
    Chosen,
    TargetStatistics,
    check_rows,
)
from headrace.model.targets.worst import Worst, spread

SUMS = ("absolute", "squared", "error", "label", "label_squared")
"""Summed of each value and group; labels less the first that was seen, lest squares cancel."""
POINTS = 1000
"""Windows of the sample for figures: those of the largest hash, whatever the batches."""
STEPS = 8
"""Bins of a residual for each doubling: they are 9 % wide."""
RANGE = 40
"""Doublings below and above 1 that have bins of their own."""
EDGES = 2.0 ** (np.arange(-RANGE * STEPS, RANGE * STEPS + 1) / STEPS)


class ValueScores:
    """Sums of errors and labels by group and value, histograms of residuals, a fixed sample.

    Sums are taken window by window, so that the result does not depend on how the windows were cut
    into batches.
    """

    def __init__(
        self,
        target: NetworkTarget,
        groups: Sequence[str],
        mistakes: int = 20,
        statistics: TargetStatistics = NO_STATISTICS,
    ) -> None:
        """Start empty: K values, G names of groups; several values are scaled by `statistics`."""
        self.names, self.units = target.names, target.units
        self.groups = tuple(str(name) for name in groups)
        count, width = len(groups), target.count
        self._scale = np.ones(width)
        if width > 1 and len(statistics.scale):
            self._scale = statistics.scale.astype(np.float64)
        self.windows = np.zeros(count, np.int64)
        self.sums = np.zeros((count, width, len(SUMS)))
        """(G, K, 5) of SUMS."""
        self.residuals = np.zeros((width, 2, len(EDGES) + 1), np.int64)
        """(K, 2, bins) windows predicted too low and too high, by the size of the error."""
        self._centre: NDArray[np.float64] | None = None
        pair = [("label", float, (width,)), ("predicted", float, (width,))]
        self._worst = Worst(mistakes, "off", [("off", float), ("group", int), *pair])
        self._sample = Worst(POINTS, "hash", [("hash", np.int64), ("group", int), *pair])

    def update(
        self,
        prediction: NDArray[np.floating],
        label: NDArray[np.floating],
        group: NDArray[np.integer],
        source_index: NDArray[np.integer],
    ) -> None:
        """Count n windows: values (n, K) in units."""
        shape = (len(self.names),)
        check_rows(prediction, label, group, source_index, (shape, shape), len(self.groups))
        if not len(group):
            return
        predicted, true = prediction.astype(np.float64), label.astype(np.float64)
        if self._centre is None:
            self._centre = true[0].copy()
        error, centred = predicted - true, true - self._centre
        columns = np.stack([np.abs(error), error**2, error, centred, centred**2], axis=-1)
        # One window after another: sums of batches would depend on where these end.
        np.add.at(self.sums, group, columns)
        self.windows += np.bincount(group, minlength=len(self.groups))
        side = np.searchsorted(EDGES, np.abs(error), side="right")
        code = (np.arange(shape[0]) * 2 + (error > 0)) * (len(EDGES) + 1) + side
        np.add.at(self.residuals.reshape(-1), code.ravel(), 1)
        rows = {
            "group": group,
            "label": true,
            "predicted": predicted,
            "source_index": source_index,
        }
        every = np.ones(len(group), bool)
        self._worst.keep(every, off=(np.abs(error) * self._scale).mean(axis=1), **rows)
        self._sample.keep(every, hash=_hash(source_index), **rows)

    def summary(self, intervals: bool = True) -> dict[str, Any]:
        """Everything measured, JSON-able.

        `windows`; mae, rmse and bias (predicted less true), of several values the means, each in
        its standard deviations; r2, their mean; `per_value` (unit, mae, rmse, bias, r2, label_mean
        and label_sd, and median_error and error_90, that half and 90 % of errors do not exceed, to
        9 %), `intervals`, `per_group` (with `per_value` of several), `residuals` (value -> bins:
        low, high, windows), `sample` and `mistakes`, the largest first.
        """
        per_group = {
            name: self._of_group(number)
            for number, name in enumerate(self.groups)
            if self.windows[number]
        }
        windows, sums = self.windows.sum(), self.sums.sum(axis=0)
        each = _errors(sums, windows)
        return {
            "windows": int(windows),
            **self._means(each),
            "per_value": {
                name: {
                    "unit": self.units[at],
                    **{key: float(values[at]) for key, values in each.items()},
                    "median_error": _quantile(self.residuals[at], 0.5),
                    "error_90": _quantile(self.residuals[at], 0.9),
                    **self._label_moments(at),
                }
                for at, name in enumerate(self.names)
            },
            "intervals": self._intervals() if intervals else {},
            "per_group": per_group,
            **{
                f"group_{key}": spread([group[key] for group in per_group.values()])
                for key in ("mae", "rmse", "bias")
            },
            "residuals": {name: _bins(self.residuals[at]) for at, name in enumerate(self.names)},
            "sample": self._rows(self._sample),
            "mistakes": self._rows(self._worst),
        }

    def chosen(self) -> Chosen:
        """Nothing."""
        return NOTHING_CHOSEN

    def _of_group(self, number: int) -> dict[str, Any]:
        each = _errors(self.sums[number], self.windows[number])
        found: dict[str, Any] = {"windows": int(self.windows[number]), **self._means(each)}
        if len(self.names) > 1:
            found["per_value"] = {
                name: {key: float(values[at]) for key, values in each.items()}
                for at, name in enumerate(self.names)
            }
        return found

    def _label_moments(self, value: int) -> dict[str, float]:
        """Of the labels that were scored, in units."""
        windows = max(int(self.windows.sum()), 1)
        label, squared = self.sums[:, value, 3:].sum(axis=0) / windows
        centre = 0.0 if self._centre is None else float(self._centre[value])
        deviation = float(np.sqrt(max(squared - label**2, 0.0)))
        return {"label_mean": centre + float(label), "label_sd": deviation}

    def _means(self, each: dict[str, NDArray[np.float64]]) -> dict[str, float]:
        """Over values."""
        scaled = {key: (each[key] * self._scale).mean(axis=-1) for key in ("mae", "rmse", "bias")}
        return {key: float(value) for key, value in (scaled | {"r2": each["r2"].mean(-1)}).items()}

    def _intervals(self) -> dict[str, list[float]]:
        there = self.windows > 0
        if not there.any():
            return {}
        width = len(self.names)
        sums = np.concatenate(
            [self.windows[there][:, None], self.sums[there].reshape(there.sum(), -1)], axis=1
        )

        def scores(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
            each = _errors(drawn[:, 1:].reshape(-1, width, len(SUMS)), drawn[:, :1])
            scaled = [(each[key] * self._scale).mean(axis=-1) for key in ("mae", "rmse", "bias")]
            return np.stack([*scaled, each["r2"].mean(axis=-1)], axis=1)

        return drawn_intervals(sums, scores, ("mae", "rmse", "bias", "r2"))

    def _rows(self, kept: Worst) -> list[dict[str, Any]]:
        return [
            {
                "source_index": int(row["source_index"]),
                "group": self.groups[row["group"]],
                "label": row["label"].tolist(),
                "predicted": row["predicted"].tolist(),
            }
            for row in kept.rows
        ]


def pooled_values(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Scores of disjoint groups together: `windows`, mae, rmse, bias, r2 and `per_value`.

    Of several values mae, rmse and bias are in the standard deviations that each summary had.
    """
    share = np.array([each["windows"] for each in summaries], np.float64)
    windows, share = int(share.sum()), share / max(share.sum(), 1)

    def of(tables: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        columns = {key: np.array([each[key] for each in tables]) for key in ("mae", "rmse", "bias")}
        mae, rmse, bias = (
            np.dot(share, each**power)
            for each, power in zip(columns.values(), (1, 2, 1), strict=True)
        )
        return {"mae": float(mae), "rmse": float(np.sqrt(rmse)), "bias": float(bias)}

    per_value = {}
    for name, first in summaries[0]["per_value"].items():
        tables = [each["per_value"][name] for each in summaries]
        means, deviations = (
            np.array([each[key] for each in tables]) for key in ("label_mean", "label_sd")
        )
        mean = float(np.dot(share, means))
        variance = float(np.dot(share, deviations**2 + (means - mean) ** 2))
        found = {"unit": first["unit"], **of(tables)}
        missed = found["rmse"] ** 2
        r2 = 1 - missed / variance if variance > 0 else float(missed == 0 and windows > 0)
        per_value[name] = found | {"r2": r2, "label_mean": mean, "label_sd": variance**0.5}
    r2 = float(np.mean([each["r2"] for each in per_value.values()]))
    return {"windows": windows, **of(summaries), "r2": r2, "per_value": per_value}


def _errors(sums: NDArray[np.float64], windows: Any) -> dict[str, NDArray[np.float64]]:
    """(..., K) each of sums (..., K, 5) over `windows`.

    R2 is 1 - squared errors / squared deviations of labels from their mean; of labels that are
    all the same 1 where all are predicted rightly, and else 0, as scikit-learn has it.
    """
    absolute, squared, error, label, label_squared = np.moveaxis(sums, -1, 0)
    count = np.maximum(windows, 1)
    spread_of_labels = label_squared - label**2 / count
    varied = spread_of_labels > 1e-12 * label_squared
    r2 = 1 - squared / np.where(varied, spread_of_labels, 1.0)
    return {
        "mae": absolute / count,
        "rmse": np.sqrt(squared / count),
        "bias": error / count,
        "r2": np.where(varied, r2, (squared == 0) & (windows > 0)),
    }


def _quantile(counts: NDArray[np.int64], share: float) -> float:
    """Upper edge of the bin of sizes (2, bins) up to which lies a share of the windows."""
    sizes = np.cumsum(counts.sum(axis=0))
    if not sizes[-1]:
        return 0.0
    place = int(np.searchsorted(sizes, share * sizes[-1]))
    return float(EDGES[min(place, len(EDGES) - 1)]) if place else 0.0


def _bins(counts: NDArray[np.int64]) -> list[list[float]]:
    """[low, high, windows] of residuals, by size; bins without windows are left out.

    Below the smallest edge is 0.
    """
    low, high = np.concatenate([[0.0], EDGES]), np.concatenate([EDGES, EDGES[-1:]])
    found = []
    for sign, row in ((-1, counts[0]), (1, counts[1])):
        for at in np.flatnonzero(row):
            edges = sorted((sign * low[at], sign * high[at]))
            found.append([float(edges[0]), float(edges[1]), int(row[at])])
    return sorted(found)


def _hash(index: NDArray[np.integer]) -> NDArray[np.int64]:
    """Splitmix64 (Steele et al. 2014) of source indices."""
    state = index.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return ((state ^ (state >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)
