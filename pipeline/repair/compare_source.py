"""Compares a finished store with its source: every row and feature made anew, a task a shard."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.console import Console
from headrace.pipeline.features.plan import PlannedBuild
from headrace.pipeline.features.task import MadeRows, keep_census, make_rows, open_workshop
from headrace.pipeline.workers.run import ShardJob, run_tasks
from headrace.stores.build.site import site_of
from headrace.stores.errors import DamageError, UserError
from headrace.stores.io.places import Place
from headrace.stores.io.storage import State
from headrace.stores.manifest import Manifest
from headrace.stores.shards.array_format import ArrayFormat
from headrace.stores.store import Store, open_store
from headrace.stores.verify import Problem

Wrong = tuple[str, str, int, int]
"""File or table, how it differs, and the rows of the store from the first to past the last."""


def compare_with_source(
    store: Store, planned: PlannedBuild, job: ShardJob, console: Console
) -> list[Problem]:
    """Rows, moments and counts of `store` that are not what the source gives.

    Shards that cannot be read are left to their checksums.

    Args:
        store: the finished store.
        planned: the store that its source and configuration give.
        job: the source.
        console: where to show progress.
    """
    manifest = planned.manifest
    exact = store.manifest.writers == manifest.writers
    if not exact:
        console.say("Written by other versions: features are compared to 0.1 %, not to the bit.")
    window = manifest.spec.stored_bytes
    given: tuple[Any, ...] = store.path.absolute(), exact
    found: list[Problem] = []
    with (
        _scratch(store.path, bool(job.cluster.scheduler)) as target,
        console.progress("verify, source", store.windows, window) as progress,
    ):
        # Workers find there how the rows are laid out; nothing is written into it.
        site_of(target).begin(manifest, planned.index)
        keep_census(target, planned.census)
        tasks = run_tasks(
            compare_shard, "compare-shard", target, job, range(manifest.shards), *given
        )
        for _, (rows, wrong) in tasks:
            found += [Problem(name, what, start, stop, "rows") for name, what, start, stop in wrong]
            progress.advance(rows)
    return sorted(found, key=lambda problem: (problem.start, problem.where))


def compare_shard(
    target: Place,
    source: Place,
    state: State,
    shard: int,
    code: Path | None,
    store: Place,
    exact: bool,
) -> tuple[int, list[Wrong]] | UserError:
    """Compare one shard of a finished store with what the source gives.

    Args:
        target: of a build that has begun for the same source and configuration, elsewhere.
        source: its file or folder.
        state: of the source when the stage began.
        shard: which.
        code: folder of the user's own feature functions.
        store: the finished store.
        exact: whether its writers were of these versions: then features and moments are the
            same bits; else nearly.

    Returns:
        Rows compared, and what differs; or what is the user's to mend.
    """
    try:
        shop = open_workshop(target, source, state, code)
        made = make_rows(shop, source, state, shard)
        manifest = shop.build.manifest
        opened = open_store(store)
        found = [
            wrong
            for array in manifest.arrays()
            if (wrong := _differing_rows(opened, array, made, shard * manifest.shard, exact))
        ]
        return made.recipe.rows, found + _differing_records(opened, manifest, made, shard, exact)
    except DamageError:
        return len(made.recipe.order), []
    except UserError as error:
        return error


def _differing_rows(
    store: Store, array: ArrayFormat, made: MadeRows, first: int, exact: bool
) -> Wrong | None:
    """The rows of one array between the first and the last that differ; read chunk by chunk."""
    rows, order = made.columns[array.name], made.recipe.order
    shard_rows = store.shard_windows
    begin, count = first // shard_rows * array.shard_rows, len(order)
    if not array.by_window:
        order = np.arange(array.shard_rows)
    differing: list[int] = []
    for at in range(0, len(order), array.chunk_rows):
        wanted = rows[order[at : at + array.chunk_rows]].astype(array.dtype, copy=False)
        stored = store.read_stored(array.name, begin + at, begin + at + len(wanted))
        nearly = array.dtype.kind == "f" and not exact
        same = _nearly(stored, wanted) if nearly else _same_bits(stored, wanted)
        differing += (begin + at + np.flatnonzero(~same)).tolist()
    if not differing:
        return None
    name = f"{array.name}/{array.key(first // shard_rows)}"
    if not array.by_window:
        what = f"{len(differing)} stretches are not those of the source"
        return name, what, first, first + count
    return name, f"{len(differing)} rows are not those of the source", *_span(differing)


def _differing_records(
    store: Store, manifest: Manifest, made: MadeRows, shard: int, exact: bool
) -> list[Wrong]:
    """Segments of the shard whose moments or class counts are not those of the source."""
    names = [table.name for table in store.manifest.tables() if table.name != "shard_digest"]
    table_rows = {name: store.parts[0].table_rows(name) for name in names}
    found: list[Wrong] = []
    for record, (row, segment) in zip(made.records, manifest.shard_rows(shard), strict=True):
        computed = record.tables
        for name, row_of in table_rows.items():
            wanted, stored = computed[name][None], row_of(row)[None]
            same = (
                _same_bits(stored, wanted.astype(stored.dtype))
                if exact
                else (_nearly(stored, wanted))
            )
            if not same.all():
                what = "is not that of the source"
                found.append((f"manifest/{name}", what, segment.start, segment.stop))
    return found


def _same_bits(stored: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) whether each row is the same, bit by bit: NaN is NaN, and 0 is not -0."""
    flat = (len(wanted), -1)
    one = np.ascontiguousarray(stored).reshape(flat).view(np.uint8)
    other = np.ascontiguousarray(wanted).reshape(flat).view(np.uint8)
    return np.asarray((one == other).all(axis=1))


def _nearly(stored: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) whether each row is the same but for rounding."""
    close = np.isclose(stored, wanted, rtol=1e-3, atol=1e-5, equal_nan=True)
    return np.asarray(close.reshape(len(wanted), -1).all(axis=1))


def _span(rows: list[int]) -> tuple[int, int]:
    return rows[0], rows[-1] + 1


@contextmanager
def _scratch(store: Place, seen_by_all: bool) -> Iterator[Place]:
    """A name for a build that is never finished: beside the store, where all machines see it."""
    if seen_by_all:
        target = store.absolute().with_name(f"headrace-{uuid.uuid4().hex}")
        try:
            yield target
        finally:
            site_of(target).discard()
        return
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        yield Path(folder) / "compared.zarr"
