"""The evaluate stage: scores a complete run on its test folds, with and without views."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.pipeline.config.config import Config, digest
from headrace.pipeline.evaluation.memory import plan_evaluate
from headrace.pipeline.evaluation.metrics import TITLES, Metrics, read_metrics, write_metrics
from headrace.pipeline.evaluation.new_source import names_new_source, score_new_source
from headrace.pipeline.memory.fit import fitted
from headrace.pipeline.memory.record import read_record, record_of
from headrace.pipeline.request import open_requested
from headrace.pipeline.rows.split import Split
from headrace.pipeline.runs.folder import RunFolder, only_writer, sweep
from headrace.pipeline.runs.inputs import inputs_of
from headrace.pipeline.runs.measure import require_measured
from headrace.pipeline.runs.parts import say_added, store_of_run
from headrace.pipeline.runs.record import recorded_split
from headrace.pipeline.runs.resolve import evaluation_config, newest_run, with_threads
from headrace.pipeline.tensorflow_setup import set_up_tensorflow
from headrace.stores.errors import CommandError, RunError

if TYPE_CHECKING:
    from headrace.pipeline.console import Console
    from headrace.pipeline.memory.plan import MemoryPlan
    from headrace.pipeline.memory.watch import MemoryUse
    from headrace.pipeline.request import Request
    from headrace.stores import Store


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is evaluated: a complete run, on the test folds of its own store."""

    run: RunFolder
    config: Config
    store: Store
    split: Split


def run_evaluate(
    request: Request, baseline: bool = False, output: Path | None = None
) -> dict[str, Any]:
    """Score the run that `request` names or implies, and write metrics, figures and report.

    Nothing is done again when neither the model nor `evaluate.*` has changed. If `request.data`
    is a source that the run did not see, that is scored and reported instead.

    Args:
        request: `run` is the run folder; without one, the config and the store imply it.
        baseline: score the classic baseline on the same windows too.
        output: the report on another source; refused for the run's own.

    Returns:
        JSON-able: the run's and the report's path, `plain` and `tta` (and `baseline`), each with
        accuracy, macro_f1 and balanced_accuracy. Of another source: as `score_new_source`.

    Raises:
        UserError: there is no such run, it is incomplete, or the store is not its own.
    """
    if names_new_source(request):
        return score_new_source(request, baseline, output)
    if output is not None:
        raise CommandError(
            "--output plays no part in scoring a run's own test folds, whose report is in the "
            "run's folder. Leave it out, or name a source that the run did not see with --data."
        )
    evaluation = _find(request)
    run, wanted = evaluation.run, _digest(evaluation)
    metrics = _known_metrics(run, wanted)
    if metrics is not None and run.report.is_file() and (not baseline or metrics.baseline):
        request.console.say(f"{run.path} is evaluated already: nothing has changed since.")
        return _finish(request, run, metrics)
    store = evaluation.store
    require_measured(evaluation.config, inputs_of(store), request.console)
    config, plan = fitted(partial(plan_evaluate, baseline=baseline), evaluation.config, store)
    plan.require_fit()
    store = store.with_index_cache(config.stream.index_cache)
    evaluation = dataclasses.replace(evaluation, config=config, store=store)
    request.console.memory_plan("evaluate", plan)
    with only_writer(run):
        sweep(run)
        metrics = _score(evaluation, metrics, wanted, baseline, request.console)
        _write_results(evaluation, metrics, plan, request.memory)
    return _finish(request, run, metrics) | {"memory": plan.as_table()}


def _find(request: Request) -> Evaluation:
    if request.run is not None:
        run = RunFolder(request.run)
        config = evaluation_config(run, request.config)
    else:
        run, config, _ = newest_run(request, open_requested(request))
        config = with_threads(run, config)
    if not run.complete:
        state = "is not trained to its end" if run.config.is_file() else "does not exist"
        raise RunError(
            f"The run {run.path} {state}. Train first: headrace train, with the same options "
            "and from the same folder; or name its folder with --run."
        )
    store = store_of_run(run, config, request.store)
    say_added(store, run, request.console)
    return Evaluation(run, config, store, recorded_split(run))


def _score(
    evaluation: Evaluation, known: Metrics | None, wanted: str, baseline: bool, console: Console
) -> Metrics:
    """Add what is not known."""
    run, store, config = evaluation.run, evaluation.store, evaluation.config
    set_up_tensorflow(config.train)
    # Here, not above: `plan` and `crossval` import this module and must stay without TensorFlow.
    from headrace.pipeline.evaluation.scoring import score_baseline, score_run
    from headrace.pipeline.stream.graph import store_errors

    if known is None:
        with store_errors():
            known = score_run(run, store, evaluation.split, config, wanted, console)
    if baseline and known.baseline is None:
        trees = score_baseline(store, evaluation.split, config, console)
        known = known.model_copy(update={"baseline": trees})
    return known


def _write_results(
    evaluation: Evaluation, metrics: Metrics, plan: MemoryPlan, use: MemoryUse | None
) -> None:
    """Write figures and report, and last the metrics: their presence says that all is there."""
    from headrace.pipeline.evaluation.report import Shown, mistaken_windows, write_report

    run = evaluation.run
    trained = read_record(run.path, "train")
    held = [] if trained is None else [trained]
    if use is not None:
        held.append(record_of("evaluate", plan.budget, plan.projected, use))
    signals = mistaken_windows(evaluation.store, evaluation.split, metrics.tta.mistakes)
    windows = sum(
        fold.windows for fold in evaluation.store.folds if fold.name in evaluation.split.train
    )
    shown = Shown(held, signals, windows)
    write_report(run, evaluation.config, metrics, shown)
    write_metrics(run, metrics)


def _digest(evaluation: Evaluation) -> str:
    model = hashlib.sha256(evaluation.run.model.read_bytes()).hexdigest()
    return digest({"model": model, "evaluate": evaluation.config.evaluate.model_dump(mode="json")})


def _known_metrics(run: RunFolder, wanted: str) -> Metrics | None:
    """The metrics on disk, if they are of this very evaluation; damaged, they are none."""
    try:
        found = read_metrics(run)
    except RunError:
        return None
    return found if found.digest == wanted else None


def _finish(request: Request, run: RunFolder, metrics: Metrics) -> dict[str, Any]:
    """Print the scores and where the report is; give both back."""
    found = metrics.scores()
    request.console.table(
        f"Test folds, {metrics.plain.windows:,} windows",
        ("", "accuracy", "macro-F1", "balanced accuracy"),
        [(TITLES[name], *score.texts()) for name, score in found.items()],
    )
    if metrics.plain.intervals:
        request.console.say(
            "In brackets: where 95 % of scores lie when whole groups are drawn anew (bootstrap)."
        )
    for note in metrics.notes:
        request.console.say(note)
    request.console.say(f"Report: {run.report}")
    return {
        "run": str(run.path),
        "report": str(run.report),
        **{name: score.headlines() for name, score in found.items()},
    }
