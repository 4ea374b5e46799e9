"""Rows, blocks, shards and folds: every candidate in exactly one row, in its own fold."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.stores.errors import ConfigError
from headrace.stores.layout.fold_index import CountIndex, FoldIndex, RunIndex, load_index
from headrace.stores.layout.folds import make_folds
from headrace.stores.layout.layout import Geometry, Layout, build_index, make_geometry
from tests.refusals import refused

Integers = NDArray[np.int64]


def runs_of(fold: Integers, size: int) -> Iterator[Integers]:
    """Runs of equal folds in slices of `size`, those that are in none left out."""
    for low in range(0, len(fold), size):
        part = fold[low : low + size]
        heads = np.flatnonzero(np.append(True, np.diff(part) != 0))
        table = np.stack([part[heads], low + heads, low + np.append(heads[1:], len(part))], axis=1)
        yield table[table[:, 0] >= 0]


def layout_of(
    group: Integers, fold_count: int, geometry: Geometry, dropped: Integers, kind: str
) -> tuple[Layout, Integers]:
    """A layout over a group a candidate (dropped ones in none), and the fold of each."""
    kept = np.ones(len(group), dtype=bool)
    kept[dropped] = False
    table = np.bincount(group[kept], minlength=group.max() + 1)[:, None]
    fold_count = min(fold_count, int((table > 0).sum()))
    folds = make_folds(table, np.full(len(table), -1, np.int8), (), fold_count, "balance")
    fold_of_group = np.full(len(table), -1)
    for number, fold in enumerate(folds):
        fold_of_group[list(fold.groups)] = number
    fold = np.where(kept, fold_of_group[group], -1)
    index: FoldIndex | None
    if kind == "runs":
        index = RunIndex.build(len(folds), runs_of(fold, 97), limit=len(group))
    else:
        index = CountIndex.build(len(group), len(folds), geometry.block, lambda a, b: fold[a:b])
    assert index is not None
    return Layout(folds, geometry, 5, index), fold


@st.composite
def cases(draw: st.DrawFn) -> tuple[Integers, int, Geometry, Integers, str]:
    """Groups in stretches or interleaved, any geometry, some candidates dropped."""
    groups = draw(st.integers(1, 6))
    size = draw(st.integers(groups, 400))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    group = np.concatenate([np.arange(groups), rng.integers(0, groups, size - groups)])
    if draw(st.booleans()):
        group = np.sort(group)
    chunk = draw(st.integers(1, 9))
    shard, block, whole = chunk * draw(st.integers(1, 9)), draw(st.integers(1, 20)), st.booleans()
    geometry = Geometry(chunk, shard, block, draw(whole))
    dropped = groups + rng.permutation(size - groups)[: draw(st.integers(0, 5))]
    kind = draw(st.sampled_from(["runs", "counts"]))
    return group, draw(st.integers(1, groups)), geometry, dropped, kind


@settings(max_examples=60)
@given(cases())
def test_every_candidate_reaches_one_row_of_its_fold(case: tuple) -> None:
    group, fold_count, geometry, dropped, kind = case
    layout, fold = layout_of(group, fold_count, geometry, dropped, kind)
    rows = []
    for shard in range(layout.shards):
        recipe = layout.recipe(shard, lambda a, b: fold[a:b])
        gathered = np.concatenate([np.arange(a, b) for a, b in recipe.ranges])
        assert np.array_equal(np.sort(recipe.order), np.arange(len(gathered)))
        rows.append(gathered[recipe.order])
    source_index = np.concatenate(rows)
    assert np.array_equal(np.sort(source_index), np.setdiff1d(np.arange(len(group)), dropped))
    for number, one in enumerate(layout.folds):
        assert np.all(fold[source_index[one.start : one.stop]] == number)
    # The same by arithmetic, of some rows in any order.
    some = np.random.default_rng(0).integers(layout.rows, size=50)
    in_folds = np.argsort(np.where(fold < 0, len(layout.folds), fold), kind="stable")
    assert np.array_equal(in_folds[layout.places(some)], source_index[some])


@settings(max_examples=25)
@given(cases())
def test_both_indices_describe_the_same_layout(case: tuple) -> None:
    group, fold_count, geometry, dropped, _ = case
    runs, fold = layout_of(group, fold_count, geometry, dropped, "runs")
    counts, _ = layout_of(group, fold_count, geometry, dropped, "counts")
    for shard in range(runs.shards):
        one = runs.recipe(shard, lambda a, b: fold[a:b])
        other = counts.recipe(shard, lambda a, b: fold[a:b])
        assert np.array_equal(one.ranges, other.ranges)
        assert np.array_equal(one.order, other.order)


@pytest.mark.parametrize("interleaved", [False, True])
def test_an_index_survives_as_bytes(interleaved: bool) -> None:
    group = np.arange(200_000) % 7 if interleaved else np.arange(200_000) // 30_000
    index = build_index(len(group), 7, 64, runs_of(group, 50_000), lambda a, b: group[a:b])
    assert isinstance(index, CountIndex if interleaved else RunIndex)
    loaded = load_index(io.BytesIO(index.to_bytes()))
    for fold in range(7):
        expected = index.ranges(fold, 11, 5_000, lambda a, b: group[a:b])
        found = loaded.ranges(fold, 11, 5_000, lambda a, b: group[a:b])
        assert np.array_equal(expected, found)
        assert (expected[:, 1] - expected[:, 0]).sum() == 4_989


def test_a_shard_mixes_distant_blocks() -> None:
    group = np.repeat(np.arange(2), 50_000)
    layout, fold = layout_of(group, 2, make_geometry(4608), np.zeros(0, np.int64), "runs")
    recipe = layout.recipe(2, lambda a, b: fold[a:b])
    assert len(recipe.ranges) > 50
    first_chunk = np.concatenate([np.arange(a, b) for a, b in recipe.ranges])[recipe.order[:256]]
    assert len(np.unique(first_chunk // 64)) > 60


def test_default_geometry_follows_the_window_alone() -> None:
    assert make_geometry(128 * 9 * 4) == Geometry(128, 8192, 64)
    assert make_geometry(512 * 6 * 4) == Geometry(64, 4096, 32)


def test_a_shard_of_broken_chunks_is_refused() -> None:
    with refused(ConfigError, "store.shard_windows", "1000", "896"):
        make_geometry(4608, shard=1000)
