"""Validation sees every class that is trained, or the run says which it does not see."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace import stores
from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.pipeline.evaluation.stage import run_evaluate
from headrace.pipeline.rows.split import Split
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.inputs import inputs_of
from headrace.pipeline.runs.record import record_run, recorded_split
from headrace.pipeline.runs.resolve import resolved_config, with_threads
from headrace.pipeline.training.stage import run_train
from headrace.stores.errors import RunError
from tests.conftest import changed, request_for
from tests.in_process import store_here

WINDOWS = 24


class Heard(Console):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def bearings(tiny_config: Config, tmp_path: Path) -> Config:
    """A configuration for machines that each fail in one way, a fold each."""
    return changed(
        tiny_config,
        features={"select": ["*mean"], "triads": {}, "accelerometers": []},
        folds={"by": "group"},
        split={"folds": 6},
        model={"inputs": "features", "feature_units": [4]},
        train={"epochs": 1, "steps_per_epoch": 1},
        evaluate={"views": ["identity"]},
    )


def store_of(config: Config, folder: Path, classes: list[int]) -> Path:
    """A store of machines of 24 windows, machine i always of class classes[i]."""
    source, count = folder / "bearings.h5", WINDOWS * len(classes)
    with h5py.File(source, "w") as file:
        file["X"] = np.random.default_rng(0).normal(size=(count, 16, 2)).astype(np.float32)
        file["y"] = np.repeat(classes, WINDOWS)
        file["groups"] = np.repeat(np.arange(len(classes)), WINDOWS)
        file.attrs["sampling_rate_hz"] = 10.0
    store_here(request_for(config, source, folder / "bearings.zarr"))
    return folder / "bearings.zarr"


def trained(config: Config, store: Path, run: Path) -> tuple[dict[str, Any], list[str]]:
    """What a training records of its split, and what it prints."""
    heard = Heard()
    run_train(dataclasses.replace(request_for(config, None, store, run), console=heard))
    return json.loads(RunFolder(run).store.read_bytes())["split"], heard.lines


def test_folds_of_one_class_each_validate_together(bearings: Config, tmp_path: Path) -> None:
    store = store_of(bearings, tmp_path, [0, 0, 1, 0, 1, 1])
    split, lines = trained(bearings, store, tmp_path / "run")
    assert split == {"train": ["3", "4", "5"], "validation": ["1", "2"], "test": ["0"]}
    assert any("1, 2" in line for line in lines)


def test_a_class_that_cannot_be_spared_is_printed_and_recorded(
    bearings: Config, tmp_path: Path
) -> None:
    store = store_of(bearings, tmp_path, [0, 0, 1, 0, 2, 1])
    split, lines = trained(bearings, store, tmp_path / "run")
    assert split == {
        "train": ["3", "4", "5"],
        "validation": ["1", "2"],
        "test": ["0"],
        "not_validated": ["2"],
    }
    assert any(line.startswith("Warning") and "class 2" in line for line in lines)
    run_evaluate(request_for(bearings, None, store, tmp_path / "run"))


def test_a_run_that_was_started_with_another_split_goes_on_with_its_own(
    bearings: Config, tmp_path: Path
) -> None:
    place, run = store_of(bearings, tmp_path, [0, 0, 1, 0, 1, 1]), RunFolder(tmp_path / "run")
    request, store = request_for(bearings, None, place, run.path), stores.open(place)
    begun = with_threads(run, resolved_config(request, store))
    own = Split(train=("2", "3", "4", "5"), validation=("1",), test=("0",))
    record_run(run, begun, store.fingerprint, dataclasses.asdict(own), inputs_of(store))
    split, lines = trained(bearings, place, run.path)
    assert run.complete
    assert recorded_split(run) == own
    assert set(split) == {"train", "validation", "test"}
    assert any(f"train: {4 * WINDOWS} windows" in line for line in lines)
    assert any(line.startswith("Warning") and "class 1" in line for line in lines)


@pytest.mark.parametrize(
    "split",
    [
        "all",
        {"train": ["2"], "validation": ["1"]},
        {"train": "23", "validation": ["1"], "test": ["0"]},
        {"train": ["2"], "validation": [], "test": ["0"]},
        {"train": ["2", "0"], "validation": ["1"], "test": ["0"]},
    ],
)
def test_a_recorded_split_that_is_none_is_refused(split: object, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.store.write_text(json.dumps({"fingerprint": "0", "split": split}))
    with pytest.raises(RunError):
        recorded_split(run)
