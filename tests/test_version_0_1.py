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

import numpy as np
import pytest

from headrace import stores
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import load_config
from headrace.pipeline.evaluation.metrics import read_metrics, write_metrics
from headrace.pipeline.evaluation.stage import run_evaluate
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.prediction.stage import run_predict
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

DIGEST = "c4ca8d14a5d4bd55"
"""Name that 0.1 gave the run's folder, from what decides its result."""


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The folder of it all."""
    with zipfile.ZipFile(ROOT / "tests" / "formats" / "0.1.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


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


def test_its_complete_run_is_known_and_scored_again(kept: Path, config: Config) -> None:
    run = RunFolder(kept / "complete")
    content = run.metrics.read_bytes()
    recorded: dict[str, Any] = json.loads(content)
    request = request_for(config, None, kept / "store.zarr", run.path)
    assert run_train(request)["trained"] is False
    config = Config.model_validate({"paths": {"store": kept / "store.zarr"}})
    request = request_for(config, None, kept / "store.zarr", run.path)
    run_evaluate(request)
    assert run.metrics.read_bytes() == content  # Its scores are kept: nothing changed.
    write_metrics(run, read_metrics(run))
    assert run.metrics.read_bytes() == content
    run.metrics.unlink()
    run_evaluate(request)
    found = json.loads(run.metrics.read_bytes())
    assert found["digest"] == recorded["digest"]
    assert found["plain"]["confusion"] == recorded["plain"]["confusion"]
    for name in ("plain", "tta"):
        assert found[name]["loss"] == pytest.approx(recorded[name]["loss"], rel=1e-4)


def test_its_run_predicts_what_it_predicted(kept: Path) -> None:
    given = Config.model_validate({"paths": {"store": kept / "store.zarr"}})
    output = kept / "again.csv"
    run_predict(
        request_for(given, kept / "source.h5", kept / "store.zarr", kept / "complete"), output
    )
    one, two = (
        np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(2, 9))
        for path in (kept / "predicted.csv", output)
    )
    np.testing.assert_allclose(two, one, atol=1e-4)


def test_its_half_trained_run_is_resumed_or_refused_by_version(kept: Path, config: Config) -> None:
    run, complete = RunFolder(kept / "interrupted"), RunFolder(kept / "complete")
    request = request_for(config, None, kept / "store.zarr", run.path)
    if not same_versions(run):
        with pytest.raises(UserError):
            run_train(request)
        return
    run_train(request)
    assert run.complete
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
