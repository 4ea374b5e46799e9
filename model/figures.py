"""Figures of a training and of a classifier's scores, as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from headrace.model import drawing
from headrace.model.drawing import BLUE, GREEN, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[Mapping[str, float]]
Summary = Mapping[str, Any]


CLASS_CURVES = {
    "accuracy": "training accuracy",
    "val_accuracy": "validation accuracy",
    "val_macro_f1": "validation macro-F1",
}


def learning_curves(
    history: Rows, names: Mapping[str, str] = CLASS_CURVES, ylabel: str = "score"
) -> bytes:
    """Loss and scores over the epochs, of training and validation.

    Args:
        history: rows of `epoch`, `loss`, `val_loss` and scores; what a row lacks is not drawn.
        names: keys of at most three scores, as of a target's `curves` -> what they are called.
        ylabel: what the scores are.
    """
    figure = drawing.blank(10, 4)
    loss, scores = figure.subplots(1, 2)
    _curves(loss, history, {"loss": "training", "val_loss": "validation"})
    loss.set(xlabel="epoch", ylabel="loss")
    _curves(scores, history, names)
    scores.set(xlabel="epoch", ylabel=ylabel)
    return drawing.png(figure)


def fold_curves(histories: Mapping[str, Rows]) -> bytes:
    """Loss over the epochs of several trainings, drawn small, three in a row.

    Args:
        histories: title -> rows as of `learning_curves`; of more than MOST_DRAWN, the first are
            drawn.
    """
    drawn = list(histories.items())[: drawing.MOST_DRAWN]
    rows = -(-len(drawn) // 3)
    figure = drawing.blank(10, 2.4 * rows)
    panels = figure.subplots(rows, 3, squeeze=False, sharex=True, sharey=True)
    for place in panels.flat[len(drawn) :]:
        place.set_axis_off()
    for (title, history), place in zip(drawn, panels.flat, strict=False):
        _curves(place, history, {"loss": "training loss", "val_loss": "validation loss"})
        place.set_title(title, fontsize=8)
        place.tick_params(labelsize=7)
        if place.lines:
            place.legend(fontsize=7)
    return drawing.png(figure)


def confusion_matrix(confusion: ArrayLike, classes: Sequence[str]) -> bytes:
    """Confusion counts (K, K) as shares of each label's windows, counts where K allows."""
    from sklearn.metrics import ConfusionMatrixDisplay

    counts = np.asarray(confusion, np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.0, 1.5 + 0.55 * len(classes))
    figure = drawing.blank(side + 1, side)
    axes = figure.subplots()
    display = ConfusionMatrixDisplay(shares, display_labels=list(classes))
    display.plot(
        ax=axes,
        cmap="Blues",
        values_format=".2f",
        xticks_rotation=90,
        include_values=len(classes) <= 20,
        im_kw={"vmin": 0, "vmax": 1},
        text_kw={"fontsize": 7},
    )
    axes.set(xlabel="predicted", ylabel="label")
    return drawing.png(figure)


def class_bars(summary: Summary, key: str = "per_class") -> bytes:
    """Precision, recall and F1 of each class of a summary of scores; of labels `per_label`."""
    classes = summary[key]
    columns = {
        score: [scores[score] for scores in classes.values()]
        for score in ("precision", "recall", "f1")
    }
    return drawing.bars(_counted(classes), columns, summary["macro_f1"], "macro-F1")


def group_bars(summary: Summary, score: str = "accuracy", title: str = "accuracy") -> bytes:
    """A score and macro-F1 of each group of a summary; of many groups, of the worst."""
    groups = summary["per_group"]
    if len(groups) > drawing.MOST_DRAWN:
        worst = sorted(groups.items(), key=lambda item: item[1][score])
        groups = dict(worst[: drawing.MOST_DRAWN])
    columns = {key: [each[key] for each in groups.values()] for key in (score, "macro_f1")}
    return drawing.bars(_counted(groups), columns, summary[score], f"{title} over all")


def _counted(scores: Mapping[str, Summary]) -> list[str]:
    """Names with how many windows, or samples, they have."""
    return [
        f"{name} ({each.get('samples', each.get('windows')):,})" for name, each in scores.items()
    ]


