"""The verify stage: says whether a store is complete and true, and which rows are not."""

from __future__ import annotations

from typing import Any

import stores
from pipeline.budget import MIB, MemoryPlan
from pipeline.console import Request
from pipeline.machine import total_memory, usable_budget
from stores.errors import UserError
from stores.store import Store
from stores.verifying import BITMAP_WINDOWS, verify_store

RESERVED = 80 * MIB
"""Anonymous memory of the interpreter and NumPy: measured 38 MiB, the buffers of a small store
among them."""
SHOWN = 20


def run_verify(request: Request) -> dict[str, Any]:
    """Check `request.store`.

    Returns:
        store, windows, shards, problems: always none, as a problem is an error.

    Raises:
        UserError: the store is damaged; names the first problems and the rows they affect.
    """
    store = stores.open(request.store)
    plan = plan_verify(request, store).require_fit()
    request.console.memory_plan("verify", plan.lines())
    with request.console.progress("verify", 2 * store.windows, _window_bytes(store)) as progress:
        problems = list(verify_store(store, progress.advance))
    if problems:
        for problem in problems[:SHOWN]:
            rows = f" (rows {problem.start}..{problem.stop - 1})" if problem.stop else ""
            request.console.say(f"{problem.where} {problem.what}{rows}")
        first = problems[0]
        raise UserError(
            f"{store.path} has {len(problems)} problems, the first: {first.where} {first.what}. "
            "Delete the store and make it anew with: headrace features."
        )
    request.console.say(
        f"{store.path} is complete and true: {store.windows:,} windows in "
        f"{store.manifest.shards} shards, each source window once, every checksum and moment right."
    )
    return {
        "store": str(store.path),
        "windows": store.windows,
        "shards": store.manifest.shards,
        "problems": [],
        "memory": plan.as_table(),
    }


def plan_verify(request: Request, store: Store) -> MemoryPlan:
    """The memory plan of verifying `store`."""
    rows = min(store.shard_windows, store.windows)
    wide = 8 * (store.time * len(store.channels) + len(store.feature_names))
    buffers = {
        "bitmap of windows": 2 * min(int(store.manifest.source["windows"]), BITMAP_WINDOWS),
        "rows being checked": 4 * 256 * wide + 6 * store.chunk_windows * wide,
        "positions": 24 * rows,
        "tables": 2 * store.manifest.table_bytes,
    }
    budget = usable_budget(request.config.memory.budget)
    return MemoryPlan(
        "verify", RESERVED, "typical of this version", buffers, budget, total_memory()
    )


def _window_bytes(store: Store) -> int:
    return store.manifest.arrays()[0].row_bytes
