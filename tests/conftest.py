"""Real files that many tests read: a synthetic source and the store made from it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.console import Console
from headrace.pipeline.memory.machine import available_memory, usable_cores
from headrace.pipeline.request import Request
from headrace.stores.io.places import Place

ROOT = Path(__file__).resolve().parent.parent
"""Folder of the checkout."""

# As many threads as a stage in a process of its own takes, which a quota limits: they decide bits,
# and what is trained in the tests' process is compared with what is trained in others.
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(usable_cores())
# A loaded machine is no failure.
settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")

SMALL = {
    "store": {"chunk_windows": 16, "shard_windows": 64, "block_windows": 8},
    "features": {"triads": {"acc": ["ch0", "ch1", "ch2"]}, "accelerometers": ["acc"]},
    "stream": {"buffer_chunks": 4},
    "split": {"folds": 4},
    "train": {"epochs": 2, "batch": 32, "average": 0.0, "tensorboard": False},
    "model": {"filters": 8, "feature_units": [16, 8], "fusion_units": 8, "dilations": [1, 2]},
    "memory": {"budget": "4GiB"},
}
"""Options that keep every stage small: 9 shards of 64 windows, 2 epochs, little to trace."""


WORKER_BYTES = 4 << 30
"""What a process of tests may take, with the trainings that it starts."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Processes that share the files of tests: one a core, where memory allows."""
    return max(1, min(usable_cores(), available_memory() // WORKER_BYTES))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real recordings, or a visible skip."""
    beside = ROOT.parent / "shared" / "data"
    folder = Path(os.environ.get("HEADRACE_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real recordings: {folder} is missing; set HEADRACE_SHARED_DATA")
    return folder


@pytest.fixture
def probed_here() -> Iterator[None]:
    """Sources are looked at in the tests' own process."""
    from tests.in_process import probes_here

    with probes_here():
        yield


@pytest.fixture
def made_here() -> Iterator[None]:
    """Shards are made and compared, and sources looked at, in the tests' own process."""
    from tests.in_process import tasks_here

    with tasks_here():
        yield


@pytest.fixture(scope="session")
def tiny_config() -> Config:
    """A configuration that keeps every stage small."""
    return config_from_table({"name": "tiny", **SMALL}, "tiny")


Share = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Share:
    """A folder by its name: the first process of tests that asks for it makes it, all read it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        found, made = base / name, base / f"{name}.made"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(found, ignore_errors=True)
                found.mkdir()
                make(found)
                made.touch()
        return found

    return folder


@pytest.fixture(scope="session")
def tiny_source(shared: Share) -> Path:
    """A synthetic source of 530 windows of 64 x 3, 8 groups."""
    from headrace.stores.datasets.synthetic import write_synthetic

    def make(folder: Path) -> None:
        write_synthetic(folder / "tiny.h5", windows=530, time=64, channels=3, groups=8)

    return shared("source", make) / "tiny.h5"


@pytest.fixture(scope="session")
def tiny_store(shared: Share, tiny_source: Path, tiny_config: Config) -> Path:
    """The complete store of `tiny_source`; read it, never write to it."""
    from tests.in_process import store_here

    def make(folder: Path) -> None:
        store_here(request_for(tiny_config, tiny_source, folder / "tiny.zarr"))

    return shared("store", make) / "tiny.zarr"


@pytest.fixture(scope="session", params=["windows", "stretches"])
def grown_path(request: pytest.FixtureRequest, shared: Share) -> Path:
    """A store of three parts, of either form; read it, never write to it."""
    from tests.grown import grown_store

    def make(folder: Path) -> None:
        grown_store(folder, request.param)

    return shared(f"grown-{request.param}", make) / "grown.zarr"


def request_for(
    config: Config, data: Place | None, store: Place, run: Path | None = None, new: bool = False
) -> Request:
    """A quiet request."""
    return Request(config, data, store, run, Console(quiet=True), new)


def hashes(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def changed(config: Config, **sections: dict[str, Any]) -> Config:
    """`config` with some sections replaced key by key."""
    table = config.model_dump(exclude_unset=True, mode="json")
    for name, keys in sections.items():
        table[name] = {**table.get(name, {}), **keys}
    return config_from_table(table, "test")
