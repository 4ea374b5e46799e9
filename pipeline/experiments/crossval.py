"""The crossval stage: every fold trained and evaluated in turn, each in processes of its own.

A process that ends gives all its memory back, so k folds need what one does. This parent imports
no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.pipeline.config.config import Config
from headrace.pipeline.evaluation.metrics import HEADLINES, TITLES, read_metrics
from headrace.pipeline.experiments.child_stages import ensure_evaluated
from headrace.pipeline.experiments.crossval_page import write_page
from headrace.pipeline.experiments.crossval_result import CrossvalResult, summarise
from headrace.pipeline.experiments.memory import plan_crossval
from headrace.pipeline.memory.fit import fitted
from headrace.pipeline.request import open_requested
from headrace.pipeline.rows.split import crossval_splits, group_names, is_official
from headrace.pipeline.runs.folder import (
    CROSSVAL_RESULT,
    RUNS,
    RunFolder,
    default_run,
    is_crossval,
    run_digest,
)
from headrace.pipeline.runs.inputs import inputs_of
from headrace.pipeline.runs.measure import require_measured
from headrace.pipeline.runs.parts import begun_with, paths_of, say_kept
from headrace.pipeline.runs.record import json_bytes, recorded_fingerprint
from headrace.pipeline.runs.resolve import require_classes, resolved_config
from headrace.stores.io import disk

if TYPE_CHECKING:
    from headrace.pipeline.request import Request
    from headrace.stores import Store


def run_crossval(request: Request, baseline: bool = False) -> dict[str, Any]:
    """Train and evaluate each of the k folds of `split.folds`, and sum the scores up.

    Folds that are complete are left alone, an interrupted one is resumed. A fold's run is the
    very run that `train --set split.test_fold=j` makes; with `request.run` it is `DIR/fold-j`.
    A source with an official test part is divided inside its training part.

    Args:
        request: `run`, if given, is the folder of crossval.json, the report and all folds.
        baseline: score the classic baseline of each fold too.

    Returns:
        JSON-able: the paths of the report and of crossval.json, and what that holds
        (`crossval_result`).

    Raises:
        UserError: the store cannot be divided so, or a fold was refused; its message is printed.
        KeyboardInterrupt: a fold was interrupted.
        StageFailed: a fold broke.
    """
    store = open_requested(request)
    require_classes(store)
    config = crossval_config(request, store)
    known = begun_with(store, lambda parts: _is_begun(request, config, parts))
    store = known or store
    config = config.changed("paths", **paths_of(store))
    splits = crossval_splits(store.folds, store.class_table, config.split)
    require_measured(config, inputs_of(store), request.console)
    config, plan = fitted(partial(plan_crossval, baseline=baseline), config, store)
    plan.require_fit()
    request.console.memory_plan("crossval, one fold after another", plan)
    folder = request.run or _folder(config, store)
    if known is not None:
        say_kept(known, folder, request.console)
    folds = {}
    for number, split in enumerate(splits):
        names = ", ".join(group_names(store, split.test))
        request.console.say(f"Fold {number + 1} of {len(splits)}, tested on {names}")
        fold = _fold_run(request, config, store, number)
        file = folder / f"fold-{number}.toml"
        ensure_evaluated(request, fold_config(config, number), fold, file, baseline=baseline)
        folds[str(fold.path)] = read_metrics(fold)
    result = {"store": store.fingerprint} | summarise(folds, store.classes)
    page = write_page(folder, store, config, folds, CrossvalResult.model_validate(result))
    disk.write_bytes(folder / CROSSVAL_RESULT, json_bytes(result))
    _print(request, result, len(folds))
    request.console.say(f"Cross-validation: {folder / CROSSVAL_RESULT}\nReport: {page}")
    summary = {
        "crossval": str(folder / CROSSVAL_RESULT),
        "report": str(page),
        "run": str(folder),
        "memory": plan.as_table(),
    }
    return summary | result


def fold_config(config: Config, number: int) -> Config:
    """The config of one fold of a cross-validation."""
    return config.changed("split", test_fold=number)


def crossval_config(request: Request, store: Store) -> Config:
    """The resolved config that all folds share: an official test part is left alone."""
    official = is_official(store.folds)
    return resolved_config(request, store).changed("split", inside_training=official)


def _folder(config: Config, store: Store) -> Path:
    """Named by what its folds share."""
    digest = run_digest(fold_config(config, 0), store.fingerprint)
    return RUNS / config.name / f"crossval-{digest}"


def _is_begun(request: Request, config: Config, store: Store) -> bool:
    """Whether one of these parts was begun and has no end, or stands in the folder that is named.

    It goes on with them.
    """
    if request.run is None:
        folder = _folder(config, store)
        return is_crossval(folder) and not (folder / CROSSVAL_RESULT).is_file()
    runs = (RunFolder(path) for path in request.run.glob("fold-*"))
    return any(
        recorded_fingerprint(run) == store.fingerprint for run in runs if run.config.is_file()
    )


def _fold_run(request: Request, config: Config, store: Store, number: int) -> RunFolder:
    if request.run is not None:
        return RunFolder(request.run / f"fold-{number}")
    return default_run(fold_config(config, number), store.fingerprint)


def _print(request: Request, result: Mapping[str, Any], folds: int) -> None:
    request.console.table(
        f"Cross-validation, {folds} folds: mean and standard deviation",
        ("", "accuracy", "macro-F1", "balanced accuracy"),
        [
            (title, *(_mean_and_sd(result[kind][key]) for key in HEADLINES))
            for kind, title in TITLES.items()
            if kind in result
        ],
    )


def _mean_and_sd(score: Mapping[str, float]) -> str:
    return f"{100 * score['mean']:.2f} +- {100 * score['sd']:.2f} %"
