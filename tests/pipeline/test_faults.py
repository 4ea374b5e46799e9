"""Nothing is lost: failed and torn writes, power cuts, kills. The long ones: make test-faults."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import tomli_w

from pipeline.config import Config, config_from_table
from pipeline.shard_task import extract_shard, open_workshop, source_state
from pipeline.store_plan import plan_store
from stores.building import begin_build, partial_folder
from stores.errors import UserError
from stores.source import open_source
from stores.synthetic import write_synthetic
from tests.conftest import SMALL, hashes
from tests.failing_disk import FailingDisk, PowerLoss, install

LEAST = {
    "name": "least",
    "store": {"chunk_windows": 8, "shard_windows": 32, "block_windows": 8},
    "features": {"select": ["ch?__mean"]},
    "folds": {"count": 3},
}
"""Three shards of six arrays."""


@pytest.fixture(scope="module")
def least(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config, dict[str, str]]:
    """A source, its configuration, and the digests of the store that they give."""
    folder = tmp_path_factory.mktemp("least")
    write_synthetic(folder / "least.h5", windows=80, time=8, channels=2, groups=4)
    config = config_from_table(LEAST, "least")
    build(folder / "least.zarr", folder / "least.h5", config)
    return folder / "least.h5", config, hashes(folder / "least.zarr")


def build(target: Path, data: Path, config: Config) -> int:
    """The features stage in one process and thread; returns the shards made."""
    open_workshop.cache_clear()
    with open_source(data, config.source) as source:
        manifest, survey = plan_store(config, source)
    built = begin_build(target, manifest, survey.index)
    missing = sorted(set(range(manifest.shards)) - set(built.finished_shards()))
    for shard in missing:
        extract_shard(str(target), str(data), source_state(data), shard)
    built.finish()
    return len(missing)


def calls_of_a_build(target: Path, data: Path, config: Config) -> int:
    disk = FailingDisk(None)
    with pytest.MonkeyPatch.context() as patch:
        install(patch, disk)
        build(target, data, config)
    shutil.rmtree(target)
    return disk.calls


def fail_and_go_on(
    at: int, kind: str, target: Path, data: Path, config: Config, wanted: dict[str, str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        install(patch, FailingDisk(at, kind))
        with pytest.raises((UserError, PowerLoss)) as caught:
            build(target, data, config)
    if kind == "error":
        assert isinstance(caught.value, UserError)
        assert "cannot be" in str(caught.value)
    # A store stands only if it is complete and true, whatever was lost.
    if target.exists():
        assert hashes(target) == wanted
        shutil.rmtree(target)
        shutil.rmtree(partial_folder(target), ignore_errors=True)
        return
    build(target, data, config)
    assert hashes(target) == wanted
    assert not partial_folder(target).exists()
    shutil.rmtree(target)


@pytest.mark.parametrize("kind", ["error", "power"])
def test_a_call_that_fails_loses_nothing(
    kind: str, least: tuple[Path, Config, dict[str, str]], tmp_path: Path
) -> None:
    data, config, wanted = least
    target = tmp_path / "least.zarr"
    calls = calls_of_a_build(target, data, config)
    assert calls > 300
    for at in range(0, calls, calls // 25):
        fail_and_go_on(at, kind, target, data, config, wanted)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["error", "power"])
def test_every_call_that_fails_loses_nothing(
    kind: str, least: tuple[Path, Config, dict[str, str]], tmp_path: Path
) -> None:
    data, config, wanted = least
    target = tmp_path / "least.zarr"
    for at in range(calls_of_a_build(target, data, config)):
        fail_and_go_on(at, kind, target, data, config, wanted)
