"""A store as batches for a user's own loop: the same bits by every route, from any step."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import headrace
from headrace.pipeline.augmentations.registry import registered
from headrace.pipeline.config.config import Config
from headrace.pipeline.rows.order import Order, Position
from headrace.pipeline.rows.split import fold_ranges
from headrace.pipeline.stream.arrays import array_batches
from headrace.stores.errors import BudgetError, ConfigError, GroupError, RunError, StoreError
from tests.conftest import changed, request_for
from tests.in_process import store_here
from tests.refusals import assert_names, refused

SMALL = {"batch": 32, "seed": 4, "buffer_chunks": 4, "folds": 4}
EVERYTHING = {
    "scale_probability": 0.7,
    "noise_probability": 0.6,
    "mask_probability": 0.5,
    "mix_probability": 0.4,
}
MASKED = {"scale_probability": 1.0, "mask_probability": 0.5}


def dataset(store: Path, **options: Any) -> headrace.Dataset:
    given = SMALL | options
    if "split" in options:
        del given["folds"]
    return headrace.Dataset(store, **given)


@pytest.fixture(scope="module")
def scaled_store(
    tiny_source: Path, tiny_config: Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Windows stored as int16 with a scale a channel, and without features."""
    folder = tmp_path_factory.mktemp("scaled")
    with h5py.File(tiny_source) as source, h5py.File(folder / "s.h5", "w") as file:
        for name in source:
            source.copy(source[name], file, name)
        del file["X"]
        # Subnormal in float32 where channel 2 is small.
        file["X"] = (source["X"][()] * 1000).astype(np.int16)
        for name, value in source["X"].attrs.items():
            file["X"].attrs[name] = value
    config = changed(tiny_config, source={"scale": [0.001, -0.5, 1e-40]}, features={"select": []})
    store_here(request_for(config, folder / "s.h5", folder / "s.zarr"))
    return folder / "s.zarr"


def assert_same(one: Any, other: Any) -> None:
    """The same structure, dtypes and bits."""
    one, other = list(one), list(other)
    assert len(one) == len(other)
    for (inputs, *rest), (inputs_2, *rest_2) in zip(one, other, strict=True):
        assert inputs.keys() == inputs_2.keys()
        pairs = [(inputs[name], inputs_2[name]) for name in inputs]
        for a, b in [*pairs, *zip(rest, rest_2, strict=True)]:
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"labels": "one-hot", "augment": EVERYTHING, "balance": "class"},
        pytest.param(
            {"feature_scaling": "standard", "drop_remainder": True, "class_weight_power": 0.5},
            marks=pytest.mark.cases,
        ),
        {"units": True, "augment": {"noise_probability": 1.0}, "inputs": "raw"},
        pytest.param(
            {"inputs": "features", "balance": "group", "steps_per_epoch": 5},
            marks=pytest.mark.cases,
        ),
    ],
)
def test_arrays_have_the_bits_of_tensors(tiny_store: Path, options: dict[str, Any]) -> None:
    data = dataset(tiny_store, **options)
    # What is not drawn comes by one way, whatever its part is called and however others are.
    for name in ("train",) if "augment" in options else ("train", "test"):
        part = data[name]
        arrays = list(part.numpy(epochs=2 if name == "train" else 1))
        epochs = 2 if name == "train" else None
        tensors = list(part.tf(epochs=epochs).as_numpy_iterator())
        assert_same(arrays, tensors)
        assert len(arrays) == len(part) * (epochs or 1)


@pytest.mark.parametrize(
    ("units", "augment"),
    [
        (True, {}),
        (False, MASKED),
        pytest.param(False, {}, marks=pytest.mark.cases),
        pytest.param(True, MASKED, marks=pytest.mark.cases),
    ],
)
def test_whole_numbers_with_a_scale_have_the_bits_of_tensors(
    scaled_store: Path, units: bool, augment: dict[str, float]
) -> None:
    if units:
        augment = {key: value for key, value in augment.items() if "mask" not in key}
    part = dataset(scaled_store, units=units, augment=augment)["train"]
    assert list(part.empty_batch()[0]) == ["raw"]
    if augment:
        # TensorFlow takes subnormal numbers for 0 in every operation.
        for one, other in zip(part.numpy(), part.tf(epochs=1).as_numpy_iterator(), strict=True):
            np.testing.assert_allclose(one[0]["raw"], other[0]["raw"], atol=1e-37, rtol=1e-6)
    else:
        assert_same(part.numpy(), part.tf(epochs=1).as_numpy_iterator())


