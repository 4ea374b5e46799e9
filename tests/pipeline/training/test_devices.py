"""Training on two devices is the training of one: two parts of this CPU, in real processes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from headrace.pipeline.cli.main import main
from headrace.stores.errors import ConfigError
from tests.conftest import SMALL
from tests.refusals import assert_refused

STILL = {"dropout": 0.0, "feature_dropout": 0.0, "spatial_dropout": 0.0}
"""No chance in the network: each device would draw its own."""


def command(folder: Path, store: Path, run: str, inputs: str = "hybrid", **train: Any) -> list[str]:
    table = {"name": run, **SMALL, "train": {**SMALL["train"], "clip_norm": 0.05, **train}}
    table["model"] = {**SMALL["model"], **STILL, "dilations": [2], "feature_units": [8]}
    table["model"]["inputs"] = inputs
    config = folder / f"{run}.toml"
    config.write_text(tomli_w.dumps(table))
    given = ["--config", str(config), "--store", str(store), "--run", str(folder / run), "--quiet"]
    return [sys.executable, "-m", "headrace", "train", *given]


def log_of(run: Path) -> list[dict[str, float]]:
    with (run / "log.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.faults
@pytest.mark.parametrize("inputs", ["features", "hybrid"])
def test_devices_share_each_batch_and_lose_as_one(
    inputs: str, tiny_store: Path, tmp_path: Path
) -> None:
    for run, devices in (("one", 1), ("two", 2)):
        given = command(tmp_path, tiny_store, run, inputs, devices=devices)
        done = subprocess.run(given, check=False)
        assert done.returncode == 0
    for one, two in zip(log_of(tmp_path / "one"), log_of(tmp_path / "two"), strict=True):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert two[name] == pytest.approx(one[name], rel=1e-4), name
    # The gradients' sum is clipped: with each clipped before, losses differ from the second step.
    assert (tmp_path / "two" / "model.keras").is_file()


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_a_killed_training_of_two_devices_ends_with_the_same_bits(
    tiny_store: Path, tmp_path: Path
) -> None:
    # The last batch of an epoch has 10 rows, which 4 devices cannot share alike.
    many = {"devices": 4, "epochs": 3, "state_steps": 1}
    whole, cut = (command(tmp_path, tiny_store, run, **many) for run in ("whole", "cut"))
    assert subprocess.run(whole, check=False).returncode == 0
    state = tmp_path / "cut" / "state" / "state.npz"
    for written in (2,):
        stage = subprocess.Popen(cut)
        seen: set[int] = set()
        while stage.poll() is None and len(seen) < written:
            if state.exists():
                seen.add(os.stat(state).st_ino)
            time.sleep(0.005)
        stage.kill()
        stage.wait()
    assert subprocess.run(cut, check=False).returncode == 0
    same = ("loss", "accuracy", "val_loss", "val_accuracy")
    ends = [log_of(tmp_path / run)[-1] for run in ("whole", "cut")]
    np.testing.assert_array_equal(*([end[name] for name in same] for end in ends))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("train.devices=3", ("3", "128")),
        (
            "train.devices=2 model.mixed_precision=true",
            ("train.devices", "model.mixed_precision"),
        ),
    ],
)
def test_what_devices_cannot_share_is_refused(
    given: str, named: tuple[str, ...], tiny_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [part for each in given.split() for part in ("--set", each)]
    assert main(["train", "--store", str(tiny_store), *options]) == 2
    assert_refused(capsys.readouterr().err, ConfigError, *named)
