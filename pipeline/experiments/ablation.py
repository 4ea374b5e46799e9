"""The ablation command: what each part of a configuration is worth on these data.

Every variant is trained as `train` would, one after another, each in processes of its own and for
the same time: a network that is twice as quick gets twice the epochs. This parent imports no
TensorFlow.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.pipeline.console import QUIET
from headrace.pipeline.experiments.ablation_result import (
    Outcome,
    Trained,
    ablation_page,
    print_ablation,
    result_of,
)
from headrace.pipeline.experiments.ablation_variants import Variant, in_time, variants
from headrace.pipeline.experiments.child_stages import ensure_evaluated
from headrace.pipeline.experiments.crossval import crossval_config, fold_config
from headrace.pipeline.experiments.memory import plan_crossval
from headrace.pipeline.experiments.pace import is_paced, measured_pace
from headrace.pipeline.memory.fit import fitted
from headrace.pipeline.request import open_requested
from headrace.pipeline.rows.split import crossval_splits
from headrace.pipeline.runs.folder import RUNS, RunFolder, default_run, run_digest
from headrace.pipeline.runs.inputs import inputs_of
from headrace.pipeline.runs.measure import require_measured
from headrace.pipeline.runs.parts import begun_with, say_kept
from headrace.pipeline.runs.record import json_bytes
from headrace.pipeline.runs.resolve import require_classes, resolved_config
from headrace.stores.errors import FunctionError
from headrace.stores.io import disk
from headrace.stores.text import format_seconds

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.console import Console
    from headrace.pipeline.memory.plan import MemoryPlan
    from headrace.pipeline.request import Request
    from headrace.stores import Store

RESULT = "ablation.json"


@dataclass(frozen=True)
class Extent:
    """How much an ablation trains.

    Attributes:
        minutes: that each training's epochs fill; None: what the configuration's own epochs take.
        seeds: trainings of each variant and fold, from `train.seed` upwards.
        crossval: test every fold in turn, not the configuration's own alone.
        baseline: score extra trees on the features of the reference too.
    """

    minutes: float | None = None
    seeds: int = 1
    crossval: bool = False
    baseline: bool = False


@dataclass(frozen=True)
class _Training:
    """One run to be had: number `variant` of the variants, by seed and fold."""

    variant: int
    name: str
    config: Config


def run_ablation(request: Request, extent: Extent) -> dict[str, Any]:
    """Train and evaluate every variant of `request.config`, and write ablation.json and .html.

    Runs that are complete are left alone, an interrupted one is resumed. How quick each variant
    is gets measured once and kept in pace.json, since its epochs follow from that.

    Args:
        request: `run`, if given, is the folder of everything; else runs are where `train` puts
            them, and the result is in `runs/<config>/ablation-<digest>`.
        extent: how much is trained.

    Returns:
        JSON-able, and ablation.json: `rows`, the reference first, each with epochs, seconds of a
        training, accuracy, macro_f1, difference of accuracy to the reference, and 95 % intervals
        over groups and seeds (None for fewer than two groups).

    Raises:
        UserError: the store cannot be divided so, the folder is of another ablation, or a run
            was refused; its message is printed.
        KeyboardInterrupt: a training was interrupted.
        StageFailed: a stage broke.
    """
    store = open_requested(request)
    require_classes(store)
    config, _ = _base(request, store, extent.crossval)
    known = begun_with(store, lambda parts: _is_begun(request, config, parts))
    config, folds = _base(request, store := known or store, extent.crossval)
    possible = _possible(variants(config, store.feature_names), store, request.console)
    plan, found = _fitted(possible, store, extent.baseline)
    plan.require_fit()
    request.console.memory_plan("ablation, one training after another", plan)
    identity = run_digest(config, store.fingerprint)
    folder = request.run or _folder(config, store)
    if known is not None:
        say_kept(known, folder, request.console)
    pace = measured_pace(request, store, found, folder, identity)
    seconds = pace[found[0].name] * config.train.epochs
    if extent.minutes is not None:
        seconds = 60 * extent.minutes
    timed = [Variant(each.name, in_time(each.config, seconds, pace[each.name])) for each in found]
    seeds = range(config.train.seed, config.train.seed + extent.seeds)
    trainings = _trainings(timed, folds, seeds)
    total = len(seeds) * len(folds) * len(timed)
    request.console.say(
        f"{total} trainings ({len(timed)} variants, {extent.seeds} of each on {len(folds)} test "
        f"folds), {format_seconds(seconds)} each, and their starts: "
        f"{format_seconds(total * seconds)} and more."
    )
    outcomes = _outcomes(request, store, timed, trainings, folder, extent.baseline)
    result = result_of(outcomes, store.classes, extent.baseline) | {
        "store": str(store.path),
        "minutes": seconds / 60,
        "folds": len(folds),
    }
    page = folder / "ablation.html"
    disk.write_bytes(folder / RESULT, json_bytes(result))
    disk.write_bytes(page, ablation_page(result, config))
    print_ablation(result, request.console)
    request.console.say(f"Ablation: {page}")
    return {"ablation": str(page), "run": str(folder), "memory": plan.as_table()} | result


def _folder(config: Config, store: Store) -> Path:
    return RUNS / config.name / f"ablation-{run_digest(config, store.fingerprint)}"


def _is_begun(request: Request, config: Config, store: Store) -> bool:
    """Whether one of these parts was begun and has no end, or stands in the folder that is named.

    It goes on with them.
    """
    if request.run is not None:
        return is_paced(request.run, run_digest(config, store.fingerprint))
    folder = _folder(config, store)
    return folder.is_dir() and not (folder / RESULT).is_file()


def _trainings(
    timed: Sequence[Variant], folds: Sequence[int], seeds: Iterable[int]
) -> list[list[_Training]]:
    """Those of each seed: every variant on every fold."""
    return [
        [
            _Training(
                number, variant.name, fold_config(variant.config, fold).changed("train", seed=seed)
            )
            for fold in folds
            for number, variant in enumerate(timed)
        ]
        for seed in seeds
    ]


def _outcomes(
    request: Request,
    store: Store,
    timed: Sequence[Variant],
    trainings: Sequence[Sequence[_Training]],
    folder: Path,
    baseline: bool,
) -> list[Outcome]:
    """What each variant reaches, trained where that is not done."""
    outcomes = [Outcome(each.name, each.config.train.epochs) for each in timed]
    shown = _Shown(request.console, sum(len(of_seed) for of_seed in trainings))
    for of_seed in trainings:
        for outcome in outcomes:
            outcome.trained.append([])
        for training, trained in _train(request, store, of_seed, folder, baseline):
            outcomes[training.variant].trained[-1].append(trained)
            shown.say(training, trained)
    return outcomes


def _base(request: Request, store: Store, crossval: bool) -> tuple[Config, list[int]]:
    """The reference's config, and which folds are tested."""
    if crossval:
        config = crossval_config(request, store)
        splits = crossval_splits(store.folds, store.class_table, config.split)
        return config, list(range(len(splits)))
    config = resolved_config(request, store)
    return config, [config.split.test_fold]


