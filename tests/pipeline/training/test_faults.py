"""Nothing of a training is lost: failed writes, power cuts, kills. Long: make test-faults."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import keras
import pytest

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_bytes
from headrace.pipeline.memory.plan import MemoryPlan
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.training.stage import run_train
from headrace.stores.errors import DiskError, RunError, UserError
from tests.conftest import changed, request_for
from tests.failing_disk import FAILURE, FailingDisk, PowerLoss, install
from tests.pipeline.trained import assert_same_model, assert_same_result
from tests.refusals import assert_names, refused


class Whole(NamedTuple):
    """A training, and how often it called the disk."""

    run: RunFolder
    calls: int


@pytest.fixture(scope="module")
def brief(cheap_config: Config) -> Config:
    """An epoch whose state is written in its midst, with TensorBoard's events."""
    return changed(cheap_config, train={"epochs": 1, "state_steps": 4, "tensorboard": True})


@pytest.fixture(scope="module")
def whole(brief: Config, tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The training that nothing interrupted."""
    run, disk = RunFolder(tmp_path_factory.mktemp("whole") / "run"), FailingDisk(None)
    with pytest.MonkeyPatch.context() as patch:
        install(patch, disk)
        train(brief, tiny_store, run)
    return Whole(run, disk.calls)


def train(config: Config, store: Path, run: RunFolder) -> None:
    # As in a process of its own, as far as names go.
    keras.backend.clear_session()
    run_train(request_for(config, None, store, run.path))


def fail_and_resume(
    at: int, kind: str, config: Config, store: Path, run: RunFolder, whole: RunFolder
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        install(patch, FailingDisk(at, kind))
        with pytest.raises((UserError, PowerLoss)) as caught:
            train(config, store, run)
    if kind == "error":
        assert isinstance(caught.value, DiskError)
        assert_names(str(caught.value), FAILURE)
    if run.complete:
        assert_same_model(run, whole)
    train(config, store, run)
    assert_same_result(run, whole)
    assert not list(run.path.rglob("*.tmp*"))
    shutil.rmtree(run.path)


def fail_each(
    kind: str, most: int | None, config: Config, store: Path, run: RunFolder, whole: Whole
) -> None:
    """Every call in turn, or about `most` of them, the first half a step in."""
    assert whole.calls > 50
    step = whole.calls // most if most else 1
    for at in range(step // 2, whole.calls, step):
        fail_and_resume(at, kind, config, store, run, whole.run)


@pytest.mark.parametrize("kind", [pytest.param("error", marks=pytest.mark.faults), "power"])
def test_a_call_that_fails_loses_nothing_of_a_training(
    kind: str, brief: Config, tiny_store: Path, whole: Whole, tmp_path: Path
) -> None:
    fail_each(kind, 1, brief, tiny_store, RunFolder(tmp_path / "run"), whole)


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["error", "power"])
def test_every_call_that_fails_loses_nothing_of_a_training(
    kind: str, brief: Config, tiny_store: Path, whole: Whole, tmp_path: Path
) -> None:
    fail_each(kind, None, brief, tiny_store, RunFolder(tmp_path / "run"), whole)


def test_a_state_of_another_run_is_not_resumed(
    brief: Config, tiny_store: Path, whole: Whole, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    other = changed(brief, train={"seed": 7})
    with (
        pytest.raises(KeyboardInterrupt),
        patch("headrace.pipeline.training.stage._train", side_effect=KeyboardInterrupt),
    ):
        train(other, tiny_store, run)
    shutil.copytree(whole.run.state.parent, run.state.parent)
    with refused(RunError, "state.npz"):
        train(other, tiny_store, run)


def test_a_run_that_came_meanwhile_is_not_gone_on_with(
    brief: Config, tiny_store: Path, whole: Whole, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")

    class Meanwhile(MemoryPlan):
        def require_fit(self) -> MemoryPlan:
            """Another process begins the run, and dies."""
            shutil.copytree(whole.run.path, run.path)
            run.model.unlink()
            return self

    plan = Meanwhile("train", 0, "", {}, 1, 1)
    with (
        patch("headrace.pipeline.training.stage.plan_train", return_value=plan),
        refused(RunError, "train.seed"),
    ):
        train(changed(brief, train={"seed": 7}), tiny_store, run)


def test_files_of_the_users_stay_in_a_run(
    brief: Config, tiny_store: Path, whole: Whole, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(whole.run.path, run.path)
    run.model.unlink()
    (run.path / "old.tmp").mkdir()
    (run.path / "report.tmpl.html").write_text("mine")
    (run.path / "state" / "numbers.tmp").write_text("mine")
    (run.path / "state" / "state.npz.123.tmp").write_text("ours")
    (run.path / "model.keras.123.tmp.keras").write_text("ours")
    train(brief, tiny_store, run)
    assert_same_result(run, whole.run)
    found = {path.name for path in run.path.rglob("*.tmp*")}
    assert found == {"old.tmp", "report.tmpl.html", "numbers.tmp"}


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_a_training_killed_at_any_moment_ends_with_the_same_bits(
    complete_run: RunFolder, stateful_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    """Eight trainings, each killed three times on its way; some have ended before."""
    file, chance, kills = tmp_path / "tiny.toml", random.Random(0), 0
    file.write_bytes(config_bytes(stateful_config))
    command = [sys.executable, "-m", "headrace", "train", "--quiet", "--config", str(file)]
    command += ["--store", str(tiny_store), "--set", "train.state_steps=1"]
    for number in range(8):
        run = RunFolder(tmp_path / f"{number}")
        for _ in range(3):
            training = subprocess.Popen([*command, "--run", str(run.path)])
            begun = time.monotonic()
            while not run.config.is_file() and training.poll() is None:
                time.sleep(0.001)
            # From the first file of the run to beyond its end.
            time.sleep(chance.uniform(0, 1.2 * chance.random() * (time.monotonic() - begun)))
            training.kill()
            kills += training.wait() == -9
            if run.complete:
                assert_same_model(run, complete_run)
        subprocess.run([*command, "--run", str(run.path)], check=True)
        assert_same_result(run, complete_run)
        assert not list(run.path.rglob("*.tmp*"))
    assert kills > 0
