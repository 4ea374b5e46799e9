"""The train stage: finds or makes the run folder, and trains what is missing of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.pipeline.memory.fit import fitted
from headrace.pipeline.request import open_requested
from headrace.pipeline.rows.split import (
    choose_split,
    fold_ranges,
    is_official,
    is_own_validation,
    unvalidated_classes,
)
from headrace.pipeline.runs.folder import RunFolder, default_run, next_run, only_writer
from headrace.pipeline.runs.inputs import inputs_of
from headrace.pipeline.runs.measure import require_measured
from headrace.pipeline.runs.parts import begun_with, say_added
from headrace.pipeline.runs.record import (
    record_run,
    recorded_fingerprint,
    recorded_split,
    refuse_unfit,
)
from headrace.pipeline.runs.resolve import (
    newest_run,
    require_classes,
    resolved_config,
    with_threads,
)
from headrace.pipeline.tensorflow_setup import set_up_tensorflow
from headrace.pipeline.training.memory import plan_train
from headrace.pipeline.training.state import read_state
from headrace.stores.errors import GroupError

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.console import Console
    from headrace.pipeline.memory.plan import MemoryPlan
    from headrace.pipeline.request import Request
    from headrace.pipeline.rows.split import Split
    from headrace.stores import Store


def run_train(request: Request) -> dict[str, Any]:
    """Train on the store's training folds, validate on its validation folds.

    A complete run is left alone; an incomplete one is resumed; `request.new` starts another.

    Returns:
        JSON-able: the run's folder, its epochs and the best one's validation scores.

    Raises:
        UserError: there is no store, it cannot be split, or the folder is of another run.
    """
    store = open_requested(request)
    require_classes(store)
    run, config, store = _chosen(request, store)
    table = store.class_table
    split = choose_split(store.folds, table, config.split)
    given = request.config.split.model_fields_set - {"inside_training"}
    if given and not config.split.inside_training and is_official(store.folds):
        request.console.say(
            f"split.{', split.'.join(sorted(given))} play no part: the source has an official "
            "test part (split.inside_training = true divides the rest)."
        )
    refuse_unfit(run, config, store.fingerprint)
    if run.config.is_file():
        say_added(store, run, request.console)
    if run.complete:
        request.console.say(f"The run {run.path} is complete. Train another with --new.")
        return _summary(run, trained=False)
    if run.config.is_file():
        split = recorded_split(run)
    _require_every_class(store, split, config.train.refit)
    config = with_threads(run, config)
    require_measured(config, inputs_of(store), request.console)
    config, plan = fitted(plan_train, config, store)
    plan.require_fit()
    store = store.with_index_cache(config.stream.index_cache)
    request.console.memory_plan("train", plan)
    with only_writer(run):
        refuse_unfit(run, config, store.fingerprint)  # It may have come while this one began.
        if run.complete:
            return _summary(run, trained=False)
        lacking = [store.classes[each] for each in unvalidated_classes(split, store.folds, table)]
        recorded = dataclasses.asdict(split) | ({"not_validated": lacking} if lacking else {})
        record_run(run, config, store.fingerprint, recorded, inputs_of(store))
        split = recorded_split(run)
        request.console.say(f"Training {run.path} ({_sizes(store, split)}).")
        if said := _validation_said(split, lacking):
            request.console.say(said)
        _warn_of_initial(config, store, split, request.console)
        request.console.say("Loading TensorFlow, and tracing the network's first step.")
        plan = _train(run, store, split, config, request, plan)
    summary = _summary(run, trained=True)
    request.console.say(_ending(summary, config))
    return summary | {"memory": plan.as_table()}


def _warn_of_initial(config: Config, store: Store, split: Split, console: Console) -> None:
    """Say which folds test that the run of `train.initial` saw in these parts, or fewer."""
    run = RunFolder((config.train.initial or Path()).parent)
    if config.train.initial is None or not run.config.is_file():
        return
    recorded = recorded_fingerprint(run)
    if begun_with(store, lambda parts: parts.fingerprint == recorded) is None:
        return
    known = recorded_split(run)
    seen = [name for name in split.test if name in (*known.train, *known.validation)]
    if seen:
        console.say(
            f"Warning: {run.path} was trained or validated on the test fold{'s' * (len(seen) > 1)} "
            f"{', '.join(seen)}: the scores of the test will be too good."
        )


def _chosen(request: Request, store: Store) -> tuple[RunFolder, Config, Store]:
    """The run that is to be trained, its configuration, and the parts that it knows.

    A run that has begun goes on with the parts that it began with; a new one has them all.
    """
    if request.run is None and not request.new:
        return newest_run(request, store)
    run = None if request.run is None else RunFolder(request.run)
    if run is not None and run.config.is_file() and not request.new:
        recorded = recorded_fingerprint(run)
        store = begun_with(store, lambda parts: parts.fingerprint == recorded) or store
    config = resolved_config(request, store)
    run = run or default_run(config, store.fingerprint)
    return next_run(run) if request.new and run.path.exists() else run, config, store


def _train(
    run: RunFolder, store: Store, split: Split, config: Config, request: Request, plan: MemoryPlan
) -> MemoryPlan:
    set_up_tensorflow(config.train)
    # Here, not above: `plan` and `crossval` import this module and must stay without TensorFlow.
    from headrace.pipeline.stream.graph import store_errors
    from headrace.pipeline.training.devices import claim_devices
    from headrace.pipeline.training.loop import train_network

    claim_devices(config.train.devices)
    with store_errors():
        return train_network(run, store, split, config, request.console, plan)


def _require_every_class(store: Store, split: Split, refit: bool) -> None:
    """Refuse a class that is tested, or validated, and never trained."""
    if len(store.target.tally_names) < 2:
        raise GroupError(
            f"{store.path} has nothing to train on: all of its windows are "
            f"{store.target.tally_names[0]!r}. Build a store with labels (source.labels); one "
            "without is for a loop of your own: headrace.Dataset."
        )
    everywhere = store.class_counts([fold.name for fold in store.folds])
    trained = store.class_counts((*split.train, *(split.validation if refit else ())))
    missing = [
        f"{name} ({count:,} windows)"
        for name, count, here in zip(store.classes, everywhere, trained, strict=True)
        if count and not here
    ]
    if missing:
        raise GroupError(
            f"No window of class {', '.join(missing[:4])} is in the training folds: the network "
            "could never tell it. Choose another split.test_fold, more split.folds, or leave the "
            "class out of a new store with source.exclude_labels."
        )


def _validation_said(split: Split, lacking: Sequence[str]) -> str | None:
    """What is unusual in the validation folds, and what follows from it."""
    folds = ", ".join(split.validation)
    if lacking:
        kept = (
            "the source's own validation part is taken as it is"
            if is_own_validation(split)
            else "no training fold can be spared for it"
        )
        return (
            f"Warning: the validation folds ({folds}) hold no window of class "
            f"{', '.join(lacking)}, and {kept}. The best epoch, and when to stop, are chosen "
            "without it."
        )
    if len(split.validation) > 1 and not is_own_validation(split):
        return f"Folds {folds} validate, so that every class of the training is validated."
    return None


def _sizes(store: Store, split: Split) -> str:
    counts = {
        part: sum(stop - start for start, stop in fold_ranges(store, folds))
        for part, folds in dataclasses.asdict(split).items()
    }
    return ", ".join(f"{part}: {count:,} windows" for part, count in counts.items())


def _summary(run: RunFolder, trained: bool) -> dict[str, Any]:
    state = read_state(run.state)
    best = state.progress.history[state.progress.best_epoch] if state is not None else {}
    return {
        "run": str(run.path),
        "trained": trained,
        "epochs": 0 if state is None else state.progress.epoch,
        "best": best,
    }


def _ending(summary: Mapping[str, Any], config: Config) -> str:
    """What was kept, why the training ended there, and what comes next."""
    best, epochs = summary["best"], summary["epochs"]
    early = ""
    if epochs < config.train.epochs:
        stale = best and epochs - best["epoch"] >= config.train.patience
        early = ", ended by a callback"
        if stale:
            early = f", {config.train.patience} epochs without a better one"
    kept = f"{best['epoch']:.0f} of {epochs} epochs" if best else f"{epochs} epochs"
    return (
        f"Trained{early}: the weights after {kept} are the run's. Evaluate it: headrace evaluate "
        f"--run {summary['run']}"
    )
