"""The work of one Dask task: gather, extract and write one whole shard. Runs in a worker."""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.catalogue import Catalogue
from headrace.pipeline.features.catalogue import BATCH_WINDOWS, catalogue_of, extract_features
from headrace.pipeline.features.checks import require_finite, require_storable
from headrace.pipeline.features.gather import fetched, gather_stretches, gather_windows, placed
from headrace.pipeline.features.unshuffled import (
    Unshuffled,
    gather_features,
    is_unshuffled,
    open_unshuffled,
)
from headrace.stores.build.build import Build, SegmentRecord, layout_of
from headrace.stores.build.site import site_of
from headrace.stores.build.writers import writer_versions
from headrace.stores.errors import (
    ClusterError,
    SourceError,
    UserError,
    first_line,
)
from headrace.stores.io.places import Place, storage_of
from headrace.stores.io.storage import State
from headrace.stores.layout.layout import Layout, Recipe, Segment
from headrace.stores.layout.survey import FoldReader
from headrace.stores.moments import channel_moments, column_moments, merge_all
from headrace.stores.shards.cut import CutWindows
from headrace.stores.source.candidates import Candidates
from headrace.stores.source.files.census import Census, census_from
from headrace.stores.source.files.located import folder_of
from headrace.stores.source.formats.pieces import PIECES
from headrace.stores.source.recorded import recorded_options
from headrace.stores.source.source import Source, open_source
from headrace.stores.units import in_units

Array = NDArray[Any]
_KEPT = threading.local()
CENSUS = "files.npz"
"""Beside a build's plan: what was found in the files of its source."""


@dataclass(frozen=True)
class Workshop:
    """What a worker keeps between tasks: the build, its own source handle and the kernels."""

    build: Build
    source: Candidates
    layout: Layout
    fold_of: FoldReader
    catalogue: Catalogue | None


@dataclass(frozen=True)
class MadeRows:
    """The rows of a shard, as `Build.write_shard` takes them."""

    recipe: Recipe
    columns: dict[str, Array]
    records: list[SegmentRecord]
    filled: NDArray[np.int64]


def extract_shard(
    target: Place,
    source: Place,
    state: State,
    shard: int,
    code: Path | None = None,
    kept_pieces: int = 0,
) -> dict[str, int]:
    """Make one shard of the store `target`.

    Args:
        target: where the store will stand; its build has begun.
        source: its file or folder.
        state: of the source when the stage began.
        shard: which.
        code: folder of the user's own feature functions.
        kept_pieces: bytes of decoded pieces of the source that this process keeps.

    Returns:
        shard, windows, bytes written.

    Raises:
        UserError: non-finite values, a source that changed, a full disk.
    """
    PIECES.keep(kept_pieces)
    shop = open_workshop(target, source, state, code)
    made = make_rows(shop, source, state, shard)
    written = shop.build.write_shard(
        shard, made.columns, made.recipe.order, made.records, made.filled
    )
    return {"shard": shard, "windows": made.recipe.rows, "bytes": written}


def make_rows(shop: Workshop, source: Place, state: State, shard: int) -> MadeRows:
    """Gather and extract the rows of one shard.

    Raises:
        UserError: non-finite values, or a source that changed, is gone or cannot be read.
    """
    try:
        recipe, manifest = shop.layout.recipe(shard, shop.fold_of), shop.build.manifest
        raw: Array | CutWindows
        columns = _labels(shop, recipe)
        if manifest.stretches:
            raw, filled, where = gather_stretches(shop.source, recipe, manifest, shard)
            columns |= where
        else:
            raw, filled = gather_windows(shop.source, recipe, manifest.block)
        if isinstance(shop.source, Unshuffled):
            filled = shop.source.filled_of(recipe.numbers)
        shop.source.require_state(state)
    except OSError as error:
        raise SourceError(
            f"{source} is gone or cannot be read any more ({first_line(error)}). Start again "
            "once it is there and whole: what is complete is kept."
        ) from error
    if isinstance(shop.source, Source) and shop.source.options.non_finite == "error":
        require_finite(raw, recipe, shop.source)
    stored = np.dtype(shop.build.manifest.raw_dtype)
    columns["raw"] = raw.stretches if isinstance(raw, CutWindows) else raw
    require_storable(columns["raw"], stored)
    features, records = _extract(shop, recipe, raw, stored)
    if features is not None:
        columns["features"] = features
    return MadeRows(recipe, columns, records(columns["label"]), filled)


def try_shard(*given: Any) -> dict[str, int] | UserError:
    """`extract_shard`, with what is the user's to mend returned: a raise would be logged too."""
    try:
        return extract_shard(*given)
    except UserError as error:
        return error


def open_workshop(target: Place, source: Place, state: State, code: Path | None = None) -> Workshop:
    """What this thread needs for any shard of a build; kept for the next one.

    A worker of a cluster may run tasks in several threads, and builds of the same name one after
    another.

    Raises:
        UserError: the build or the source is not seen from here, or this machine would write
            other bytes.
    """
    try:
        plan = storage_of(site_of(target).folder / "plan.json").state()
    except OSError as error:
        raise ClusterError(
            f"{platform.node()} does not see the store that is being made, {target} "
            f"({first_line(error)}). Put source and store on a disk that all workers see at the "
            "same path."
        ) from error
    wanted = (target, source, state, plan, code)
    if getattr(_KEPT, "of", None) != wanted:
        close_workshop()
        _KEPT.shop, _KEPT.of = _opened_workshop(target, source, state, code), wanted
    shop: Workshop = _KEPT.shop
    return shop


