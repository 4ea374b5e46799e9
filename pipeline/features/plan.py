"""What a store will be and what making it will take, decided before any data is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from headrace.pipeline.config.config import Config
from headrace.pipeline.console import QUIET, Console
from headrace.pipeline.features.task import (
    BATCH_WINDOWS,
    catalogue_of,
    make_catalogue,
    writer_versions,
)
from headrace.pipeline.memory.machine import total_memory, usable_budget, usable_cores
from headrace.pipeline.memory.measured import known_worker_reserved
from headrace.pipeline.memory.plan import MIB, TYPICAL, MemoryPlan
from headrace.pipeline.workers.cluster import WorkerNeed
from headrace.stores.errors import BudgetError
from headrace.stores.io.object_client import CLIENT_BYTES
from headrace.stores.io.places import Place, storage_of
from headrace.stores.layout.fold_index import FoldIndex
from headrace.stores.layout.layout import make_geometry
from headrace.stores.layout.survey import Survey, survey_source
from headrace.stores.manifest import Manifest
from headrace.stores.source.source import Source
from headrace.stores.spec import WindowSpec
from headrace.stores.text import format_bytes
from headrace.stores.units import in_units

if TYPE_CHECKING:
    from headrace.pipeline.catalogue import Catalogue

RESERVED_MAIN = 150 * MIB
RESERVED_WORKER = 130 * MIB
"""Anonymous memory of the scheduler's process and of a worker before data: measured on
Linux, Python 3.11: 118 and 96 MiB."""

DASHBOARD = 32 * MIB
"""Of Dask's dashboard, which the scheduler serves where Bokeh is installed: 18 MiB, and a page."""
DROPPED_BYTES = 256
"""Of a range of dropped windows: as numbers in the manifest, and as text for a moment."""
SHARD_BYTES = 256
"""Held of each shard by the process that hands them out: its number, and its record's name."""


def plan_store(
    config: Config,
    source: Source,
    draft: Manifest | None = None,
    console: Console = QUIET,
) -> tuple[Manifest, Survey]:
    """Everything about the store of `source` that is decided before data is read.

    Args:
        config, source: of the store.
        draft: `draft_store` of them, if it is there already: it reads the tables of the source.
        console: where progress is shown, if every window is looked at for NaN.

    Raises:
        UserError: the configuration does not suit the source.
    """
    draft, folds = draft or draft_store(config, source), config.folds
    looking = console if source.options.non_finite == "drop" else QUIET
    window = draft.arrays()[0].row_bytes
    with looking.progress("looking for NaN", source.windows, window) as progress:
        survey = survey_source(
            source, folds.count, folds.by, folds.test_groups, draft.block, progress.advance
        )
    manifest = draft.model_copy(
        update={
            "windows": survey.folds[-1].stop,
            "folds": survey.folds,
            "dropped": tuple((int(low), int(high)) for low, high in survey.dropped),
        }
    )
    return manifest, survey


@dataclass(frozen=True)
class PlannedBuild:
    """A store that is to be made, and what making it takes.

    Attributes:
        manifest, index: of the store.
        memory: the plan, which fits.
        workers: processes.
        need: what each of them takes.
    """

    manifest: Manifest
    index: FoldIndex
    memory: MemoryPlan
    workers: int
    need: WorkerNeed


def plan_build(
    config: Config, source: Source, console: Console, uploads: bool = False
) -> PlannedBuild:
    """Plan the store of `source`, refusing what does not fit as early as possible.

    Args:
        config, source: of the store.
        console: where progress is shown.
        uploads: shards are written as objects.

    Raises:
        UserError: the configuration does not suit the source or the memory.
    """
    draft = draft_store(config, source)
    if source.options.non_finite == "drop":  # The survey will look at every window.
        plan_features(config, draft, catalogue_of(draft), source, 0, uploads)[0].require_fit()
    manifest, survey = plan_store(config, source, draft, console)
    index = survey.index
    catalogue = catalogue_of(manifest)
    memory, workers = plan_features(config, manifest, catalogue, source, index.nbytes, uploads)
    need = worker_need(manifest, catalogue, source, index.nbytes, uploads)
    limit = config.cluster.memory_limit
    if limit and limit < need.limit(1):
        raise BudgetError(
            f"A worker process needs {format_bytes(need.limit(1))}, above cluster.memory_limit = "
            f"{format_bytes(limit)}. Raise it, or make a new store with a smaller "
            "store.shard_windows."
        )
    return PlannedBuild(manifest, index, memory.require_fit(), workers, need)


