"""Figures of the scores of values, as PNG bytes: predicted against true, and residuals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.model import drawing
from headrace.model.drawing import BLUE, ORANGE

MOST_VALUES = 6
"""Values that have a panel."""
Summary = Mapping[str, Any]


def predicted_against_true(summary: Summary) -> bytes:
    """The sample of windows of a `ValueScores.summary`, a panel a value; on the line is right."""
    panels = list(summary["per_value"].items())[:MOST_VALUES]
    figure = drawing.blank(4.2 * len(panels), 4.4)
    for at, (name, scores) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), at + 1)
        true, predicted = (
            np.array([row[key][at] for row in summary["sample"]], np.float64)
            for key in ("label", "predicted")
        )
        if true.size:
            ends = min(true.min(), predicted.min()), max(true.max(), predicted.max())
            axes.plot(ends, ends, color="0.5", linestyle=":")
        axes.plot(true, predicted, ".", color=BLUE, markersize=3, alpha=0.6)
        unit = f" ({scores['unit']})" if scores["unit"] else ""
        axes.set(
            title=f"{name}: MAE {scores['mae']:.3g}, R2 {scores['r2']:.2f}",
            xlabel=f"true{unit}",
            ylabel=f"predicted{unit}",
        )
    return drawing.png(figure)


def residuals(summary: Summary) -> bytes:
    """Predicted less true of the same sample, a histogram a value, with the bias over all."""
    panels = list(summary["per_value"].items())[:MOST_VALUES]
    figure = drawing.blank(4.2 * len(panels), 3.2)
    for at, (name, scores) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), at + 1)
        rows = summary["sample"]
        off = np.array([row["predicted"][at] - row["label"][at] for row in rows], np.float64)
        axes.hist(off, bins=40, color=BLUE)
        axes.axvline(0, color="0.5", linestyle=":")
        axes.axvline(scores["bias"], color=ORANGE, label=f"bias {scores['bias']:.3g}")
        unit = f" ({scores['unit']})" if scores["unit"] else ""
        axes.set(title=name, xlabel=f"predicted less true{unit}", ylabel="windows of a sample")
        axes.legend()
    return drawing.png(figure)


def group_residuals(summary: Summary, unit: str) -> bytes:
    """Bias of each group and the deviation about it; of many groups, of those furthest off."""
    groups = summary["per_group"]
    if len(groups) > drawing.MOST_DRAWN:
        worst = sorted(groups.items(), key=lambda item: -item[1]["rmse"])
        groups = dict(worst[: drawing.MOST_DRAWN])
    figure = drawing.blank(7, 1.2 + 0.3 * len(groups))
    axes = figure.subplots()
    places = np.arange(len(groups))
    bias, rmse = (
        np.array([each[key] for each in groups.values()], np.float64) for key in ("bias", "rmse")
    )
    deviation = np.sqrt(np.maximum(rmse**2 - bias**2, 0))
    axes.axvline(0, color="0.5", linestyle=":")
    axes.hlines(places, bias - deviation, bias + deviation, color=BLUE)
    axes.plot(bias, places, "o", color=BLUE)
    axes.set_yticks(places, [f"{name} ({each['windows']:,})" for name, each in groups.items()])
    axes.invert_yaxis()
    axes.set(xlabel=f"predicted less true ({unit}), and one deviation" if unit else "residual")
    return drawing.png(figure)
