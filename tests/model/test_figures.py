"""Figures are whole PNG files, made without a display, for any number of classes and groups."""

from __future__ import annotations

import io
from collections.abc import Callable

import matplotlib.image
import numpy as np
import pytest

from headrace.model.figures import (
    calibration_curve,
    class_bars,
    confusion_matrix,
    fold_curves,
    group_bars,
    learning_curves,
)
from headrace.model.scores import Scores


def pixels(png: bytes) -> np.ndarray:
    assert png.startswith(b"\x89PNG")
    return matplotlib.image.imread(io.BytesIO(png), format="png")


def summary(classes: int = 3, groups: int = 2, count: int = 200) -> dict:
    rng = np.random.default_rng(0)
    scores = Scores(
        [f"class {number}" for number in range(classes)], [f"{g}" for g in range(groups)]
    )
    scores.update(
        rng.dirichlet(np.ones(classes), size=count),
        rng.integers(classes, size=count),
        rng.integers(groups, size=count),
        np.arange(count),
    )
    return scores.summary()


@pytest.mark.parametrize("figure", [class_bars, group_bars, calibration_curve])
@pytest.mark.parametrize("count", [200, 0])
def test_a_figure_of_scores_has_ink(figure: Callable[[dict], bytes], count: int) -> None:
    assert pixels(figure(summary(count=count)))[..., :3].min() < 0.5


def test_bars_grow_with_the_groups() -> None:
    few, many = pixels(group_bars(summary(groups=2))), pixels(group_bars(summary(groups=20)))
    assert many.shape[0] > 2 * few.shape[0]


def test_of_more_groups_or_folds_than_a_figure_holds_some_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headrace.model.drawing.MOST_DRAWN", 3)
    few, many = summary(groups=3), summary(groups=200)
    assert pixels(group_bars(few)).shape == pixels(group_bars(many)).shape
    rows = [{"epoch": 1, "loss": 1.0, "val_loss": 2.0}, {"epoch": 2, "loss": 0.5, "val_loss": 1.0}]
    one, other = (fold_curves({str(number): rows for number in range(n)}) for n in (3, 4))
    assert one == other


@pytest.mark.parametrize("classes", [2, 12, pytest.param(34, marks=pytest.mark.cases)])
def test_a_confusion_matrix_takes_any_number_of_classes(classes: int) -> None:
    found = summary(classes)
    names = list(found["per_class"])
    assert pixels(confusion_matrix(found["confusion"], names)).shape[0] > 300


def test_learning_curves_draw_what_the_rows_hold() -> None:
    rows = [{"epoch": epoch, "loss": 1 / epoch, "accuracy": 0.5} for epoch in (1, 2, 3)]
    with_validation = [row | {"val_loss": 0.7, "val_accuracy": 0.4} for row in rows]
    assert pixels(learning_curves(rows)).shape == pixels(learning_curves(with_validation)).shape
    assert learning_curves(rows) != learning_curves(with_validation)


def test_the_same_rows_give_the_same_bytes() -> None:
    rows = [{"epoch": 1, "loss": 1.0}]
    assert learning_curves(rows) == learning_curves(rows)


def test_no_epoch_draws_empty_axes() -> None:
    pixels(learning_curves([]))
