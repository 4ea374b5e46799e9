"""Makes one store of the parts of a store that grew: the bytes that making it at once gives."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.of_store import store_config, with_kind
from headrace.pipeline.console import Console
from headrace.pipeline.features.disk import needed_disk, require_free
from headrace.pipeline.features.memory import Making, plan_features, require_limit, worker_need
from headrace.pipeline.features.plan import PlannedBuild, described
from headrace.pipeline.features.stage import (
    make_store,
    store_place,
    store_stands,
    store_summary,
    summary_of,
)
from headrace.pipeline.features.unshuffle import (
    description,
    is_laid_down,
    laid_down_bytes,
    unshuffle,
)
from headrace.pipeline.features.unshuffled import ABOUT, Unshuffled
from headrace.pipeline.memory.plan import MemoryPlan
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
from headrace.stores.parts.join import shown_differences
from headrace.stores.parts.part import COMPACTED, sources_of
from headrace.stores.parts.places import part_place
from headrace.stores.source.files.record import KEY, joined_records
from headrace.stores.source.names import natural_order, slices
from headrace.stores.source.probe.probe import open_stranger
from headrace.stores.source.source import Source
from headrace.stores.source.targets.look import slice_of
from headrace.stores.store import Store, open_store
from headrace.stores.target import Target
from headrace.stores.text import counted

Places = tuple[NDArray[np.int32], NDArray[np.int64]]
"""Recording and first row of windows."""
LOOKED = 1 << 16
"""Labels that are compared with a source at a time."""


def run_compact(request: Request, output: Place | None = None) -> dict[str, Any]:
    """Make one store of all parts of `request.store`, with the same folds.

    Windows and features are those of the parts; neither sources nor kernels are needed. Workers are
    of this machine, whatever scheduler is named: what they read is on its disk. The bytes
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
        raise StoreError(f"There is no store {store_at} to compact. Name another --store.")
    target = _target_of(store_at, output)
    folder = target.with_name(f"{target.name}.unshuffled")
    with ExitStack() as held:
        for place in dict.fromkeys([store_at, target]):
            held.enter_context(site_of(place).lock())
        store = open_store(store_at).with_index_cache(0)
        if len(store.parts) == 1 and target == store_at:
            remove_folder(folder)
            console.say(f"{store_at} has one part: there is nothing to compact.")
            return summary_of(store_at, store.manifest) | {"made_shards": 0}
        _refuse_taken(store, target)
        config = with_kind(store_config(request.config, store.manifest.config), store.target)
        config = config.changed("cluster", scheduler=None)
        source = None
        if request.data is not None:
            source = held.enter_context(open_stranger(require_data(request), config.source))
        windows = _laid_down(store, folder, config, source, console)
        planned, job = _plan(store, windows, config, source, console)
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
        UserError: it is no folder of this disk.
    """
    target = store if output is None else store_place(output)
    if not isinstance(target, Path):
        raise CommandError(
            f"{target} is an address, and --compact makes a store on this disk: objects have no "
            "names to change. Name a folder with --output, and copy it."
        )
    return target


def _refuse_taken(store: Store, target: Path) -> None:
    """Check that nothing else stands at `target`, and that no part is being added.

    Raises:
        UserError: one of them.
    """
    if target != store.path and store_stands(target):
        raise StoreError(f"{target} stands already. Name another --output.")
    site = site_of(part_place(store.path, len(store.parts)))
    if site.is_begun():
        raise StoreError(
            f"A part is being added to {store.path}: {site.folder}. Finish it with the same "
            "headrace features --append, or delete that folder; then start again."
        )


def _laid_down(
    store: Store, folder: Path, config: Config, source: Source | None, console: Console
) -> Unshuffled:
    """The windows in the order of their sources. What can be refused before is; what stands stays.

    Raises:
        UserError: memory or disk will not do, or the source has other windows.
    """
    classes, groups = _classes(store, config), _ordered(store.groups)
    windows = Unshuffled(folder, config.source, store, groups)
    if source is not None:
        _require_alike(source, windows, classes)
    parts = [part.manifest for part in store.parts]
    drafted = store.manifest.model_copy(
        update={
            "source": _joined_source(store),
            "windows": store.windows,
            "dropped": tuple(each for part in parts for each in part.dropped),
            "stretches": max(part.stretches for part in parts),
        }
    )
    _fitting(config, Making(drafted, None, windows, 0))
    about = description(store, classes, groups)
    if not is_laid_down(folder, about):
        remove_folder(folder)
        require_free(folder, laid_down_bytes(store) + needed_disk(drafted, store.windows))
        window = store.spec.stored_bytes
        with console.progress("laying windows out in order", store.windows, window) as progress:
            unshuffle(store, folder, about, progress.advance)
    return windows


def _fitting(config: Config, making: Making) -> tuple[MemoryPlan, int]:
    """The memory plan, which fits, and the workers."""
    memory, workers = plan_features(config, making)
    require_limit(config, worker_need(making))
    # Shards stay as large as they are, and what is laid down is held by no more than one of them.
    ways = tuple(way for way in memory.remedies if not way.startswith("store."))
    return replace(memory, stage="compact", remedies=ways, floor=0).require_fit(), workers


def _plan(
    store: Store, windows: Unshuffled, config: Config, source: Source | None, console: Console
) -> tuple[PlannedBuild, ShardJob]:
    """The store that is to be made, and what the tasks that make it share; printed."""
    manifest, survey = _draft(store, windows, _classes(store, config))
    if source is not None:
        _require_same(source, windows)
        manifest = manifest.model_copy(update={"source": described(source)})
    windows.take_places(source)
    making = Making(manifest, None, windows, survey.index.nbytes)
    memory, workers = _fitting(config, making)
    console.memory_plan("compact", memory)
    need = worker_need(making)
    planned = PlannedBuild(manifest, survey.index, memory, workers, need, None)
    state = storage_of(windows.path / ABOUT).state()
    return planned, ShardJob(windows.path, state, workers, need, config.cluster, console)


def _draft(store: Store, windows: Unshuffled, classes: list[str]) -> tuple[Manifest, Survey]:
    """What the manifest will say, and where candidates are."""
    base = store.manifest
    place = {name: number for number, name in enumerate(windows.groups)}
    folds, start = [], 0
    for fold in store.folds:
        members = tuple(sorted(place[store.groups[group]] for group in fold.groups))
        folds.append(Fold(fold.name, start, start + fold.windows, members))
        start += fold.windows
    target = store.target.reordered(classes)
    table = store.tally_table[:, [store.target.tally_names.index(n) for n in target.tally_names]]
    dropped = join_ranges(windows.dropped)
    survey = survey_of_folds(windows, tuple(folds), table, dropped, base.block)
    update = {
        "source": _joined_source(store),
        "writers": _writers(store),
        "windows": start,
        "groups": tuple(windows.groups),
        "folds": tuple(folds),
        "dropped": tuple((int(low), int(high)) for low, high in dropped),
        "filled": (),
        "table_digests": {},
    }
    manifest = base.of_target(target).model_copy(update=update)
    if manifest.stretches:
        layout = layout_of(manifest, survey.index)
        most = int(most_in_shards(layout, signal_borders(windows, survey)).max())
        most = whole_chunks(most, manifest.raw_chunk)
        manifest = manifest.model_copy(update={"stretches": most})
    return manifest, survey


def _joined_source(store: Store) -> dict[str, str | int]:
    """What is said of the sources of all parts: their fingerprints have one."""
    sources = [part.manifest.source for part in store.parts]
    known = [print_ for part in store.parts for print_ in sources_of(part.manifest)]
    files = joined_records(sources)
    return {
        "fingerprint": hashlib.sha256("\n".join(known).encode()).hexdigest()[:32],
        COMPACTED: " ".join(known),
        **({} if files is None else {KEY: files}),
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
    if not store.target.grows:
        return list(store.classes)
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


def _require_alike(source: Source, windows: Unshuffled, classes: Sequence[str]) -> None:
    """Check that a source has as many windows as all parts, of the same kind and names.

    Raises:
        UserError: it has not; says in what.
    """
    said = {
        "windows": (source.windows, windows.windows),
        "samples of a window": (source.spec.shape, windows.spec.shape),
        "classes": (tuple(source.classes), tuple(classes)),
        "target": (_agreed(source.target), _agreed(windows.target)),
        "groups": (tuple(str(name) for name in source.groups), tuple(windows.groups)),
    }
    for name, (found, wanted) in said.items():
        if found != wanted:
            theirs, ours = shown_differences(found, wanted)
            raise _another(source, f"{name} ({theirs}, not {ours})")


def _agreed(target: Target) -> dict[str, Any]:
    """What a source of all has to have of a target; its bins are another's."""
    return target.fixed.as_table() | {"edges": ()}


def _require_same(source: Source, windows: Unshuffled) -> None:
    """Check where each window of a source is, and what it is.

    Raises:
        UserError: it is not that of the parts; says which.
    """
    for start, stop in slices(source.windows, slice_of(source.target, LOOKED)):
        theirs, ours = source.read_labels(start, stop), windows.read_labels(start, stop)
        kept = ours.group >= 0
        labels = (theirs.label == ours.label).reshape(stop - start, -1).all(axis=1)
        same = labels & (theirs.group == ours.group)
        places, own = source.locate(start, stop), windows.own_places(start, stop)
        if places is not None and own is not None:
            same[1:] &= _go_on_alike(places, own)
        if not same[kept].all():
            first = start + int(np.flatnonzero(kept & ~same)[0])
            also = f" What was laid out for it waits in {windows.path}, which may be deleted."
            raise _another(source, f"window {first}: its label, its group or its place", also)


def _another(source: Source, found: str, also: str = "") -> StoreError:
    return StoreError(
        f"{source.path} is not what the parts were made of one after another: {found}. Leave "
        f"--data out, or name such a source.{also}"
    )
