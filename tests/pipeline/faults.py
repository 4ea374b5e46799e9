"""The features stage, made to fail at a place or ended at a moment that a test chooses."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import tomli_w

from headrace.pipeline.config.config import Config
from headrace.pipeline.features.append import run_append
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.repair.stage import run_repair
from headrace.stores.build.folder import partial_folder
from tests.conftest import SMALL, hashes, request_for
from tests.in_process import tasks_here

LEAST = {
    "name": "least",
    "store": {"chunk_windows": 8, "shard_windows": 32, "block_windows": 8},
    "features": {"select": ["ch?__mean"]},
    "folds": {"count": 3},
}
"""Three shards of six arrays."""


INTERRUPTIBLE = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""A shell that runs jobs in the background has Ctrl-C ignored."""


@dataclass(frozen=True)
class Job:
    """A store to make, or a damaged one to mend.

    Attributes:
        data: the source.
        config: of the store.
        whole: the store that they give.
        harm: damages a store and returns how many shards; None: there is none, make it.
    """

    data: Path
    config: Config
    whole: Path
    harm: Callable[[Path], int] | None = None

    def place(self, target: Path) -> Path:
        """What is being made: the store."""
        return target

    def standing(self, target: Path) -> dict[str, str]:
        """Digests of what a reader may see."""
        return hashes(target)

    def prepare(self, target: Path) -> int:
        """Put at `target` what stands there before; returns the shards that are to be made."""
        if self.harm is None:
            return len(list((self.whole / "raw").glob("c.*")))
        shutil.copytree(self.whole, target)
        return self.harm(target)

    def run_here(self, target: Path) -> int:
        """Do the job in this process; returns the shards made."""
        with tasks_here():
            request = request_for(self.config, self.data, target)
            made = run_repair(request, "checksums") if self.harm else run_features(request)
            return int(made["made_shards"])

    def command(self, folder: Path, target: Path) -> list[str]:
        """Do the job in a process of its own."""
        config = folder / "tiny.toml"
        config.write_text(tomli_w.dumps({**SMALL, "name": "tiny"}))
        code = INTERRUPTIBLE + "from headrace.pipeline.launch import main; main()"
        command = [sys.executable, "-c", code, "features", "--json", "--config", str(config)]
        command += ["--data", str(self.data), "--store", str(target)]
        return [*command, "--repair"] if self.harm else command


def finished(target: Path) -> set[str]:
    """Numbers of the shards that an unfinished build has recorded."""
    records = partial_folder(target) / "records"
    return {path.stem for path in records.glob("*.npz")} if records.is_dir() else set()


def wait_for_moment(stage: subprocess.Popen[str], target: Path, chance: random.Random) -> None:
    """Any moment of the stage: some time after its start, or after a shard, or at its end."""
    if chance.random() < 0.3:
        time.sleep(chance.uniform(0, 3))
        return
    count = chance.randrange(9)
    deadline = time.monotonic() + 1800
    while len(finished(target)) < count and stage.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    time.sleep(chance.choice((0, chance.uniform(0, 0.02), chance.uniform(0, 0.3))))


def workers_of(stage: subprocess.Popen[str]) -> list[psutil.Process]:
    """Its worker processes at this moment."""
    try:
        below = psutil.Process(stage.pid).children(recursive=True)
        return [each for each in below if "spawn_main" in " ".join(each.cmdline())]
    except psutil.Error:
        return []


def answers_signals(stage: subprocess.Popen[str]) -> bool:
    """Whether it has come to its first line, from which on it answers SIGTERM or lets it wait."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{stage.pid}/status").read_text().splitlines()
        masks = (line.split()[1] for line in lines if line.startswith(("SigCgt", "SigBlk")))
        return any(int(mask, 16) >> (signal.SIGTERM - 1) & 1 for mask in masks)
    return False


def send(stage: subprocess.Popen[str], number: signal.Signals, group: bool = False) -> None:
    """A key reaches the whole process group, `kill` one process, and `timeout` the group too."""
    with suppress(ProcessLookupError):
        if group or number == signal.SIGINT:
            os.killpg(stage.pid, number)
        else:
            stage.send_signal(number)


def last_line(number: signal.Signals) -> str:
    """All that a command that `number` ends says on standard error."""
    what = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Stopped"}[number]
    return f"{what}; what is complete is kept. Start again to go on.\n"


def assert_ended_by(code: int, errors: str, number: signal.Signals) -> None:
    """It ended as `number` ends a command, unless it had come to its end."""
    assert (code, errors) in ((128 + number, last_line(number)), (0, ""))


def assert_as_it_was_or_whole(target: Path, before: dict[str, str], job: Job) -> None:
    """A store that stands is complete and true, or the one that was to be mended."""
    if target.exists():
        assert job.standing(target) in (before, hashes(job.whole))


@dataclass(frozen=True)
class OwnJob(Job):
    """A job whose process is given the job's own configuration."""

    def command(self, folder: Path, target: Path) -> list[str]:
        """As `Job.command`."""
        command = super().command(folder, target)
        table = self.config.model_dump(mode="json", exclude_none=True, exclude_unset=True)
        (folder / "tiny.toml").write_text(tomli_w.dumps(table))
        return command


@dataclass(frozen=True)
class AppendJob(OwnJob):
    """A part to add to a store.

    Attributes:
        base: the store.
    """

    base: Path = Path()

    def place(self, target: Path) -> Path:
        """The part."""
        return target / "parts" / "0001"

    def standing(self, target: Path) -> dict[str, str]:
        """What is being made, and the group that it will stand in, are seen by nobody."""
        unseen = ("parts/0001.partial/",)
        if not self.place(target).exists():
            unseen += ("parts/zarr.json",)
        return {n: digest for n, digest in hashes(target).items() if not n.startswith(unseen)}

    def prepare(self, target: Path) -> int:
        """As `Job.prepare`."""
        shutil.copytree(self.base, target)
        return len(list((self.place(self.whole) / "raw").glob("c.*")))

    def run_here(self, target: Path) -> int:
        """As `Job.run_here`."""
        with tasks_here():
            made = run_append(request_for(self.config, self.data, target))
        return int(made["made_shards"])

    def command(self, folder: Path, target: Path) -> list[str]:
        """As `Job.command`."""
        return [*super().command(folder, target), "--append"]
