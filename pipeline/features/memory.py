"""What making a store holds in memory: the buffers of a worker, and the plan of all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from headrace.pipeline.features.catalogue import BATCH_WINDOWS
from headrace.pipeline.memory.machine import total_memory, usable_budget, usable_cores
from headrace.pipeline.memory.measured import known_worker_reserved
from headrace.pipeline.memory.plan import MIB, TYPICAL, MemoryPlan
from headrace.pipeline.workers.cluster import WorkerNeed, has_dashboard
from headrace.stores.errors import BudgetError
from headrace.stores.io.object_client import CLIENT_BYTES
from headrace.stores.manifest import Manifest
from headrace.stores.source.candidates import Candidates
from headrace.stores.text import format_bytes
from headrace.stores.units import in_units

if TYPE_CHECKING:
    from headrace.pipeline.catalogue import Catalogue
    from headrace.pipeline.config.config import Config

RESERVED_MAIN = 150 * MIB
RESERVED_WORKER = 130 * MIB
"""Anonymous memory of the scheduler's process and of a worker before data: measured on
Linux, Python 3.11: 118 and 96 MiB."""
DASHBOARD = 32 * MIB
"""Of Dask's dashboard, which the scheduler serves where Bokeh is installed: 18 MiB, and a page."""
DROPPED_BYTES = 256
"""Of a range of dropped windows: as numbers in the manifest, and as text for a moment."""
PIECES = "decoded pieces of the source (all workers)"
SHARD_BYTES = 256
"""Held of each shard by the process that hands them out: its number, and its record's name."""


@dataclass(frozen=True)
class Making:
    """The making of a store, as far as it takes memory.

    Attributes:
        manifest, catalogue: of the store.
        source: what it is made from; each worker opens its own.
        index_bytes: what the index of folds holds, in every process.
        uploads: shards are written as objects.
    """

    manifest: Manifest
    catalogue: Catalogue | None
    source: Candidates
    index_bytes: int
    uploads: bool = False

    def in_shards_of(self, windows: int) -> Making:
        """The same with shards of so many windows."""
        return replace(self, manifest=self.manifest.model_copy(update={"shard": windows}))

    @property
    def table_bytes(self) -> int:
        """Bytes of what every process holds of source and folds, whatever it works on."""
        dropped = DROPPED_BYTES * len(self.manifest.dropped)
        return self.index_bytes + self.source.table_bytes + dropped


def plan_features(config: Config, making: Making) -> tuple[MemoryPlan, int]:
    """The memory plan, and as many worker processes as fit the budget, but at least one.

    Those of a given scheduler are none of this machine: they are checked against their own limits.

    Args:
        config: `features.workers` (taken as it is, when given) and `memory.budget` of it.
        making: of the store.
    """
    if config.cluster.scheduler:
        return features_plan(config, making, workers=0), 0
    chosen = config.features.workers
    workers = min(chosen or usable_cores(), making.manifest.shards)
    while workers > 1 and not chosen and not features_plan(config, making, workers).fits:
        workers -= 1
    return _with_remedies(config, making, workers), workers


def features_plan(config: Config, making: Making, workers: int) -> MemoryPlan:
    """The memory plan with so many worker processes, without remedies."""
    budget, limit = usable_budget(config.memory.budget), total_memory()
    manifest, source = making.manifest, making.source
    buffers = {}
    if workers:
        each = worker_buffers(making)
        buffers = {f"{name} ({workers} workers)": size * workers for name, size in each.items()}
    if source.fetched_bytes:
        buffers["source read ahead (this process)"] = source.fetched_bytes + CLIENT_BYTES
    buffers["index of folds"] = making.index_bytes * (workers + 1)
    buffers["tables of the source"] = source.table_bytes * (workers + 1)
    buffers["dropped ranges"] = DROPPED_BYTES * len(manifest.dropped) * (workers + 1)
    buffers["lists of shards"] = SHARD_BYTES * manifest.shards
    buffers["tables"] = 2 * manifest.table_bytes
    if not workers:
        # Measured is only what it takes with workers of its own.
        return MemoryPlan("features", RESERVED_MAIN, TYPICAL, buffers, budget, limit)
    buffers["Dask's dashboard"] = DASHBOARD * has_dashboard()
    measured = known_worker_reserved(manifest)
    main, worker = measured or (RESERVED_MAIN, RESERVED_WORKER)
    how = TYPICAL if measured is None else "measured"
    found = MemoryPlan("features", main + workers * worker, how, buffers, budget, limit)
    pieces = 0 if config.cluster.memory_limit else _pieces(source, found, workers)
    return replace(found, buffers=buffers | {PIECES: pieces * workers}) if pieces else found


