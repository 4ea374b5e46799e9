"""Batches that are cut from stretches are those of the store of windows, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.shuffle import measured_entropy
from headrace.model.normaliser import Normaliser
from headrace.pipeline.config.config import Config
from headrace.pipeline.rows.order import BEGINNING, Position, training_order
from headrace.pipeline.rows.quality import expected_group_entropy
from headrace.pipeline.rows.sampling import Sampling
from headrace.pipeline.rows.statistics import fit_normaliser, sampling
from headrace.pipeline.stream import reader
from headrace.pipeline.stream.arrays import array_batches
from headrace.pipeline.stream.buffers import stream_buffers, window_shape
from headrace.pipeline.stream.evaluation import evaluation_stream
from headrace.pipeline.stream.jitter import moved, room
from headrace.pipeline.stream.reader import Delivery, early_gathers
from headrace.pipeline.stream.route import route_of
from headrace.pipeline.stream.training import training_stream
from headrace.stores.errors import ConfigError
from headrace.stores.shards.cut import CutWindows
from headrace.stores.store import Store
from tests.conftest import changed
from tests.pipeline.features.test_stretches import LENGTHS, made, write_signals
from tests.refusals import refused

FOLDS = ["0", "2"]
CONFIG = changed(
    Config(), train={"batch": 16, "epochs": 2}, stream={"buffer_chunks": 4, "read_threads": 2}
)
MIXED = changed(CONFIG, augment={"mix_probability": 0.5})
WITHOUT = {"mask_probability": 0.0, "scale_probability": 0.0, "noise_probability": 0.0}
OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "mixed": {"augment": {"mix_probability": 0.5}},
    "as it is": {},
    "not augmented": {"augment": WITHOUT},
    "raw alone": {"model": {"inputs": "raw"}, "augment": WITHOUT},
    "features alone": {"model": {"inputs": "features"}},
    "balanced": {"train": {"balance": "class"}},
}


@pytest.fixture(scope="module", params=["i2", pytest.param("f4", marks=pytest.mark.cases)])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, Store]:
    return of_both_forms(tmp_path_factory.mktemp("both"), request.param)


def of_both_forms(folder: Path, dtype: str) -> tuple[Store, Store]:
    write_signals(folder / "r.h5", LENGTHS, dtype)
    windows, cut = (made(folder, folder / "r.h5", form) for form in ("windows", "stretches"))
    return windows, cut


def drawn(store: Store, config: Config) -> tuple[Normaliser, Sampling | None]:
    return fit_normaliser(store, FOLDS, config), sampling(store, FOLDS, config.train.balance)


def batches(store: Store, config: Config, **more: Any) -> list[Any]:
    normaliser, chosen = drawn(store, config)
    stream = training_stream(store, FOLDS, config, normaliser, sampling=chosen, **more)
    return list(stream.as_numpy_iterator())


def arrays(
    store: Store, config: Config, start: Position = BEGINNING, rank: int = 0, ranks: int = 1
) -> list[Any]:
    normaliser, chosen = drawn(store, config)
    order = training_order(store, FOLDS, config, rank, ranks)
    delivery = Delivery(normaliser, sampling=chosen)
    found = array_batches(store, order, config, delivery, start, config.train.epochs)
    return [tf.nest.map_structure(np.copy, each) for each in found]


@pytest.fixture(scope="module")
def mixed(both: tuple[Store, Store]) -> list[Any]:
    """Batches of two epochs that are cut from stretches, augmented and mixed."""
    return batches(both[1], MIXED)


def assert_same(one: list[Any], other: list[Any]) -> None:
    assert len(one) == len(other) > 4
    for a, b in zip(one, other, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)


def test_batches_are_those_of_the_store_of_windows(
    both: tuple[Store, Store], mixed: list[Any]
) -> None:
    assert_same(batches(both[0], MIXED), mixed)


@pytest.mark.parametrize("name", OPTIONS)
def test_arrays_are_those_of_the_store_of_windows(both: tuple[Store, Store], name: str) -> None:
    config = changed(CONFIG, **OPTIONS[name])
    windows, cut = both
    assert_same(arrays(windows, config), arrays(cut, config))


def test_arrays_of_floats_are_those_of_the_store_of_windows(tmp_path: Path) -> None:
    windows, cut = of_both_forms(tmp_path, "f4")
    assert_same(arrays(windows, MIXED), arrays(cut, MIXED))


@pytest.mark.cases
@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "mixed"])
def test_batches_of_any_options_are_those_of_the_store_of_windows(
    both: tuple[Store, Store], name: str
) -> None:
    config = changed(CONFIG, **OPTIONS[name])
    windows, cut = both
    assert_same(batches(windows, config), batches(cut, config))


def test_a_stream_of_stretches_resumes_as_any(both: tuple[Store, Store], mixed: list[Any]) -> None:
    cut, steps = both[1], len(mixed) // 2
    assert_same(mixed[steps + 3 :], batches(cut, MIXED, start=Position(1, 3)))
    assert_same(arrays(cut, MIXED)[7:], arrays(cut, MIXED, Position(0, 7)))


@pytest.mark.cases
def test_a_stream_of_stretches_is_shared_as_any(both: tuple[Store, Store]) -> None:
    assert_same(*(batches(store, MIXED, rank=1, ranks=2) for store in both))


def test_arrays_of_stretches_are_shared_as_any(both: tuple[Store, Store]) -> None:
    assert_same(*(arrays(store, MIXED, rank=1, ranks=2) for store in both))


def test_threads_change_no_bit(both: tuple[Store, Store], mixed: list[Any]) -> None:
    for threads in (1, 4):
        config = changed(MIXED, stream={"read_threads": threads})
        assert_same(arrays(both[1], config), arrays(both[1], MIXED))
    assert_same(batches(both[1], config), mixed)


def test_evaluation_reads_every_window(both: tuple[Store, Store]) -> None:
    found = []
    for store in both:
        rows = list(evaluation_stream(store, FOLDS, CONFIG).unbatch().as_numpy_iterator())
        found.append({key: np.stack([row[key] for row in rows]) for key in rows[0]})
    for key in found[0]:
        np.testing.assert_array_equal(found[0][key], found[1][key])


def test_a_buffer_holds_stretches_and_no_windows(
    both: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, held = both[1], []

    def looked(self: CutWindows, rows: Any) -> Any:
        raise AssertionError("a whole buffer was cut")

    read = Store.read_buffer

    def noted(self: Store, names: list[str], ranges: Any) -> Any:
        found = read(self, names, ranges)
        if "raw" in found:
            held.append(found["raw"].stretches.nbytes / len(found["raw"]))
        return found

    monkeypatch.setattr(CutWindows, "__getitem__", looked)
    monkeypatch.setattr(Store, "read_buffer", noted)
    batches(cut, CONFIG)
    order, route = training_order(cut, FOLDS, CONFIG), route_of(cut, CONFIG)
    delivery = Delivery(drawn(cut, CONFIG)[0])
    gathers = early_gathers(route, cut, delivery)
    buffer = reader.buffer_reader(cut, order, route, gathers, None)(0, 0, 0)
    assert buffer["raw"].shape[1] == cut.manifest.raw_time > cut.spec.time
    assert np.mean(held) < 0.65 * cut.spec.stored_bytes


def test_the_plan_of_a_stream_follows_from_stretches(both: tuple[Store, Store]) -> None:
    windows, cut = (
        stream_buffers(CONFIG, window_shape(store, CONFIG), 64_000)["epoch buffers"]
        for store in both
    )
    assert cut < 0.85 * windows


def test_mixing_that_is_expected_is_that_of_batches(both: tuple[Store, Store]) -> None:
    cut = both[1]
    order = training_order(cut, FOLDS, CONFIG)
    group = cut.read("group", 0, cut.windows)
    found = measured_entropy(order, group, 16)
    expected = expected_group_entropy(order, cut.part_folds, 16, cut.manifest.stretch)
    assert expected == pytest.approx(found, abs=0.1)
    assert expected < expected_group_entropy(order, cut.part_folds, 16)


def test_jitter_moves_windows_by_less_than_a_step_and_only_where_label_and_stretch_go_on(
    both: tuple[Store, Store],
) -> None:
    cut = both[1]
    ranges = [(0, cut.windows)]
    columns = cut.read_buffer(["raw", "label", "recording", "start"], ranges)
    raw, label = columns["raw"], columns["label"]
    before, after = room(raw, label, cut.manifest.step)
    place = {
        (int(recording), int(start)): int(code)
        for recording, start, code in zip(
            columns["recording"], columns["start"], label, strict=True
        )
    }
    for row in range(cut.windows):
        at = int(columns["recording"][row]), int(columns["start"][row])
        for side, spare in ((-4, before[row]), (4, after[row])):
            if spare:
                assert place[at[0], at[1] + side] == label[row]
    assert (before > 0).sum() > cut.windows / 2
    index = np.arange(cut.windows)
    first = moved(raw.first, (before, after), index, seed=0, epoch=1, channels=2)
    shift = (first - raw.first) // 2
    assert (-before <= shift).all()
    assert (shift <= after).all()
    assert len(np.unique(shift)) == 4
    assert (first != moved(raw.first, (before, after), index, 0, 2, 2)).any()


def test_jittered_streams_resume_and_arrays_have_their_bits(both: tuple[Store, Store]) -> None:
    config = changed(CONFIG, stream={"jitter": True})
    plain, every = arrays(both[1], CONFIG), batches(both[1], config)
    whole = arrays(both[1], config)
    assert any((a[0]["raw"] != b[0]["raw"]).any() for a, b in zip(plain, every, strict=True))
    for a, b in zip(plain, every, strict=True):
        np.testing.assert_array_equal(a[0]["features"], b[0]["features"])
    assert_same([inputs for inputs, *_ in every], [inputs for inputs, *_ in whole])
    assert_same(whole[9:], arrays(both[1], config, Position(0, 9)))
    with refused(ConfigError, "stream.jitter"):
        batches(both[0], config)


def test_a_window_is_not_moved_towards_another_label() -> None:
    windows = CutWindows(np.zeros((1, 20, 1), np.int16), np.array([0, 4, 8]), 8)
    before, after = room(windows, np.array([0, 0, 1], np.int32), 4)
    assert (before.tolist(), after.tolist()) == ([0, 2, 0], [1, 0, 0])