def test_an_epoch_holds_every_window_of_its_folds_once_in_an_order_of_its_own(
    tiny_store: Path,
) -> None:
    data = dataset(tiny_store, units=True, inputs="features")
    store = headrace.open(tiny_store)
    for name, folds in vars(data.split).items():
        ranges = fold_ranges(store, folds)
        rows = np.concatenate([store.read("features", start, stop) for start, stop in ranges])
        later = len(data[name]) if name == "train" else 0
        epochs = [
            np.concatenate([batch[0]["features"] for batch in data[name].numpy(start=first)])
            for first in (0, later)
        ]
        for found in epochs:
            assert sorted(map(bytes, found)) == sorted(map(bytes, rows))
        assert np.array_equal(*epochs) == (name != "train")
        assert data[name].windows == len(rows)


@pytest.mark.parametrize("route", ["numpy", "tf"])
def test_any_step_is_gone_on_from(tiny_store: Path, route: str) -> None:
    part = dataset(tiny_store, augment=EVERYTHING, labels="one-hot")["train"]
    whole = list(part.numpy(epochs=2))
    steps = (len(part) - 1,) if route == "tf" else (1, len(part) - 1, len(part), len(part) + 3)
    for step in steps:
        state = json.loads(json.dumps(part.state(step)))
        if route == "numpy":
            rest = part.numpy(start=state, epochs=2)
        else:
            rest = part.tf(start=state, epochs=2).as_numpy_iterator()
        assert_same(list(rest)[: len(whole) - step], whole[step:])


def test_lengths_are_known(tiny_store: Path) -> None:
    data = dataset(tiny_store)
    assert (
        int(data["test"].tf().cardinality()) == len(data["test"]) == len(list(data["test"].numpy()))
    )
    assert int(data["train"].tf(epochs=3, start=2).cardinality()) == 3 * len(data["train"]) - 2
    assert int(data["train"].tf().cardinality()) == -1
    assert "train" in repr(data)


@pytest.mark.parametrize(("ranks", "batch"), [(2, 1), (3, 32), (8, 5)])
def test_ranks_share_the_windows(tiny_store: Path, ranks: int, batch: int) -> None:
    every = [
        dataset(tiny_store, rank=rank, ranks=ranks, batch=batch, inputs="features", units=True)
        for rank in range(ranks)
    ]
    for name in ("train", "validation", "test"):
        parts = [data[name] for data in every]
        seen = [[bytes(row) for given, *_ in part.numpy() for row in given["features"]]
                for part in parts]  # fmt: skip
        delivered = [row for own in seen for row in own]
        assert len(delivered) == len(set(delivered))
        assert all(f"{len(own):,} of" in repr(part) for own, part in zip(seen, parts, strict=True))
        assert all(f"{len(own):,} of" in repr(data) for own, data in zip(seen, every, strict=True))
        left = parts[0].windows - len(delivered)
        if name == "train":
            assert {len(own) for own in seen} == {batch * len(parts[0])}
            assert left < ranks * batch
        else:
            assert max(map(len, seen)) - min(map(len, seen)) <= 1
            assert left == 0


