"""Augmentations of the user's own in the stream of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.pipeline.config.config import Config
from headrace.pipeline.dataset.dataset import Dataset
from headrace.pipeline.rows.order import BEGINNING, Position
from headrace.pipeline.rows.split import choose_split
from headrace.pipeline.rows.statistics import fit_normaliser
from headrace.pipeline.stream.training import training_stream
from headrace.stores.errors import ConfigError, FunctionError
from headrace.stores.store import Store, open_store
from tests.pipeline.own.networks import config_of
from tests.refusals import refused

AUGMENTATIONS = '''
import tensorflow as tf
import headrace


def marked(sample, seeds):
    """Raw becomes a number drawn for each window, features another."""
    one, two = headrace.uniform(seeds, 2)
    raw = tf.zeros_like(sample["raw"]) + one[:, None, None]
    return {"raw": raw, "features": tf.zeros_like(sample["features"]) + two[:, None]}


def normal(sample, seeds):
    drawn = tf.map_fn(
        lambda seed: tf.random.stateless_normal((3,), seed), seeds, fn_output_signature=tf.float32
    )
    return {"raw": sample["raw"] + drawn[:, None, :]}


def other(sample, seeds):
    return {"row": sample["raw"]}


def narrow(sample, seeds):
    return {"raw": sample["raw"][:, :, :2]}


def fails(sample, seeds):
    return sample["rew"]
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(AUGMENTATIONS)
    return tmp_path


@pytest.fixture(scope="module")
def store(tiny_store: Path) -> Store:
    return open_store(tiny_store)


def config_with(folder: Path, base: Config, *names: str, **augment: Any) -> Config:
    off = {f"{name}_probability": 0.0 for name in ("scale", "noise", "mask")}
    custom = {"custom": [f"mine:{name}" for name in names]}
    return config_of(folder, base, augment={**off, **custom, **augment})


def batches(store: Store, config: Config, start: Position = BEGINNING) -> list[Any]:
    split = choose_split(store.folds, store.class_table, config.split)
    normaliser = fit_normaliser(store, split.train, config)
    stream = training_stream(store, split.train, config, normaliser, start=start, epochs=2)
    return [inputs for inputs, _, _ in stream.as_numpy_iterator()]


def test_each_window_has_seeds_of_its_own_in_each_epoch_whatever_the_batch(
    folder: Path, store: Store, tiny_config: Config
) -> None:
    found = batches(store, config_with(folder, tiny_config, "marked"))
    raw = np.concatenate([each["raw"][:, 0, 0] for each in found])
    features = np.concatenate([each["features"][:, 0] for each in found])
    assert len(np.unique(raw)) > 0.99 * len(raw)
    assert abs(np.corrcoef(raw, features)[0, 1]) < 0.2
    assert 0 <= raw.min() < 0.05 < 0.95 < raw.max() < 1
    smaller = config_of(folder, config_with(folder, tiny_config, "marked"), train={"batch": 20})
    again = np.concatenate([each["raw"][:, 0, 0] for each in batches(store, smaller)])
    np.testing.assert_array_equal(np.sort(raw), np.sort(again))


def test_a_stream_that_begins_later_gives_the_same_bits(
    folder: Path, store: Store, tiny_config: Config
) -> None:
    config = config_with(folder, tiny_config, "normal", "marked", mix_probability=0.5)
    for one, two in zip(
        batches(store, config)[3:], batches(store, config, Position(0, 3)), strict=True
    ):
        np.testing.assert_array_equal(one["raw"], two["raw"])
    plain = batches(store, config_with(folder, tiny_config))
    assert not np.array_equal(plain[0]["raw"], one["raw"])


def test_arrays_without_tensorflow_refuse_what_is_for_its_graph(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    data = Dataset(store, batch=16, augment={"custom": ["mine:marked"]})
    with refused(ConfigError, "mine:marked", "augment.custom"):
        next(iter(data["train"].numpy()))
    inputs, _, _ = next(iter(data["train"].tf()))
    assert float(inputs["raw"][0, 0, 0]) == float(inputs["raw"][0, -1, -1])


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("other", ("mine:other", "row", "raw")),
        ("narrow", ("mine:narrow", "raw", "(None, 64, 2)")),
        ("fails", ("mine.py", "KeyError", "rew")),
    ],
)
def test_one_that_returns_other_arrays_is_refused_before_a_batch(
    name: str, named: tuple[str, ...], folder: Path, store: Store, tiny_config: Config
) -> None:
    with refused(FunctionError, *named):
        batches(store, config_with(folder, tiny_config, name))
