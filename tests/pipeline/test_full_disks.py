"""Disks that take no more: full, over a quota, of files too large. All are real."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_bytes, config_from_table
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.training.stage import run_train
from headrace.stores.datasets.synthetic import write_synthetic
from headrace.stores.errors import DiskError
from tests.conftest import SMALL, changed, hashes, request_for
from tests.in_process import store_here
from tests.pipeline.conftest import made
from tests.pipeline.trained import assert_same_result
from tests.refusals import assert_refused, refused


@pytest.mark.faults
def test_a_full_disk_is_said_in_one_line_and_gone_on_from(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "more.h5"
    write_synthetic(data, windows=3000, time=64, channels=3, groups=8)
    monkeypatch.setattr("headrace.pipeline.features.stage.require_disk", lambda *_: None)
    config = config_from_table({"name": "tiny", **SMALL}, "tiny")
    store_here(request_for(config, data, tmp_path / "roomy.zarr"))
    target = small_disk / "full.zarr"
    with refused(DiskError, os.strerror(errno.ENOSPC)):
        run_features(request_for(config, data, target))
    assert not target.exists()
    assert not list(small_disk.rglob("*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    store_here(request_for(config, data, target))
    assert hashes(target) == hashes(tmp_path / "roomy.zarr")


def test_a_quota_is_said_in_one_line_and_gone_on_from(
    folder_with_quota: Path, tiny_source: Path, tiny_store: Path, tiny_config: Config
) -> None:
    target = folder_with_quota / "over.zarr"
    with refused(DiskError, os.strerror(errno.EDQUOT)):
        run_features(request_for(tiny_config, tiny_source, target))
    assert not target.exists()
    assert not list(folder_with_quota.rglob("*.tmp"))
    made("btrfs", "qgroup", "limit", "none", folder_with_quota)
    store_here(request_for(tiny_config, tiny_source, target))
    assert hashes(target) == hashes(tiny_store)


@pytest.mark.faults
@pytest.mark.parametrize("stage", ["features", "train"])
def test_a_limit_on_the_size_of_files_is_said_in_one_line(
    stage: str, tiny_source: Path, tiny_store: Path, stateful_config: Config, tmp_path: Path
) -> None:
    config = tmp_path / "tiny.toml"
    config.write_bytes(config_bytes(stateful_config))
    command = [sys.executable, "-m", "headrace", stage, "--config", str(config)]
    store = tiny_store if stage == "train" else tmp_path / "limited.zarr"
    command += ["--data", str(tiny_source), "--store", str(store), "--run", str(tmp_path / "run")]
    command += ["--set", "features.workers=1"]
    # By the shell: this process has threads, so Python must not run between fork and exec.
    limited = ["bash", "-c", 'ulimit -f 20; exec "$@"', "bash", *command]  # KiB
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert_refused(done.stderr, DiskError, os.strerror(errno.EFBIG))
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.tmp*"))
    assert not (tmp_path / "limited.zarr").exists()
    assert not (tmp_path / "run" / "model.keras").exists()


@pytest.mark.faults
def test_a_training_on_a_full_disk_is_said_in_one_line_and_gone_on_from(
    small_disk: Path, cheap_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    config = changed(cheap_config, train={"epochs": 1, "tensorboard": True})
    whole, run = RunFolder(tmp_path / "whole"), RunFolder(small_disk / "run")
    run_train(request_for(config, None, tiny_store, whole.path))
    needed = sum(path.stat().st_size for path in whole.path.rglob("*") if path.is_file())
    for share in (0.1, 0.8):
        filler = small_disk / "filler"
        filler.write_bytes(bytes(_free(small_disk) - int(share * needed)))
        with refused(DiskError, os.strerror(errno.ENOSPC)):
            run_train(request_for(config, None, tiny_store, run.path))
        assert not run.complete
        assert not list(small_disk.rglob("*.tmp*"))
        filler.unlink()
        run_train(request_for(config, None, tiny_store, run.path))
        assert_same_result(run, whole)
        shutil.rmtree(run.path)


def _free(disk: Path) -> int:
    return shutil.disk_usage(disk).free