@pytest.mark.parametrize("balance", [pytest.param("none", marks=pytest.mark.cases), "class"])
def test_a_rank_goes_on_from_any_step_by_every_route(tiny_store: Path, balance: str) -> None:
    part = dataset(
        tiny_store, rank=1, ranks=3, batch=20, balance=balance, augment=EVERYTHING, labels="one-hot"
    )["train"]
    whole = list(part.numpy(epochs=3))
    assert len(whole) == 3 * len(part)
    assert_same(part.tf(epochs=3).as_numpy_iterator(), whole)
    for step in (1, len(part) // 2, len(part) - 1, len(part), len(part) + 2):
        assert_same(list(part.numpy(part.state(step), epochs=2))[:3], whole[step : step + 3])


def test_a_buffer_without_rows_for_a_rank_is_passed_over(tiny_store: Path) -> None:
    from headrace.pipeline.stream.training import batch_stream

    data = dataset(
        tiny_store, batch=20, augment=EVERYTHING, labels="one-hot", balance="class", ranks=2
    )
    chunk = data.store.chunk_windows
    # Of three pieces the one that is read last may be the one of a single row.
    orders = (Order(((0, 2 * chunk + 1),), chunk, 1, seed, ranks=2) for seed in range(100))
    order = next(each for each in orders if not each.buffer_ranges(1, each.buffers - 1))
    delivery = data._delivery(data.split.train, training=True)
    config = data._config.changed("stream", drop_remainder=False)
    arrays = list(array_batches(data.store, order, config, delivery, Position(), 3))
    tensors = batch_stream(data.store, order, config, delivery, Position, 3)
    assert_same(arrays, tensors.as_numpy_iterator())
    assert sum(len(label) for _, label, _ in arrays) == sum(map(order.rank_rows, range(3)))


def test_what_is_normalised_has_the_statistics_of_the_training_folds(tiny_store: Path) -> None:
    split = {"train": ["1", "2", "3"], "validation": ["0"], "test": ["4"]}
    data = dataset(tiny_store, split=split)
    raw = np.concatenate([batch[0]["raw"] for batch in data["train"].numpy()])
    np.testing.assert_allclose(raw.mean(axis=(0, 1)), 0, atol=1e-3)
    np.testing.assert_allclose(raw.std(axis=(0, 1)), 1, atol=1e-3)
    assert_same(data.folds(["4"]).numpy(), data["test"].numpy())


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"split": {"train": ["0"], "test": ["0"]}}, GroupError, ("0", "split")),
        ({"split": {"train": ["99"]}}, GroupError, ("99",)),
        ({"split": {"trian": ["0"]}}, GroupError, ("trian", "train")),
        ({"augment": {"nose_probability": 1}}, ConfigError, ("nose_probability",)),
        ({"augment": {"mix_probability": 1}}, ConfigError, ("mix", "labels", "one-hot")),
        ({"augment": {"mask_probability": 1}, "units": True}, ConfigError, ("mask", "units")),
        ({"labels": "text"}, ConfigError, ("labels", "text")),
        ({"batch": 0}, ConfigError, ("batch", "0")),
        ({"rank": 2, "ranks": 2}, ConfigError, ("rank", "2")),
        ({"batch": 300, "ranks": 2}, GroupError, ("batch = 165", "ranks = 1", "300")),
        ({"budget": "1.8MiB"}, BudgetError, ("budget", "1.8 MiB", "buffer_chunks")),
        ({"batch": 100_000, "drop_remainder": True}, GroupError, ("100000",)),
    ],
)
def test_what_cannot_be_is_refused(
    tiny_store: Path, options: dict[str, Any], error: type[Exception], named: tuple[str, ...]
) -> None:
    with refused(error, *named) as raised:
        len(dataset(tiny_store, **options)["train"])
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, headrace.UserError)


def test_what_is_not_there_is_refused(tiny_store: Path, tmp_path: Path) -> None:
    data = dataset(tiny_store)
    with refused(GroupError, "tset", "test"):
        data["tset"]
    with refused(GroupError, "99"):
        data.folds(["99"])
    with refused(StoreError, "nowhere"):
        headrace.Dataset(tmp_path / "nowhere")


def test_the_state_of_another_stream_is_refused(tiny_store: Path, scaled_store: Path) -> None:
    part = dataset(tiny_store)["train"]
    with refused(RunError, "seed", "4", "5"):
        part.numpy(start=dataset(tiny_store, seed=5)["train"].state(3))
    with refused(RunError, "store"):
        part.tf(start=dataset(scaled_store)["train"].state(3))
    with refused(RunError, "folds"):
        part.numpy(start=dataset(tiny_store)["test"].state(3))
    with refused(ConfigError, "start", "-1"):
        part.numpy(start=-1)


def test_a_budget_bounds_what_is_read_ahead(tiny_store: Path) -> None:
    least = dataset(tiny_store, read_threads=1, prefetch_batches=2)["train"].memory("tf")
    part = dataset(tiny_store, budget=sum(least.values()) + 1)["train"]
    assert sum(part.memory("tf").values()) <= sum(least.values()) + 1
    ample = dataset(tiny_store, budget="1GiB")["train"]
    assert sum(part.memory("tf").values()) < sum(ample.memory("tf").values())
    assert_same(part.numpy(), ample.numpy())