def worker_need(
    manifest: Manifest,
    catalogue: Catalogue | None,
    source: Source,
    index_bytes: int,
    uploads: bool = False,
) -> WorkerNeed:
    """What a worker process takes before any data, and each task that runs in it."""
    each = worker_buffers(manifest, catalogue, uploads) | source_buffers(source)
    tables = index_bytes + source.table_bytes + DROPPED_BYTES * len(manifest.dropped)
    return WorkerNeed(RESERVED_WORKER, sum(each.values()) + tables)


def source_buffers(source: Source) -> dict[str, int]:
    """Bytes of what a worker holds of its own handle of the source, by name."""
    buffers = {"source slices": source.buffer_bytes, "HDF5 chunk cache": source.chunk_cache_bytes}
    if source.fetched_bytes:
        buffers["source read ahead"] = source.fetched_bytes + CLIENT_BYTES
    return buffers


def draft_store(config: Config, source: Source) -> Manifest:
    """The manifest without folds, before labels are surveyed: enough to plan memory with.

    Raises:
        UserError: the configuration does not suit the source.
    """
    options = config.store
    spec = _stored_spec(source, config)
    catalogue = make_catalogue(config.features.model_dump(), spec.channels, spec.rate_hz, spec.time)
    geometry = make_geometry(
        spec.stored_bytes,
        options.chunk_windows,
        options.shard_windows,
        options.block_windows,
        widest=0 if catalogue is None else 4 * len(catalogue.names),
    )
    return Manifest(
        source={
            "fingerprint": source.fingerprint(),
            "layout": source.layout,
            "windows": source.windows,
            "dtype": source.spec.dtype.name,
        },
        config=config.store_keys(),
        writers=writer_versions(),
        windows=source.windows,
        time=spec.time,
        channels=spec.channels,
        units=spec.units,
        rate_hz=spec.rate_hz,
        raw_dtype=spec.dtype.name,
        channel_scale=spec.scale,
        features=() if catalogue is None else catalogue.names,
        classes=source.classes,
        groups=tuple(str(name) for name in source.groups),
        grouped=source.grouped,
        located=source.layout == "recordings",
        folds=(),
        chunk=geometry.chunk,
        shard=geometry.shard,
        block=geometry.block,
        compressor=options.compressor,
        level=options.level,
        dropped=(),
    )


