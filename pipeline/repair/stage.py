"""The repair of a store: its damaged shards are made again from the source, the rest is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from headrace.pipeline.features.grown import (
    config_of_parts,
    every_part,
    folds_at,
    part_made_from,
)
from headrace.pipeline.features.stage import (
    begin_store,
    finish_store,
    plan_job,
    store_place,
    store_stands,
    store_summary,
)
from headrace.pipeline.repair.salvage import Trusted, find_sound
from headrace.pipeline.request import Request, require_data
from headrace.stores.build.site import site_of
from headrace.stores.errors import DamageError, StoreError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.manifest_file import read_manifest
from headrace.stores.parts.part import StorePart
from headrace.stores.parts.places import group_of_parts
from headrace.stores.source.probe.probe import open_stranger
from headrace.stores.store import Store
from headrace.stores.verify import checksum_problems


def run_repair(request: Request, trusted: Trusted) -> dict[str, Any]:
    """Make those shards of `request.store` again that are damaged; `request.data` is its source.

    The store that stands there gives way once its replacement is complete. Of several parts the
    one that was made of the source is mended, and damage of others is named.

    Args:
        request: names both.
        trusted: what tells damaged shards: their checksums, or a comparison with the source.

    Returns:
        What `run_features` returns.

    Raises:
        UserError: there is no store, it is of another source or configuration, or anything
            that `run_features` refuses.
    """
    store, console = store_place(request.store), request.console
    if not store_stands(store):
        raise StoreError(f"There is no store {store} to mend. Make it: leave out --repair.")
    data = require_data(request)
    parts = every_part(store)
    request = replace(request, config=config_of_parts(request.config, parts))
    with site_of(store).lock(), open_stranger(data, request.config.source) as source:
        target = part_made_from(source, parts)
        planned, job = plan_job(request, source, target, known=folds_at(target))
        salvage = find_sound(target, planned, job, trusted, console)
        # What an interrupted mending left may share files that are damaged by now.
        site_of(target).discard()
        if salvage is None:
            _refuse_others(store, target, parts)
            return store_summary(target, planned, made=0)
        missing = planned.manifest.shards - len(salvage.shards)
        build = begin_store(target, planned, missing, console, replaces=True)
        salvage.adopt(build)
        made = finish_store(build, job, console, replaces=True)
        if len(parts) > 1:
            name, content = group_of_parts()
            storage_of(store / name).write(content)
        _refuse_others(store, target, parts)
    return store_summary(target, planned, made)


def _refuse_others(store: Place, mended: Place, parts: Sequence[Place]) -> None:
    """Say which other parts are damaged: their shards are made again from other sources.

    Raises:
        UserError: one is; names the first.
    """
    for place in parts:
        if place != mended and (what := _damage_of(place)):
            raise StoreError(
                f"{mended} is as it was written, and {place} is damaged: {what}. Repair it from "
                f"its own source: headrace features --repair --store {store} --data SOURCE"
            )


def _damage_of(place: Place) -> str | None:
    try:
        part = Store(StorePart(place, read_manifest(place)))
    except DamageError as error:
        return str(error).split(". ")[0]
    first = next(iter(checksum_problems(part, lambda windows: None)), None)
    return None if first is None else f"{first.where} {first.what}"
