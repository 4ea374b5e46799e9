"""How much of a source the making of a store reads: whole chunks, for a few windows of each."""

from __future__ import annotations

import numpy as np

from headrace.stores.layout.fold_index import FoldOf
from headrace.stores.layout.layout import Layout
from headrace.stores.source.source import Source

SAMPLED_SHARDS = 8
"""Shards that stand for all of them, evenly spaced."""
LARGE = 2.0
"""Bytes read for a byte of windows from which a plan says how to read less."""


def read_amplification(source: Source, layout: Layout, fold_of: FoldOf) -> float:
    """Bytes that are read of `source` for each byte of the windows that a store gets.

    Chunks count whole and decoded, and again where HDF5's cache has lost them: a worker reads the
    blocks of a shard in source order, fold by fold, and then those of its next shard.

    Args:
        source: open; labels may be read, windows are not.
        layout: of the store.
        fold_of: as `Layout.recipe` takes it.
    """
    shards = np.unique(np.linspace(0, layout.shards - 1, SAMPLED_SHARDS).astype(int))
    recipes = [layout.recipe(shard, fold_of) for shard in shards.tolist()]
    ranges = [(start, stop) for each in recipes for start, stop in each.ranges.tolist()]
    windows = sum(each.rows for each in recipes)
    return source.bytes_read(ranges) / (windows * source.spec.stored_bytes)
