"""Figures of each kind are whole PNG files, with and without windows, of few groups and many."""

from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import pytest

from headrace.model.figures import learning_curves
from headrace.model.figures_sequences import Lines, timelines
from headrace.model.targets.registry import target_model
from tests.model.targets.streams import TARGETS, rows, scored


def pixels(png: bytes) -> np.ndarray:
    assert png.startswith(b"\x89PNG")
    return matplotlib.image.imread(io.BytesIO(png), format="png")


@pytest.mark.parametrize("kind", ["labels", "value", "sequence"])
@pytest.mark.parametrize("count", [0, 60])
def test_the_figures_of_a_kind_have_ink(kind: str, count: int) -> None:
    columns = tuple(each[:count] for each in rows(kind, 60))
    figures = target_model(TARGETS[kind]).figures(scored(kind, columns).summary())
    assert "groups" in figures
    assert len(figures) == 3
    for png in figures.values():
        assert pixels(png)[..., :3].min() < 0.5


def test_of_more_groups_than_a_figure_holds_the_worst_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    summary, draw = scored("value", rows("value")).summary(), target_model(TARGETS["value"]).figures
    worst = sorted(summary["per_group"].items(), key=lambda item: -item[1]["rmse"])[:2]
    wanted = draw(summary | {"per_group": dict(worst)})["groups"]
    monkeypatch.setattr("headrace.model.drawing.MOST_DRAWN", 2)
    assert draw(summary)["groups"] == wanted


@pytest.mark.parametrize("classes", [3, 25])
def test_timelines_stand_over_each_other_and_unlabelled_steps_are_white(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.model.figures_sequences.MOST_TIMELINES", 3)
    names = [f"class {number}" for number in range(classes)]
    label = np.repeat(np.arange(-1, 3), 30)
    lines = [Lines(f"{n}", 0.5, {"label": label, "network": label + 0}) for n in range(4)]
    many, more = timelines(lines[:3], names), timelines(lines, names)
    one = pixels(timelines(lines[:1], names))
    assert many == more
    assert pixels(many).shape[0] > 1.5 * one.shape[0]
    row = one[one.shape[0] // 4]
    assert (row[250:450, :3] == 1).all(axis=1).mean() > 0.5


def test_without_a_recording_there_is_an_empty_figure() -> None:
    assert pixels(timelines([], ["a", "b"])).size


def test_learning_curves_show_the_scores_of_the_kind() -> None:
    history = [{"epoch": 1.0, "loss": 2.0, "val_mae": 3.0}, {"epoch": 2.0, "val_mae": 1.0}]
    curves = target_model(TARGETS["value"]).curves
    assert learning_curves(history, curves) != learning_curves(history)
