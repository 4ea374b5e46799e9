"""A store of several parts reads as the rows of its parts, one after another."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import headrace
from headrace.stores.errors import StoreError
from headrace.stores.layout.folds import Fold
from headrace.stores.parts.places import part_place
from headrace.stores.shards.cut import CutWindows
from headrace.stores.store import Store, open_store
from tests.refusals import refused

Ranges = list[tuple[int, int]]
few = settings(max_examples=30)


@pytest.fixture(scope="session")
def grown(grown_path: Path) -> Store:
    return open_store(grown_path)


def arrays_of(store: Store) -> list[str]:
    return [array.name for array in store.manifest.arrays()]


def all_rows(store: Store) -> dict[str, NDArray[Any]]:
    """What parts hold, each read alone, in terms of the names and numbers of all."""
    found: dict[str, list[NDArray[Any]]] = {name: [] for name in arrays_of(store)}
    candidates = stretches = 0
    for part in store.parts:
        alone = Store(part)
        rows = alone.read_many(arrays_of(alone), [(0, alone.windows)])
        for name, of, here in (
            ("label", alone.classes, store.classes),
            ("group", alone.groups, store.groups),
        ):
            rows[name] = np.array([here.index(of[code]) for code in rows[name]])
        rows["source_index"] = rows["source_index"] + candidates
        if "stretch" in rows:
            rows["stretch"] = rows["stretch"] + stretches
        candidates += int(part.manifest.source["windows"])
        stretches += part.stretches
        for name, values in rows.items():
            found[name].append(values)
    return {name: np.concatenate(values) for name, values in found.items()}


@pytest.fixture(scope="session")
def rows(grown: Store) -> dict[str, NDArray[Any]]:
    return all_rows(grown)


def picked(values: NDArray[Any], ranges: Sequence[tuple[int, int]]) -> NDArray[Any]:
    return np.concatenate([values[:0], *(values[start:stop] for start, stop in ranges)])


@st.composite
def range_lists(draw: st.DrawFn, rows: int = 596) -> Ranges:
    pairs = st.tuples(st.integers(0, rows), st.integers(0, rows)).map(sorted)
    return [(start, stop) for start, stop in draw(st.lists(pairs, max_size=6))]


def test_the_store_is_one_of_three_parts(grown: Store) -> None:
    assert [part.manifest.windows for part in grown.parts] == [352, 175, 69]
    assert grown.windows == len(grown) == 596
    assert grown.part_starts == (0, 352, 527)
    assert grown.classes == ("walk", "sit", "run")
    assert grown.groups == tuple(f"s{number}" for number in range(9))
    assert "3 parts" in repr(grown)
    assert {part.manifest.classes for part in grown.parts} > {("run", "walk")}


@few
@given(ranges=range_lists())
def test_any_ranges_are_the_rows_of_the_parts(
    grown: Store, rows: dict[str, NDArray[Any]], ranges: Ranges
) -> None:
    read = grown.read_many(arrays_of(grown), ranges)
    for name, values in rows.items():
        np.testing.assert_array_equal(read[name], picked(values, ranges), err_msg=name)
        assert read[name].dtype == grown.array(name).dtype


@few
@given(ranges=range_lists())
def test_a_buffer_is_cut_into_the_windows_of_the_parts(
    grown: Store, rows: dict[str, NDArray[Any]], ranges: Ranges
) -> None:
    buffer = grown.read_buffer(["raw", "group"], ranges)
    assert isinstance(buffer["raw"], CutWindows) == bool(grown.manifest.stretches)
    np.testing.assert_array_equal(buffer["raw"][:], picked(rows["raw"], ranges))
    np.testing.assert_array_equal(buffer["group"], picked(rows["group"], ranges))


def test_single_rows_and_stored_rows_cross_borders_of_parts(
    grown: Store, rows: dict[str, NDArray[Any]]
) -> None:
    for border in grown.part_starts[1:]:
        both = grown.read("raw", border - 1, border + 1)
        np.testing.assert_array_equal(both, rows["raw"][border - 1 : border + 1])
    stored = [
        Store(part).read_stored("raw", 0, part.stretches or part.manifest.windows)
        for part in grown.parts
    ]
    whole = np.concatenate(stored)
    np.testing.assert_array_equal(grown.read_stored("raw", 0, len(whole)), whole)


@few
@given(names=st.sets(st.sampled_from("0123"), min_size=1))
def test_moments_and_classes_of_folds_are_those_of_their_rows(
    grown: Store, rows: dict[str, NDArray[Any]], names: set[str]
) -> None:
    folds = [fold for fold in grown.folds if fold.name in names]
    own = np.concatenate([np.arange(grown.windows)[fold.rows] for fold in folds])
    moments = grown.moments(names)
    raw = rows["raw"][own].astype(float) * grown.spec.scale
    assert moments.count == len(own)
    np.testing.assert_allclose(moments.raw_mean, raw.mean((0, 1)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(moments.raw_std, raw.std((0, 1)), rtol=1e-9)
    features = rows["features"][own].astype(float)
    np.testing.assert_allclose(moments.feature_mean, features.mean(0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(moments.feature_std, features.std(0), rtol=1e-9)
    counts = np.bincount(rows["label"][own], minlength=3)
    np.testing.assert_array_equal(grown.class_counts(names), counts)
    table = grown.class_table[[fold.name in names for fold in grown.folds]]
    np.testing.assert_array_equal(table.sum(0), counts)


def test_folds_are_the_rows_of_their_groups(grown: Store, rows: dict[str, NDArray[Any]]) -> None:
    seen = []
    for fold in grown.folds:
        own = np.arange(grown.windows)[fold.rows]
        assert len(own) == fold.windows
        assert own.tolist() == [n for start, stop in fold.ranges for n in range(start, stop)]
        assert set(rows["group"][own]) == set(fold.groups)
        assert grown.fold(fold.name) is fold
        seen += own.tolist()
    assert sorted(seen) == list(range(grown.windows))
    in_parts = [len(fold.ranges) for fold in grown.folds]
    assert min(in_parts) == 1
    assert max(in_parts) == 3


def test_a_group_keeps_the_fold_that_it_has(grown: Store) -> None:
    first, later, _ = (Store(part) for part in grown.parts)

    def fold_of(store: Store, name: str) -> Fold:
        code = store.groups.index(name)
        return next(fold for fold in store.folds if code in fold.groups)

    assert fold_of(first, "s0").name == fold_of(later, "s0").name == fold_of(grown, "s0").name


def test_fewer_parts_are_the_store_as_it_was(grown_path: Path, grown: Store) -> None:
    for count in (1, 2, 3):
        store = open_store(grown_path, parts=count)
        assert store.fingerprint == grown.of_parts(count).fingerprint
        assert store.opened == ((grown_path,), (count,))
        np.testing.assert_array_equal(
            store.read("group", 0, store.windows), grown.read("group", 0, store.windows)
        )
    first = grown.of_parts(1)
    assert first.fingerprint == first.parts[0].fingerprint != grown.fingerprint
    assert type(first.folds[0]) is Fold
    for count in (0, 4):
        with refused(StoreError, str(count)):
            open_store(grown_path, parts=count)
    with refused(StoreError, "2"):
        open_store(grown_path, parts=[1, 1])


def test_each_part_is_a_store_by_its_own_path(grown: Store) -> None:
    for number, (part, alone) in enumerate(zip(grown.parts, grown.each_part(), strict=True)):
        assert part.path == part_place(grown.path, number)
        assert alone.fingerprint == part.fingerprint
        again = open_store(*alone.opened[0], parts=alone.opened[1])
        assert again.fingerprint == part.fingerprint


def test_a_store_goes_to_another_process(grown: Store, rows: dict[str, NDArray[Any]]) -> None:
    kept = grown.with_index_cache(100)
    for store in (grown, kept, open_store(grown.path, parts=2)):
        again = pickle.loads(pickle.dumps(store))
        assert again.fingerprint == store.fingerprint
        np.testing.assert_array_equal(
            again.read("raw", 340, store.windows), rows["raw"][340 : store.windows]
        )


def _sums(store: Store, data: headrace.Dataset) -> tuple[int, int, str]:
    total = int(store.read("raw", 300, 560).astype(np.int64).sum())
    rows = sum(len(labels) for _, labels, _ in data["test"].numpy())
    return total, rows, data.store.fingerprint


@pytest.mark.parametrize("grown_path", ["stretches"], indirect=True)
def test_stores_and_data_sets_work_in_child_processes(grown: Store) -> None:
    data = headrace.Dataset(grown.path, batch=16, split={"train": ["0", "1"], "test": ["3"]})
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        total, count, fingerprint = pool.apply(_sums, (grown, data))
    assert total == int(grown.read("raw", 300, 560).astype(np.int64).sum())
    assert count == grown.fold("3").windows
    assert fingerprint == grown.fingerprint


def test_an_index_cache_is_shared_by_the_parts(grown: Store, rows: dict[str, NDArray[Any]]) -> None:
    for size in (None, 0, 5_000):
        again = grown.with_index_cache(size)
        np.testing.assert_array_equal(again.read("raw", 0, again.windows), rows["raw"])
        if size == 0:
            assert {len(part.readers["raw"]._kept) for part in again.parts} == {1}
    assert grown.index_bytes == sum(
        part.shard_index_bytes * part.manifest.shards for part in grown.parts
    )
    assert grown.shards == sum(part.manifest.shards for part in grown.parts)


def test_a_cache_of_all_indexes_holds_those_of_a_part_that_is_larger_than_others(
    grown: Store,
) -> None:
    assert grown.parts[0].manifest.shards > grown.parts[2].manifest.shards
    kept = grown.with_index_cache(grown.index_bytes)
    kept.read("label", 0, kept.windows)
    for part in kept.parts:
        assert len(part.readers["label"]._kept) == part.manifest.shards


def test_files_of_many_parts_do_not_stay_open_together(grown: Store) -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    limit, before = resource.getrlimit(resource.RLIMIT_NOFILE), opened()
    stores = [grown.with_index_cache(None) for _ in range(8)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + 60, limit[1]))
        for store in stores:
            store.read_many(arrays_of(store), [(0, store.windows)])
            assert opened() <= before + 50
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
