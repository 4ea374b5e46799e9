"""One complete training that several tests read."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.pipeline.runs.folder import RunFolder
from tests.conftest import Share, request_for


@contextmanager
def without_drawing() -> Iterator[None]:
    """Figures are made and not drawn, which takes most of the time of a small evaluation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headrace.model.drawing.png", lambda figure: b"\x89PNG")
        yield


@pytest.fixture(scope="module", autouse=True)
def undrawn() -> Iterator[None]:
    """No test of this folder draws, nor do the fixtures of its module."""
    with without_drawing():
        yield


@pytest.fixture(scope="session")
def stateful_config(tiny_config: Config) -> Config:
    """Three epochs with everything on that carries state or chance from step to step."""
    train = {"epochs": 3, "class_weight_power": 0.5, "warmup_epochs": 0.5, "average": 0.7}
    evaluate = {"batch": 50, "mistakes": 3, "baseline_windows": 100}
    return tiny_config.model_copy(
        update={
            "train": tiny_config.train.model_copy(update=train),
            "model": tiny_config.model.model_copy(update={"dilations": (2,)}),
            "augment": tiny_config.augment.model_copy(update={"mix_probability": 0.5}),
            "evaluate": tiny_config.evaluate.model_copy(update=evaluate),
        }
    )


@pytest.fixture(scope="session")
def cheap_config(stateful_config: Config) -> Config:
    """A network of features alone, which TensorFlow is quick to trace."""
    model = stateful_config.model.model_copy(update={"inputs": "features", "feature_units": (4,)})
    return stateful_config.model_copy(update={"model": model})


@pytest.fixture(scope="session")
def complete_run(shared: Share, stateful_config: Config, tiny_store: Path) -> RunFolder:
    """A training that nothing interrupted; read it, never write to it."""
    from headrace.pipeline.training.stage import run_train

    def make(folder: Path) -> None:
        with without_drawing():
            run_train(request_for(stateful_config, None, tiny_store, folder / "run"))

    return RunFolder(shared("complete", make) / "run")


@pytest.fixture(scope="session")
def cheap_run(
    shared: Share, cheap_config: Config, tiny_source: Path, tiny_store: Path
) -> RunFolder:
    """A training of features alone, evaluated; read it, never write to it.

    Its source is `known.h5` beside it, and `said.txt` is what it said.
    """
    from headrace.pipeline.evaluation.stage import run_evaluate
    from headrace.pipeline.training.stage import run_train

    def make(folder: Path) -> None:
        source = Path(shutil.copy(tiny_source, folder / "known.h5"))
        request = request_for(cheap_config, source, tiny_store, folder / "run")
        with without_drawing():
            with (folder / "said.txt").open("w") as said, redirect_stdout(said):
                run_train(replace(request, console=Console()))
            run_evaluate(request)

    return RunFolder(shared("cheap", make) / "run")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1.5 MB that is full before the store is; root makes it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made("mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", folder)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def folder_with_quota(tmp_path: Path) -> Iterator[Path]:
    """A folder that takes 400 KB, on a file system that has room; root makes it."""
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(128 << 20)
    made("mkfs.btrfs", "-q", image)
    made("mount", "-o", "loop", image, disk)
    folder = disk / "limited"
    try:
        made("btrfs", "quota", "enable", disk)
        made("btrfs", "subvolume", "create", folder)
        made("btrfs", "qgroup", "limit", "400K", folder)
        yield folder
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def made(*command: str | Path) -> None:
    """Run a command that needs root and its program, or skip the test visibly."""
    program = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"only root makes such a disk: {done.stderr.strip()}")
