"""The plan command: what every stage will hold in memory, before any of them starts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.commands.measure import measure_worker_reserved
from headrace.pipeline.config.config import Config
from headrace.pipeline.evaluation.memory import plan_evaluate
from headrace.pipeline.experiments.memory import plan_crossval
from headrace.pipeline.features.disk import needed_disk
from headrace.pipeline.features.forms import forms_of
from headrace.pipeline.features.memory import Making, plan_features
from headrace.pipeline.features.notes import notes_table, say_notes
from headrace.pipeline.features.plan import draft_store, plan_store
from headrace.pipeline.features.raw_form import is_of_windows
from headrace.pipeline.features.reading import LARGE, read_amplification
from headrace.pipeline.features.scale import scale_of
from headrace.pipeline.memory.fit import StagePlan, fitted
from headrace.pipeline.memory.machine import usable_cores
from headrace.pipeline.memory.measured import known_rate
from headrace.pipeline.memory.plan import MemoryPlan
from headrace.pipeline.request import Request, open_requested
from headrace.pipeline.rows.order import buffer_chunks, training_order
from headrace.pipeline.rows.quality import POOR, expected_group_entropy
from headrace.pipeline.rows.split import choose_split
from headrace.pipeline.runs.inputs import inputs_of
from headrace.pipeline.runs.measure import measure_reserved, require_measured
from headrace.pipeline.runs.resolve import resolved_config
from headrace.pipeline.training.memory import plan_train
from headrace.stores import Store
from headrace.stores.build.build import layout_of
from headrace.stores.build.site import site_of
from headrace.stores.errors import BudgetError, CommandError, UserError
from headrace.stores.io.places import storage_of
from headrace.stores.layout.survey import FoldReader
from headrace.stores.parts.part import StorePart
from headrace.stores.source.files.located import source_exists
from headrace.stores.source.probe.probe import open_stranger
from headrace.stores.text import format_bytes


def run_plan(
    request: Request,
    baseline: bool = False,
    measure: bool = False,
    workers: int | None = None,
    windows: int | None = None,
) -> dict[str, Any]:
    """Print the memory plan of each stage; neither source windows nor the store are read.

    But with `source.non_finite = "drop"` every window of the source is: folds depend on them.

    Where there is no store yet, it is planned from the source: groups and labels are counted.

    Args:
        request: as for the stages themselves.
        baseline: evaluate and crossval score the classic baseline too.
        measure: run the stages' code on noise first, and keep what it takes for all later plans.
        workers, windows: say what making a store of so many windows takes so many workers.

    Returns:
        stages: name -> the plan's lines in bytes; `shuffle_quality`, 1 for batches that mix groups
        like independent draws; `scale`, if asked. Unless the store stands: `notes` of the source,
        `label_rule`, what it keeps of each class, `needed_disk`, `free_disk`, and
        `read_amplification`, bytes read of the source for a byte of windows; and `forms`, bytes
        and mixing of stretches and of windows, where windows overlap.

    Raises:
        UserError: a stage does not fit the budget; all plans are printed first.
    """
    store, classes, plans, summary = _store(request, measure)
    config = resolved_config(request, store)
    if measure:
        request.console.say("Measuring what TensorFlow and this network take, some 30 seconds.")
        measure_reserved(config, inputs_of(store))
    require_measured(config, inputs_of(store), request.console)
    network_stages: dict[str, StagePlan] = {
        "train": plan_train,
        "evaluate": partial(plan_evaluate, baseline=baseline),
        "crossval": partial(plan_crossval, baseline=baseline),
    }
    plans |= {name: fitted(plan, config, store)[1] for name, plan in network_stages.items()}
    for name, plan in plans.items():
        request.console.memory_plan(name, plan, whole=True)
    train = choose_split(store.folds, classes, config.split).train
    quality = _shuffle_quality(request, store, train, config, summary.get("forms", {}))
    _require_all(list(plans.values()))
    worst = max(plans.values(), key=lambda plan: plan.projected)
    request.console.say(
        f"Every stage fits the budget of {format_bytes(worst.budget)}; the most is "
        f"{format_bytes(worst.projected)}, for {worst.stage}."
    )
    if workers or windows:
        manifest = store.manifest
        count = windows or store.windows
        scale = scale_of(manifest, count, workers or usable_cores(), known_rate(manifest))
        request.console.say(scale.said())
        summary |= {"scale": scale.as_table()}
    stages = {name: plan.as_table() for name, plan in plans.items()}
    return summary | {"shuffle_quality": quality, "stages": stages}


def _require_all(plans: Sequence[MemoryPlan]) -> None:
    """Check that every stage fits.

    Raises:
        UserError: as `MemoryPlan.require_fit` of the first that does not; names the others.
    """
    large = [plan for plan in plans if not plan.fits]
    if not large:
        return
    try:
        large[0].require_fit()
    except UserError as error:
        others = [f"{plan.stage} needs {format_bytes(plan.projected)}" for plan in large[1:]]
        raise BudgetError(f"{error} {', '.join(others)} too." if others else str(error)) from error


def _shuffle_quality(
    request: Request, store: Store, train: Sequence[str], config: Config, forms: dict[str, Any]
) -> float:
    """Say how well batches will mix groups, and how they would mix them well."""

    def quality(chunks: int) -> float:
        order = training_order(store, train, with_buffer(config, chunks))
        stretch = store.manifest.stretch
        return expected_group_entropy(order, store.part_folds, config.train.batch, stretch)

    chunks = own = buffer_chunks(config.stream, store.manifest.stretch)
    known = [form["groups"] for form in forms.values() if form["chosen"]]
    found = known[0] if known else quality(chunks)
    share = f"{100 * min(found, 1):.1f} %"
    said = f"A batch will mix groups {share} as well as independent draws of windows"
    if found >= POOR:
        request.console.say(f"{said}.")
        return found
    pieces = training_order(store, train, config).pieces
    while chunks < pieces and (chunks == own or quality(chunks) < POOR):
        chunks *= 2
    ways = [f"stream.buffer_chunks = {chunks} for a new run"] if quality(chunks) >= POOR else []
    if store.manifest.config["folds"]["by"] == "group":
        ways.append('folds.by = "balance" for a new store, whose chunks hold several groups each')
    request.console.say(f"Warning: {said}." + (f" Set {'; or '.join(ways)}." if ways else ""))
    return found


def with_buffer(config: Config, chunks: int) -> Config:
    """`config` with buffers of so many chunks."""
    return config.changed("stream", buffer_chunks=chunks)


def _store(
    request: Request, measure: bool
) -> tuple[Store, NDArray[np.int64], dict[str, MemoryPlan], dict[str, Any]]:
    """The store, as it stands or as it will be, its table of classes, and the plan of making it."""
    if site_of(request.store).is_finished():
        store = open_requested(request)
        request.console.say(f"The store {request.store} stands: {store.windows:,} windows.")
        return store, store.class_table, {}, {"store": str(request.store)}
    if request.data is None or not source_exists(request.data):
        raise CommandError(
            f"There is neither a store {request.store} nor a source to plan it from. Name "
            "the source's file or folder with --data."
        )
    storage = storage_of(request.store)
    with open_stranger(request.data, request.config.source) as source:
        draft = draft_store(request.config, source, is_of_windows(request.store))
        manifest, survey = plan_store(request.config, source, draft, request.console)
        if measure:
            request.console.say("Measuring what the worker processes take, some 15 seconds.")
            measure_worker_reserved(request.config, manifest)
        index = survey.index.nbytes
        making = Making(manifest, draft.catalogue, source, index, storage.is_remote)
        plan, workers = plan_features(request.config, making)
        fold_of = FoldReader(source, survey.fold_of_group, survey.dropped)
        amplified = read_amplification(source, layout_of(manifest, survey.index), fold_of)
        say_notes(source, manifest, request.console)
        notes = notes_table(source, manifest)
        forms = forms_of(request.config, source, manifest, survey)
    needed = needed_disk(manifest, manifest.windows)
    disk: dict[str, Any] = {"store": str(request.store), "needed_disk": needed} | notes
    disk["read_amplification"] = amplified
    disk["forms"] = {form.name: form.as_table() for form in forms}
    said = ""
    free = storage.free_bytes()
    if free is not None:
        disk["free_disk"] = free
        said = f" of disk; {format_bytes(free)} are free"
    request.console.say(
        f"The store {request.store} is still to be made: {manifest.windows:,} windows in "
        f"{manifest.shards} shards by {workers} worker processes. It may take "
        f"{format_bytes(needed)}{said}."
    )
    request.console.say(
        f"Making it reads {amplified:.1f} bytes of the source for each byte of windows."
        + " A larger store.block_windows reads less, and mixes less." * (amplified >= LARGE)
    )
    for form in forms:
        request.console.say(form.said())
    return Store(StorePart(request.store, manifest)), survey.class_table, {"features": plan}, disk
