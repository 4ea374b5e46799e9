"""Batches mix labels and groups like independent draws, whatever the source's order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.shuffle import (
    epoch_rows,
    measured_entropy,
    position_correlation,
    write_sorted_source,
)
from headrace import stores
from headrace.pipeline.config.config import Config
from headrace.pipeline.rows.order import Order
from headrace.pipeline.rows.quality import expected_group_entropy
from headrace.pipeline.rows.ranges import merge_ranges
from headrace.pipeline.rows.split import choose_split, fold_ranges
from headrace.stores import Store
from headrace.stores.layout.folds import Fold
from tests.conftest import changed, request_for
from tests.in_process import store_here

BATCH, CHUNK = 128, 32
Codes = NDArray[np.int32]


@pytest.fixture(scope="module")
def sorted_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40,000 windows of 20 subjects and 6 classes, sorted by class, then by subject."""
    path = tmp_path_factory.mktemp("sorted") / "sorted.h5"
    write_sorted_source(path, 40_000)
    return path


def make_store(source: Path, tiny_config: Config, folder: Path, by: str) -> Store:
    options = {"chunk_windows": CHUNK, "shard_windows": 2048, "block_windows": 16}
    bare = {"select": [], "triads": {}, "accelerometers": []}
    config = changed(tiny_config, store=options, features=bare, folds={"by": by})
    store_here(request_for(config, source, folder / f"{by}.zarr"))
    return stores.open(folder / f"{by}.zarr")


def order_of(store: Store, tiny_config: Config, chunks: int = 32) -> Order:
    train = choose_split(
        store.folds, store.class_table, changed(tiny_config, split={"folds": 5}).split
    ).train
    return Order(merge_ranges(fold_ranges(store, train)), CHUNK, chunks, seed=0)


@pytest.fixture(scope="module")
def store(
    sorted_source: Path, tiny_config: Config, tmp_path_factory: pytest.TempPathFactory
) -> Store:
    return make_store(sorted_source, tiny_config, tmp_path_factory.mktemp("made"), "balance")


def test_batches_of_a_sorted_source_mix_like_independent_draws(
    store: Store, tiny_config: Config
) -> None:
    order = order_of(store, tiny_config)
    assert order.buffers > 10
    for column in ("label", "group"):
        code = store.read(column, 0, store.windows)
        assert measured_entropy(order, code, BATCH, epochs=2) >= 0.99, column


def test_what_is_expected_is_what_is_measured(
    store: Store, sorted_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    by_group = make_store(sorted_source, tiny_config, tmp_path, "group")
    for made, chunks in ((store, 32), (store, 4), (store, 1), (by_group, 32), (by_group, 4)):
        order = order_of(made, tiny_config, chunks)
        code = made.read("group", 0, made.windows)
        expected = expected_group_entropy(order, made.part_folds, BATCH)
        assert expected == pytest.approx(measured_entropy(order, code, BATCH), abs=0.02)
    assert expected < 0.7


def test_places_in_consecutive_epochs_are_not_correlated(store: Store, tiny_config: Config) -> None:
    order = order_of(store, tiny_config)
    found = [position_correlation(order, epoch) for epoch in range(8)]
    # Rows of a piece stay together in a buffer: a piece is what is independent.
    assert abs(np.mean(found)) < 3 / np.sqrt(8 * order.pieces)
    assert max(map(abs, found)) < 4 / np.sqrt(order.pieces)


def test_a_sorted_stream_has_no_quality(store: Store, tiny_config: Config) -> None:
    order = order_of(store, tiny_config)
    code = store.read("label", 0, store.windows)
    rows = epoch_rows(order, 0)
    assert np.array_equal(np.sort(rows), np.sort(epoch_rows(replace(order, seed=1), 0)))
    by_label = np.argsort(code[rows], kind="stable")
    sorted_code = np.empty_like(code)
    sorted_code[rows] = code[rows][by_label]
    assert measured_entropy(order, sorted_code, BATCH) < 0.05


def grown_geometry(parts: int, groups: int, by_group: bool) -> tuple[Order, list[Fold], Codes]:
    """An order of parts of 500 windows, their folds, and the group of each row.

    Args:
        parts: their number.
        groups: their number, in 5 folds.
        by_group: each part is one group; else every part has them all.
    """
    rng, folds, codes = np.random.default_rng(0), list[Fold](), []
    for part in range(parts):
        members = [part % groups] if by_group else range(groups)
        own = [[group for group in members if group % 5 == fold] for fold in range(5)]
        own = [each for each in own if each]
        for number, each in enumerate(own):
            size = 500 // len(own)
            start = part * 500 + number * size
            folds.append(Fold(str(each[0] % 5), start, start + size, tuple(each)))
            codes.append(rng.choice(each, size))
    starts = tuple(range(0, parts * 500, 500))
    ranges = merge_ranges(((fold.start, fold.stop) for fold in folds), starts)
    order = Order(ranges, CHUNK, 32, seed=0, part_starts=starts)
    return order, folds, np.concatenate(codes).astype(np.int32)


@pytest.mark.parametrize(
    ("by_group", "chunks", "mixes"), [(True, 8, 0), (True, 32, 0), (True, 128, 1), (False, 32, 1)]
)
def test_what_is_expected_of_a_store_that_grew_is_what_is_measured(
    by_group: bool, chunks: int, mixes: int
) -> None:
    order, folds, code = grown_geometry(60, 60, by_group)
    order = replace(order, buffer_chunks=chunks)
    expected = expected_group_entropy(order, folds, BATCH)
    assert expected == pytest.approx(measured_entropy(order, code, BATCH), abs=0.02)
    # A part that is one group mixes only as far as a buffer takes chunks of several parts.
    assert (expected > 0.97) == bool(mixes)


@pytest.mark.parametrize("parts", [2, 20, 60])
def test_parts_of_all_groups_mix_like_one_store(parts: int) -> None:
    order, folds, _ = grown_geometry(parts, 20, by_group=False)
    size = parts * 100
    one = replace(order, ranges=((0, 5 * size),), part_starts=(0,))
    whole = [Fold(f"{n}", n * size, (n + 1) * size, tuple(range(n, 20, 5))) for n in range(5)]
    found = [expected_group_entropy(*each, BATCH) for each in ((order, folds), (one, whole))]
    assert found[0] == pytest.approx(found[1], abs=0.02)
