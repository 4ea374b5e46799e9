"""Runs on stores that grow: a run knows the parts that it began with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.sections import PathOptions
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.record import recorded_fingerprint
from headrace.stores.errors import RunError
from headrace.stores.io.places import Place
from headrace.stores.parts.places import later_parts
from headrace.stores.store import open_store
from headrace.stores.text import counted

if TYPE_CHECKING:
    from headrace.pipeline.console import Console
    from headrace.stores import Store

MOST_TRIED = 2_000
"""Of the ways in which several stores may have grown, how many are looked at: a second's."""


def begun_with(store: Store, is_begun: Callable[[Store], bool]) -> Store | None:
    """Of the first parts of a store the most with which something was begun; None: nothing was.

    Of several stores that are read as one, the first parts of each: as many fewer of each are
    looked at, MOST_TRIED in all.
    """
    counts = store.opened[1]
    deep = int(MOST_TRIED ** (1 / len(counts)))
    fewer = product(*(range(count, max(0, count - deep), -1) for count in counts))
    every = (store.of_parts(*each) for each in fewer)
    return next((parts for parts in every if is_begun(parts)), None)


def store_of_run(run: RunFolder, config: Config, default: Place) -> Store:
    """The store that a run was trained on: those of its parts that it began with.

    Args:
        run: has begun.
        config: where its store is.
        default: where it is if the config does not say.

    Raises:
        UserError: there is no such store, or it is another.
    """
    paths, recorded = config.paths, recorded_fingerprint(run)
    places = [paths.store or default, *paths.other_stores]
    for parts in dict.fromkeys((paths.parts, None)):
        store = open_store(places, parts=parts, new_classes=True)
        found = begun_with(store, lambda first: first.fingerprint == recorded)
        if found is not None:
            return found
    raise RunError(
        f"The run {run.path} was trained on a store with fingerprint {recorded[:16]}, and "
        f"{store.path} has {store.fingerprint[:16]}. Name the run's own with --store."
    )


def paths_of(store: Store) -> dict[str, Any]:
    """Keys of the section `paths` that open the very same parts again, absolute."""
    places, counts = store.opened
    first, *others = (place.resolve() for place in places)
    parts = counts if others else counts[0]
    return {"store": first, "other_stores": tuple(others), "parts": parts}


def with_own_paths(recorded: PathOptions, given: PathOptions) -> PathOptions:
    """The recorded paths, but for those that are given; another store has parts of its own."""
    of_store = {"store", "other_stores", "parts"}
    named = given.model_fields_set
    keys = named | of_store if "store" in named else named
    return recorded.model_copy(update={key: getattr(given, key) for key in keys})


def say_added(store: Store, run: RunFolder, console: Console) -> None:
    """Say that parts were added since a run began, and how to use them."""
    if said := _added(store, run.path):
        ways = "Train on all of them with --new"
        weights = f", or go on from its weights: --new --set train.initial={run.path}"
        console.say(f"{said} {ways}{weights if run.complete else '.'}")


def say_kept(store: Store, folder: Path, console: Console) -> None:
    """Say that parts were added since an experiment began in `folder`, which goes on without."""
    if said := _added(store, folder):
        console.say(f"{said} It goes on with those.")


def _added(store: Store, folder: Path) -> str:
    places, counts = store.opened
    added = sum(len(later_parts(place)) + 1 for place in places) - sum(counts)
    if added <= 0:
        return ""
    return (
        f"{counted(added, 'part')} {'was' if added == 1 else 'were'} added to {store.path} since: "
        f"{folder} knows {counted(len(store.parts), 'part')}."
    )
