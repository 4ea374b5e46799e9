"""Stretches of a shard: how many there are at most is known before any is cut."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.stores.layout.layout import Geometry
from headrace.stores.layout.stretches import most_in_shards, stretches_of
from tests.stores.layout.test_layout import layout_of

Integers = NDArray[np.int64]
STEP = 3


@settings(max_examples=100, deadline=None)
@given(
    runs=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 4)), min_size=1, max_size=12),
    folds=st.integers(1, 5),
    chunk=st.integers(1, 9),
    chunks=st.integers(1, 9),
    block=st.integers(1, 12),
    dropped=st.lists(st.integers(0, 400), max_size=4),
    counted=st.booleans(),
)
# Shards that begin and end within a block, alone and with a signal that ends in each.
@example(runs=[(40, 0)], folds=1, chunk=2, chunks=1, block=3, dropped=[], counted=False)
@example(runs=[(4, 0)] * 12, folds=1, chunk=9, chunks=1, block=6, dropped=[], counted=False)
def test_no_shard_has_more_stretches_than_are_counted(
    runs: list[tuple[int, int]], folds: int, chunk: int, chunks: int, block: int,
    dropped: list[int], counted: bool,
) -> None:  # fmt: skip
    lengths, groups = np.array(runs).T
    group, series = groups.repeat(lengths), np.arange(len(runs)).repeat(lengths)
    gone = np.unique([each for each in dropped if 0 < each < len(group)]).astype(np.int64)
    kind = "counts" if counted else "runs"
    geometry = Geometry(chunk, chunk * chunks, block, whole=True)
    layout, fold = layout_of(group, folds, geometry, gone, kind)
    ends = np.ones(len(group), dtype=bool)
    ends[1:] = np.diff(series) != 0
    ends[np.minimum(gone + 1, len(group) - 1)] = True
    tables = [
        np.array([[number, each] for each in np.flatnonzero(ends[fold == number])])
        for number in range(len(layout.folds))
        if ends[fold == number].any()
    ]
    most = most_in_shards(layout, tables)
    for shard in range(layout.shards):
        recipe = layout.recipe(shard, lambda a, b: fold[a:b])
        at = recipe.numbers
        found = len(stretches_of(recipe, series[at], STEP * at, STEP).bounds)
        # Two for each part's ends, and one where a signal ends as a part begins.
        assert found <= most[shard] <= found + 3 * len(recipe.segments)
