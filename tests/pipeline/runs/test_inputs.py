"""What a network takes, as its run records it: runs of former versions are read by it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headrace.model.interface import NetworkTarget
from headrace.pipeline.runs.inputs import ModelInputs, inputs_from_table, refuse_other_signals
from headrace.stores.errors import PredictionError
from headrace.stores.spec import WindowSpec
from tests.refusals import refused

SPEC = WindowSpec(64, 50.0, ("x", "y"), ("g", ""), np.dtype(np.int16), (1.0, 1.0))
INPUTS = ModelInputs(SPEC, features=("x__rms",), target=NetworkTarget(("walk", "run")))
RECORD = (
    '{"time": 64, "rate_hz": 50.0, "channels": ["x", "y"], "units": ["g", ""], '
    '"raw_dtype": "int16", "features": ["x__rms"], "classes": ["walk", "run"]}'
)


def test_the_record_of_inputs_has_the_same_bytes_as_ever_and_is_read_back() -> None:
    assert json.dumps(INPUTS.as_table()) == RECORD
    assert inputs_from_table(json.loads(RECORD), Path("store.json")) == INPUTS


@pytest.mark.parametrize(
    "target",
    [
        NetworkTarget(("a", "b"), kind="labels"),
        NetworkTarget(kind="value", names=("rate", "speed"), units=("bpm", "")),
        NetworkTarget(("a", "b"), kind="sequence", length=8, every=8),
    ],
)
def test_the_record_of_another_target_is_read_back(target: NetworkTarget) -> None:
    inputs = ModelInputs(SPEC, (), target)
    table = json.loads(json.dumps(inputs.as_table()))
    assert inputs_from_table(table, Path("store.json")) == inputs
    for damage in ({"kind": "wish"}, {"length": 0, "kind": "sequence"}, {"more": 1}, []):
        with pytest.raises(PredictionError):
            inputs_from_table(table | {"target": damage or ["kind"]}, Path("store.json"))


@pytest.mark.parametrize(
    "damage", [{"units": ["g"]}, {"time": "long"}, {"channels": None}, {"raw_dtype": "number"}]
)
def test_a_damaged_record_of_inputs_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(PredictionError):
        inputs_from_table(json.loads(RECORD) | damage, Path("store.json"))


@pytest.mark.parametrize(
    ("channels", "named"),
    [
        (("x", "more", "y"), ("more", "source.use_channels")),
        (("y", "x"), ("source.use_channels",)),
        (("", "", ""), ("source.channels", "source.use_channels")),
        (("x",), ("x, y",)),
        (("a", "b"), ("source.channels",)),
    ],
)
def test_a_source_of_other_channels_is_refused_with_what_differs_and_a_key(
    channels: tuple[str, ...], named: tuple[str, ...]
) -> None:
    units = ("",) * len(channels)
    spec = WindowSpec(64, 50.0, channels, units, np.dtype(np.int16), (1.0,) * len(channels))
    source: Any = SimpleNamespace(spec=spec, layout="windows", path=Path("new.h5"))
    with refused(PredictionError, "new.h5", *named) as error:
        refuse_other_signals(INPUTS, source)
    assert ("missing" in str(error.value)) == (len(channels) < 2)