def close_workshop() -> None:
    """Close and forget what this thread keeps."""
    shop: Workshop | None = getattr(_KEPT, "shop", None)
    vars(_KEPT).clear()
    if shop is not None:
        shop.source.close()


def keep_census(target: Place, census: Census | None) -> None:
    """Write down what was found in many files, for the workers of a build that has begun.

    Raises:
        UserError: it cannot be written.
    """
    if census is not None:
        storage_of(site_of(target).folder / CENSUS).write(census.to_bytes())


def _kept_census(target: Place, path: Place, state: State) -> Census | None:
    """What was kept of many files in this state; None: nothing was."""
    try:
        kept = storage_of(site_of(target).folder / CENSUS).for_numpy()
        census = census_from(kept, folder_of(path))
    except OSError:
        return None
    return census if census is not None and census.state == state else None


def _opened_workshop(target: Place, path: Place, state: State, code: Path | None) -> Workshop:
    build = site_of(target).load()
    manifest, laid_down = build.manifest, is_unshuffled(path)
    # What is laid down again keeps features that other versions may have made.
    differing = (
        []
        if laid_down
        else [
            f"{name} {found}, not {manifest.writers.get(name)}"
            for name, found in writer_versions().items()
            if manifest.writers.get(name) != found
        ]
    )
    if differing:
        raise ClusterError(
            f"{platform.node()} has {', '.join(differing)}: it would write other bytes. Install "
            "the same versions there, from the lock file, and start again."
        )
    options = recorded_options(manifest.config, manifest.target.kind)
    source: Candidates
    if laid_down:
        source = open_unshuffled(path, options)
    else:
        source = open_source(path, options, _kept_census(target, path, state))
    fold_of_group = np.full(len(manifest.groups), -1, np.int64)
    for number, fold in enumerate(manifest.folds):
        fold_of_group[list(fold.groups)] = number
    dropped = np.array(manifest.dropped, dtype=np.int64).reshape(-1, 2)
    return Workshop(
        build,
        source,
        layout_of(manifest, build.index()),
        FoldReader(source, fold_of_group, dropped),
        None if isinstance(source, Unshuffled) else catalogue_of(manifest, code),
    )


def _labels(shop: Workshop, recipe: Recipe) -> dict[str, Array]:
    target = shop.build.manifest.target
    columns: dict[str, Array] = {
        "label": np.empty((recipe.rows, *target.shape), target.dtype),
        "group": np.empty(recipe.rows, np.int32),
        "source_index": np.empty(recipe.rows, np.int64),
    }
    if shop.build.manifest.located:
        columns["recording"] = np.empty(recipe.rows, np.int32)
        columns["start"] = np.empty(recipe.rows, np.int64)
    for at, start, stop in fetched(shop.source, list(placed(recipe)), labels=True):
        rows = slice(at, at + stop - start)
        labels = shop.source.read_labels(start, stop)
        columns["label"][rows], columns["group"][rows] = labels.label, labels.group
        columns["source_index"][rows] = np.arange(start, stop)
        located = shop.source.locate(start, stop)
        if located is not None:
            columns["recording"][rows], columns["start"][rows] = located
    return columns


def _extract(
    shop: Workshop, recipe: Recipe, raw: Array | CutWindows, stored: np.dtype[Any]
) -> tuple[Array | None, Any]:
    """Features of the gathered windows, and what makes the records once labels are known.

    Features are those of the source's values, moments those of the values as stored.
    """
    catalogue, scale = shop.catalogue, shop.source.spec.scale
    names = () if catalogue is None else catalogue.names
    features = None if catalogue is None else np.empty((len(raw), len(names)), np.float32)
    if isinstance(shop.source, Unshuffled):
        features = gather_features(shop.source, recipe)
    columns = 0 if features is None else features.shape[1]
    kept = []
    for rows in _segment_rows(recipe.segments):
        raw_parts, feature_parts = [], []
        for at in range(rows.start, rows.stop, BATCH_WINDOWS):
            batch = slice(at, min(at + BATCH_WINDOWS, rows.stop))
            windows = raw[batch]
            units = in_units(windows, scale)
            held = windows.astype(stored, copy=False)
            raw_parts.append(
                channel_moments(units if stored == windows.dtype else in_units(held, scale))
            )
            if features is not None:
                if catalogue is not None:
                    extract_features(catalogue, units, features[batch])
                feature_parts.append(column_moments(features[batch]))
        kept.append((rows, merge_all(raw_parts, len(scale)), merge_all(feature_parts, columns)))
    target = shop.build.manifest.target

    def records(label: Array) -> list[SegmentRecord]:
        return [
            SegmentRecord(raw, found, target.counts(label[rows]), target.moments(label[rows]))
            for rows, raw, found in kept
        ]

    return features, records


def _segment_rows(segments: tuple[Segment, ...]) -> Iterator[slice]:
    first = segments[0].start
    for segment in segments:
        yield slice(segment.start - first, segment.stop - first)
