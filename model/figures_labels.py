"""Figures of the scores of several labels, as PNG bytes: precision over recall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.model import drawing

MOST_CURVES = 20
"""Labels that have a curve: those of least average precision."""


def precision_recall_curves(summary: Mapping[str, Any]) -> bytes:
    """Precision over recall of each label of a `LabelScores.summary`, and where its threshold is.

    Iso-F1 lines in grey, as scikit-learn's example of them draws.
    """
    ranked = sorted(summary["per_label"].items(), key=lambda item: item[1]["average_precision"])
    drawn = [(name, each) for name, each in ranked if summary["curves"][name]][:MOST_CURVES]
    figure = drawing.blank(7, 5)
    axes = figure.subplots()
    for f1 in (0.2, 0.4, 0.6, 0.8):
        recall = np.linspace(f1 / (2 - f1), 1, 100)
        axes.plot(recall, f1 * recall / (2 * recall - f1), color="0.85")
        axes.annotate(
            f"F1 {f1}", (1, f1 / (2 - f1)), color="0.6", fontsize=7, ha="right", va="bottom"
        )
    for name, each in drawn:
        points = np.array(summary["curves"][name])
        label = f"{name} ({each['average_precision']:.2f})"
        (line,) = axes.plot(points[:, 0], points[:, 1], label=label)
        axes.plot(each["recall"], each["precision"], "o", color=line.get_color())
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    if drawn:
        axes.legend(
            title="average precision", fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5)
        )
    return drawing.png(figure)
