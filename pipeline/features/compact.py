"""Makes one store of the parts of a store that grew: the bytes that making it at once gives."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.of_store import store_config
from headrace.pipeline.features.disk import require_free
from headrace.pipeline.features.memory import Making, plan_features, worker_need
from headrace.pipeline.features.plan import PlannedBuild, described
from headrace.pipeline.features.stage import (
    make_store,
    store_place,
    store_stands,
    store_summary,
    summary_of,
)
from headrace.pipeline.features.unshuffle import unshuffle
from headrace.pipeline.features.unshuffled import Unshuffled, open_unshuffled
from headrace.pipeline.request import Request, require_data
from headrace.pipeline.workers.run import ShardJob
from headrace.stores.build.build import layout_of
from headrace.stores.build.site import site_of
from headrace.stores.build.writers import writer_versions
from headrace.stores.errors import CommandError, StoreError
from headrace.stores.io.disk import remove_folder
from headrace.stores.io.places import Place, storage_of
from headrace.stores.layout.folds import Fold
from headrace.stores.layout.layout import join_ranges
from headrace.stores.layout.stretches import most_in_shards, whole_chunks
from headrace.stores.layout.survey import Survey, signal_borders, survey_of_folds
from headrace.stores.manifest import Manifest
from headrace.stores.parts.places import part_place
from headrace.stores.source.names import natural_order
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.probe.probe import open_stranger
from headrace.stores.source.source import Source
from headrace.stores.store import Store, open_store
from headrace.stores.text import counted

Places = tuple[NDArray[np.int32], NDArray[np.int64]]
"""Recording and first row of windows."""
LOOKED = 1 << 16
"""Candidates that are compared with a source at a time."""


def run_compact(request: Request, output: Place | None = None) -> dict[str, Any]:
    """Make one store of all parts of `request.store`, with the same folds.

    Windows and features are those of the parts; neither sources nor kernels are needed. The bytes
    are those of a store that is made at once from the sources one after another, with the folds
    of this one (`folds.like`), if `request.data` is such a source: it is compared, and recorded.
    Without it, what is said of the source differs, and of recordings where windows are in it:
    `recording` goes on from part to part, and `start` is the row in the part's own source.

    Args:
        request: names the store, and `data`, if it is a source of all of it.
        output: where the new store is to stand; None: in place of the parts, which go.

    Returns:
        What `run_features` returns.

    Raises:
        UserError: there is no store, something stands at `output`, or the source gives others.
    """
    store_at, console = store_place(request.store), request.console
    if not store_stands(store_at):
        raise StoreError(f"There is no store {store_at} to compact.")
    target = _target_of(store_at, output)
    with site_of(store_at).lock():
        store = open_store(store_at)
        folder = target.with_name(f"{target.name}.unshuffled")
        if len(store.parts) == 1 and target == store_at:
            remove_folder(folder)
            console.say(f"{store_at} has one part: there is nothing to compact.")
            return summary_of(store_at, store.manifest) | {"made_shards": 0}
        _refuse_unfinished(store_at, len(store.parts))
        config = store_config(request.config, store.manifest.config)
        groups, classes = _ordered(store.groups), _classes(store, config)
        temporary = _temporary_bytes(store)
        require_free(target, temporary)
        window = store.spec.stored_bytes
        with console.progress("laying windows out in order", store.windows, window) as progress:
            unshuffle(store, folder, classes, groups, progress.advance)
        windows = open_unshuffled(folder, SourceOptions.model_validate(config.source.model_dump()))
        planned, job = _plan(request, store, windows, classes, config)
        windows.close()
        made = make_store(target, planned, job, console, compacts=target == store_at)
        remove_folder(folder)
    console.say(
        f"{target} is one store of {counted(len(store.parts), 'part')}: "
        f"{planned.manifest.windows:,} windows. Runs that were trained on the parts know it as "
        "another store."
    )
    return store_summary(target, planned, made)


def _target_of(store: Place, output: Place | None) -> Path:
    """Where the one store is to stand.

    Raises:
        UserError: something stands there, or it is no folder of this disk.
    """
    target = store if output is None else store_place(output)
    if not isinstance(target, Path):
        raise CommandError(
            f"{target} is an address, and --compact makes a store on this disk: objects have no "
            "names to change. Name a folder with --output, and copy it."
        )
    if target != store and store_stands(target):
        raise StoreError(f"{target} stands already. Name another --output.")
    return target


def _refuse_unfinished(store: Place, parts: int) -> None:
    site = site_of(part_place(store, parts))
    if site.is_begun():
        raise StoreError(
            f"A part is being added to {store}: {site.folder}. Finish it with the same headrace "
            "features --append, or delete that folder; then start again."
        )


def _temporary_bytes(store: Store) -> int:
    """What windows in order take on the disk."""
    arrays = store.manifest.arrays()
    row = sum(each.row_bytes for each in arrays if each.by_window) + 16
    candidates = sum(int(part.manifest.source["windows"]) for part in store.parts)
    return candidates * row


def _plan(
    request: Request, store: Store, windows: Unshuffled, classes: list[str], config: Config
) -> tuple[PlannedBuild, ShardJob]:
    """The store that is to be made, and what the tasks that make it share; printed."""
    manifest, survey = _draft(store, windows, classes)
    if request.data is not None:
        with open_stranger(require_data(request), config.source) as source:
            _require_same(source, windows, manifest)
            windows.take_places(source)
            manifest = manifest.model_copy(update={"source": described(source)})
    making = Making(manifest, None, windows, survey.index.nbytes)
    memory, workers = plan_features(config, making)
    memory = replace(memory, stage="compact").require_fit()
    request.console.memory_plan("compact", memory)
    need = worker_need(making)
    planned = PlannedBuild(manifest, survey.index, memory, workers, need, None)
    local = config.cluster.model_copy(update={"scheduler": None})
    state = storage_of(windows.path / "parts.json").state()
    return planned, ShardJob(windows.path, state, workers, need, local, request.console)


def _draft(store: Store, windows: Unshuffled, classes: list[str]) -> tuple[Manifest, Survey]:
    """What the manifest will say, and where candidates are."""
    base = store.manifest
    place = {name: number for number, name in enumerate(windows.groups)}
    folds, start = [], 0
    for fold in store.folds:
        members = tuple(sorted(place[store.groups[group]] for group in fold.groups))
        folds.append(Fold(fold.name, start, start + fold.windows, members))
        start += fold.windows
    table = store.class_table[:, [store.classes.index(name) for name in classes]]
    dropped = join_ranges(windows.dropped)
    survey = survey_of_folds(windows, tuple(folds), table, dropped, base.block)
    update = {
        "source": _joined_source(store),
        "writers": _writers(store),
        "windows": start,
        "classes": tuple(classes),
        "groups": tuple(windows.groups),
        "folds": tuple(folds),
        "dropped": tuple((int(low), int(high)) for low, high in dropped),
        "filled": (),
        "table_digests": {},
    }
    manifest = base.model_copy(update=update)
    if manifest.stretches:
        layout = layout_of(manifest, survey.index)
        most = int(most_in_shards(layout, signal_borders(windows, survey)).max())
        most = whole_chunks(most, manifest.raw_chunk)
        manifest = manifest.model_copy(update={"stretches": most})
    return manifest, survey


def _joined_source(store: Store) -> dict[str, str | int]:
    """What is said of the sources of all parts: their fingerprints have one."""
    sources = [part.manifest.source for part in store.parts]
    together = "\n".join(str(each["fingerprint"]) for each in sources)
    return {
        "fingerprint": hashlib.sha256(together.encode()).hexdigest()[:32],
        "layout": sources[0]["layout"],
        "windows": sum(int(each["windows"]) for each in sources),
        "dtype": sources[0]["dtype"],
    }


def _writers(store: Store) -> dict[str, str]:
    """The versions that made the features: of parts by several those that are not these."""
    here = writer_versions()
    return next(
        (part.manifest.writers for part in store.parts if part.manifest.writers != here), here
    )


def _ordered(names: tuple[str, ...]) -> list[str]:
    """As sources order what has no order of its own."""
    known = sorted(names)
    return [known[place] for place in natural_order(known)]


def _classes(store: Store, config: Config) -> list[str]:
    """All classes in the order that a source of all would have: mapped, declared or natural."""
    if config.source.class_map:
        return [name for name in config.source.class_map if name in store.classes]
    if all(list(part.manifest.classes) == _ordered(part.manifest.classes) for part in store.parts):
        return _ordered(store.classes)
    return list(store.classes)


def _go_on_alike(one: Places, other: Places) -> NDArray[np.bool_]:
    """(n - 1,) whether each window is as far from the one before, or of another recording, in both.

    Where recordings and signals begin is another number in a source of its own.
    """
    ends, others = (np.diff(each[0]) != 0 for each in (one, other))
    steps, other_steps = (np.diff(each[1]) for each in (one, other))
    return np.asarray((ends == others) & (ends | (steps == other_steps)))


def _require_same(source: Source, windows: Unshuffled, manifest: Manifest) -> None:
    """Check that a source gives the windows of all parts: where each is, and what it is.

    Raises:
        UserError: it does not; says in what.
    """
    said = {
        "windows": (source.windows, windows.windows),
        "samples of a window": (source.spec.shape, windows.spec.shape),
        "classes": (tuple(source.classes), manifest.classes),
        "groups": (tuple(str(name) for name in source.groups), manifest.groups),
    }
    found = [f"{name} ({one}, not {two})" for name, (one, two) in said.items() if one != two]
    for start in range(0, 0 if found else source.windows, LOOKED):
        stop = min(start + LOOKED, source.windows)
        theirs, ours = source.read_labels(start, stop), windows.read_labels(start, stop)
        kept = ours.group >= 0
        same = (theirs.label == ours.label) & (theirs.group == ours.group)
        places, own = source.locate(start, stop), windows.own_places(start, stop)
        if places is not None and own is not None:
            same[1:] &= _go_on_alike(places, own)
        if not same[kept].all():
            first = start + int(np.flatnonzero(kept & ~same)[0])
            found = [f"window {first}: its label, its group or its place"]
            break
    if found:
        raise StoreError(
            f"{source.path} is not what the parts were made of one after another: {found[0]}. "
            "Leave --data out, or name such a source."
        )
