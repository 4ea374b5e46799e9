"""Figures of a training and of its scores, as PNG bytes; colours that colour-blind eyes tell apart.

Drawn on figures of their own, never through pyplot: no state, no display, no backend to choose.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
"""Of the palette of Okabe and Ito (2008)."""
MOST_DRAWN = 60
"""Groups, or folds, in a figure: PNG and readers know an end."""

Rows = Sequence[Mapping[str, float]]
Summary = Mapping[str, Any]


def learning_curves(history: Rows) -> bytes:
    """Loss and accuracy over the epochs, of training and validation.

    Rows hold `epoch`, `loss`, `val_loss`, `accuracy`, `val_accuracy`, `val_macro_f1`; what a row
    lacks is not drawn.
    """
    figure = _figure(10, 4)
    loss, accuracy = figure.subplots(1, 2)
    _curves(loss, history, {"loss": "training", "val_loss": "validation"})
    loss.set(xlabel="epoch", ylabel="loss")
    names = {
        "accuracy": "training accuracy",
        "val_accuracy": "validation accuracy",
        "val_macro_f1": "validation macro-F1",
    }
    _curves(accuracy, history, names)
    accuracy.set(xlabel="epoch", ylabel="score")
    return _png(figure)


def fold_curves(histories: Mapping[str, Rows]) -> bytes:
    """Loss over the epochs of several trainings, drawn small, three in a row.

    Args:
        histories: title -> rows as of `learning_curves`; of more than MOST_DRAWN, the first are
            drawn.
    """
    drawn = list(histories.items())[:MOST_DRAWN]
    rows = -(-len(drawn) // 3)
    figure = _figure(10, 2.4 * rows)
    panels = figure.subplots(rows, 3, squeeze=False, sharex=True, sharey=True)
    for place in panels.flat[len(drawn) :]:
        place.set_axis_off()
    for (title, history), place in zip(drawn, panels.flat, strict=False):
        _curves(place, history, {"loss": "training loss", "val_loss": "validation loss"})
        place.set_title(title, fontsize=8)
        place.tick_params(labelsize=7)
        if place.lines:
            place.legend(fontsize=7)
    return _png(figure)


def confusion_matrix(confusion: ArrayLike, classes: Sequence[str]) -> bytes:
    """Confusion counts (K, K) as shares of each label's windows, counts where K allows."""
    from sklearn.metrics import ConfusionMatrixDisplay

    counts = np.asarray(confusion, np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.0, 1.5 + 0.55 * len(classes))
    figure = _figure(side + 1, side)
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
    return _png(figure)


def class_bars(summary: Summary) -> bytes:
    """Precision, recall and F1 of each class of a `Scores.summary`."""
    per_class = summary["per_class"]
    names = [f"{name} ({scores['windows']:,})" for name, scores in per_class.items()]
    columns = {
        key: [scores[key] for scores in per_class.values()] for key in ("precision", "recall", "f1")
    }
    return _bars(names, columns, summary["macro_f1"], "macro-F1")


def group_bars(summary: Summary) -> bytes:
    """Accuracy and macro-F1 of each group of a `Scores.summary`; of many groups, of the worst."""
    per_group = summary["per_group"]
    if len(per_group) > MOST_DRAWN:
        worst = sorted(per_group.items(), key=lambda item: item[1]["accuracy"])
        per_group = dict(worst[:MOST_DRAWN])
    names = [f"{name} ({scores['windows']:,})" for name, scores in per_group.items()]
    columns = {
        key: [scores[key] for scores in per_group.values()] for key in ("accuracy", "macro_f1")
    }
    return _bars(names, columns, summary["accuracy"], "accuracy over all")


def calibration_curve(summary: Summary) -> bytes:
    """Accuracy over confidence of a `Scores.summary`, one point a bin."""
    figure = _figure(5, 5)
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
    return _png(figure)


def memory_timelines(stages: Sequence[Mapping[str, Any]]) -> bytes:
    """Memory held over time, one panel a stage, with what was projected and the budget.

    Stages hold `stage`, `timeline` of (seconds, bytes), `projected` and `budget` in bytes. A
    budget of more than twice the projection is only named: drawn, it would flatten the course.
    """
    mib = 2.0**20
    figure = _figure(5 * len(stages), 3.5)
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
    return _png(figure)


def differences(names: Sequence[str], values: ArrayLike, intervals: ArrayLike) -> bytes:
    """Differences from a reference as points with their intervals, the first name on top.

    Args:
        names: of the n that are compared.
        values: (n,) in percentage points.
        intervals: (n, 2) lower and upper ends; NaN where there is none.
    """
    figure = _figure(7, 1.0 + 0.36 * len(names))
    axes = figure.subplots()
    places, found = np.arange(len(names)), np.asarray(values, np.float64)
    edges = np.asarray(intervals, np.float64).reshape(-1, 2)
    axes.axvline(0, color="0.4", linestyle=":")
    axes.hlines(places, edges[:, 0], edges[:, 1], color=BLUE)
    axes.plot(found, places, "o", color=BLUE)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set(xlabel="points of accuracy")
    return _png(figure)


def signal_panels(panels: Sequence[tuple[str, ArrayLike, ArrayLike]]) -> bytes:
    """Windows drawn small, three in a row: title, seconds (T,) and values (T, C) within about 1.

    Channels are drawn one above the other, the first on top.
    """
    columns = 3
    rows = -(-len(panels) // columns)
    figure = _figure(10, 2.1 * rows)
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
    return _png(figure)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _curves(axes: Axes, history: Rows, names: Mapping[str, str]) -> None:
    for (key, name), colour in zip(names.items(), (BLUE, ORANGE, GREEN), strict=False):
        points = [(row["epoch"], row[key]) for row in history if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, label=name)
    if axes.lines:
        axes.legend()


def _bars(
    names: Sequence[str], columns: Mapping[str, Sequence[float]], line: float, line_name: str
) -> bytes:
    """Grouped horizontal bars on 0..1, the first name on top, with a line at a mean."""
    figure = _figure(7, 1.2 + 0.32 * len(names) + 0.2 * len(columns))
    axes = figure.subplots()
    places = np.arange(len(names))
    height = 0.8 / len(columns)
    for number, (name, values) in enumerate(columns.items()):
        colour = (BLUE, ORANGE, GREEN)[number]
        offset = (number - (len(columns) - 1) / 2) * height
        axes.barh(places + offset, values, height, color=colour, label=name.replace("_", "-"))
    axes.axvline(line, color="0.4", linestyle=":", label=f"{line_name} {line:.3f}")
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="score")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=len(columns) + 1)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the software's version the bytes depend on what is drawn alone.
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()
