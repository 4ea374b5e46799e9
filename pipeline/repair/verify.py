"""The verify stage: says whether a store is complete and true, and which rows are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.pipeline.config.functions import code_folder
from headrace.pipeline.console import Console
from headrace.pipeline.features.grown import config_of_parts, part_made_from, recorded_folds
from headrace.pipeline.features.plan import plan_build
from headrace.pipeline.memory.machine import total_memory, usable_budget
from headrace.pipeline.memory.plan import MIB, TYPICAL, MemoryPlan
from headrace.pipeline.repair.compare_source import compare_with_source
from headrace.pipeline.repair.salvage import store_differences
from headrace.pipeline.request import Request, open_requested, require_data
from headrace.pipeline.workers.run import ShardJob
from headrace.stores.errors import StoreError
from headrace.stores.parts.places import store_of_part
from headrace.stores.source.probe.probe import open_stranger
from headrace.stores.store import Store
from headrace.stores.text import counted, listed
from headrace.stores.verify import BITMAP_WINDOWS, Problem, damaged_shards, verify_store

RESERVED = 80 * MIB
"""Anonymous memory of the interpreter and NumPy: measured 38 MiB, the buffers of a small store
among them."""
SHOWN = 20


def run_verify(request: Request, with_source: bool = False) -> dict[str, Any]:
    """Check `request.store`, and with `with_source` every row against `request.data`.

    Returns:
        store, windows, shards, problems: always none, as a problem is an error.

    Raises:
        UserError: the store is damaged, or not what its source and configuration give; names
            the first problems and the rows they affect.
    """
    store = open_requested(request)
    largest = max(store.each_part(), key=lambda part: plan_verify(request, part).projected)
    plan = plan_verify(request, largest).require_fit()
    request.console.memory_plan("verify", plan)
    found: dict[Store, list[Problem]] = {}
    with request.console.progress(
        "verify, twice through", 2 * store.windows, _window_bytes(store)
    ) as progress:
        for part in store.each_part():
            # Opened anew: what is kept of its indexes goes with it.
            read = part.with_index_cache(None)
            found[part] = list(verify_store(read, progress.advance))
    compared = ""
    if with_source:
        part, other, plan = _against_source(request, list(found))
        found[part] += other
        which = f" of {part.path}" if len(found) > 1 else ""
        compared = f", and every row{which} what the source gives"
    _refuse_problems(found, request.console)
    parts = f" of {counted(len(found), 'part')}" if len(found) > 1 else ""
    request.console.say(
        f"{store.path} is complete and true: {store.windows:,} windows in "
        f"{counted(store.shards, 'shard')}{parts}, each source window once, every checksum and "
        f"moment right{compared}."
    )
    return {
        "store": str(store.path),
        "windows": store.windows,
        "shards": store.shards,
        "parts": len(found),
        "problems": [],
        "memory": plan.as_table(),
    }


def _refuse_problems(found: Mapping[Store, Sequence[Problem]], console: Console) -> None:
    """Show the first problems of each part, and refuse the first part that has one.

    Raises:
        UserError: there are some.
    """
    for part, problems in found.items():
        where = f"{part.path}: " if len(found) > 1 else ""
        for problem in problems[:SHOWN]:
            rows = f" (rows {problem.start}..{problem.stop - 1})" if problem.stop else ""
            console.say(f"{where}{problem.where} {problem.what}{rows}")
    damaged = [part for part, problems in found.items() if problems]
    if damaged:
        store, problems = damaged[0], found[damaged[0]]
        first = problems[0]
        how = "=source" if any(problem.kind == "rows" for problem in problems) else ""
        others = f" Parts with problems: {len(damaged)}." if len(damaged) > 1 else ""
        raise StoreError(
            f"{store.path} has {counted(len(problems), 'problem')}, the first: {first.where} "
            f"{first.what}. Of {counted(store.shards, 'shard')} "
            f"{len(damaged_shards(store, problems))} affected; mend with: headrace features "
            f"--repair{how} --store {store_of_part(store.path)} and the --data or --config it was "
            f"made with.{others}"
        )


def _against_source(
    request: Request, parts: Sequence[Store]
) -> tuple[Store, list[Problem], MemoryPlan]:
    """The part that was made of the source, what is not what that gives, and the memory plan."""
    data, console = require_data(request), request.console
    places = [part.path for part in parts]
    config = config_of_parts(request.config, places)
    with open_stranger(data, config.source) as source:
        state = source.state()
        source.require_state(state)
        made = part_made_from(source, places)
        store = next(part for part in parts if part.path == made)
        known = recorded_folds(store.manifest)
        planned = plan_build(config, source, console, target=store.path, known=known)
        plan = planned.memory
        console.memory_plan("verify, source", plan)
        differing = [
            name
            for name in store_differences(store.manifest, planned.manifest)
            if not name.startswith("version of ")
        ]
        if differing:
            raise StoreError(
                f"{store.path} was made with another {listed(differing)}, or its manifest "
                "was changed. Name its own source and configuration, or delete the store to make "
                "it anew."
            )
        cluster, code = config.cluster, code_folder(config) if config.features.custom else None
        job = ShardJob(data, state, planned.workers, planned.need, cluster, console, code)
        return store, compare_with_source(store, planned, job, console), plan


def plan_verify(request: Request, store: Store) -> MemoryPlan:
    """The memory plan of verifying `store`."""
    rows = min(store.shard_windows, store.windows)
    wide = 8 * (store.spec.values + len(store.feature_names))
    buffers = {
        "bitmap of windows": 2 * min(int(store.manifest.source["windows"]), BITMAP_WINDOWS),
        "rows being checked": 4 * 256 * wide + 6 * store.chunk_windows * wide,
        "positions": 24 * rows,
        "tables": 2 * store.manifest.table_bytes,
        "indexes of shards": store.index_bytes,
        **store.request_buffers,
    }
    budget = usable_budget(request.config.memory.budget)
    return MemoryPlan("verify", RESERVED, TYPICAL, buffers, budget, total_memory())


def _window_bytes(store: Store) -> int:
    return store.manifest.spec.stored_bytes
