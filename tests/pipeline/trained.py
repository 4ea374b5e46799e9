"""What two trainings have in common if one of them was interrupted."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

import numpy as np

from headrace.pipeline.evaluation.predictor import load_model
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.training.state import read_state

TIMES = ("seconds", "wait_seconds", "val_seconds", "cpu_seconds", "val_cpu_seconds")


def log_of(run: RunFolder) -> list[dict[str, str]]:
    """The rows of its log.csv."""
    with run.log.open(newline="") as stream:
        return list(csv.DictReader(stream))


def without_times(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The columns that two trainings of one config share."""
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def weights_of(run: RunFolder) -> list[np.ndarray[Any, Any]]:
    """The weights of its model."""
    return [variable.numpy() for variable in load_model(run.model).weights]


def assert_same_model(run: RunFolder, other: RunFolder) -> None:
    """The same bits in every weight."""
    for one, two in zip(weights_of(run), weights_of(other), strict=True):
        np.testing.assert_array_equal(one, two, strict=True)


def assert_same_result(run: RunFolder, other: RunFolder) -> None:
    """The same bits in model and state, and the same log but for its times."""
    assert without_times(log_of(run)) == without_times(log_of(other))
    assert_same_model(run, other)
    first, second = read_state(run.state), read_state(other.state)
    assert first is not None
    assert second is not None
    for one, two in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one, two, strict=True)
