"""Batches of torch: the bits of the arrays, in their order. Long to install: make test-torch."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headrace
from tests.conftest import ROOT

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::UserWarning")]


def part(store: Path, **options: Any) -> Any:
    return headrace.Dataset(store, **({"batch": 32, "folds": 4, "seed": 2} | options))["train"]


def assert_same(found: Any, expected: Any) -> None:
    for one, other in zip(found, expected, strict=True):
        for name, values in other[0].items():
            assert np.array_equal(one[0][name].numpy(), values)
        assert np.array_equal(one[1].numpy(), other[1])
        assert np.array_equal(one[2].numpy(), other[2])


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("kept", [False, True])
def test_a_loader_goes_through_the_epochs_one_after_another(
    tiny_store: Path, workers: int, kept: bool
) -> None:
    from torch.utils.data import DataLoader

    train = part(tiny_store, labels="one-hot", augment={"mix_probability": 0.5})
    steps, expected = len(train), list(train.numpy(epochs=3))
    loader: Any = DataLoader(
        train.torch(start=train.state(3)),
        batch_size=None,
        num_workers=workers,
        persistent_workers=kept and workers > 0,
    )
    assert len(loader) == steps
    assert_same(loader, expected[3:steps])
    assert_same(loader, expected[steps : 2 * steps])
    assert_same(loader, expected[2 * steps :])


def test_an_epoch_is_gone_to(tiny_store: Path) -> None:
    train = part(tiny_store)
    batches = train.torch()
    batches.set_epoch(2)
    assert_same(batches, train.numpy(start=2 * len(train)))
    batches.set_epoch(1)
    assert_same(batches, train.numpy(start=len(train)))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_loader_goes_on_where_it_stood(tiny_store: Path, workers: int) -> None:
    from torchdata.stateful_dataloader import StatefulDataLoader

    train = part(tiny_store)
    expected = list(train.numpy(epochs=2))

    def loader() -> Any:
        return StatefulDataLoader(train.torch(), batch_size=None, num_workers=workers)

    begun = loader()
    batches = iter(begun)
    assert_same(itertools.islice(batches, 5), expected[:5])
    state = begun.state_dict()
    resumed = loader()
    resumed.load_state_dict(state)
    assert_same(resumed, expected[5 : len(train)])
    assert_same(resumed, expected[len(train) :])


def test_codes_are_what_a_loss_takes_and_no_tensorflow_is_loaded(tiny_store: Path) -> None:
    import torch

    train = part(tiny_store)
    inputs, target, weight = next(iter(train.torch()))
    network = torch.nn.Linear(inputs["features"].shape[1], len(headrace.open(tiny_store).classes))
    loss = torch.nn.functional.cross_entropy(network(inputs["features"]), target, reduction="none")
    (loss * weight).mean().backward()
    assert network.weight.grad is not None
    assert "tensorflow" not in sys.modules


def test_the_example_of_the_documentation_runs(tiny_store: Path) -> None:
    page = (ROOT / "docs" / "howto" / "own-loop.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    example = example.replace('"my.zarr", batch=64', f"{str(tiny_store)!r}, folds=4")
    exec(example.replace("range(30)", "range(2)"), {"headrace": headrace})