def _possible(found: Sequence[Variant], store: Store, console: Console) -> list[Variant]:
    """The variants but those that a network of the user's own is not made for.

    Raises:
        UserError: the reference is one, or one does not fit the budget.
    """
    possible: list[Variant] = []
    for each in found:
        try:
            require_measured(each.config, inputs_of(store), console)
        except FunctionError as error:
            if not possible:
                raise
            console.say(f"Left out: {each.name}. {error}")
            continue
        possible.append(each)
    return possible


def _fitted(
    found: Sequence[Variant], store: Store, baseline: bool
) -> tuple[MemoryPlan, list[Variant]]:
    """The variants reading ahead as the budget allows, and the plan of the largest."""
    plan = partial(plan_crossval, baseline=baseline)
    fits = [fitted(plan, each.config, store) for each in found]
    largest = max((plan for _, plan in fits), key=lambda plan: plan.projected)
    variants = [Variant(each.name, config) for each, (config, _) in zip(found, fits, strict=True)]
    return dataclasses.replace(largest, stage="ablation"), variants


def _train(
    request: Request, store: Store, trainings: Sequence[_Training], folder: Path, baseline: bool
) -> Iterator[tuple[_Training, Trained]]:
    """Train what is not trained; the runs in their order."""
    for training in trainings:
        train, fold = training.config.train, training.config.split.test_fold
        run = default_run(training.config, store.fingerprint)
        name = f"{training.name.replace(' ', '-')}-seed-{train.seed}-fold-{fold}"
        if request.run is not None:
            run = RunFolder(folder / name)
        ensure_evaluated(
            _hushed(request),
            training.config,
            run,
            folder / f"{name}.toml",
            baseline=baseline and training.variant == 0,
        )
        yield training, Trained.read(run)


def _hushed(request: Request) -> Request:
    """For stages that are many: errors only."""
    return dataclasses.replace(request, console=QUIET)


class _Shown:
    """Tells of each run that is there, and how long the rest takes."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._done, self._begun = 0, time.monotonic()

    def say(self, training: _Training, trained: Trained) -> None:
        self._done += 1
        train, fold = training.config.train, training.config.split.test_fold
        left = (time.monotonic() - self._begun) / self._done * (self._total - self._done)
        self._console.say(
            f"{self._done:>3} of {self._total}  {training.name}, seed {train.seed}, fold {fold}: "
            f"{trained.metrics.plain.accuracy:.1%} after {trained.epochs} epochs, "
            f"{format_seconds(trained.seconds)}"
            + (f"; {format_seconds(left)} left" if left else "")
        )
