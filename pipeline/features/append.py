"""Adds a part to a store that stands: new recordings, and nothing of the store written again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.pipeline.config.of_store import store_config, with_kind
from headrace.pipeline.features.drift import drift_said
from headrace.pipeline.features.grown import number_made_from, refuse_known_files
from headrace.pipeline.features.notes import notes_table
from headrace.pipeline.features.stage import (
    make_store,
    plan_job,
    store_place,
    store_stands,
    store_summary,
    summary_of,
)
from headrace.pipeline.request import Request, require_data
from headrace.stores.build.folder import PARTS
from headrace.stores.build.site import site_of
from headrace.stores.errors import StoreError
from headrace.stores.io.disk import remove_strays
from headrace.stores.io.places import storage_of
from headrace.stores.manifest import Manifest
from headrace.stores.parts.places import group_of_parts, part_place
from headrace.stores.source.probe.probe import open_stranger
from headrace.stores.store import Store, open_store
from headrace.stores.text import counted, listed


def run_append(request: Request) -> dict[str, Any]:
    """Add `request.data` to the store that stands at `request.store`, as one more part.

    What the store was made with is taken from it. The part is seen once it is complete; until
    then it can be interrupted at any moment, and is gone on with by the same command.

    Args:
        request: names both.

    Returns:
        What `run_features` returns of the part, and `parts`, how many the store has.

    Raises:
        UserError: there is no store, the source does not fit it, or anything that `run_features`
            refuses.
    """
    target, console = store_place(request.store), request.console
    if not store_stands(target):
        raise StoreError(f"There is no store {target} to append to. Make it: leave out --append.")
    data = require_data(request)
    with site_of(target).lock():
        base = open_store(target)
        _remove_left(base)
        config = with_kind(store_config(request.config, base.manifest.config), base.target)
        with open_stranger(data, config.source) as source:
            known = number_made_from(source, base)
            if known is not None:
                console.say(f"{data} is {_called(known)} of {target} already.")
                part = base.parts[known]
                summary = summary_of(part.path, part.manifest)
                return summary | {"made_shards": 0, "parts": len(base.parts)}
            refuse_known_files(source, base)
            place = part_place(target, len(base.parts))
            planned, job = plan_job(replace(request, config=config), source, place, base)
            _say_groups(base, planned.manifest, request)
            if unlike := drift_said(base, source):
                console.say(unlike)
            name, content = group_of_parts()
            if not (target / name).exists():
                storage_of(target / name).write(content)
            made = make_store(place, planned, job, console)
            notes = notes_table(source, planned.manifest)
    grown = open_store(target)
    console.say(
        f"{target} has {counted(len(grown.parts), 'part')} now: {grown.windows:,} windows of "
        f"{counted(len(grown.groups), 'group')}."
    )
    return store_summary(place, planned, made) | notes | {"parts": len(grown.parts)}


def _remove_left(store: Store) -> None:
    """Remove what an append has left that was ended as it began, or as it became whole."""
    site_of(store.parts[-1].path).discard()
    if isinstance(store.path, Path):
        remove_strays(store.path / PARTS)


def _called(number: int) -> str:
    return f"part {number}" if number else "the first part"


def _say_groups(base: Store, part: Manifest, request: Request) -> None:
    """Say which groups are known, and where new ones go: names may mean others than they did."""
    there = set(base.groups)
    known = [name for name in part.groups if name in there]
    new = [
        f"{part.groups[group]} to fold {fold.name}"
        for fold in part.folds
        for group in fold.groups
        if part.groups[group] not in there
    ]
    said = [f"known, which keep their folds: {listed(known)}"] if known else []
    said += [f"new: {listed(new)}"] if new else []
    request.console.say(f"Groups {'; '.join(said)}.")
