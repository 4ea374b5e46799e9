"""The networks that come with the package: each with raw, with features and with both."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import keras
import numpy as np
import pytest

from headrace.model import zoo
from headrace.model.interface import NetworkInputs, NetworkTarget
from headrace.model.own_network import check_network, check_saved

NAMES = [module.name for module in pkgutil.iter_modules(zoo.__path__)]
SHAPES = {"raw": (40, 3), "features": (7,)}


@pytest.mark.parametrize("kinds", [("raw",), ("features",), ("raw", "features")])
@pytest.mark.parametrize("name", NAMES)
def test_each_gives_probabilities_of_whatever_inputs_there_are(
    name: str, kinds: tuple[str, ...]
) -> None:
    inputs = NetworkInputs({kind: SHAPES[kind] for kind in kinds}, tuple("xyz"), ("f",) * 7, 50.0)
    module = import_module(f"headrace.model.zoo.{name}")
    network = module.build(inputs, NetworkTarget(("a", "b", "c")))
    assert check_network(network, inputs, NetworkTarget(("a", "b", "c"))).names == ("label",)
    assert network.count_params() < 250_000
    check_saved(network, {})
    assert f"headrace.model.zoo.{name}:build" in (module.__doc__ or "")


@pytest.mark.own
@pytest.mark.parametrize("name", NAMES)
def test_each_learns_what_can_be_told(name: str) -> None:
    keras.utils.set_random_seed(0)
    inputs = NetworkInputs({"raw": SHAPES["raw"]}, tuple("xyz"), (), 50.0)
    network = import_module(f"headrace.model.zoo.{name}").build(inputs, NetworkTarget(("a", "b")))
    label = np.arange(64) % 2
    raw = np.random.default_rng(0).normal(size=(64, 40, 3)).astype(np.float32)
    raw[label == 1, 10:30] += 1.5
    network.compile("adam", "sparse_categorical_crossentropy")
    losses = [network.train_on_batch({"raw": raw}, label) for _ in range(20)]
    assert losses[-1] < 0.3 * losses[0]
