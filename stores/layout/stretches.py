"""Which stretch of signal each window of a shard is cut from: overlap is stored once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.stores.layout.layout import Layout, Recipe

Integers = NDArray[np.int64]
MOST_WINDOWS = 32
"""Of a stretch by default, however much they overlap."""


def default_windows(time: int, step: int) -> int:
    """Windows of a stretch: as many as steps go into a window, 32 at most.

    A stretch is then about two windows long, and a store holds each sample about twice. More would
    save less than half of that and mix less: whoever draws one window of a stretch is likely to
    draw another with it.

    Args:
        time: samples of a window.
        step: samples from a window to the next.
    """
    return min(MOST_WINDOWS, max(1, time // max(step, 1)))


def stretch_rows(time: int, step: int, windows: int) -> int:
    """Samples of a stretch."""
    return (windows - 1) * step + time


def raw_chunk_rows(chunk: int, windows: int) -> int:
    """Stretches in a chunk of `raw`: a quarter of those that a chunk of windows takes."""
    return max(1, chunk // windows // 4)


def whole_chunks(stretches: int, chunk: int) -> int:
    """So many stretches, or a few more: whole chunks of them."""
    return -(-stretches // chunk) * chunk


@dataclass(frozen=True)
class Stretches:
    """The stretches of a shard.

    Attributes:
        bounds: (S, 2) the first and past the last of the gathered windows of each, in the order
            in which they are stored.
        number: (n,) of each gathered window: which stretch it is in.
        offset: (n,) its first sample there.
    """

    bounds: Integers
    number: Integers
    offset: Integers


def stretches_of(recipe: Recipe, series: Integers, row: Integers, step: int) -> Stretches:
    """Cut the windows of a shard where the signal does not go on by one step, and at blocks.

    Args:
        recipe: of the shard; its blocks stand whole.
        series: (n,) which recording each gathered window is of.
        row: (n,) its first row there.
        step: rows from a window to the next.
    """
    begins = (np.diff(row) != step) | (np.diff(series) != 0)
    first = np.union1d(recipe.blocks, np.flatnonzero(begins) + 1)
    bounds = np.stack([first, np.append(first[1:], recipe.rows)], axis=1)
    sizes = bounds[:, 1] - bounds[:, 0]
    place = np.empty(recipe.rows, np.int64)
    place[recipe.order] = np.arange(recipe.rows)
    stored = np.argsort(place[first])
    number = np.empty(len(first), np.int64)
    number[stored] = np.arange(len(first))
    return Stretches(bounds[stored], np.repeat(number, sizes), row - np.repeat(row[first], sizes))


def most_in_shards(layout: Layout, borders: Iterable[Integers]) -> Integers:
    """(S,) most stretches that each shard can have: its blocks, and where the signal may break.

    Arithmetic over the runs of the source: no block is listed.

    Args:
        layout: of the store.
        borders: tables (R, 2) of the fold, and the number within it, of the candidates before
            which the signal may not go on.
    """
    block, rows = layout.geometry.block, layout.geometry.shard
    # Each part of a shard that is of one fold may cut a block at both ends.
    starts = np.array([fold.start for fold in layout.folds])
    parts = 1 + np.bincount(starts[starts % rows > 0] // rows, minlength=layout.shards)
    held = np.minimum(rows, layout.rows - np.arange(layout.shards) * rows)
    counts = held // block + 2 * parts
    for table in borders:
        for fold in np.unique(table[:, 0]).tolist():
            number = table[table[:, 0] == fold, 1]
            number = number[number % block > 0]
            row = starts[fold] + layout.slot_of_block(fold, number // block) * block
            counts += np.bincount((row + number % block) // rows, minlength=layout.shards)
    return np.asarray(counts)