def calibration_curve(summary: Summary) -> bytes:
    """Accuracy over confidence of a `Scores.summary`, one point a bin."""
    figure = drawing.blank(5, 5)
    axes = figure.subplots()
    bins = summary["calibration"]
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", label="calibrated")
    axes.plot(
        [each["confidence"] for each in bins],
        [each["accuracy"] for each in bins],
        color=BLUE,
        marker="o",
        label=f"measured (error {summary['ece']:.3f})",
    )
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()
    return drawing.png(figure)


def memory_timelines(stages: Sequence[Mapping[str, Any]]) -> bytes:
    """Memory held over time, one panel a stage, with what was projected and the budget.

    Stages hold `stage`, `timeline` of (seconds, bytes), `projected` and `budget` in bytes. A
    budget of more than twice the projection is only named: drawn, it would flatten the course.
    """
    mib = 2.0**20
    figure = drawing.blank(5 * len(stages), 3.5)
    for axes, stage in zip(figure.subplots(1, len(stages), squeeze=False)[0], stages, strict=True):
        points = np.asarray(stage["timeline"], np.float64).reshape(-1, 2)
        axes.fill_between(points[:, 0], points[:, 1] / mib, color=BLUE, alpha=0.3, linewidth=0)
        axes.plot(points[:, 0], points[:, 1] / mib, color=BLUE, label="measured")
        projected, budget = stage["projected"] / mib, stage["budget"] / mib
        axes.axhline(projected, color=ORANGE, label=f"projected {projected:,.0f}")
        name = f"budget {budget:,.0f}"
        if budget <= 2 * projected:
            axes.axhline(budget, color=GREEN, linestyle="--", label=name)
        else:
            axes.plot([], [], " ", label=name)
        axes.set(title=stage["stage"], xlabel="seconds", ylabel="MiB", ylim=(0, None))
        axes.legend(loc="lower right")
    return drawing.png(figure)


def differences(names: Sequence[str], values: ArrayLike, intervals: ArrayLike) -> bytes:
    """Differences from a reference as points with their intervals, the first name on top.

    Args:
        names: of the n that are compared.
        values: (n,) in percentage points.
        intervals: (n, 2) lower and upper ends; NaN where there is none.
    """
    figure = drawing.blank(7, 1.0 + 0.36 * len(names))
    axes = figure.subplots()
    places, found = np.arange(len(names)), np.asarray(values, np.float64)
    edges = np.asarray(intervals, np.float64).reshape(-1, 2)
    axes.axvline(0, color="0.4", linestyle=":")
    axes.hlines(places, edges[:, 0], edges[:, 1], color=BLUE)
    axes.plot(found, places, "o", color=BLUE)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set(xlabel="points of accuracy")
    return drawing.png(figure)


def signal_panels(panels: Sequence[tuple[str, ArrayLike, ArrayLike]]) -> bytes:
    """Windows drawn small, three in a row: title, seconds (T,) and values (T, C) within about 1.

    Channels are drawn one above the other, the first on top.
    """
    columns = 3
    rows = -(-len(panels) // columns)
    figure = drawing.blank(10, 2.1 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    for number, place in enumerate(axes.flat):
        if number >= len(panels):
            place.set_axis_off()
            continue
        title, seconds, values = panels[number]
        signals = np.asarray(values, np.float64)
        for channel in range(signals.shape[1]):
            line = signals[:, channel] - channel
            place.plot(np.asarray(seconds), line, color=(BLUE, ORANGE, GREEN)[channel % 3], lw=0.8)
        place.set_title(title, fontsize=8)
        place.set_yticks([])
        place.tick_params(labelsize=7)
    return drawing.png(figure)


def _curves(axes: Axes, history: Rows, names: Mapping[str, str]) -> None:
    for (key, name), colour in zip(names.items(), (BLUE, ORANGE, GREEN), strict=False):
        points = [(row["epoch"], row[key]) for row in history if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, label=name)
    if axes.lines:
        axes.legend()
