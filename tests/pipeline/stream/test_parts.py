"""Batches of a store that grew: rows of its parts once an epoch, from any step, for any rank."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import headrace
from benchmarks.shuffle import measured_entropy
from headrace.pipeline.config.config import Config
from headrace.pipeline.rows.order import Position, training_order
from headrace.pipeline.rows.quality import expected_group_entropy
from headrace.pipeline.rows.split import fold_ranges
from headrace.pipeline.rows.statistics import fit_normaliser, sampling
from headrace.pipeline.stream.evaluation import evaluation_stream
from headrace.pipeline.stream.training import training_stream
from headrace.stores.errors import RunError
from headrace.stores.store import Store, open_store
from tests.conftest import changed
from tests.refusals import refused

FOLDS = ["0", "1", "3"]
SPLIT = {"train": FOLDS, "test": ["2"]}
WITHOUT = {"mask_probability": 0.0, "scale_probability": 0.0, "noise_probability": 0.0}
CONFIG = changed(
    Config(), train={"batch": 16, "epochs": 2}, stream={"buffer_chunks": 4, "read_threads": 2}
)


@pytest.fixture(scope="session")
def grown(grown_path: Path) -> Store:
    return open_store(grown_path)


def dataset(store: Store | Path, **options: Any) -> headrace.Dataset:
    given = {"batch": 16, "buffer_chunks": 4, "split": SPLIT, "units": True, **options}
    return headrace.Dataset(store, **given)


def counted(batches: Any) -> Counter[bytes]:
    """How often each row comes, with its label."""
    return Counter(
        row.tobytes() + features.tobytes() + label.tobytes()
        for inputs, labels, _ in batches
        for row, features, label in zip(
            np.asarray(inputs["raw"]), np.asarray(inputs["features"]), labels, strict=True
        )
    )


def rows_of(store: Store, folds: list[str]) -> Counter[bytes]:
    """What `counted` gives of the rows that parts hold, each read alone."""
    found = Counter[bytes]()
    for part in store.parts:
        alone = Store(part)
        names = [fold.name for fold in alone.folds if fold.name in folds]
        rows = alone.read_many(["raw", "features", "label"], fold_ranges(alone, names))
        labels = [store.classes.index(alone.classes[code]) for code in rows["label"]]
        raw = rows["raw"] * np.array(store.spec.scale, np.float32)
        batch = {"raw": raw.astype(np.float32), "features": rows["features"]}
        found += counted([(batch, np.array(labels, np.int32), None)])
    return found


def assert_same(one: list[Any], other: list[Any]) -> None:
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)


def test_an_epoch_is_the_rows_of_the_parts_once(grown: Store) -> None:
    data = dataset(grown)
    expected = rows_of(grown, FOLDS)
    first, second = (
        list(data["train"].numpy(start=epoch * len(data["train"]))) for epoch in (0, 1)
    )
    assert counted(first) == counted(second) == expected
    assert first[0][1].tolist() != second[0][1].tolist()
    assert_same(first, list(data["train"].tf(epochs=1).as_numpy_iterator()))
    assert counted(data["test"].numpy()) == rows_of(grown, ["2"])


def test_rows_that_are_not_shuffled_are_those_of_the_folds(grown: Store) -> None:
    part = dataset(grown).folds(["1", "3"])
    labels = np.concatenate([labels for _, labels, _ in part.numpy()])
    expected = [grown.read("label", *each) for each in sorted(fold_ranges(grown, ["1", "3"]))]
    np.testing.assert_array_equal(labels, np.concatenate(expected))
    assert_same(list(part.numpy()), list(part.tf().as_numpy_iterator()))


def batches(store: Store, config: Config, **more: Any) -> list[Any]:
    normaliser = fit_normaliser(store, FOLDS, config)
    chosen = sampling(store, FOLDS, config.train.balance)
    stream = training_stream(store, FOLDS, config, normaliser, sampling=chosen, **more)
    return list(stream.as_numpy_iterator())


@pytest.mark.parametrize("grown_path", ["stretches"], indirect=True)
def test_a_training_resumes_at_any_step(grown: Store) -> None:
    config = changed(CONFIG, train={"balance": "group"}, augment=WITHOUT)
    every = batches(grown, config)
    steps = len(every) // 2
    assert_same(every[steps + 5 :], batches(grown, config, start=Position(1, 5)))
    rows = training_order(grown, FOLDS, config).rows
    assert sum(len(inputs["raw"]) for inputs, _, _ in every) == 2 * rows


@pytest.mark.parametrize("balance", ["none", "class"])
def test_any_step_of_arrays_is_gone_on_from(grown: Store, balance: str) -> None:
    part = dataset(grown, balance=balance, augment={"noise_probability": 0.5}, units=False)["train"]
    every = [tf.nest.map_structure(np.copy, each) for each in part.numpy(epochs=2)]
    for step in (1, 9, len(part), len(part) + 3, 2 * len(part) - 1):
        rest = [tf.nest.map_structure(np.copy, e) for e in part.numpy(epochs=2, start=step)]
        assert_same(every[step:], rest[: len(every) - step])


@pytest.mark.parametrize(("ranks", "batch"), [(2, 31), (7, 2)])
def test_ranks_have_the_rows_of_the_parts_between_them(
    grown: Store, ranks: int, batch: int
) -> None:
    shares = [dataset(grown, rank=rank, ranks=ranks, batch=batch) for rank in range(ranks)]
    found = [counted(share["train"].numpy(epochs=1)) for share in shares]
    assert sum(found, Counter()) == rows_of(grown, FOLDS)
    assert len({each.total() for each in found}) == 1
    tests = [counted(share["test"].numpy()) for share in shares]
    assert sum(tests, Counter()) == rows_of(grown, ["2"])


@pytest.mark.parametrize("balance", ["class", "group"])
def test_balanced_batches_have_as_much_of_each(grown: Store, balance: str) -> None:
    even = dataset(grown, balance=balance)["train"]
    plain = rows_of(grown, FOLDS)
    found = counted(even.numpy(epochs=4))
    assert set(found) <= set(plain)
    if balance == "group":
        # Whose row it is tells the bytes of its signal.
        of = {}
        columns = grown.read_many(["raw", "features", "label", "group"], fold_ranges(grown, FOLDS))
        raw = columns["raw"].astype(np.float32) * np.array(grown.spec.scale, np.float32)
        for row, features, label, group in zip(
            raw, columns["features"], columns["label"], columns["group"], strict=True
        ):
            of[row.tobytes() + features.tobytes() + label.tobytes()] = group
        shares = np.zeros(len(grown.groups))
        for row, times in found.items():
            shares[of[row]] += times
        shares = shares[shares > 0]
        assert len(shares) == sum(len(grown.fold(name).groups) for name in FOLDS)
    else:
        shares = np.zeros(3)
        for _, labels, _ in even.numpy(epochs=4):
            shares += np.bincount(labels, minlength=3)
    assert shares.max() / shares.min() < 1.35


def test_weights_of_classes_are_those_of_all_parts(grown: Store) -> None:
    data = dataset(grown, class_weight_power=1.0)
    seen = {}
    for _, labels, weights in data["train"].numpy(epochs=1):
        seen |= dict(zip(labels.tolist(), weights.tolist(), strict=True))
    counts = grown.class_counts(FOLDS)
    ratio = np.array([seen[code] for code in range(3)]) * counts
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


def test_evaluation_reads_every_window_with_the_codes_of_all(grown: Store) -> None:
    rows = list(evaluation_stream(grown, FOLDS, CONFIG).as_numpy_iterator())
    found = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    ranges = sorted(fold_ranges(grown, FOLDS))
    for name in ("label", "group", "source_index", "features"):
        expected = np.concatenate([grown.read(name, *each) for each in ranges])
        np.testing.assert_array_equal(found[name], expected, err_msg=name)
    limited = evaluation_stream(grown, FOLDS, CONFIG, max_windows=100)
    index = np.concatenate([row["source_index"] for row in limited.as_numpy_iterator()])
    assert len(set(index.tolist())) == len(index) == 100
    assert set(index.tolist()) <= set(found["source_index"].tolist())
    # Of every part some.
    assert len(set(np.searchsorted([352, 527], index, side="right"))) == 3


def test_what_is_normalised_has_the_statistics_of_all_parts(grown: Store) -> None:
    raw = np.concatenate(
        [inputs["raw"] for inputs, _, _ in dataset(grown, units=False)["train"].numpy(epochs=1)]
    )
    np.testing.assert_allclose(raw.mean((0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(raw.std((0, 1)), 1, atol=1e-4)


def test_mixing_that_is_expected_is_that_of_batches(grown: Store) -> None:
    order = training_order(grown, FOLDS, CONFIG)
    code = grown.read("group", 0, grown.windows)
    found = measured_entropy(order, code, 16)
    expected = expected_group_entropy(order, grown.part_folds, 16, grown.manifest.stretch)
    assert expected == pytest.approx(found, abs=0.1)


def test_a_state_of_fewer_parts_goes_on_with_them_alone(grown_path: Path, grown: Store) -> None:
    before = dataset(open_store(grown_path, parts=2))["train"]
    state = before.state(3)
    with refused(RunError, "parts"):
        list(dataset(grown)["train"].numpy(epochs=1, start=state))
    again = dataset(headrace.open(grown_path, parts=2))["train"]
    assert_same(list(before.numpy(epochs=1))[3:], list(again.numpy(epochs=1, start=state)))
