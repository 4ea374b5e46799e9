"""The report of an evaluated run: one HTML page that needs no other file, and its figures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
from headrace.pipeline.evaluation.html_page import html_page
from headrace.pipeline.evaluation.metrics import (
    TITLES,
    ClassifierScores,
    Metrics,
    Mistake,
    Spread,
)
from headrace.pipeline.evaluation.tables import (
    class_rows,
    confusion_rows,
    decimals,
    group_rows,
    mistake_rows,
)
from headrace.pipeline.rows.ranges import cut_ranges
from headrace.pipeline.runs.history import read_history
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

DRAWN_MISTAKES = 12
SLICE_ROWS = 1 << 16
"""Source indices that are looked through at a time."""


@dataclass(frozen=True)
class Shown:
    """What a report shows beside the metrics.

    Attributes:
        memory: of the stages so far.
        mistakes: the windows of the most confident mistakes, in their order.
        training_windows: in an epoch.
    """

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
    scores, history = metrics.tta, read_history(run.log)
    figures = {"curves": learning_curves(history), **figures_of(scores)}
    if shown.memory:
        figures["memory"] = memory_timelines([asdict(record) for record in shown.memory])
    if shown.mistakes:
        raw = {each.source_index: each.raw for each in shown.mistakes}
        first = shown.mistakes[0]
        figures["mistakes"] = mistakes_figure(scores.mistakes, raw, first.time_s, first.units)
    for name, png in figures.items():
        disk.write_bytes(run.path / f"{name}.png", png)
    page = html_page(
        "report.html.j2",
        title=f"{config.name}: {run.path.name}",
        metrics=metrics,
        figures=figures,
        training=_training(history, shown.training_windows),
        versions=[f"{name} {found}" for name, found in recorded_versions(run).items()],
        commands=_commands(run),
        config=config_bytes(config).decode(),
        tables=tables_of(scores, metrics.scores()),
    )
    disk.write_bytes(run.report, page)


def mistaken_windows(store: Store, split: Split, mistakes: Sequence[Mistake]) -> list[Window]:
    """The windows of the first mistakes, found in the test folds by their source index."""
    wanted = [each.source_index for each in mistakes[:DRAWN_MISTAKES]]
    row_of: dict[int, int] = {}
    for fold in (store.fold(name) for name in split.test):
        for start, stop in cut_ranges(fold.ranges, SLICE_ROWS):
            index = store.read("source_index", start, stop)
            for place in np.flatnonzero(np.isin(index, wanted)).tolist():
                row_of[int(index[place])] = start + place
            if len(row_of) == len(wanted):
                return [read_window(store, row_of[number]) for number in wanted]
    return [read_window(store, row_of[number]) for number in wanted if number in row_of]


def mistakes_figure(
    mistakes: Sequence[Mistake],
    windows: Mapping[int, NDArray[Any]],
    time_s: NDArray[np.float64],
    units: Sequence[str],
) -> bytes:
    """The windows of mistakes, as PNG.

    Args:
        mistakes: in the order of their panels; those without a window are left out.
        windows: source index -> (T, C), in units.
        time_s: (T,) seconds since the first sample.
        units: C names.
    """
    panels = [
        (
            f"{each.source_index}: {each.label}, taken for {each.predicted} "
            f"({each.confidence:.2f})",
            time_s,
            _comparable(windows[each.source_index], np.array(units)),
        )
        for each in mistakes
        if each.source_index in windows
    ]
    return signal_panels(panels)


def _comparable(raw: NDArray[Any], units: NDArray[np.str_]) -> NDArray[np.float64]:
    """Channels without their means, those of one unit divided by their largest spread."""
    centred = np.asarray(raw, np.float64) - raw.mean(axis=0)
    for unit in set(units.tolist()):
        spread = np.ptp(centred[:, units == unit], axis=0).max()
        centred[:, units == unit] /= spread or 1.0
    return centred


def tables_of(scores: ClassifierScores, shown: Mapping[str, ClassifierScores]) -> dict[str, Any]:
    """Rows of a report's tables by name.

    Args:
        scores: that all but one are of.
        shown: classifiers that are compared in that one, by a key of TITLES.
    """
    return {
        "classifiers": [
            (TITLES[name], *each.texts(), _mean_and_sd(each.group_accuracy), *decimals(each.ece))
            for name, each in shown.items()
        ],
        "classes": class_rows(scores.per_class),
        "confusion": confusion_rows(scores.per_class, scores.confusion),
        "groups": group_rows(scores.per_group),
        "mistakes": mistake_rows(scores.mistakes),
    }


def figures_of(scores: ClassifierScores) -> dict[str, bytes]:
    """Figures of the same, as PNG."""
    summary = scores.as_table()
    return {
        "confusion": confusion_matrix(scores.confusion, list(scores.per_class)),
        "classes": class_bars(summary),
        "groups": group_bars(summary),
        "calibration": calibration_curve(summary),
    }


def _training(history: Sequence[Mapping[str, float]], windows: int) -> str:
    """How long the training took, and how much of that it waited; `windows` are an epoch's."""
    seconds = sum(row["seconds"] for row in history)
    waited = sum(row["wait_seconds"] for row in history)
    rate = windows * len(history) / max(seconds, 1e-9)
    return (
        f"{len(history)} epochs of {windows:,} windows in {seconds:,.0f} s: {rate:,.0f} "
        f"windows/s, validation included; {waited:,.1f} s of it "
        f"({waited / max(seconds, 1e-9):.1%}) waiting for data."
    )


def _commands(run: RunFolder) -> str:
    """The commands that make the run again, one a line."""
    file = shlex.quote(str(run.config))
    stages = (("features", ""), ("train", " --run again"), ("evaluate", " --run again"))
    return "\n".join(f"headrace {stage} --config {file}{more}" for stage, more in stages)


def _mean_and_sd(spread: Spread) -> str:
    return f"{100 * spread.mean:.2f} ± {100 * spread.sd:.2f} %"
