"""The features stage: HDF5 source -> Zarr store, one Dask task per whole shard."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.catalogue.kernel_cache import kernels_are_cached
from pipeline.catalogue.warm import compile_in_child
from pipeline.console import Console, Request
from pipeline.repair import Trusted, find_sound
from pipeline.shard_task import source_state, try_shard
from pipeline.shard_workers import ShardJob, run_tasks
from pipeline.store_plan import plan_build, require_disk
from stores.building import Build, begin_build, build_lock, discard_build, partial_folder
from stores.errors import SourceContentError, UserError
from stores.manifest import Manifest, read_manifest
from stores.source import Source
from stores.source_probe import open_stranger


def run_features(request: Request, repair: Trusted | None = None) -> dict[str, Any]:
    """Make the store of `request.store` from `request.data`, or what is missing of it.

    Args:
        request: names both.
        repair: mend the store that stands there: make those shards anew that its "checksums"
            call damaged, or that differ from the "source".

    Returns:
        store, windows, features, folds, made_shards, and the memory plan.

    Raises:
        UserError: anything in the source or configuration that must change first.
    """
    target, console = request.store, request.console
    if target.is_file():
        raise UserError(f"{target} is a file. A store is a folder: name another --store.")
    if repair:
        target = target.resolve()  # Of a link, what it leads to is mended.
    if repair and not _stands(target):
        if not partial_folder(target).exists():
            raise UserError(f"There is no store {target} to mend. Make it: leave out --repair.")
        repair = None  # A mending was interrupted between the old store's name and the new one's.
    if not repair and _stands(target):
        return _already_complete(target, request, console)
    data = require_data(request)
    with build_lock(target), open_stranger(data, request.config.source) as source:
        if not repair and _stands(target):  # Another process made it while this one began.
            return _already_complete(target, request, console)
        state = source_state(data)
        planned = plan_build(request.config, source)
        manifest, plan = planned.manifest, planned.memory
        _describe(console, source, manifest)
        console.memory_plan(f"features, {planned.workers} worker processes", plan.lines())
        job, salvage = ShardJob(data, state, planned.workers), None
        if repair:
            salvage = find_sound(target, planned, job, repair, console)
            # What an interrupted mending left may share files that are damaged by now.
            discard_build(target)
            if salvage is None:
                return _summary(target, manifest) | {"made_shards": 0, "memory": plan.as_table()}
        finished = {
            *Build(target, manifest).finished_shards(),
            *(salvage.shards if salvage else ()),
        }
        missing = sorted(set(range(manifest.shards)) - finished)
        require_disk(target, manifest, min(manifest.windows, len(missing) * manifest.shard))
        build = begin_build(target, manifest, planned.index)
        if salvage:
            salvage.adopt(build)
        missing = sorted(set(range(manifest.shards)) - set(build.finished_shards()))
        if len(missing) < manifest.shards:
            console.say(
                f"Continuing: {manifest.shards - len(missing)} of {manifest.shards} shards stand."
            )
        if missing:
            try:
                _make_missing(build, job, missing, console)
            except SourceContentError:
                discard_build(target)
                raise
        build.finish(replaces=salvage is not None)
    console.say(f"Store complete: {target}")
    return _summary(target, manifest) | {"made_shards": len(missing), "memory": plan.as_table()}


def _stands(target: Path) -> bool:
    return target.exists() and any(target.iterdir())


def _make_missing(build: Build, job: ShardJob, shards: list[int], console: Console) -> None:
    if build.manifest.features and not kernels_are_cached():
        console.say("Compiling the feature kernels, once: some ten seconds.")
        compile_in_child()
    console.say(f"Starting {job.workers} worker processes.")
    rows, window = build.manifest.shard, build.manifest.arrays()[0].row_bytes
    windows = sum(min(rows, build.manifest.windows - shard * rows) for shard in shards)
    with console.progress("features", windows, window) as progress:
        for record in run_tasks(try_shard, build.target, job, shards):
            progress.advance(record["windows"])


def require_data(request: Request) -> Path:
    """The source that a request names.

    Raises:
        UserError: none is named, or it is not there.
    """
    if request.data is None:
        raise UserError("No source is named. Name the HDF5 file: --data my.h5, or paths.data.")
    if not request.data.exists():
        raise UserError(
            f"The source {request.data} does not exist. Name the file with --data (make: DATA=), "
            "or fetch the default data set with: make data."
        )
    return request.data


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
        with open_stranger(request.data, request.config.source) as source:
            if manifest.source["fingerprint"] != source.fingerprint():
                changed.append("source: the content differs")
    if changed:
        raise UserError(
            f"{target} was made with another {', '.join(changed[:4])}. Restore that, delete the "
            "store to make it anew, or name another --store."
        )
    if partial_folder(target).exists():
        with suppress(UserError), build_lock(target):  # Held: somebody mends it.
            discard_build(target)
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
    console.say(f"Classes: {', '.join(manifest.classes)}.")
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
