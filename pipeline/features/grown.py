"""A store that a part is added to: which, what it knows of folds, and whether the part fits."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.of_store import store_config, with_kind
from headrace.stores.errors import DamageError, StoreError
from headrace.stores.io.places import Place
from headrace.stores.layout.grow import KnownFolds
from headrace.stores.manifest import Manifest
from headrace.stores.manifest_file import read_manifest
from headrace.stores.parts.join import refuse_new_classes, refuse_spellings, refuse_unlike
from headrace.stores.parts.part import sources_of
from headrace.stores.parts.places import later_parts, store_of_part
from headrace.stores.source.files.record import KEY, files_of_both
from headrace.stores.source.source import Source
from headrace.stores.spec import WindowSpec
from headrace.stores.store import Store, open_store
from headrace.stores.text import counted, listed
from headrace.stores.verify import content_of


def refuse_known_files(source: Source, store: Store) -> None:
    """Check that no part of a store was made of a file of `source`, under any name.

    Raises:
        UserError: one was; of many files, as a folder that grew has those that it had before.
    """
    if source.census is None:
        return
    names = [name for names in source.census.files.names for name in names]
    own = {KEY: source.recorded_files()}
    for part in store.parts:
        if known := files_of_both(part.manifest.source, own, names):
            raise StoreError(
                f"{counted(len(known), 'file')} of {source.path} are in {part.path} already "
                f"({listed(known)}): their windows would stand in the store twice. Put the new "
                "files into a folder of their own, and name that: --data."
            )


def known_folds(store: Store) -> KnownFolds:
    """The folds of a store that grows."""
    fold_of = {store.groups[group]: fold.name for fold in store.folds for group in fold.groups}
    names = tuple(fold.name for fold in store.folds)
    return KnownFolds(names, store.target.tally_names, store.tally_table, fold_of, store.target)


def require_windows(base: Store, spec: WindowSpec, source: Source) -> None:
    """Check that windows of `source` are like those of a store, before columns are made of them.

    Raises:
        UserError: they differ; names in what, and both values.
    """
    like = {"time": spec.time, "channels": spec.channels, "units": spec.units}
    like |= {"rate_hz": spec.rate_hz, "raw_dtype": spec.dtype.name, "channel_scale": spec.scale}
    own = base.manifest.model_copy(update=like)
    refuse_unlike(base.manifest, own, str(base.path), str(source.path))


def require_part(base: Store, part: Manifest, source: Source, new_classes: bool) -> None:
    """Check that what is to be made of `source` can be a part of a store.

    Raises:
        UserError: it is another kind of rows, or has a class that the store has not and
            `new_classes` is false.
    """
    refuse_unlike(base.manifest, part, str(base.path), str(source.path))
    refuse_spellings(base.groups, part.groups, str(source.path))
    if not new_classes:
        refuse_new_classes(base.classes, part.classes, str(source.path))


def recorded_folds(manifest: Manifest) -> KnownFolds:
    """The folds that a store has, of all its groups: none is left to be spread."""
    fold_of = {
        manifest.groups[group]: fold.name for fold in manifest.folds for group in fold.groups
    }
    names = tuple(fold.name for fold in manifest.folds)
    target = manifest.target
    table = np.zeros((len(names), len(target.tally_names)), np.int64)
    return KnownFolds(names, target.tally_names, table, fold_of, target)


def folds_at(target: Place) -> KnownFolds | None:
    """The folds of a part as its manifest says, or else those that it was spread over.

    Returns:
        None: it is the first part, and its manifest is damaged.

    Raises:
        UserError: an earlier part is damaged.
    """
    try:
        return recorded_folds(read_manifest(target))
    except DamageError:
        store = store_of_part(target)
        if store == target:
            return None
        return known_folds(open_store(store, parts=int(target.name)))


def part_made_from(source: Source, places: Sequence[Place]) -> Place:
    """The part of a store that was made from a source; one alone is taken to be.

    Of damaged manifests that which still names the source is believed, or the only one.

    Raises:
        UserError: there are several, and none was.
    """
    if len(places) == 1:
        return places[0]
    fingerprint, damaged = source.fingerprint(), []
    for place in places:
        try:
            if read_manifest(place).source["fingerprint"] == fingerprint:
                return place
        except DamageError:
            damaged.append(place)
    naming = [
        place
        for place in damaged
        if fingerprint.encode() in (content_of(place / "manifest" / "zarr.json") or b"")
    ]
    if len(found := naming or damaged) == 1:
        return found[0]
    also = f" Damaged manifests say nothing: {listed([*map(str, damaged)])}." if damaged else ""
    raise StoreError(
        f"None of the {len(places)} parts of {places[0]} was made from {source.path}. Name the "
        f"source of the part with --data.{also}"
    )


def config_of_parts(config: Config, places: Sequence[Place]) -> Config:
    """`config` with what the parts of a store were made with; of one alone it must say that itself.

    Raises:
        UserError: `config` says otherwise.
    """
    for place in places:
        with suppress(DamageError):
            manifest = read_manifest(place)
            if len(places) == 1:
                return with_kind(config, manifest.target)
            recorded = with_kind(store_config(config, manifest.config), manifest.target)
            return recorded.changed("store", new_classes="add")  # What stands was let in.
    return config


def every_part(store: Place) -> list[Place]:
    """Where the parts of a store stand, from the first on; damaged ones too.

    Raises:
        UserError: one is missing among them.
    """
    return [store, *later_parts(store)]


def number_made_from(source: Source, store: Store) -> int | None:
    """Which part of a store was made from a source, from 0 on; None: none was."""
    fingerprint = source.fingerprint()
    known = (sources_of(part.manifest) for part in store.parts)
    return next((number for number, own in enumerate(known) if fingerprint in own), None)
