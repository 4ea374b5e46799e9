"""What version 0.1 made: a store, a store half built, a run, a run half trained, predictions.

All of it came from one source of 150 windows of 32 x 3 in 6 groups, on Python 3.11.
"""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from headrace import stores
from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import load_config
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.repair.stage import run_repair
from headrace.pipeline.repair.verify import run_verify
from headrace.pipeline.runs.folder import RunFolder, run_digest
from headrace.pipeline.runs.record import (
    BIT_DECIDING,
    current_versions,
    recorded_config,
    recorded_fingerprint,
    recorded_versions,
)
from headrace.pipeline.training.stage import run_train
from headrace.stores.build.writers import writer_versions
from headrace.stores.errors import UserError
from tests.conftest import ROOT, hashes, request_for
from tests.in_process import tasks_here

pytestmark = pytest.mark.usefixtures("made_here")
DIGEST = "c4ca8d14a5d4bd55"
"""Name that 0.1 gave the run's folder, from what decides its result."""


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The folder of it all."""
    return unpacked(tmp_path)


def unpacked(folder: Path) -> Path:
    with zipfile.ZipFile(ROOT / "tests" / "formats" / "0.1.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def config(kept: Path) -> Config:
    """The configuration of it all."""
    return load_config(kept / "config.toml")


def log_of(run: RunFolder) -> list[dict[str, float]]:
    with run.log.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{key: float(row[key]) for key in row if "seconds" not in key} for row in rows]


def same_versions(run: RunFolder) -> bool:
    now, then = current_versions(), recorded_versions(run)
    return all(now[name] == then[name] for name in BIT_DECIDING)


def same_writers(kept: Path) -> bool:
    plan = json.loads((kept / "begun.zarr.partial" / "plan.json").read_bytes())
    return bool(plan["writers"] == writer_versions())


def test_its_store_is_whole_and_is_what_this_version_would_make(kept: Path, config: Config) -> None:
    request = request_for(config, kept / "source.h5", kept / "store.zarr")
    before = hashes(kept / "store.zarr")
    assert run_verify(request)["problems"] == []
    assert run_features(request)["made_shards"] == 0
    assert hashes(kept / "store.zarr") == before
    assert stores.open(kept / "store.zarr").fingerprint == recorded_fingerprint(
        RunFolder(kept / "complete")
    )


def test_its_half_built_store_is_continued_or_refused_by_version(
    kept: Path, config: Config
) -> None:
    request = request_for(config, kept / "source.h5", kept / "begun.zarr")
    if not same_writers(kept):
        with pytest.raises(UserError):
            run_features(request)
        return
    assert 0 < run_features(request)["made_shards"] < 5
    assert hashes(kept / "begun.zarr") == hashes(kept / "store.zarr")


def test_its_run_has_the_name_that_this_version_would_give(kept: Path) -> None:
    run = RunFolder(kept / "complete")
    assert run_digest(recorded_config(run), recorded_fingerprint(run)) == DIGEST


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of it all, once its runs are scored, have predicted and are trained to the end."""
    folder = unpacked(tmp_path_factory.mktemp("used"))
    shutil.copytree(folder / "complete", folder / "scored")
    (folder / "scored" / "metrics.json").unlink()
    store = ["--quiet", "--store", str(folder / "store.zarr"), "--run"]
    output = ["--output", str(folder / "again.csv"), "--data", str(folder / "source.h5")]
    commands = [
        ["evaluate", *store, str(folder / "complete")],
        ["evaluate", *store, str(folder / "scored")],
        ["predict", *store, str(folder / "complete"), *output],
        ["train", *store, str(folder / "interrupted"), "--config", str(folder / "config.toml")],
    ]
    resumed = 0 if same_versions(RunFolder(folder / "interrupted")) else 2
    # Its runs were trained on one thread; bits, which more of them change, are not compared here.
    with (
        tasks_here(),
        patch("tensorflow.config.threading.get_intra_op_parallelism_threads", return_value=1),
        patch("tensorflow.config.threading.set_intra_op_parallelism_threads"),
        patch("tensorflow.config.threading.set_inter_op_parallelism_threads"),
        patch("headrace.model.drawing.png", return_value=b"\x89PNG"),
    ):
        assert [main(command) for command in commands] == [0, 0, 0, resumed]
    return folder


def metrics_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "metrics.json").read_bytes()))


def test_its_complete_run_is_known(kept: Path, config: Config) -> None:
    request = request_for(config, None, kept / "store.zarr", kept / "complete")
    assert run_train(request)["trained"] is False


def test_its_scores_are_kept_and_come_again(kept: Path, used: Path) -> None:
    recorded, found = metrics_of(kept / "complete"), metrics_of(used / "scored")
    assert metrics_of(used / "complete") == recorded
    assert found["digest"] == recorded["digest"]
    assert found["plain"]["confusion"] == recorded["plain"]["confusion"]
    for name in ("plain", "tta"):
        assert found[name]["loss"] == pytest.approx(recorded[name]["loss"], rel=1e-4)


def test_its_run_predicts_what_it_predicted(used: Path) -> None:
    one, two = (
        np.loadtxt(used / name, delimiter=",", skiprows=1, usecols=range(2, 9))
        for name in ("predicted.csv", "again.csv")
    )
    np.testing.assert_allclose(two, one, atol=1e-4)


def test_its_half_trained_run_is_resumed_or_refused_by_version(used: Path) -> None:
    run, complete = RunFolder(used / "interrupted"), RunFolder(used / "complete")
    assert run.complete == same_versions(run)
    if run.complete:
        for one, two in zip(log_of(run), log_of(complete), strict=True):
            assert one == pytest.approx(two, rel=1e-3)


def test_its_store_is_mended_or_refused_by_version(kept: Path, config: Config) -> None:
    before = hashes(kept / "store.zarr")
    damaged = kept / "store.zarr" / "label" / "c.1"
    shutil.copy(kept / "store.zarr" / "label" / "c.0", damaged)
    request = request_for(config, kept / "source.h5", kept / "store.zarr")
    if not same_writers(kept):
        with pytest.raises(UserError):
            run_repair(request, "checksums")
        return
    assert run_repair(request, "checksums")["made_shards"] == 1
    assert hashes(kept / "store.zarr") == before
