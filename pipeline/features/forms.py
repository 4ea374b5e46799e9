"""What each form of a store of windows that overlap would take, and how well its batches mix.

A store is shuffled by stretches, which stand whole, or window by window. Where the candidates of
some rows stand in the source is arithmetic, and runs say what their groups and labels are: batches
of either form are known before there is a store, and no window is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.config.config import Config
from headrace.pipeline.rows.order import Order, buffer_chunks
from headrace.pipeline.rows.quality import POOR, batch_entropy, first_rows
from headrace.pipeline.rows.ranges import merge_ranges
from headrace.pipeline.rows.split import choose_split
from headrace.stores.errors import ConfigError
from headrace.stores.layout.folds import named_folds
from headrace.stores.layout.layout import Geometry, Layout, make_geometry
from headrace.stores.layout.stretches import default_windows, most_in_shards, stretch_rows
from headrace.stores.layout.survey import Survey, placed_runs, signal_borders
from headrace.stores.manifest import Manifest
from headrace.stores.source.source import Source
from headrace.stores.text import format_bytes

Integers = NDArray[np.int64]
_DRAWN = 1 << 18
"""Rows that stand for independent draws."""


@dataclass(frozen=True)
class Form:
    """A form that a store can have.

    Attributes:
        name: "stretches" or "windows": what is shuffled.
        raw_bytes: of `raw`, before compression.
        groups, labels: entropy of a batch's over that of independent draws of windows.
        way: how it is asked for; empty for the form that the store will have.
    """

    name: str
    raw_bytes: int
    groups: float
    labels: float
    way: str

    @property
    def is_poor(self) -> bool:
        """Whether a plan warns of it."""
        return min(self.groups, self.labels) < POOR

    def said(self) -> str:
        """In a sentence."""
        how = "Shuffled by stretches" if self.name == "stretches" else "Shuffled window by window"
        way = f"with {self.way}" if self.way else "as the store will be"
        groups, labels = (f"{100 * min(each, 1):.1f} %" for each in (self.groups, self.labels))
        return (
            f"{'Warning: ' * self.is_poor}{how}, {way}, a batch mixes groups {groups} and labels "
            f"{labels} as well as independent draws; {self.name} take "
            f"{format_bytes(self.raw_bytes)} before compression."
        )

    def as_table(self) -> dict[str, Any]:
        """JSON-able."""
        found = {"raw_bytes": self.raw_bytes, "groups": self.groups, "labels": self.labels}
        return found | {"chosen": not self.way}


def forms_of(config: Config, source: Source, manifest: Manifest, survey: Survey) -> list[Form]:
    """The form that the store will have, and the other; none where no two windows overlap.

    Memory and time are bounded: less than a million rows are looked up, in one pass over the runs.

    Args:
        config: of the store, and of the training whose batches these are.
        source, manifest, survey: of the store that is to be made.

    Raises:
        UserError: too few folds to train, validate and test.
    """
    geometries = list(_geometries(config, source, manifest))
    if not geometries:
        return []
    train = choose_split(survey.folds, survey.class_table, config.split).train
    ranges = merge_ranges([(f.start, f.stop) for f in named_folds(survey.folds, train)])
    seed = int(manifest.config["store"]["seed"])
    layouts = [Layout(survey.folds, each, seed, survey.index) for _, each, _ in geometries]
    looked_up = [_independent(ranges)]
    for layout in layouts:
        chunks = buffer_chunks(config.stream, int(layout.geometry.whole))
        order = Order(ranges, layout.geometry.chunk, chunks, config.train.seed)
        looked_up.append(layout.places(first_rows(order)))
    drawn, *codes = _codes(source, survey, looked_up)
    found = []
    for (name, _, way), layout, own in zip(geometries, layouts, codes, strict=True):
        size = manifest.windows * manifest.spec.stored_bytes
        if layout.geometry.whole:
            size = _stretch_bytes(layout, source, manifest, survey)
        groups, labels = map(partial(_quality, config.train.batch), own, drawn)
        found.append(Form(name, size, groups, labels, way))
    return found


def _geometries(
    config: Config, source: Source, manifest: Manifest
) -> Iterator[tuple[str, Geometry, str]]:
    """Name and sizes of each form, and how it is asked for if it is not the store's."""
    time, options = manifest.time, config.store
    step = None if source.recordings is None else source.recordings.step
    stretch = manifest.stretch or options.stretch_windows or default_windows(time, step or time)
    if step is None or step >= time or stretch < 2:
        return
    own, other = ("stretches", "windows") if manifest.stretch else ("windows", "stretches")
    yield own, manifest.geometry, ""
    with suppress(ConfigError):  # Sizes that are named for the one may not suit the other.
        geometry = make_geometry(
            manifest.spec.stored_bytes,
            options.chunk_windows,
            options.shard_windows,
            widest=4 * len(manifest.features),
            stretch=stretch if other == "stretches" else 0,
        )
        named = f"store.block_windows = {geometry.block} and neither store.raw nor "
        named += "store.stretch_windows"
        yield other, geometry, 'store.raw = "stretches"' if other == "stretches" else named


def _stretch_bytes(layout: Layout, source: Source, manifest: Manifest, survey: Survey) -> int:
    """Bytes of `raw` as stretches, without the zeros that fill up shards."""
    assert source.recordings is not None
    rows = stretch_rows(manifest.time, source.recordings.step, layout.geometry.block)
    held = int(most_in_shards(layout, signal_borders(source, survey)).sum())
    return held * rows * manifest.spec.stored_bytes // manifest.time


def _independent(ranges: tuple[tuple[int, int], ...]) -> Integers:
    """Rows that are drawn one by one: any order of theirs has the folds' candidates."""
    starts, stops = np.array(ranges).T
    ends = np.cumsum(stops - starts)
    drawn = np.random.default_rng(0).integers(ends[-1], size=_DRAWN)
    number = np.searchsorted(ends, drawn, side="right")
    return np.asarray(drawn + (stops - ends)[number])


def _codes(source: Source, survey: Survey, places: Sequence[Integers]) -> list[Integers]:
    """(2, n) group and label of the candidates at places (n,), fold after fold, of each."""
    starts = np.array([fold.start for fold in survey.folds])
    every = np.concatenate(places)
    by_place = np.argsort(every)
    ascending = every[by_place]
    found = np.zeros((2, len(every)), np.int64)
    for table, labels in placed_runs(source, survey):
        first = starts[table[:, 0]] + table[:, 1]
        low, high = (np.searchsorted(ascending, each) for each in (first, first + table[:, 2]))
        sizes = high - low
        hit = np.repeat(low - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        found[:, by_place[hit]] = np.stack([labels.group, labels.label]).repeat(sizes, axis=1)
    return np.split(found, np.cumsum([len(each) for each in places])[:-1], axis=1)


def _quality(batch: int, codes: Integers, drawn: Integers) -> float:
    ideal = batch_entropy(drawn, min(batch, len(codes)))
    return batch_entropy(codes, batch) / ideal if ideal > 0 else 1.0
