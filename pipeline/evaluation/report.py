"""The report of an evaluated run: one HTML page that needs no other file, and its figures."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.figures import (
    calibration_curve,
    class_bars,
    confusion_matrix,
    group_bars,
    learning_curves,
    memory_timelines,
    signal_panels,
)
from headrace.pipeline.config.load import config_bytes
from headrace.pipeline.evaluation.html_page import image, page, table
from headrace.pipeline.evaluation.metrics import TITLES, ClassifierScores, Metrics, Mistake, Spread
from headrace.pipeline.runs.record import recorded_versions
from headrace.stores.io import disk
from headrace.stores.views.window import read_window

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.memory.record import MemoryRecord
    from headrace.pipeline.rows.split import Split
    from headrace.pipeline.runs.folder import RunFolder
    from headrace.stores import Store
    from headrace.stores.views.window import Window

INTERVALS = (
    "<p>In brackets: where 95 % of scores lie when whole groups are drawn anew (bootstrap; with "
    "few groups it is too narrow).</p>"
)
DRAWN_MISTAKES = 12
SLICE_ROWS = 1 << 16
"""Source indices that are looked through at a time."""


@dataclass(frozen=True)
class Shown:
    """What a report shows beside the metrics.

    Attributes:
        classes: names in the order of the confusion counts.
        memory: of the stages so far.
        mistakes: the windows of the most confident mistakes, in their order.
        training_windows: in an epoch.
    """

    classes: Sequence[str]
    memory: Sequence[MemoryRecord]
    mistakes: Sequence[Window]
    training_windows: int


def write_report(run: RunFolder, config: Config, metrics: Metrics, shown: Shown) -> None:
    """Draw the figures of the views' scores and write them and report.html into the run folder.

    Args:
        run: complete; its log gives the curves.
        config: that the run was evaluated with; shown whole.
        metrics: of the run.
        shown: the rest.
    """
    scores, history = metrics.tta, _history(run)
    summary = scores.as_table()
    figures = {
        "curves": learning_curves(history),
        "confusion": confusion_matrix(scores.confusion, shown.classes),
        "classes": class_bars(summary),
        "groups": group_bars(summary),
        "calibration": calibration_curve(summary),
    }
    if shown.memory:
        figures["memory"] = memory_timelines([asdict(record) for record in shown.memory])
    if shown.mistakes:
        figures["mistakes"] = signal_panels(_panels(scores.mistakes, shown.mistakes))
    for name, png in figures.items():
        disk.write_bytes(run.path / f"{name}.png", png)
    body = _body(config, metrics, figures) + _training(run, history, shown, figures)
    body += _reproduction(run, config)
    disk.write_bytes(run.report, page(f"{config.name}: {run.path.name}", body).encode())


def mistaken_windows(store: Store, split: Split, mistakes: Sequence[Mistake]) -> list[Window]:
    """The windows of the first mistakes, found in the test folds by their source index."""
    wanted = [each.source_index for each in mistakes[:DRAWN_MISTAKES]]
    row_of: dict[int, int] = {}
    for fold in (store.fold(name) for name in split.test):
        for start in range(fold.start, fold.stop, SLICE_ROWS):
            index = store.read("source_index", start, min(start + SLICE_ROWS, fold.stop))
            for place in np.flatnonzero(np.isin(index, wanted)).tolist():
                row_of[int(index[place])] = start + place
            if len(row_of) == len(wanted):
                return [read_window(store, row_of[number]) for number in wanted]
    return [read_window(store, row_of[number]) for number in wanted if number in row_of]


def _panels(mistakes: Sequence[Mistake], windows: Sequence[Window]) -> list[Any]:
    said = {each.source_index: each for each in mistakes}
    return [
        (
            f"{each.source_index}: {each.label}, taken for "
            f"{said[each.source_index].predicted} ({said[each.source_index].confidence:.2f})",
            each.time_s,
            _comparable(each),
        )
        for each in windows
    ]


def _comparable(window: Window) -> NDArray[np.float64]:
    """Channels without their means, those of one unit divided by their largest spread."""
    centred = window.raw - window.raw.mean(axis=0)
    units = np.array(window.units)
    for unit in set(window.units):
        spread = np.ptp(centred[:, units == unit], axis=0).max()
        centred[:, units == unit] /= spread or 1.0
    return centred


def _history(run: RunFolder) -> list[dict[str, float]]:
    with run.log.open(newline="") as stream:
        return [
            # Of what a training did not note, as before it noted that, the place is empty.
            {key: float(value) for key, value in row.items() if value}
            for row in csv.DictReader(stream)
        ]


def _body(config: Config, metrics: Metrics, figures: Mapping[str, bytes]) -> str:
    scores, groups = metrics.tta, ", ".join(metrics.test_groups)
    parts = [
        *(f'<p class="note">{escape(note)}</p>' for note in metrics.notes),
        f"<p>{scores.windows:,} test windows of {len(metrics.test_groups)} groups that "
        f"neither trained nor validated: {escape(groups)}. Views averaged: "
        f"{escape(', '.join(metrics.views))}.</p>",
        _scores_table(metrics),
        "<h2>Classes</h2>",
        table(
            ("class", "windows", "precision", "recall", "F1"),
            (
                (name, f"{each.windows:,}", *_decimals(each.precision, each.recall, each.f1))
                for name, each in scores.per_class.items()
            ),
        ),
        _absent(scores),
        image("scores of each class", figures["classes"]),
        image("confusion matrix: shares of each label's windows", figures["confusion"]),
        _confusion_table(scores),
        "<h2>Groups</h2>",
        table(
            ("group", "windows", "accuracy", "macro-F1"),
            (
                (name, f"{each.windows:,}", *_decimals(each.accuracy, each.macro_f1))
                for name, each in scores.per_group.items()
            ),
        ),
        image("scores of each group", figures["groups"]),
        "<h2>Calibration</h2>",
        image("accuracy over confidence", figures["calibration"]),
        "<h2>Most confident mistakes</h2>",
        table(
            ("source index", "label", "predicted", "confidence"),
            (
                (
                    str(each.source_index),
                    each.label,
                    each.predicted,
                    *_decimals(each.confidence),
                )
                for each in scores.mistakes
            ),
        ),
        image("the windows of these mistakes", figures["mistakes"])
        if "mistakes" in figures
        else "",
    ]
    return "\n".join(parts)


def _training(
    run: RunFolder,
    history: Sequence[Mapping[str, float]],
    shown: Shown,
    figures: Mapping[str, bytes],
) -> str:
    seconds = sum(row["seconds"] for row in history)
    waited = sum(row["wait_seconds"] for row in history)
    rate = shown.training_windows * len(history) / max(seconds, 1e-9)
    versions = ", ".join(f"{name} {found}" for name, found in recorded_versions(run).items())
    parts = [
        "<h2>Training</h2>",
        f"<p>{len(history)} epochs of {shown.training_windows:,} windows in {seconds:,.0f} s: "
        f"{rate:,.0f} windows/s, validation included; {waited:,.1f} s of it "
        f"({waited / max(seconds, 1e-9):.1%}) waiting for data.</p>",
        image("learning curves", figures["curves"]),
    ]
    if "memory" in figures:
        parts += ["<h2>Memory</h2>", image("memory held by each stage", figures["memory"])]
    return "\n".join([*parts, f"<p>Versions: {escape(versions)}.</p>"])


def _reproduction(run: RunFolder, config: Config) -> str:
    file = shlex.quote(str(run.config))
    commands = "\n".join(
        f"headrace {stage} --config {file}{more}"
        for stage, more in (
            ("features", ""),
            ("train", " --run again"),
            ("evaluate", " --run again"),
        )
    )
    return (
        f"<h2>To do it again</h2>\n<pre>{escape(commands)}</pre>\n<h2>Configuration</h2>\n"
        f"<pre>{escape(config_bytes(config).decode())}</pre>"
    )


def _scores_table(metrics: Metrics) -> str:
    """The classifiers side by side; the first columns are what people compare."""
    rows = (
        (
            TITLES[name],
            *score.texts(),
            _mean_and_sd(score.group_accuracy),
            *_decimals(score.ece),
        )
        for name, score in metrics.scores().items()
    )
    columns = (
        "",
        "accuracy",
        "macro-F1",
        "balanced accuracy",
        "accuracy over groups",
        "calibration error",
    )
    drawn = "" if not metrics.tta.intervals else INTERVALS
    return table(columns, rows) + drawn


def _absent(scores: ClassifierScores) -> str:
    absent = ", ".join(scores.absent_classes)
    return f"<p>No test window has the label {escape(absent)}.</p>" if absent else ""


def _confusion_table(scores: ClassifierScores) -> str:
    names = list(scores.per_class)
    rows = (
        (name, *(f"{count:,}" for count in counts))
        for name, counts in zip(names, scores.confusion, strict=True)
    )
    counts = table(("label \\ predicted", *names), rows)
    return f"<details><summary>Confusion counts</summary>{counts}</details>"


def _decimals(*scores: float) -> list[str]:
    return [f"{score:.3f}" for score in scores]


def _mean_and_sd(spread: Spread) -> str:
    return f"{100 * spread.mean:.2f} ± {100 * spread.sd:.2f} %"
