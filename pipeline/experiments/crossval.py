"""The crossval stage: every fold trained and evaluated in turn, each in processes of its own.

A process that ends gives all its memory back, so k folds need what one does. This parent imports
no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.model.scores import summarise_confusion
from headrace.pipeline.config.config import Config
from headrace.pipeline.evaluation.metrics import (
    HEADLINES,
    TITLES,
    ClassifierScores,
    Metrics,
    read_metrics,
)
from headrace.pipeline.experiments.child_stages import ensure_evaluated
from headrace.pipeline.experiments.memory import plan_crossval
from headrace.pipeline.memory.fit import fitted
from headrace.pipeline.rows.split import class_table, crossval_splits, group_names, is_official
from headrace.pipeline.runs.folder import RUNS, RunFolder, default_run, run_digest
from headrace.pipeline.runs.record import json_bytes
from headrace.pipeline.runs.resolve import resolved_config
from headrace.stores.io import disk
from headrace.stores.store import open_store

if TYPE_CHECKING:
    from headrace.pipeline.request import Request
    from headrace.stores import Store


def run_crossval(request: Request, baseline: bool = False) -> dict[str, Any]:
    """Train and evaluate each of the k folds of `split.folds`, and sum the scores up.

    Folds that are complete are left alone, an interrupted one is resumed. A fold's run is the
    very run that `train --set split.test_fold=j` makes; with `request.run` it is `DIR/fold-j`.
    A source with an official test part is divided inside its training part.

    Args:
        request: `run`, if given, is the folder of crossval.json and of all folds.
        baseline: score the classic baseline of each fold too.

    Returns:
        JSON-able, and crossval.json: for `plain` and `tta` (and `baseline`) the mean, standard
        deviation (ddof 1) and values of accuracy, macro_f1 and balanced_accuracy over the folds,
        and the scores of all groups pooled; each fold's run and test groups.

    Raises:
        UserError: the store cannot be divided so, or a fold was refused; its message is printed.
        KeyboardInterrupt: a fold was interrupted.
        StageFailed: a fold broke.
    """
    store = open_store(request.store)
    config = crossval_config(request, store)
    splits = crossval_splits(store.folds, class_table(store), config.split)
    config, plan = fitted(partial(plan_crossval, baseline=baseline), config, store)
    plan.require_fit()
    request.console.memory_plan("crossval, one fold after another", plan)
    folder = request.run or RUNS / config.name / f"crossval-{_digest(config, store)}"
    folds = {}
    for number, split in enumerate(splits):
        names = ", ".join(group_names(store, split.test))
        request.console.say(f"Fold {number + 1} of {len(splits)}, tested on {names}")
        fold = _fold_run(request, config, store, number)
        file = folder / f"fold-{number}.toml"
        ensure_evaluated(request, fold_config(config, number), fold, file, baseline=baseline)
        folds[str(fold.path)] = read_metrics(fold)
    result = summarise(folds, store.classes)
    disk.write_bytes(folder / "crossval.json", json_bytes(result))
    _print(request, result, len(folds))
    request.console.say(f"Cross-validation: {folder / 'crossval.json'}")
    summary = {
        "crossval": str(folder / "crossval.json"),
        "run": str(folder),
        "memory": plan.as_table(),
    }
    return summary | result


def fold_config(config: Config, number: int) -> Config:
    """The config of one fold of a cross-validation."""
    return config.changed("split", test_fold=number)


def summarise(folds: Mapping[str, Metrics], classes: Sequence[str]) -> dict[str, Any]:
    """Spread over the folds and scores of all their test groups together.

    Args:
        folds: path of each fold's run -> its scores.
        classes: names of the classes, in the order of the confusion counts.
    """
    scores = {run: fold.scores() for run, fold in folds.items()}
    kinds = [kind for kind in TITLES if all(kind in fold for fold in scores.values())]
    return {
        "folds": [
            {"run": run, "test_groups": fold.test_groups}
            | {kind: scores[run][kind].headlines() for kind in kinds}
            for run, fold in folds.items()
        ],
        **{kind: _spread([fold[kind] for fold in scores.values()], classes) for kind in kinds},
    }


def crossval_config(request: Request, store: Store) -> Config:
    """The resolved config that all folds share: an official test part is left alone."""
    official = is_official(store.folds)
    return resolved_config(request, store).changed("split", inside_training=official)


def _digest(config: Config, store: Store) -> str:
    """Names a cross-validation: what its folds share."""
    return run_digest(fold_config(config, 0), store.fingerprint)


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


def _spread(scores: Sequence[ClassifierScores], classes: Sequence[str]) -> dict[str, Any]:
    values = {key: np.array([getattr(score, key) for score in scores]) for key in HEADLINES}
    confusion = np.sum([score.confusion for score in scores], axis=0)
    return {
        **{
            key: {
                "mean": float(value.mean()),
                "sd": float(value.std(ddof=1)) if len(value) > 1 else 0.0,
                "folds": value.tolist(),
            }
            for key, value in values.items()
        },
        "pooled": summarise_confusion(confusion, classes),
        "per_group": {
            name: group.as_table() for score in scores for name, group in score.per_group.items()
        },
    }
