"""The sizes of the network, against the network that is built and the memory that a step takes."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import keras
import pytest

from headrace.model.interface import NetworkTarget
from headrace.model.network import build_network
from headrace.model.options import NetworkOptions
from headrace.model.sizes import activation_bytes, parameters
from headrace.pipeline.process.environment import stage_environment


def target(classes: int) -> NetworkTarget:
    return NetworkTarget(tuple(map(str, range(classes))))


PARTS: tuple[tuple[Any, ...], ...] = (
    ("hybrid", "raw", "features"),
    ((1,), (1, 2, 4)),
    ((16,), (32, 8)),
    ({"filters": 8, "kernel": 3}, {"filters": 24, "stem_kernel": 5, "fusion_units": 7}),
    ((64, 3, 5, target(2)), (50, 1, 40, target(7))),
)
PAIRS = ("00000", "01111", "10101", "11010", "20011", "21100")
"""Combinations, by their numbers in `PARTS`, that hold each pair of values of two parts."""
FIRST = ("01111", "10101", "20011")
"""Of these, one of each kind of network, in which each value of each part is."""


def combinations() -> Iterator[Any]:
    """All; those of `FIRST` are quick enough for every day, of `PAIRS` before each change."""
    for numbers in itertools.product(*(range(len(part)) for part in PARTS)):
        name = "".join(map(str, numbers))
        values = (part[number] for part, number in zip(PARTS, numbers, strict=True))
        longer = pytest.mark.cases if name in PAIRS else pytest.mark.faults
        yield pytest.param(*values, id=name, marks=() if name in FIRST else longer)


@pytest.mark.parametrize(("inputs", "dilations", "units", "widths", "shape"), list(combinations()))
def test_the_weights_of_a_network_are_counted_without_building_it(
    inputs: str,
    dilations: tuple[int, ...],
    units: tuple[int, ...],
    widths: dict[str, int],
    shape: tuple[int, int, int, NetworkTarget],
) -> None:
    keras.backend.clear_session()
    table = {"inputs": inputs, "dilations": dilations, "feature_units": units, **widths}
    options = NetworkOptions.model_validate(table)
    assert parameters(options, *shape) == build_network(options, *shape).count_params()


def peaks(
    options: NetworkOptions, target: NetworkTarget, shape: tuple[int, ...], *batches: int
) -> list[int]:
    """Bytes that a process has held at most after a few training steps of each batch size."""
    numbers = [str(number) for number in (*shape, *batches)]
    tables = [options.model_dump_json(), json.dumps(asdict(target))]
    command = [sys.executable, "-m", "tests.model.step_memory", *tables, *numbers]
    environment = stage_environment(os.environ)
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return [int(line) for line in done.stdout.splitlines()[-len(batches) :]]


SEQUENCE = NetworkTarget(tuple("abcdef"), kind="sequence", length=128)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("table", "shape", "target", "batch"),
    [
        ({}, (128, 9, 283), target(6), 256),
        ({}, (128, 9, 283), SEQUENCE, 256),
        ({"inputs": "raw", "dilations": (1, 2, 4, 8, 16, 32)}, (512, 3, 0), target(4), 128),
        ({"inputs": "features", "feature_units": (4096, 2048)}, (1, 1, 2000), target(4), 2048),
    ],
    ids=["default", "a label a sample", "deep raw", "wide features"],
)
def test_a_batch_twice_as_large_takes_what_its_activations_and_their_gradients_do(
    table: dict[str, Any], shape: tuple[int, int, int], target: NetworkTarget, batch: int
) -> None:
    options = NetworkOptions.model_validate(table)
    outputs = batch * activation_bytes(options, *shape, target, training=True)
    once, twice = peaks(options, target, shape, batch, 2 * batch)
    assert 0.4 * outputs < twice - once < 2 * outputs
