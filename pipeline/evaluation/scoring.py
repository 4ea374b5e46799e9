"""The scoring itself: test folds streamed once, through every view, and the classic baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.targets.registry import target_model
from headrace.pipeline.evaluation.metrics import ClassifierScores, Metrics
from headrace.pipeline.evaluation.notes import notes_on
from headrace.pipeline.evaluation.predictor import View, load_model, predictor, score_batches
from headrace.pipeline.rows.ranges import cut_ranges, first_rows
from headrace.pipeline.rows.split import fold_ranges, group_names
from headrace.pipeline.rows.statistics import sample_rows
from headrace.pipeline.runs.inputs import inputs_of
from headrace.pipeline.stream.augment import view
from headrace.pipeline.stream.buffers import window_shape
from headrace.pipeline.stream.evaluation import evaluation_stream
from headrace.pipeline.stream.target import target_statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.pipeline.config.config import Config
    from headrace.pipeline.console import Console
    from headrace.pipeline.rows.split import Split
    from headrace.pipeline.runs.folder import RunFolder
    from headrace.stores import Store

IDENTITY = "identity"
BLOCK_WINDOWS = 8192
"""Rows that the baseline is given at a time."""


def score_run(
    run: RunFolder, store: Store, split: Split, config: Config, digest: str, console: Console
) -> Metrics:
    """Scores of the saved model on the test folds, without a baseline; `digest` names them."""
    names = _view_names(config)
    seen = names if IDENTITY in names else [IDENTITY, *names]
    batches = evaluation_stream(store, split.test, config, config.evaluate.max_windows)
    predict = predictor(load_model(run.model), _views(seen, store, split, config), batches)
    target, statistics = (
        target_model(inputs_of(store).target),
        target_statistics(store, split.train),
    )
    plain, tta = (
        target.scores(store.groups, config.evaluate.mistakes, statistics) for _ in range(2)
    )
    wanted = {
        "plain": (plain, [seen.index(IDENTITY)]),
        "tta": (tta, [seen.index(name) for name in names]),
    }
    windows = _test_windows(store, split, config)
    row_bytes = window_shape(store, config).stored_bytes
    with console.progress("evaluate", windows, row_bytes) as progress:
        loss = score_batches(predict, batches, wanted, target, statistics, progress.advance)
    groups = group_names(store, split.test)
    return Metrics(
        digest=digest,
        plain=ClassifierScores(loss=loss["plain"], **plain.summary()),
        tta=ClassifierScores(loss=loss["tta"], **tta.summary()),
        views=names,
        test_groups=groups,
        notes=notes_on(store, config, groups),
    )


def score_baseline(
    store: Store, split: Split, config: Config, console: Console
) -> ClassifierScores:
    """Extra trees on a bounded sample of training rows, scored on the very same test windows."""
    arrays = ("features",) if store.feature_names else ("raw",)
    limit = config.evaluate.baseline_windows
    rows = sample_rows(store, split.train, (*arrays, "label"), limit)
    console.say(f"Fitting the baseline to {len(rows['label']):,} training windows.")
    target = target_model(inputs_of(store).target)
    baseline = target.baseline(_columns(rows, store), rows["label"], config.train.seed)
    statistics = target_statistics(store, split.train)
    scores = target.scores(store.groups, config.evaluate.mistakes, statistics)
    names = (*arrays, "label", "group", "source_index")
    ranges = cut_ranges(
        first_rows(fold_ranges(store, split.test), config.evaluate.max_windows), BLOCK_WINDOWS
    )
    row_bytes = 4 * len(store.feature_names) or store.spec.stored_bytes
    windows = _test_windows(store, split, config)
    with console.progress("evaluate, extra trees", windows, row_bytes, passing=True) as progress:
        for start, stop in ranges:
            block = store.read_many(names, [(start, stop)])
            predicted = baseline.predict(_columns(block, store))
            scores.update(predicted, block["label"], block["group"], block["source_index"])
            progress.advance(stop - start)
    return ClassifierScores(training_windows=len(rows["label"]), **scores.summary())


def _view_names(config: Config) -> list[str]:
    """The views that are averaged; a network that sees no raw sees them all alike."""
    return list(config.evaluate.views) if config.model.inputs != "features" else [IDENTITY]


def _views(names: Sequence[str], store: Store, split: Split, config: Config) -> list[View]:
    std = store.moments(split.train).raw_std.astype(np.float32)
    strength, seed = config.evaluate.noise_strength, config.train.seed
    return [view(name, store.spec.time, std, strength, seed) for name in names]


def _columns(rows: dict[str, NDArray[Any]], store: Store) -> NDArray[np.float32]:
    """What the baseline sees of windows: their features, or without any the moments of raw."""
    if "features" in rows:
        return rows["features"]
    raw = rows["raw"].astype(np.float32) * np.array(store.spec.scale, np.float32)
    change = np.diff(raw, axis=1)
    measures = [raw.mean(axis=1), raw.std(axis=1), raw.min(axis=1), raw.max(axis=1)]
    return np.concatenate([*measures, change.std(axis=1), np.abs(change).mean(axis=1)], axis=1)


def _test_windows(store: Store, split: Split, config: Config) -> int:
    ranges = first_rows(fold_ranges(store, split.test), config.evaluate.max_windows)
    return sum(stop - start for start, stop in ranges)
