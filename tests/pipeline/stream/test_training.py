"""The stream delivers every training row once an epoch, resumes exactly, and ignores threads."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace import stores
from headrace.model.normalisation_layers import normalise_features, normalise_raw
from headrace.model.normaliser import Normaliser
from headrace.pipeline.config.config import Config
from headrace.pipeline.memory.plan import MIB
from headrace.pipeline.memory.watch import tree_memory
from headrace.pipeline.rows.order import Position, training_order
from headrace.pipeline.rows.sampling import Sampling
from headrace.pipeline.rows.statistics import sampling
from headrace.pipeline.stream.buffers import (
    buffer_rows,
    evaluation_buffers,
    stream_buffers,
    window_shape,
)
from headrace.pipeline.stream.evaluation import evaluation_stream
from headrace.pipeline.stream.training import training_stream
from headrace.stores import Store
from headrace.stores.datasets.synthetic import write_synthetic
from headrace.stores.errors import GroupError
from tests.conftest import changed, request_for
from tests.in_process import store_here
from tests.refusals import refused

FOLDS = ("1", "2", "4", "5", "6")
"""Training folds that are not all neighbours: borders cut chunks on both sides."""

PLAIN = {"mask_probability": 0.0, "scale_probability": 0.0, "noise_probability": 0.0}
EVERYTHING = {"mix_probability": 0.5}
Batch = tuple[dict[str, NDArray[Any]], ...]


@pytest.fixture(scope="module")
def store(tiny_store: Path) -> Store:
    return stores.open(tiny_store)


@pytest.fixture(scope="module")
def normaliser(store: Store) -> Normaliser:
    found = store.moments(FOLDS)
    sample = store.read("features", 0, store.windows)
    return Normaliser.fit(
        found.raw_mean, found.raw_std, found.feature_mean, found.feature_std, sample
    )


def batches(store: Store, config: Config, normaliser: Normaliser, **more: Any) -> list[Batch]:
    stream = training_stream(store, FOLDS, config, normaliser, **more)
    return list(stream.as_numpy_iterator())


def assert_same_bits(one: list[Batch], other: list[Batch]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)


def rows_in_order(store: Store, config: Config, epoch: int) -> NDArray[np.int64]:
    """Row of the store that each row of an epoch is, by the arithmetic of `order`."""
    order = training_order(store, FOLDS, config)
    rows = []
    for buffer in range(order.buffers):
        pieces = [np.arange(*each) for each in order.buffer_ranges(epoch, buffer)]
        held = np.concatenate(pieces)
        rows.append(held[order.row_order(epoch, buffer, held.size)])
    return np.concatenate(rows)


def fold_rows(store: Store, folds: tuple[str, ...]) -> NDArray[np.int64]:
    return np.concatenate(
        [np.arange(store.fold(name).start, store.fold(name).stop) for name in folds]
    )


@settings(deadline=None, max_examples=3)
@given(
    batch=st.integers(1, 200),
    buffer_chunks=st.integers(1, 40),
    threads=st.integers(1, 4),
    drop=st.booleans(),
)
def test_every_epoch_delivers_each_training_row_once_in_the_order_of_its_arithmetic(
    store: Store,
    tiny_config: Config,
    normaliser: Normaliser,
    batch: int,
    buffer_chunks: int,
    threads: int,
    drop: bool,
) -> None:
    config = changed(
        tiny_config,
        augment=PLAIN,
        model={"inputs": "raw"},
        train={"batch": batch},
        stream={"buffer_chunks": buffer_chunks, "read_threads": threads, "drop_remainder": drop},
    )
    count = fold_rows(store, FOLDS).size
    steps = count // batch if drop else -(-count // batch)
    given = batches(store, config, normaliser, epochs=2)
    raw = normalise_raw(store.read("raw", 0, store.windows), normaliser).numpy()
    label = store.read("label", 0, store.windows)
    assert len(given) == 2 * steps
    for epoch in range(2):
        rows = rows_in_order(store, config, epoch)
        assert sorted(rows) == fold_rows(store, FOLDS).tolist()
        part = given[epoch * steps : (epoch + 1) * steps]
        delivered = rows[: steps * batch] if drop else rows
        np.testing.assert_array_equal(
            np.concatenate([inputs["raw"] for inputs, _, _ in part]), raw[delivered]
        )
        labels = np.concatenate([labels["label"] for _, labels, _ in part])
        np.testing.assert_array_equal(labels.argmax(axis=1), label[delivered])


@pytest.fixture(scope="module")
def uninterrupted(store: Store, tiny_config: Config, normaliser: Normaliser) -> list[Batch]:
    config = changed(tiny_config, augment=EVERYTHING, stream={"read_threads": 1})
    return batches(store, config, normaliser, epochs=3)


@settings(deadline=None, max_examples=2)
@given(data=st.data())
def test_a_stream_resumed_anywhere_gives_the_bits_of_the_uninterrupted_one(
    store: Store,
    tiny_config: Config,
    normaliser: Normaliser,
    uninterrupted: list[Batch],
    data: st.DataObject,
) -> None:
    config = changed(tiny_config, augment=EVERYTHING)
    steps = len(uninterrupted) // 3
    start = Position(data.draw(st.integers(0, 2)), data.draw(st.integers(0, steps)))
    rest = batches(store, config, normaliser, epochs=3, start=start)
    assert_same_bits(rest, uninterrupted[start.epoch * steps + start.step :])


def test_eight_reading_threads_give_the_bits_of_one(
    store: Store, tiny_config: Config, normaliser: Normaliser, uninterrupted: list[Batch]
) -> None:
    config = changed(tiny_config, augment=EVERYTHING, stream={"read_threads": 8})
    assert_same_bits(batches(store, config, normaliser, epochs=3), uninterrupted)


def test_augmented_and_mixed_rows_do_not_depend_on_the_batch_size(
    store: Store, tiny_config: Config, normaliser: Normaliser, uninterrupted: list[Batch]
) -> None:
    config = changed(tiny_config, augment=EVERYTHING, train={"batch": 7})
    given = batches(store, config, normaliser, epochs=1)
    epoch = uninterrupted[: len(uninterrupted) // 3]
    for part in range(3):
        for name in given[0][part]:
            np.testing.assert_array_equal(
                np.concatenate([batch[part][name] for batch in given]),
                np.concatenate([batch[part][name] for batch in epoch]),
            )


def test_steps_per_epoch_truncates_an_epoch_and_the_next_keeps_its_own_order(
    store: Store, tiny_config: Config, normaliser: Normaliser, uninterrupted: list[Batch]
) -> None:
    config = changed(tiny_config, augment=EVERYTHING, train={"steps_per_epoch": 3})
    steps = len(uninterrupted) // 3
    expected = uninterrupted[:3] + uninterrupted[steps : steps + 3]
    resumed = batches(store, config, normaliser, epochs=2, start=Position(0, 1))
    assert_same_bits(resumed, expected[1:])


def test_blocks_of_any_size_give_the_same_bits(
    store: Store,
    tiny_config: Config,
    normaliser: Normaliser,
    uninterrupted: list[Batch],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The windows of this store are so small that one block holds a whole buffer.
    monkeypatch.setattr("headrace.pipeline.stream.route.block_rows", lambda window, batch: 5)
    config = changed(tiny_config, augment=EVERYTHING)
    assert_same_bits(batches(store, config, normaliser, epochs=3), uninterrupted)


@pytest.mark.faults
def test_a_script_ends_with_an_iterator_half_way(tiny_config: Config, tmp_path: Path) -> None:
    script = """
        import sys
        from headrace import stores
        from headrace.pipeline.config.config import Config
        from headrace.pipeline.stream.training import training_stream
        from headrace.pipeline.rows.statistics import fit_normaliser

        store = stores.open(sys.argv[1])
        config = Config.model_validate_json(sys.argv[2])
        folds = [fold.name for fold in store.folds]
        normaliser = fit_normaliser(store, folds, config)
        batches = iter(training_stream(store, folds, config, normaliser, epochs=1000))
        for _ in range(20):
            next(batches)
        print("before the end")
    """
    source, store = tmp_path / "source.h5", tmp_path / "long.zarr"
    write_synthetic(source, windows=5_000, time=16, channels=1, groups=8)
    bare = {"select": [], "triads": {}, "accelerometers": []}
    config = changed(
        tiny_config, features=bare, store={"chunk_windows": 16}, model={"inputs": "raw"}
    )
    store_here(request_for(config, source, store))
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    command = [sys.executable, str(path), str(store), config.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert (done.returncode, done.stdout) == (0, "before the end\n"), done.stderr


def test_raw_features_and_label_of_a_row_stay_together(
    store: Store, tiny_config: Config, normaliser: Normaliser
) -> None:
    config = changed(tiny_config, augment=PLAIN)
    rows = rows_in_order(store, config, 0)
    weights = np.arange(len(store.classes)) + 0.5
    heads = ("label", "raw_label")
    given = batches(store, config, normaliser, epochs=1, heads=heads, class_weights=weights)
    label = store.read("label", 0, store.windows)[rows]
    expected = {
        "raw": normalise_raw(store.read("raw", 0, store.windows), normaliser).numpy()[rows],
        "features": normalise_features(
            store.read("features", 0, store.windows), normaliser
        ).numpy()[rows],
    }
    for name, value in expected.items():
        found = np.concatenate([inputs[name] for inputs, _, _ in given])
        np.testing.assert_array_equal(found, value)
    for head in heads:
        soft = np.concatenate([labels[head] for _, labels, _ in given])
        np.testing.assert_array_equal(soft, np.eye(len(store.classes), dtype=np.float32)[label])
        weight = np.concatenate([weights[head] for _, _, weights in given])
        np.testing.assert_array_equal(weight, (label + 0.5).astype(np.float32))


def test_the_partner_of_a_mixed_row_is_the_next_of_its_buffer_and_the_first_of_the_last(
    store: Store, tiny_config: Config, normaliser: Normaliser
) -> None:
    # A large alpha makes every coefficient close to a half: blends of exactly two rows.
    config = changed(
        tiny_config,
        augment=PLAIN | {"mix_probability": 1.0, "mix_strength": 1e6},
        model={"inputs": "raw"},
    )
    mixed = np.concatenate(
        [inputs["raw"] for inputs, _, _ in batches(store, config, normaliser, epochs=1)]
    )
    raw = normalise_raw(store.read("raw", 0, store.windows), normaliser).numpy()
    order, at = training_order(store, FOLDS, config), 0
    rows = rows_in_order(store, config, 0)
    for buffer in range(order.buffers):
        stop = order.buffer_start(0, buffer + 1)
        own = rows[at:stop]
        blend = (raw[own] + raw[np.roll(own, -1)]) / 2
        np.testing.assert_allclose(mixed[at:stop], blend, atol=0.02)
        at = stop


@pytest.mark.parametrize("balance", ["class", pytest.param("group", marks=pytest.mark.cases)])
def test_balanced_batches_hold_classes_or_groups_alike_and_resume_exactly(
    store: Store, tiny_config: Config, normaliser: Normaliser, balance: str
) -> None:
    config = changed(tiny_config, augment=EVERYTHING, train={"balance": balance})
    drawn = sampling(store, FOLDS, balance)
    given = batches(store, config, normaliser, epochs=2, sampling=drawn)
    assert sum(len(weights["label"]) for _, _, weights in given) == 2 * fold_rows(store, FOLDS).size
    steps = len(given) // 2
    start = Position(1, 3) if balance == "class" else Position(0, 5)
    rest = batches(store, config, normaliser, epochs=2, sampling=drawn, start=start)
    assert_same_bits(rest, given[start.epoch * steps + start.step :])


@pytest.mark.parametrize(("column", "balance"), [("label", "class"), ("group", "group")])
def test_drawn_rows_of_an_epoch_are_even_and_differ_by_epoch(
    store: Store, tiny_config: Config, column: str, balance: str
) -> None:
    drawn = sampling(store, FOLDS, balance)
    assert drawn is not None
    assert drawn.column == column
    order, values = training_order(store, FOLDS, tiny_config), store.read(column, 0, store.windows)
    seen: list[NDArray[np.int64]] = []
    for epoch in range(2):
        rows = []
        for buffer in range(order.buffers):
            held = np.concatenate([np.arange(*each) for each in order.buffer_ranges(epoch, buffer)])
            chosen, _ = drawn.draw(values[held], order.draw_offset(epoch, buffer))
            rows.append(held[chosen])
        seen.append(np.concatenate(rows))
        counts = np.bincount(values[seen[-1]])
        there = np.unique(values[fold_rows(store, FOLDS)])
        assert counts[there].min() > 0.8 * counts[there].max()
    assert not np.array_equal(np.sort(seen[0]), np.sort(seen[1]))


@pytest.mark.parametrize("balance", ["group", pytest.param("class", marks=pytest.mark.cases)])
def test_drawn_windows_keep_their_features_and_labels(
    store: Store, tiny_config: Config, normaliser: Normaliser, balance: str
) -> None:
    config = changed(tiny_config, augment=PLAIN)
    given = batches(store, config, normaliser, epochs=1, sampling=sampling(store, FOLDS, balance))
    stored = {
        "raw": normalise_raw(store.read("raw", 0, store.windows), normaliser).numpy(),
        "features": normalise_features(
            store.read("features", 0, store.windows), normaliser
        ).numpy(),
    }
    label = store.read("label", 0, store.windows)
    place = {row.tobytes(): number for number, row in enumerate(stored["raw"])}
    for inputs, labels, _ in given:
        rows = [place[row.tobytes()] for row in inputs["raw"]]
        np.testing.assert_array_equal(inputs["features"], stored["features"][rows])
        np.testing.assert_array_equal(labels["label"].argmax(axis=1), label[rows])


def test_copies_of_one_window_are_augmented_each_in_its_own_way(
    store: Store, tiny_config: Config, normaliser: Normaliser
) -> None:
    config = changed(tiny_config, model={"inputs": "raw"})
    rare = np.full(len(store.classes), 1e-9)
    rare[store.read("label", 0, 1)[0]] = 1.0
    given = batches(store, config, normaliser, epochs=1, sampling=Sampling("label", rare))
    raw = np.concatenate([inputs["raw"] for inputs, _, _ in given]).reshape(-1, 64 * 3)
    labels = np.concatenate([labels["label"] for _, labels, _ in given])
    assert (labels.argmax(axis=1) == rare.argmax()).mean() > 0.99
    assert len(np.unique(raw, axis=0)) == len(raw)


def test_ranks_deliver_an_epoch_together_and_resume_exactly(
    store: Store, tiny_config: Config, normaliser: Normaliser
) -> None:
    config = changed(tiny_config, augment=PLAIN, model={"inputs": "raw"})
    rows = normalise_raw(store.read("raw", 0, store.windows), normaliser).numpy()
    expected = rows[fold_rows(store, FOLDS)].reshape(-1, 64 * 3)
    given = [batches(store, config, normaliser, epochs=2, rank=rank, ranks=3) for rank in range(3)]
    every = np.concatenate([inputs["raw"] for own in given for inputs, _, _ in own])
    found = every.reshape(-1, 64 * 3)
    assert len(found) == 2 * len(expected)
    np.testing.assert_array_equal(
        np.unique(found, axis=0, return_counts=True)[1], np.full(len(expected), 2)
    )
    np.testing.assert_array_equal(np.unique(found, axis=0), np.unique(expected, axis=0))
    rest = batches(store, config, normaliser, epochs=2, rank=1, ranks=3, start=Position(0, 2))
    assert_same_bits(rest, given[1][2:])


@pytest.mark.parametrize("ranks", [pytest.param(2, marks=pytest.mark.cases), 3])
def test_ranks_in_step_get_the_same_number_of_whole_batches(
    store: Store, tiny_config: Config, normaliser: Normaliser, ranks: int
) -> None:
    config = changed(tiny_config, augment=PLAIN, stream={"drop_remainder": True})
    counts = [
        [len(weights["label"]) for _, _, weights in batches(
            store, config, normaliser, epochs=3, rank=rank, ranks=ranks
        )]
        for rank in range(ranks)
    ]  # fmt: skip
    assert counts[0] == counts[-1]
    assert set(counts[0]) == {tiny_config.train.batch}


def test_evaluation_gives_every_row_in_store_order_and_in_units(
    store: Store, tiny_config: Config
) -> None:
    folds = ("0", "3", "4")
    rows = fold_rows(store, folds)
    stream = evaluation_stream(store, folds, changed(tiny_config, evaluate={"batch": 50}))
    given = list(stream.as_numpy_iterator())
    assert [len(batch["label"]) for batch in given[:-1]] == [50] * (len(given) - 1)
    for name in ("raw", "features", "label", "group", "source_index"):
        expected = store.read(name, 0, store.windows)[rows]
        if name == "raw":
            expected = expected.astype(np.float32) * np.array(store.spec.scale, np.float32)
        np.testing.assert_array_equal(np.concatenate([b[name] for b in given]), expected)


def test_max_windows_takes_the_first_rows_of_each_fold(store: Store, tiny_config: Config) -> None:
    given = list(evaluation_stream(store, ("0", "1"), tiny_config, 30).as_numpy_iterator())
    index = np.concatenate([batch["source_index"] for batch in given])
    assert len(index) == 30
    for name in ("0", "1"):
        fold = store.fold(name)
        of_fold = store.read("source_index", fold.start, fold.stop)
        taken = np.isin(of_fold, index)
        assert taken.any()
        assert taken[: taken.sum()].all()


@pytest.mark.parametrize("inputs", [pytest.param("raw", marks=pytest.mark.cases), "features"])
def test_a_network_of_one_branch_gets_only_its_array(
    store: Store, tiny_config: Config, normaliser: Normaliser, inputs: str
) -> None:
    config = changed(tiny_config, model={"inputs": inputs}, augment=EVERYTHING)
    ((given, _, _), *_) = batches(store, config, normaliser, epochs=1)
    assert list(given) == [inputs]
    assert np.isfinite(given[inputs]).all()


def test_training_folds_without_windows_are_refused(
    store: Store, tiny_config: Config, normaliser: Normaliser
) -> None:
    with refused(GroupError):
        training_stream(store, (), tiny_config, normaliser)


def test_buffers_are_named_and_grow_with_what_they_hold(store: Store, tiny_config: Config) -> None:
    window = window_shape(store, tiny_config)
    small = stream_buffers(tiny_config, window, buffer_rows(tiny_config, store))
    wide = changed(tiny_config, stream={"read_threads": 4, "buffer_chunks": 8})
    large = stream_buffers(wide, window, buffer_rows(wide, store))
    whole = changed(tiny_config, stream={"buffer_chunks": 1000})
    row = 64 * 3 * 4 + 4 * len(store.feature_names) + 20
    assert small["epoch buffers"] == 5 * 4 * store.chunk_windows * row
    assert large["epoch buffers"] == 7 * 8 * store.chunk_windows * row
    assert buffer_rows(whole, store) == store.windows
    assert set(evaluation_buffers(tiny_config, window, 64)).isdisjoint(small)


@pytest.mark.faults
def test_epoch_after_epoch_the_stream_holds_no_more(
    store: Store, tiny_config: Config, normaliser: Normaliser
) -> None:
    stream = training_stream(store, FOLDS, tiny_config, normaliser, epochs=150)
    held: list[int] = []
    steps = training_order(store, FOLDS, tiny_config).steps(tiny_config.train.batch, False, None)
    for number, _ in enumerate(stream):
        if number % (steps * 25) == 0:
            gc.collect()
            held.append(tree_memory(os.getpid())[0])
    assert len(held) == 6
    assert held[-1] - held[2] < 4 * MIB
