"""The verify stage: says whether a store is complete and true, and which rows are not."""

from __future__ import annotations

from typing import Any

from headrace.pipeline.config.functions import code_folder
from headrace.pipeline.features.plan import plan_build
from headrace.pipeline.memory.machine import total_memory, usable_budget
from headrace.pipeline.memory.plan import MIB, TYPICAL, MemoryPlan
from headrace.pipeline.repair.compare_source import compare_with_source
from headrace.pipeline.repair.salvage import store_differences
from headrace.pipeline.request import Request, require_data
from headrace.pipeline.workers.run import ShardJob
from headrace.stores.errors import StoreError
from headrace.stores.source.probe.probe import open_stranger
from headrace.stores.store import Store, open_store
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
    store = open_store(request.store)
    plan = plan_verify(request, store).require_fit()
    request.console.memory_plan("verify", plan)
    with request.console.progress(
        "verify, twice through", 2 * store.windows, _window_bytes(store)
    ) as progress:
        problems = list(verify_store(store, progress.advance))
    if with_source:
        other, plan = _against_source(request, store)
        problems += other
    for problem in problems[:SHOWN]:
        rows = f" (rows {problem.start}..{problem.stop - 1})" if problem.stop else ""
        request.console.say(f"{problem.where} {problem.what}{rows}")
    if problems:
        first = problems[0]
        how = "=source" if any(problem.kind == "rows" for problem in problems) else ""
        raise StoreError(
            f"{store.path} has {counted(len(problems), 'problem')}, the first: {first.where} "
            f"{first.what}. Of {counted(store.manifest.shards, 'shard')} "
            f"{len(damaged_shards(store, problems))} affected; mend with: headrace features "
            f"--repair{how} --store {store.path} and the --data or --config it was made with."
        )
    compared = ", and every row what the source gives" if with_source else ""
    request.console.say(
        f"{store.path} is complete and true: {store.windows:,} windows in "
        f"{counted(store.manifest.shards, 'shard')}, each source window once, every checksum and "
        f"moment right{compared}."
    )
    return {
        "store": str(store.path),
        "windows": store.windows,
        "shards": store.manifest.shards,
        "problems": [],
        "memory": plan.as_table(),
    }


def _against_source(request: Request, store: Store) -> tuple[list[Problem], MemoryPlan]:
    """What is not what the source gives, and the memory plan of finding out."""
    data, console = require_data(request), request.console
    with open_stranger(data, request.config.source) as source:
        state = source.state()
        source.require_state(state)
        planned = plan_build(request.config, source, request.console, target=store.path)
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
        cluster = request.config.cluster
        code = code_folder(request.config) if request.config.features.custom else None
        job = ShardJob(data, state, planned.workers, planned.need, cluster, console, code)
        return compare_with_source(store, planned, job, console), plan


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