def plan_features(
    config: Config,
    manifest: Manifest,
    catalogue: Catalogue | None,
    source: Source,
    index_bytes: int,
    uploads: bool = False,
) -> tuple[MemoryPlan, int]:
    """The memory plan, and as many worker processes as fit the budget, but at least one.

    Args:
        config: `features.workers` (taken as it is, when given) and `memory.budget` of it.
        manifest, catalogue: of the store that is to be made.
        source: what it is made from; each worker opens its own.
        index_bytes: what the index of folds holds, in every process.
        uploads: shards are written as objects.
    """
    budget, limit = usable_budget(config.memory.budget), total_memory()
    chosen = config.features.workers

    measured = known_worker_reserved(manifest)
    main, worker = measured or (RESERVED_MAIN, RESERVED_WORKER)
    how = TYPICAL if measured is None else "measured"

    def plan(workers: int, shard: int) -> MemoryPlan:
        smaller = manifest.model_copy(update={"shard": shard})
        each = worker_buffers(smaller, catalogue, uploads) | source_buffers(source)
        buffers = {}
        if workers:
            buffers = {f"{name} ({workers} workers)": size * workers for name, size in each.items()}
        if source.fetched_bytes:
            buffers["source read ahead (this process)"] = source.fetched_bytes + CLIENT_BYTES
        buffers["index of folds"] = index_bytes * (workers + 1)
        buffers["tables of the source"] = source.table_bytes * (workers + 1)
        buffers["dropped ranges"] = DROPPED_BYTES * len(manifest.dropped) * (workers + 1)
        buffers["lists of shards"] = SHARD_BYTES * manifest.shards
        buffers["tables"] = 2 * manifest.table_bytes
        if not workers:
            # Measured is only what it takes with workers of its own.
            return MemoryPlan("features", RESERVED_MAIN, TYPICAL, buffers, budget, limit)
        buffers["Dask's dashboard"] = DASHBOARD * has_dashboard()
        reserved = main + workers * worker
        return MemoryPlan("features", reserved, how, buffers, budget, limit)

    # Those of a cluster are checked against their own limits.
    workers = 0 if config.cluster.scheduler else min(chosen or usable_cores(), manifest.shards)
    while workers > 1 and not chosen and not plan(workers, manifest.shard).fits:
        workers -= 1
    found = plan(workers, manifest.shard)
    if found.fits or not workers:
        return found, workers
    remedies = []
    if workers > 1 and plan(1, manifest.shard).fits:
        remedies.append("features.workers = 1")
    shard = manifest.shard
    while shard > manifest.chunk and not plan(workers, shard).fits:
        shard = max(manifest.chunk, shard // 2 // manifest.chunk * manifest.chunk)
    if plan(workers, shard).fits:
        remedies.append(f"store.shard_windows = {shard} for a new store")
    floor = plan(1, manifest.chunk).projected
    return replace(found, remedies=tuple(remedies), floor=floor), workers


def worker_buffers(
    manifest: Manifest, catalogue: Catalogue | None, uploads: bool = False
) -> dict[str, int]:
    """Bytes of each buffer that a worker holds for one shard, by name.

    A file is written chunk by chunk. An object is sent whole, and again if that fails.
    """
    arrays = {array.name: array for array in manifest.arrays()}
    rows = min(manifest.shard, manifest.windows)
    window, raw_item = manifest.spec.values, manifest.spec.dtype.itemsize
    source_type = np.dtype(str(manifest.source["dtype"]))
    source_item = source_type.itemsize
    units = in_units(np.empty((0, 0, 1), source_type), (1.0,)).dtype
    batch = min(BATCH_WINDOWS, rows)
    buffers = {
        "gathered windows": rows * window * source_item,
        "source block": manifest.block * window * max(source_item, 4),
        # In units, as stored, that in units, and in float64 for the moments.
        "batch in units": batch * window * (2 * units.itemsize + raw_item + 8),
        "chunk being encoded": 3 * manifest.chunk * arrays["raw"].row_bytes,
        "labels and positions": 2 * rows * 28,
    }
    if uploads:
        buffers["shard being sent"] = max(rows * each.row_bytes for each in arrays.values())
        buffers["client of the object store"] = CLIENT_BYTES
    if catalogue is not None:
        buffers["gathered features"] = rows * arrays["features"].row_bytes
        buffers["kernel scratch"] = int(catalogue.scratch_bytes(batch, units))
    return buffers


def require_disk(target: Place, manifest: Manifest, windows: int) -> None:
    """Refuse a store that the disk may not hold: `windows` more of it, not compressed at all.

    Object stores have no end that can be asked for.

    Raises:
        UserError: names what is needed and what is free.
    """
    needed, free = needed_disk(manifest, windows), storage_of(target).free_bytes()
    if free is not None and needed > free:
        raise BudgetError(
            f"The store may need {format_bytes(needed)} and {target.absolute().parent} has "
            f"{format_bytes(free)} free. Free some, or name a --store on another disk."
        )


def needed_disk(manifest: Manifest, windows: int) -> int:
    """Most bytes that `windows` windows of a store take on disk: as if nothing were compressed."""
    rows = sum(array.row_bytes for array in manifest.arrays())
    return int(1.02 * windows * rows) + (16 << 20)


def has_dashboard() -> bool:
    """Whether Dask will serve its dashboard."""
    return find_spec("bokeh") is not None


def _stored_spec(source: Source, config: Config) -> WindowSpec:
    """Windows as the store holds them."""
    dtype = config.store.raw_dtype
    return source.spec if dtype == "source" else replace(source.spec, dtype=np.dtype(dtype))
