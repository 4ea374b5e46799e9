"""Compares a finished store with its source: every row and feature made anew."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from pipeline.console import Console
from pipeline.shard_check import compare_shard
from pipeline.shard_workers import ShardJob, run_tasks
from pipeline.store_plan import PlannedBuild
from stores.building import begin_build
from stores.store import Store
from stores.verifying import Problem


def compare_with_source(
    store: Store, planned: PlannedBuild, job: ShardJob, console: Console
) -> list[Problem]:
    """Rows, moments and counts of `store` that are not what the source gives.

    Shards that cannot be read are left to their checksums.

    Args:
        store: the finished store.
        planned: the store that its source and configuration give.
        job: the source.
        console: where to show progress.
    """
    manifest = planned.manifest
    exact = store.manifest.writers == manifest.writers
    if not exact:
        console.say("Written by other versions: features are compared to 0.1 %, not to the bit.")
    window = manifest.arrays()[0].row_bytes
    given: tuple[Any, ...] = str(store.path.absolute()), exact
    found: list[Problem] = []
    # Where all machines of a cluster see it.
    beside = store.path.parent if job.cluster.scheduler else None
    with (
        tempfile.TemporaryDirectory(prefix="headrace-", dir=beside) as folder,
        console.progress("verify, source", store.windows, window) as progress,
    ):
        # Workers find there how the rows are laid out; nothing is written into it.
        target = Path(folder) / "compared.zarr"
        begin_build(target, manifest, planned.index)
        tasks = run_tasks(
            compare_shard, "compare-shard", target, job, range(manifest.shards), *given
        )
        for _, (rows, wrong) in tasks:
            found += [Problem(name, what, start, stop, "rows") for name, what, start, stop in wrong]
            progress.advance(rows)
    return sorted(found, key=lambda problem: (problem.start, problem.where))
