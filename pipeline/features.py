"""The features stage: HDF5 source -> Zarr store, one Dask task per whole shard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.budget import MIB, MemoryPlan
from pipeline.config import Config
from pipeline.console import Console, Request, format_bytes, plan_table
from pipeline.memory import default_budget
from pipeline.shard_task import batch_windows, catalogue_of, extract_shard, make_catalogue
from pipeline.shard_task import source_state
from stores.building import begin_build, build_lock
from stores.errors import UserError
from stores.layout import make_geometry
from stores.manifest import FoldRecord, Manifest, read_manifest
from stores.source import Source, open_source
from stores.survey import Survey, survey_source

if TYPE_CHECKING:
    from distributed import Client

    from pipeline.catalogue import Catalogue

WRITERS = ("h5py", "headrace", "numba", "numcodecs", "numpy", "scipy")
"""Packages whose version may change a byte of the store."""
RESERVED_MAIN = 150 * MIB
RESERVED_WORKER = 130 * MIB
"""Anonymous memory of the scheduler's process and of a worker before data: measured on
Linux, Python 3.11: 118 and 96 MiB."""


def run_features(request: Request) -> dict[str, Any]:
    """Make the store of `request.store` from `request.data`, or what is missing of it.

    Returns:
        store, windows, features, folds, made_shards, and the memory plan.

    Raises:
        UserError: anything in the source or configuration that must change first.
    """
    target, console = request.store, request.console
    if target.exists():
        return _already_complete(target, request, console)
    data = _require_data(request)
    with build_lock(target), open_source(data, request.config.source) as source:
        state = source_state(data)
        survey = _survey(source, request.config)
        manifest = _manifest(request.config, source, survey)
        _describe(console, source, manifest)
        catalogue = catalogue_of(manifest)
        plan, workers = plan_features(request.config, manifest, catalogue, survey.index.nbytes)
        _require_disk(target, manifest)
        plan_table(console, plan, f"Memory plan: features, {workers} worker processes")
        build = begin_build(target, manifest, survey.index)
        missing = sorted(set(range(manifest.shards)) - set(build.finished_shards()))
        if len(missing) < manifest.shards:
            console.say(
                f"Continuing: {manifest.shards - len(missing)} of {manifest.shards} shards stand."
            )
        if missing:
            _run_tasks(data, target, state, missing, manifest, workers, console)
        build.finish()
    console.say(f"Store complete: {target}")
    return _summary(target, manifest) | {"made_shards": len(missing), "memory": plan.as_table()}


def plan_features(
    config: Config, manifest: Manifest, catalogue: Catalogue | None, index_bytes: int
) -> tuple[MemoryPlan, int]:
    """The memory plan, and the worker processes that fit the budget.

    Raises:
        UserError: not even one worker, or the number that was asked for, fits.
    """
    budget = int(config.memory.budget or default_budget())
    worker = worker_buffers(manifest, catalogue)
    asked = config.features.workers or len(os.sched_getaffinity(0))
    wanted = min(asked, manifest.shards)

    def plan(workers: int) -> MemoryPlan:
        buffers = {f"{name} ({workers} workers)": size * workers for name, size in worker.items()}
        buffers["index of folds"] = index_bytes * (workers + 1)
        reserved = RESERVED_MAIN + workers * RESERVED_WORKER
        return MemoryPlan("features", reserved, "typical of this version", buffers, budget)

    least = wanted if config.features.workers else 1
    while wanted > least and not plan(wanted).fits:
        wanted -= 1
    halved = max(manifest.chunk, manifest.shard // 2 // manifest.chunk * manifest.chunk)
    remedies = [f"store.shard_windows = {halved} for a new store"]
    if wanted > 1:
        remedies.insert(0, "features.workers = 1")
    return plan(wanted).require_fit(remedies), wanted


def worker_buffers(manifest: Manifest, catalogue: Catalogue | None) -> dict[str, int]:
    """Bytes of each buffer that a worker holds for one shard, by name."""
    arrays = {array.name: array for array in manifest.arrays()}
    rows = min(manifest.shard, manifest.windows)
    window = manifest.time * len(manifest.channels)
    source_item = np.dtype(str(manifest.source["dtype"])).itemsize
    batch = min(batch_windows(catalogue), rows)
    buffers = {
        "gathered windows": rows * window * source_item,
        "source block": 2 * manifest.block * window * max(source_item, 4),
        "batch in units": 3 * batch * window * max(source_item, 4),
        "chunk being encoded": 3 * manifest.chunk * arrays["raw"].row_bytes,
        "labels and positions": 2 * rows * 28,
    }
    if catalogue is not None:
        buffers["gathered features"] = rows * arrays["features"].row_bytes
        buffers["kernel scratch"] = int(catalogue.scratch_bytes(batch))
    return buffers


def _require_data(request: Request) -> Path:
    if request.data is None:
        raise UserError("No source is named. Name the HDF5 file: --data my.h5, or paths.data.")
    if not request.data.exists():
        raise UserError(
            f"The source {request.data} does not exist. Name the file with --data (make: DATA=), "
            "or fetch the default data set with: make data."
        )
    return request.data


def _survey(source: Source, config: Config) -> Survey:
    geometry = _geometry(source, config)
    folds = config.folds
    return survey_source(source, folds.count, folds.by, folds.test_groups, geometry.block)


def _geometry(source: Source, config: Config) -> Any:
    store = config.store
    stored = np.dtype(_raw_dtype(source, config))
    window_bytes = source.time * len(source.channels) * stored.itemsize
    return make_geometry(
        window_bytes, store.chunk_windows, store.shard_windows, store.block_windows
    )


def _raw_dtype(source: Source, config: Config) -> str:
    return source.dtype.name if config.store.raw_dtype == "source" else config.store.raw_dtype


def _manifest(config: Config, source: Source, survey: Survey) -> Manifest:
    geometry = _geometry(source, config)
    catalogue = make_catalogue(
        config.features.model_dump(), source.channels, source.rate_hz, source.time
    )
    return Manifest(
        source={
            "fingerprint": source.fingerprint(),
            "layout": source.layout,
            "windows": source.windows,
            "dtype": source.dtype.name,
        },
        config=config.store_keys(),
        writers={name: version(name) for name in WRITERS},
        windows=survey.folds[-1].stop,
        time=source.time,
        channels=source.channels,
        units=source.units,
        rate_hz=source.rate_hz,
        raw_dtype=_raw_dtype(source, config),
        channel_scale=tuple(source.channel_scale.tolist()),
        features=() if catalogue is None else catalogue.names,
        classes=source.classes,
        groups=tuple(str(name) for name in source.groups),
        grouped=source.grouped,
        located=source.layout == "recordings",
        folds=tuple(
            FoldRecord(name=f.name, start=f.start, stop=f.stop, groups=f.groups)
            for f in survey.folds
        ),
        chunk=geometry.chunk,
        shard=geometry.shard,
        block=geometry.block,
        compressor=config.store.compressor,
        level=config.store.level,
        dropped=tuple((int(low), int(high)) for low, high in survey.dropped),
    )


def _already_complete(target: Path, request: Request, console: Console) -> dict[str, Any]:
    """The summary of a store that is there already, if it is the one that was asked for.

    A source that is no longer there does not make its store wrong.

    Raises:
        UserError: it was made from another source or configuration.
    """
    manifest = read_manifest(target)
    changed = [
        f"{section}.{key}"
        for section, options in request.config.store_keys().items()
        for key, value in options.items()
        if manifest.config.get(section, {}).get(key) != value
    ]
    if not changed and request.data is not None and request.data.exists():
        with open_source(request.data, request.config.source) as source:
            if manifest.source["fingerprint"] != source.fingerprint():
                changed.append("source: the content differs")
    if changed:
        raise UserError(
            f"{target} was made with another {', '.join(changed[:4])}. Restore that, delete the "
            "store to make it anew, or name another --store."
        )
    console.say(f"Store already complete: {target} ({manifest.windows:,} windows).")
    return _summary(target, manifest) | {"made_shards": 0}


def _summary(target: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "store": str(target),
        "windows": manifest.windows,
        "features": len(manifest.features),
        "classes": list(manifest.classes),
        "groups": len(manifest.groups),
        "folds": len(manifest.folds),
        "shards": manifest.shards,
    }


def _describe(console: Console, source: Source, manifest: Manifest) -> None:
    console.say(
        f"Source {source.path}: {source.windows:,} windows of {manifest.time} x "
        f"{len(manifest.channels)} at {manifest.rate_hz:g} Hz, {len(manifest.classes)} classes, "
        f"{len(manifest.groups)} groups in {len(manifest.folds)} folds."
    )
    console.say(
        f"Store: {manifest.shards} shards of {manifest.shard:,} windows, "
        f"{len(manifest.features)} features."
    )
    if manifest.dropped:
        count = sum(high - low for low, high in manifest.dropped)
        console.say(f"{count:,} windows with NaN or infinity are dropped; the manifest lists them.")
    if not manifest.grouped:
        console.say(
            "Warning: split by window (source.split_by_window): windows of one person or machine "
            "stand on both sides of a split, so scores come out too high."
        )


def _require_disk(target: Path, manifest: Manifest) -> None:
    rows = sum(array.row_bytes for array in manifest.arrays())
    needed = int(1.02 * manifest.windows * rows) + (16 << 20)
    folder = target.absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    if needed > free:
        raise UserError(
            f"The store may need {format_bytes(needed)} and {folder} has {format_bytes(free)} "
            "free. Free some, or name a --store on another disk."
        )


def _run_tasks(
    data: Path,
    target: Path,
    state: tuple[int, int, int],
    shards: list[int],
    manifest: Manifest,
    workers: int,
    console: Console,
) -> None:
    """Submit the shards through a bounded window: one running and one waiting per worker."""
    from distributed import as_completed

    window_bytes = manifest.arrays()[0].row_bytes
    windows = sum(min(manifest.shard, manifest.windows - s * manifest.shard) for s in shards)
    waiting = iter(shards)
    console.say(f"Starting {workers} worker processes.")
    with (
        _local_client(workers) as client,
        console.progress("features", windows, window_bytes) as progress,
    ):

        def submit(shard: int) -> Any:
            arguments = str(target.absolute()), str(data.absolute()), state, shard
            return client.submit(extract_shard, *arguments, key=f"shard-{shard}", pure=False)

        first = [submit(shard) for _, shard in zip(range(2 * workers), waiting, strict=False)]
        running = as_completed(first, raise_errors=False)
        for future in running:
            record = future.result()
            future.release()
            progress.advance(record["windows"])
            for shard in waiting:
                running.add(submit(shard))
                break


@contextmanager
def _local_client(workers: int) -> Iterator[Client]:
    """A scheduler in this process and worker processes of one thread each, on loopback."""
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.worker.use-file-locking": False,
        "distributed.logging.distributed": "error",
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address=None,
            host="127.0.0.1",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client