def test_an_augmentation_without_a_compiled_loop_is_for_tensors_alone(
    tiny_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = dataset(tiny_store, augment={"noise_probability": 1.0})["train"]
    for each in registered():
        monkeypatch.setitem(vars(each), "arrays", None)
    with refused(ConfigError, "noise", "tf()"):
        next(part.numpy())


def test_arrays_load_neither_tensorflow_nor_dask(tiny_store: Path) -> None:
    script = f"""
import sys, headrace
augment = {{"noise_probability": 1.0}}
data = headrace.Dataset({str(tiny_store)!r}, batch=32, folds=4, augment=augment)
assert len(list(data["train"].numpy())) == len(data["train"])
heavy = {{"tensorflow", "keras", "dask", "distributed", "torch", "sklearn", "pandas", "matplotlib"}}
print(heavy & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"units": "yes"}, ("units", "yes")),
        ({"augment": "noise"}, ("augment", "noise")),
        ({"rank": "0"}, ("rank", "0")),
        ({"ranks": 0}, ("ranks", "0")),
        ({"batch": 0}, ("batch", "0")),
        ({"drop_remainder": "x"}, ("drop_remainder", "x")),
        ({"split": {"train": ["0"]}, "test_fold": 2}, ("test_fold", "split")),
        ({"split": {"train": ["0"]}, "folds": 4}, ("folds", "split")),
    ],
)
def test_arguments_that_are_wrong_are_named_as_they_are_given(
    options: dict[str, Any], named: tuple[str, ...], tiny_store: Path
) -> None:
    with pytest.raises(ConfigError) as raised:
        headrace.Dataset(tiny_store, **options)
    assert_names(str(raised.value), *named)
    assert not any(section in str(raised.value) for section in ("train.", "stream.", "split."))


@pytest.mark.parametrize("store", [None, 3, {"a.zarr": 1}])
def test_what_is_no_store_is_refused(store: Any) -> None:
    for opened in (headrace.Dataset, headrace.open):
        with refused(StoreError, repr(store)):
            opened(store)


def test_arguments_of_a_part_that_are_wrong_are_refused(tiny_store: Path, tmp_path: Path) -> None:
    data = headrace.Dataset(tiny_store, batch=32, folds=4)
    train = data["train"]
    (tmp_path / "file").write_text("")
    wrong: dict[str, Any] = {
        "step": lambda: train.state(-4),
        "feed": lambda: train.memory("TF"),
        "epochs": lambda: next(iter(train.numpy(epochs=-1))),
        "start": lambda: train.numpy(start=1.5),
        "folder": lambda: train.checkpoint(tmp_path / "file"),
        "every": lambda: train.checkpoint(tmp_path, every="a"),
        "test": lambda: data["test"].checkpoint(tmp_path),
    }
    for name, call in wrong.items():
        with refused(ConfigError, name):
            call()
    with refused(ConfigError, "step", "x"):
        train.numpy(start={**train.state(0), "step": "x"})
    for names in ([], None, 3):
        with refused(GroupError, "folds"):
            data.folds(names)


def test_whole_numbers_of_numpy_are_numbers_of_batches(tiny_store: Path) -> None:
    train = headrace.Dataset(tiny_store, batch=32, folds=4)["train"]
    state = train.state(np.int64(3))
    assert json.loads(json.dumps(state)) == state
    one, two = next(train.numpy(start=np.int64(3))), next(train.numpy(start=3))
    np.testing.assert_array_equal(one[1], two[1])


def test_a_part_goes_to_another_process(tiny_store: Path) -> None:
    for part in (headrace.Dataset(tiny_store)[name] for name in ("train", "test")):
        sent = pickle.loads(pickle.dumps(part))
        mine, its = next(part.numpy()), next(sent.numpy())
        np.testing.assert_array_equal(its[0]["raw"], mine[0]["raw"])
        np.testing.assert_array_equal(its[1], mine[1])


def test_units_are_part_of_a_state(tiny_store: Path) -> None:
    state = headrace.Dataset(tiny_store, batch=32, folds=4)["train"].state(1)
    with refused(RunError, "units"):
        headrace.Dataset(tiny_store, batch=32, folds=4, units=True)["train"].numpy(start=state)


def test_all_windows_once_is_nothing_for_whoever_had_them(tiny_store: Path) -> None:
    test = headrace.Dataset(tiny_store, batch=32, folds=4)["test"]
    for start in (len(test), len(test) + 5):
        assert list(test.numpy(start=start)) == []
        assert len(test.tf(start=start)) == 0
        assert list(test.tf(start=start)) == []
    assert len(list(test.numpy(start=len(test) - 1))) == 1


def test_a_part_without_folds_is_said_and_refused(tiny_store: Path) -> None:
    data = headrace.Dataset(tiny_store, batch=32, split={"train": ["0", "1"]})
    assert "validation: no folds" in repr(data)
    with refused(GroupError, "validation"):
        data["validation"]


def test_a_data_set_is_shown_whatever_its_budget(tiny_store: Path) -> None:
    held = headrace.Dataset(tiny_store, batch=32, folds=4)["train"]
    least = {feed: sum(held.memory(feed).values()) for feed in ("numpy", "tf")}
    assert least["numpy"] < least["tf"]
    for budget in range(least["numpy"] // 2, least["tf"], 1 << 18):
        with suppress(BudgetError):
            assert "more than the budget" in repr(
                headrace.Dataset(tiny_store, batch=32, folds=4, budget=budget)
            )
            return
    raise AssertionError("no budget holds the arrays and not the tensors")
