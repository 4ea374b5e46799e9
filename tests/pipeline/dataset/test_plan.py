"""A user's own network is measured in another process, and what the data takes is added."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import pytest

import headrace
from headrace.pipeline.dataset import plan
from headrace.stores.errors import BudgetError, ConfigError
from tests.refusals import refused


def network(data: headrace.Dataset) -> keras.Model:
    inputs = {name: keras.Input(shape, name=name) for name, shape in data.inputs.items()}
    output = keras.layers.Dense(len(data.classes), activation="softmax")(inputs["features"])
    model = keras.Model(inputs, output)
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    return model


def uncompiled(data: headrace.Dataset) -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(len(data.classes))])


def of_another_shape(data: headrace.Dataset) -> keras.Model:
    model = keras.Sequential([keras.Input((3,), name="raw"), keras.layers.Dense(1)])
    model.compile("adam", "mse", jit_compile=False)
    return model


def failing(data: headrace.Dataset) -> keras.Model:
    raise KeyError("a fault of the user's")


def too_narrow(data: headrace.Dataset) -> keras.Model:
    inputs = {name: keras.Input(shape, name=name) for name, shape in data.inputs.items()}
    output = keras.layers.Dense(len(data.classes) - 1, activation="softmax")(inputs["features"])
    model = keras.Model(inputs, output)
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    return model


def leaving(data: headrace.Dataset) -> keras.Model:
    raise SystemExit(3)


@pytest.fixture
def data(tiny_store: Path) -> headrace.Dataset:
    return headrace.Dataset(tiny_store, batch=32, folds=4, budget="64MiB")


class Here(ThreadPoolExecutor):
    """Measures in the tests' process."""

    def __init__(self, *given: Any) -> None:
        super().__init__(1)


@pytest.mark.parametrize("pool", [Here, pytest.param(None, marks=pytest.mark.cases)])
def test_a_plan_is_the_measured_step_and_the_buffers(
    pool: Any, data: headrace.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pool is not None:
        monkeypatch.setattr(plan, "ProcessPoolExecutor", pool)
    found = headrace.plan(network, data, budget="1MiB")
    train = data["train"].memory("tf")
    assert train.items() <= found.buffers.items()
    assert found.projected > found.reserved + sum(train.values())
    assert found.reserved > 100 * 2**20
    assert "projected" in str(found)
    with refused(BudgetError, "budget", "1 MiB"):
        found.require_fit()


@pytest.mark.parametrize(
    ("model_fn", "named"),
    [
        (uncompiled, ("uncompiled", "compiled")),
        (of_another_shape, ("of_another_shape", "raw")),
        (failing, ("failing", "KeyError", __file__)),
        (leaving, ("leaving", "3")),
        (too_narrow, ("too_narrow",)),
        (len, ("len",)),
    ],
)
def test_what_is_no_network_for_the_data_is_refused(
    data: headrace.Dataset, model_fn: Any, named: tuple[str, ...]
) -> None:
    with refused(ConfigError, *named):
        plan._take_steps(model_fn, data["train"], data)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"budget": "x"}, ("budget", "x")),
        ({"model_fn": "network"}, ("model_fn", "network")),
        ({"model_fn": functools.partial(network)}, ("model_fn",)),
        ({"data": "a.zarr"}, ("data", "a.zarr")),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_measured(
    given: dict[str, Any], named: tuple[str, ...], data: headrace.Dataset
) -> None:
    with refused(ConfigError, *named):
        headrace.plan(**{"model_fn": network, "data": data} | given)


def test_a_function_that_another_process_cannot_find_is_refused(data: headrace.Dataset) -> None:
    with refused(ConfigError, "lambda"):
        headrace.plan(lambda data: network(data), data)
