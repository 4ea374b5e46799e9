"""The report of a cross-validation: one HTML page that needs no other file."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.pipeline.config.load import config_bytes
from headrace.pipeline.evaluation.html_page import html_page
from headrace.pipeline.evaluation.metrics import TITLES, Metrics
from headrace.pipeline.evaluation.notes import notes_on
from headrace.pipeline.evaluation.tables import class_rows, confusion_rows, decimals, group_rows
from headrace.pipeline.experiments.crossval_result import CrossvalResult
from headrace.pipeline.runs.folder import CROSSVAL_FIRST_FOLD, RunFolder
from headrace.pipeline.runs.history import read_history
from headrace.pipeline.runs.record import recorded_config, recorded_versions
from headrace.stores.io import disk
from headrace.stores.text import shown

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.evaluation.metrics import GroupScores
    from headrace.pipeline.experiments.crossval_result import ClassifierResult
    from headrace.stores import Store

SCORES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "balanced_accuracy": "balanced accuracy"}


def write_page(
    folder: Path, store: Store, config: Config, folds: Mapping[str, Metrics], result: CrossvalResult
) -> Path:
    """Write crossval.html; its bytes depend on the runs of the folds alone.

    Args:
        folder: of the cross-validation.
        store: that all were trained on.
        config: that they share.
        folds: path of each fold's run -> its scores.
        result: of these.

    Returns:
        Where the page is.

    Raises:
        UserError: what a fold's run records is damaged, or the page cannot be written.
    """
    runs = [RunFolder(Path(path)) for path in folds]
    histories = [read_history(run.log) for run in runs]
    # What every fold has in common, but for how fast it was read: that follows from this machine.
    kept = recorded_config(runs[0]).model_copy(update={"evaluate": config.evaluate})
    versions = {f"{name} {each}" for run in runs for name, each in recorded_versions(run).items()}
    page = folder / "crossval.html"
    content = html_page(
        "crossval.html.j2",
        title=f"{config.name}: cross-validation",
        notes=notes_on(store, config),
        pooled=result.tta.pooled,
        views=next(iter(folds.values())).views,
        tables=_tables(result, list(folds.values()), histories),
        figures=_figures(result, histories),
        store=f"{store.path}, {store.fingerprint}",
        versions=sorted(versions),
        runs=list(folds),
        commands=_commands(folder),
        config=config_bytes(kept).decode(),
    )
    disk.write_bytes(page, content)
    return page


def _tables(
    result: CrossvalResult,
    folds: Sequence[Metrics],
    histories: Sequence[Sequence[Mapping[str, float]]],
) -> dict[str, Any]:
    """Rows by name; all but those of the spread are with views averaged."""
    scores, pooled, groups = result.tta, result.tta.pooled, _worst_first(result.tta)
    tested_in = {
        name: str(number) for number, fold in enumerate(result.folds) for name in fold.test_groups
    }
    return {
        "spread": [
            (f"{TITLES[kind]}: {name}", *_spread(each, key))
            for kind, each in result.classifiers().items()
            for key, name in SCORES.items()
        ],
        "folds": [
            (
                str(number),
                f"{fold.tta.windows:,}",
                *decimals(*(getattr(scores, key).folds[number] for key in SCORES)),
                _best_epoch(history),
                shown(fold.test_groups),
            )
            for number, (fold, history) in enumerate(zip(folds, histories, strict=True))
        ],
        "groups": [(*row, tested_in[row[0]]) for row in group_rows(groups)],
        "classes": class_rows(pooled.per_class),
        "confusion": confusion_rows(pooled.per_class, pooled.confusion),
    }


def _figures(
    result: CrossvalResult, histories: Sequence[Sequence[Mapping[str, float]]]
) -> dict[str, bytes]:
    # Here, not above: the parent of the folds draws only when they are done.
    from headrace.model.figures import class_bars, confusion_matrix, fold_curves, group_bars

    pooled = result.tta.pooled
    groups = {name: each.model_dump() for name, each in _worst_first(result.tta).items()}
    return {
        "curves": fold_curves({f"fold {number}": rows for number, rows in enumerate(histories)}),
        "groups": group_bars({"per_group": groups, "accuracy": pooled.accuracy}),
        "classes": class_bars(pooled.model_dump()),
        "confusion": confusion_matrix(pooled.confusion, list(pooled.per_class)),
    }


def _worst_first(scores: ClassifierResult) -> dict[str, GroupScores]:
    return dict(sorted(scores.per_group.items(), key=lambda item: item[1].accuracy))


def _spread(scores: ClassifierResult, key: str) -> tuple[str, ...]:
    over = getattr(scores, key)
    together = f"{getattr(scores.pooled, key):.3f}"
    if key == "accuracy" and (edges := scores.interval()):
        together += " [{:.3f}, {:.3f}]".format(*edges)
    return (*decimals(over.mean, over.sd, min(over.folds), max(over.folds)), together)


def _best_epoch(history: Sequence[Mapping[str, float]]) -> str:
    """`7 of 12`; of a training that nothing validated, all."""
    validated = [row for row in history if "val_loss" in row]
    best = min(validated, key=lambda row: row["val_loss"], default={"epoch": len(history)})
    return f"{best['epoch']:.0f} of {len(history)}"


def _commands(folder: Path) -> str:
    """The commands that make it again, one a line."""
    file = shlex.quote(str(folder / CROSSVAL_FIRST_FOLD))
    return f"headrace features --config {file}\nheadrace crossval --config {file} --run again"
