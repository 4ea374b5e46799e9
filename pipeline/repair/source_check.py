"""Compares a finished store with its source: every row and feature made anew."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace.pipeline.console import Console
from headrace.pipeline.features.plan import PlannedBuild
from headrace.pipeline.repair.shard_check import compare_shard
from headrace.pipeline.workers.run import ShardJob, run_tasks
from headrace.stores.build.build import begin_build, discard_build
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.places import Place
from headrace.stores.store import Store
from headrace.stores.verify import Problem


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
    given: tuple[Any, ...] = store.path.absolute(), exact
    found: list[Problem] = []
    with (
        _scratch(store.path, bool(job.cluster.scheduler)) as target,
        console.progress("verify, source", store.windows, window) as progress,
    ):
        # Workers find there how the rows are laid out; nothing is written into it.
        begin_build(target, manifest, planned.index)
        tasks = run_tasks(
            compare_shard, "compare-shard", target, job, range(manifest.shards), *given
        )
        for _, (rows, wrong) in tasks:
            found += [Problem(name, what, start, stop, "rows") for name, what, start, stop in wrong]
            progress.advance(rows)
    return sorted(found, key=lambda problem: (problem.start, problem.where))


@contextmanager
def _scratch(store: Place, seen_by_all: bool) -> Iterator[Place]:
    """A name for a build that is never finished: beside the store, where all machines see it."""
    if seen_by_all and isinstance(store, ObjectPath):
        target = store.with_name(f"headrace-{uuid.uuid4().hex}")
        try:
            yield target
        finally:
            discard_build(target)
        return
    beside = store.parent if seen_by_all and isinstance(store, Path) else None
    with tempfile.TemporaryDirectory(prefix="headrace-", dir=beside) as folder:
        yield Path(folder) / "compared.zarr"
