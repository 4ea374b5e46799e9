"""Batches mix labels and groups like independent draws, whatever the source's order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

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
from tests.conftest import changed, request_for
from tests.in_process import store_here

BATCH, CHUNK = 128, 32


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
        expected = expected_group_entropy(order, made.folds, BATCH)
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