def _pieces(source: Candidates, plan: MemoryPlan, workers: int) -> int:
    """Bytes of decoded pieces that each worker keeps: three quarters of what the plan leaves.

    A shard takes windows from everywhere, so that a piece which is decoded whole, as a row group
    of Parquet is, is asked for again for nearly every block. It decides no byte of the store.
    """
    left = max(0, plan.budget - plan.projected) * 3 // 4
    return min(left // workers, source.pieces_bytes)


def _with_remedies(config: Config, making: Making, workers: int) -> MemoryPlan:
    """The plan; where it does not fit, with fewer workers or smaller shards that would."""
    found = features_plan(config, making, workers)
    if found.fits:
        return found
    manifest, remedies = making.manifest, []
    if workers > 1 and features_plan(config, making, workers=1).fits:
        remedies.append("features.workers = 1")
    shard, smaller = manifest.shard, making
    while shard > manifest.chunk and not features_plan(config, smaller, workers).fits:
        shard = max(manifest.chunk, shard // 2 // manifest.chunk * manifest.chunk)
        smaller = making.in_shards_of(shard)
    if features_plan(config, smaller, workers).fits:
        remedies.append(f"store.shard_windows = {shard} for a new store")
    least = features_plan(config, making.in_shards_of(manifest.chunk), workers=1)
    return replace(found, remedies=tuple(remedies), floor=least.projected)


def worker_need(making: Making) -> WorkerNeed:
    """What a worker process takes before any data, and each task that runs in it."""
    return WorkerNeed(RESERVED_WORKER, sum(worker_buffers(making).values()) + making.table_bytes)


def require_limit(config: Config, need: WorkerNeed) -> None:
    """Check that the limit that each worker is given, if there is one, will do.

    Raises:
        UserError: it is below what a worker needs.
    """
    limit = config.cluster.memory_limit
    if limit and limit < need.limit(1):
        raise BudgetError(
            f"A worker process needs {format_bytes(need.limit(1))}, above cluster.memory_limit = "
            f"{format_bytes(limit)}. Raise it, or make a new store with a smaller "
            "store.shard_windows."
        )


def worker_buffers(making: Making) -> dict[str, int]:
    """Bytes of each buffer that a worker holds for one shard, by name.

    A file is written chunk by chunk. An object is sent whole, and again if that fails.
    """
    manifest, catalogue = making.manifest, making.catalogue
    arrays = {array.name: array for array in manifest.arrays()}
    rows = min(manifest.shard, manifest.windows)
    window, raw_item = manifest.spec.values, manifest.spec.dtype.itemsize
    source_type = np.dtype(str(manifest.source["dtype"]))
    source_item = source_type.itemsize
    units = in_units(np.empty((0, 0, 1), source_type), (1.0,)).dtype
    batch = min(BATCH_WINDOWS, rows)
    buffers = {
        **_gathered(manifest, rows, source_item),
        # In units, as stored, that in units, and in float64 for the moments.
        "batch in units": batch * window * (2 * units.itemsize + raw_item + 8),
        "chunk being encoded": 3
        * max(each.chunk_rows * each.row_bytes for each in arrays.values()),
        # Of a class a code, which is among the 28.
        "labels and positions": 2 * rows * (28 if not manifest.stretches else 100)
        + 3 * rows * (arrays["label"].row_bytes - 4),
    }
    if making.uploads:
        buffers["shard being sent"] = max(
            min(each.shard_rows, each.rows) * each.row_bytes for each in arrays.values()
        )
        buffers["client of the object store"] = CLIENT_BYTES
    if "features" in arrays:
        buffers["gathered features"] = rows * arrays["features"].row_bytes
    if catalogue is not None:
        buffers["kernel scratch"] = int(catalogue.scratch_bytes(batch, units))
    return buffers | source_buffers(making.source)


def _gathered(manifest: Manifest, rows: int, item: int) -> dict[str, int]:
    """What is read of the source for a shard of `rows` windows, values of `item` bytes."""
    if not manifest.stretches:
        window = manifest.spec.values
        return {
            "gathered windows": rows * window * item,
            "source block": manifest.block * window * max(item, 4),
        }
    stretch = manifest.raw_time * len(manifest.channels)
    # And whether a row was filled.
    gathered = manifest.stretches * (stretch * item + manifest.raw_time)
    return {"gathered stretches": gathered, "source block": stretch * max(item, 4)}


def source_buffers(source: Candidates) -> dict[str, int]:
    """Bytes of what a worker holds of its own handle of the source, by name."""
    buffers = {"source slices": source.buffer_bytes, "source chunk cache": source.chunk_cache_bytes}
    if source.fetched_bytes:
        buffers["source read ahead"] = source.fetched_bytes + CLIENT_BYTES
    return buffers
