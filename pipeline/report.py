"""The report of an evaluated run: one HTML page that needs no other file, and its figures."""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Any

from model.figures import (
    calibration_curve,
    class_bars,
    confusion_matrix,
    group_bars,
    learning_curves,
    memory_timelines,
)
from pipeline.classifiers import TITLES
from pipeline.run_folder import config_bytes
from stores import disk

if TYPE_CHECKING:
    from pipeline.config import Config
    from pipeline.memory_record import MemoryRecord
    from pipeline.run_folder import RunFolder

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child { text-align: left }
img { max-width: 100%; height: auto }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto }
.note { border-left: .3rem solid #d55e00; padding: .2rem .8rem; background: #fff6f0 }
"""

Metrics = Mapping[str, Any]


def write_report(
    run: RunFolder,
    config: Config,
    metrics: Metrics,
    classes: Sequence[str],
    memory: Sequence[MemoryRecord],
) -> None:
    """Draw the figures of the views' scores and write them and report.html into the run folder.

    Args:
        run: complete; its log gives the curves.
        config: that the run was evaluated with; shown whole.
        metrics: as metrics.json holds them.
        classes: names in the order of the confusion counts.
        memory: of the stages so far.
    """
    scores = metrics["tta"]
    figures = {
        "curves": learning_curves(_history(run)),
        "confusion": confusion_matrix(scores["confusion"], classes),
        "classes": class_bars(scores),
        "groups": group_bars(scores),
        "calibration": calibration_curve(scores),
    }
    if memory:
        figures["memory"] = memory_timelines([asdict(record) for record in memory])
    for name, image in figures.items():
        disk.write_bytes(run.path / f"{name}.png", image)
    page = _page(f"{config.name}: {run.path.name}", _body(config, metrics, figures))
    disk.write_bytes(run.report, page.encode())


def _history(run: RunFolder) -> list[dict[str, float]]:
    with run.log.open(newline="") as stream:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]


def _body(config: Config, metrics: Metrics, figures: Mapping[str, bytes]) -> str:
    scores = metrics["tta"]
    groups = ", ".join(metrics["test_groups"])
    parts = [
        *(f'<p class="note">{escape(note)}</p>' for note in metrics["notes"]),
        f"<p>{scores['windows']:,} test windows of {len(metrics['test_groups'])} groups that "
        f"neither trained nor validated: {escape(groups)}. Views averaged: "
        f"{escape(', '.join(metrics['views']))}.</p>",
        _scores_table(metrics),
        "<h2>Classes</h2>",
        _table(
            ("class", "windows", "precision", "recall", "F1"),
            (
                (name, f"{each['windows']:,}", *_decimals(each, "precision", "recall", "f1"))
                for name, each in scores["per_class"].items()
            ),
        ),
        _absent(scores),
        _image("scores of each class", figures["classes"]),
        _image("confusion matrix: shares of each label's windows", figures["confusion"]),
        _confusion_table(scores),
        "<h2>Groups</h2>",
        _table(
            ("group", "windows", "accuracy", "macro-F1"),
            (
                (name, f"{each['windows']:,}", *_decimals(each, "accuracy", "macro_f1"))
                for name, each in scores["per_group"].items()
            ),
        ),
        _image("scores of each group", figures["groups"]),
        "<h2>Calibration</h2>",
        _image("accuracy over confidence", figures["calibration"]),
        "<h2>Most confident mistakes</h2>",
        _table(
            ("source index", "label", "predicted", "confidence"),
            (
                (
                    str(each["source_index"]),
                    each["label"],
                    each["predicted"],
                    *_decimals(each, "confidence"),
                )
                for each in scores["mistakes"]
            ),
        ),
        "<h2>Training</h2>",
        _image("learning curves", figures["curves"]),
        *(
            ["<h2>Memory</h2>", _image("memory held by each stage", figures["memory"])]
            if "memory" in figures
            else []
        ),
        "<h2>Configuration</h2>",
        f"<pre>{escape(config_bytes(config).decode())}</pre>",
    ]
    return "\n".join(parts)


def _scores_table(metrics: Metrics) -> str:
    """The classifiers side by side; the first columns are what people compare."""
    rows = (
        (
            title,
            *(f"{100 * metrics[name][key]:.2f} %" for key in ("accuracy", "balanced_accuracy")),
            *_decimals(metrics[name], "macro_f1"),
            _mean_and_sd(metrics[name]["group_accuracy"]),
            *_decimals(metrics[name], "ece"),
        )
        for name, title in TITLES.items()
        if name in metrics
    )
    columns = (
        "",
        "accuracy",
        "balanced accuracy",
        "macro-F1",
        "accuracy over groups",
        "calibration error",
    )
    return _table(columns, rows)


def _absent(scores: Metrics) -> str:
    absent = ", ".join(scores["absent_classes"])
    return f"<p>No test window has the label {escape(absent)}.</p>" if absent else ""


def _confusion_table(scores: Metrics) -> str:
    names = list(scores["per_class"])
    rows = (
        (name, *(f"{count:,}" for count in counts))
        for name, counts in zip(names, scores["confusion"], strict=True)
    )
    table = _table(("label \\ predicted", *names), rows)
    return f"<details><summary>Confusion counts</summary>{table}</details>"


def _decimals(scores: Metrics, *keys: str) -> list[str]:
    return [f"{scores[key]:.3f}" for key in keys]


def _mean_and_sd(spread: Mapping[str, float]) -> str:
    return f"{100 * spread['mean']:.2f} ± {100 * spread['sd']:.2f} %"


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return f"<table>\n<tr>{head}</tr>\n{body}</table>"


def _image(description: str, png: bytes) -> str:
    data = base64.b64encode(png).decode()
    return f'<p><img alt="{escape(description)}" src="data:image/png;base64,{data}"></p>'


def _page(title: str, body: str) -> str:
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )
