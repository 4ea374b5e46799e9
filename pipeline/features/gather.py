"""Reads the windows of a shard from the source, or the stretches that they are cut from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.layout.layout import Recipe
from headrace.stores.layout.stretches import Stretches, stretches_of
from headrace.stores.manifest import Manifest
from headrace.stores.shards.cut import CutWindows, first_values
from headrace.stores.source.candidates import Candidates, Signals

Array = NDArray[Any]


def gather_windows(
    source: Candidates, recipe: Recipe, block: int
) -> tuple[Array, NDArray[np.int64]]:
    """(n, T, C) windows of the recipe's ranges, in their order, and which of them were filled."""
    raw = np.empty((recipe.rows, *source.spec.shape), dtype=source.spec.dtype)
    filled = [np.zeros(0, np.int64)]
    for at, start, stop in fetched(source, list(placed(recipe, block))):
        rows = slice(at, at + stop - start)
        if source.options.non_finite == "fill":
            raw[rows], marked = source.read_marked_windows(start, stop)
            filled.append(start + np.flatnonzero(marked))
        else:
            raw[rows] = source.read_windows(start, stop)
    return raw, np.concatenate(filled)


def gather_stretches(
    source: Candidates, recipe: Recipe, manifest: Manifest, shard: int
) -> tuple[CutWindows, NDArray[np.int64], dict[str, Array]]:
    """The same windows as what they are cut from, and the columns that say where each is."""
    found = shard_stretches(source, recipe, manifest.step)
    numbers = recipe.numbers
    shape = manifest.stretches, manifest.raw_time, len(manifest.channels)
    stretches = np.zeros(shape, source.spec.dtype)
    bad = np.zeros(shape[:2], dtype=bool)
    wanted = [
        (at, int(numbers[low]), int(numbers[high - 1]) + 1)
        for at, (low, high) in enumerate(found.bounds.tolist())
    ]
    fills = source.options.non_finite == "fill"
    for at, start, stop in fetched(source, sorted(wanted, key=lambda each: each[1])):
        rows, marked = _recordings(source).read_stretch(start, stop, fills)
        stretches[at, : len(rows)], bad[at, : len(rows)] = rows, marked
    columns: dict[str, Array] = {
        "stretch": shard * manifest.stretches + found.number,
        "offset": found.offset.astype(np.int32),
    }
    first = first_values(found.number, found.offset, *shape[1:])
    windows = CutWindows(stretches, first, source.spec.time)
    return windows, numbers[windows.marked(bad)], columns


def shard_stretches(source: Candidates, recipe: Recipe, step: int) -> Stretches:
    """Which stretches the windows of a shard lie in."""
    series, row = (np.empty(recipe.rows, np.int64) for _ in range(2))
    for at, start, stop in placed(recipe):
        part = slice(at, at + stop - start)
        series[part], row[part] = _recordings(source).places(start, stop)
    return stretches_of(recipe, series, row, step)


def _recordings(source: Candidates) -> Signals:
    assert source.recordings is not None
    return source.recordings


def fetched(
    source: Candidates, placed: list[tuple[int, int, int]], labels: bool = False
) -> Iterator[tuple[int, int, int]]:
    """The same, each fetched before it is given, together with those that follow it."""
    while placed:
        count = source.fetch([(start, stop) for _, start, stop in placed], labels)
        yield from placed[:count]
        placed = placed[count:]


def placed(recipe: Recipe, most: int | None = None) -> Iterator[tuple[int, int, int]]:
    """(place among the gathered rows, start, stop) of every range, in pieces of at most `most`."""
    at = 0
    for low, high in recipe.ranges.tolist():
        for start in range(low, high, most or high - low):
            stop = min(start + (most or high - low), high)
            yield at, start, stop
            at += stop - start
