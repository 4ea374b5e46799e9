"""The features stage: source -> Zarr store, one Dask task per whole shard."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from headrace.compiled.cache import kernels_are_cached
from headrace.pipeline.catalogue.warm import compile_in_child
from headrace.pipeline.config.functions import code_folder
from headrace.pipeline.config.of_store import with_kind
from headrace.pipeline.console import Console
from headrace.pipeline.features.disk import require_disk
from headrace.pipeline.features.grown import number_made_from
from headrace.pipeline.features.notes import notes_table, say_notes
from headrace.pipeline.features.plan import PlannedBuild, plan_build
from headrace.pipeline.features.task import keep_census, try_shard
from headrace.pipeline.features.unshuffled import is_unshuffled
from headrace.pipeline.memory.measured import keep_rate
from headrace.pipeline.request import Request, require_data
from headrace.pipeline.workers.run import ShardJob, run_tasks
from headrace.stores.build.build import Build
from headrace.stores.build.site import site_of
from headrace.stores.errors import (
    SourceContentError,
    StoreError,
    UserError,
)
from headrace.stores.io.places import Place, storage_of
from headrace.stores.layout.grow import KnownFolds
from headrace.stores.manifest import Manifest
from headrace.stores.manifest_file import read_manifest
from headrace.stores.parts.places import store_of_part
from headrace.stores.source.files.located import source_exists
from headrace.stores.source.files.record import KEY, differences
from headrace.stores.source.probe.probe import open_stranger
from headrace.stores.source.source import Source
from headrace.stores.store import Store, open_store
from headrace.stores.text import counted, listed, shown_value

RATED_SECONDS = 10.0
"""Of a stage from which the pace of its workers is learnt: most of it is no start."""


def run_features(request: Request) -> dict[str, Any]:
    """Make the store of `request.store` from `request.data`, or what is missing of it.

    Args:
        request: names both.

    Returns:
        store, windows, features, folds, made_shards, and the memory plan.

    Raises:
        UserError: anything in the source or configuration that must change first.
    """
    target, console = store_place(request.store), request.console
    if store_stands(target):
        return _already_complete(target, request, console)
    data = require_data(request)
    with site_of(target).lock(), open_stranger(data, request.config.source) as source:
        if store_stands(target):  # Another process made it while this one began.
            return _already_complete(target, request, console)
        planned, job = plan_job(request, source, target)
        made = make_store(target, planned, job, console)
        notes = notes_table(source, planned.manifest)
    return store_summary(target, planned, made) | notes


def store_place(store: Place) -> Place:
    """Where a store is to stand: what links lead to. A replacement that broke off is undone.

    Raises:
        UserError: no folder can be given that name, or it is that of a part of a store.
    """
    site = site_of(store).followed()
    whole = store_of_part(site.target)
    if whole != site.target:
        raise StoreError(f"{store} is a part of a store. Name the store itself: --store {whole}")
    site.recover()
    return site.target


def store_stands(target: Place) -> bool:
    """Whether a store is there, complete or damaged."""
    return site_of(target).stands()


def plan_job(
    request: Request,
    source: Source,
    target: Place,
    base: Store | None = None,
    known: KnownFolds | None = None,
) -> tuple[PlannedBuild, ShardJob]:
    """The store that `source` gives, or the part that is added to `base`, and what the tasks that
    make it share; both are printed.

    Raises:
        UserError: the configuration does not suit the source or the memory.
    """
    config, console = request.config, request.console
    state = source.state()
    source.require_state(state)  # In which the source was opened, too.
    uploads = storage_of(target).is_remote
    planned = plan_build(config, source, console, uploads, target, base, known)
    _describe(console, source, planned.manifest)
    console.memory_plan("features", planned.memory)
    job = ShardJob(
        source.path,
        state,
        planned.workers,
        planned.need,
        config.cluster,
        console,
        code_folder(config) if config.features.custom else None,
        planned.kept_pieces,
    )
    return planned, job


def begin_store(
    target: Place, planned: PlannedBuild, missing: int, console: Console, *, replaces: bool = False
) -> Build:
    """A build that has begun, or goes on.

    Args:
        target: where the store will stand.
        planned: the store.
        missing: shards that are to be made.
        console: where to warn of a server that cannot tell two builds apart.
        replaces: a store stands there, which gives way once this one is complete.

    Raises:
        UserError: the disk may not hold it.
    """
    manifest = planned.manifest
    require_disk(target, manifest, min(manifest.windows, missing * manifest.shard))
    build = site_of(target).begin(manifest, planned.index, replaces)
    keep_census(target, planned.census)
    if not build.keeps_conditions():
        console.say(
            f"Warning: the server of {target} writes over an object that it is asked to leave: two "
            "builds of this store from different sources at once would not notice each other."
        )
    return build


def finish_store(
    build: Build,
    job: ShardJob,
    console: Console,
    *,
    replaces: bool = False,
    compacts: bool = False,
) -> int:
    """Make the shards that `build` lacks, put the store into place, and count the shards made."""
    manifest = build.manifest
    shards = sorted(set(range(manifest.shards)) - set(build.finished_shards()))
    if len(shards) < manifest.shards:
        console.say(
            f"Continuing: {manifest.shards - len(shards)} of {manifest.shards} shards stand."
        )
    if shards:
        try:
            _make_missing(build, job, shards, console)
        except SourceContentError:
            site_of(build.target).discard()
            raise
    build.finish(replaces=replaces, compacts=compacts)
    console.say(f"Store complete: {build.target}")
    return len(shards)


def store_summary(target: Place, planned: PlannedBuild, made: int) -> dict[str, Any]:
    """What the stage returns of a store of which it made so many shards; JSON-able."""
    memory = planned.memory.as_table()
    return summary_of(target, planned.manifest) | {"made_shards": made, "memory": memory}


def make_store(
    target: Place,
    planned: PlannedBuild,
    job: ShardJob,
    console: Console,
    *,
    compacts: bool = False,
) -> int:
    """Make the store, or what is missing of it, put it into place, and count the shards made.

    Args:
        target, planned, job, console: as for `begin_store` and `finish_store`.
        compacts: a store of several parts stands there, which gives way.
    """
    manifest = planned.manifest
    missing = manifest.shards - len(site_of(target).build(manifest).finished_shards())
    build = begin_store(target, planned, missing, console, replaces=compacts)
    if build.finished_shards():
        _drop_damaged(build, console)
    return finish_store(build, job, console, replaces=compacts, compacts=compacts)


def _drop_damaged(build: Build, console: Console) -> None:
    """Look whether the disk still holds what it was given."""
    manifest = build.manifest
    windows = sum(
        min(manifest.shard, manifest.windows - shard * manifest.shard)
        for shard in build.finished_shards()
    )
    window = manifest.spec.stored_bytes
    with console.progress("checking what stands", windows, window) as progress:
        dropped = build.drop_damaged(progress.advance)
    if dropped:
        console.say(f"{len(dropped)} shards that stood are damaged, and are made anew.")


def _make_missing(build: Build, job: ShardJob, shards: list[int], console: Console) -> None:
    here = not job.cluster.scheduler
    extracts = bool(build.manifest.config["features"]["select"]) and not is_unshuffled(job.source)
    if here and extracts and not kernels_are_cached():
        console.say("Compiling the feature kernels, once: some ten seconds.")
        compile_in_child()
    if here:
        console.say(f"Starting {job.workers} worker process{'es' * (job.workers > 1)}.")
    rows, window = build.manifest.shard, build.manifest.spec.stored_bytes
    windows = sum(min(rows, build.manifest.windows - shard * rows) for shard in shards)
    with console.progress("features", windows, window) as progress:
        begun = time.monotonic()
        for shard, _ in run_tasks(
            try_shard,
            "make-shard",
            build.target,
            job,
            shards,
            job.kept_pieces,
            done=build.has_shard,
        ):
            progress.advance(min(rows, build.manifest.windows - shard * rows))
    seconds = time.monotonic() - begun
    if here and seconds >= RATED_SECONDS and len(shards) >= 4 * job.workers:
        keep_rate(build.manifest, windows / seconds / job.workers)


def _already_complete(target: Place, request: Request, console: Console) -> dict[str, Any]:
    """The summary of a store that is there already, if it is the one that was asked for.

    A source that is no longer there does not make its store wrong.

    Raises:
        UserError: it was made from another source or configuration.
    """
    manifest = read_manifest(target)

    def recorded(section: str, key: str) -> Any:
        return manifest.config.get(section, {}).get(key)

    config = with_kind(request.config, manifest.target)
    changed = [
        f"{section}.{key} ({shown_value(recorded(section, key))}, not {shown_value(value)})"
        for section, options in request.config.store_keys().items()
        for key, value in options.items()
        if recorded(section, key) != value
    ]
    if not changed and config.target.kind != manifest.target.kind:
        changed.append(f"target.kind ({manifest.target.kind}, not {config.target.kind})")
    also = ""
    if not changed and request.data is not None and source_exists(request.data):
        with open_stranger(request.data, config.source) as source:
            if number_made_from(source, open_store(target)) is None:
                files = differences(manifest.source, {KEY: source.recorded_files()})
                changed.append(f"source: the content differs{_in_brackets(files)}")
                also = " Recordings that came since are added as a part of it: --append."
    if changed:
        raise StoreError(
            f"{target} was made with another {listed(changed)}. Restore that, delete the store to "
            f"make it anew, or name another --store.{also}"
        )
    site = site_of(target)
    if site.is_worked_at():
        with suppress(UserError), site.lock():  # Held: somebody mends it.
            site.discard()
    console.say(f"Store already complete: {target} ({manifest.windows:,} windows).")
    return summary_of(target, manifest) | {"made_shards": 0}


def _in_brackets(files: list[str]) -> str:
    return f" ({'; '.join(files)})" if files else ""


def summary_of(target: Place, manifest: Manifest) -> dict[str, Any]:
    """What the stage returns of a store, whoever made it; JSON-able."""
    return {
        "store": str(target),
        "windows": manifest.windows,
        "features": len(manifest.features),
        "classes": list(manifest.classes),
        "target": manifest.target.as_table(),
        "groups": len(manifest.groups),
        "folds": len(manifest.folds),
        "shards": manifest.shards,
    }


def _describe(console: Console, source: Source, manifest: Manifest) -> None:
    console.say(
        f"Source {source.path}: {source.windows:,} windows of {manifest.time} x "
        f"{len(manifest.channels)} at {manifest.rate_hz:g} Hz, {manifest.target.described}, "
        f"{len(manifest.groups)} groups in {len(manifest.folds)} folds."
    )
    if manifest.classes:
        console.say(f"{manifest.target.words[1]}: {', '.join(manifest.classes)}.")
    say_notes(source, manifest, console)
    console.say(
        f"Store: {counted(manifest.shards, 'shard')} of {manifest.shard:,} windows, "
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
