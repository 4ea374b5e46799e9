"""Nothing is lost: failed and torn writes, power cuts, kills. The long ones: make test-faults."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import psutil
import pytest

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.features.plan import plan_store
from headrace.pipeline.features.task import close_workshop, extract_shard
from headrace.stores.build.build import Build
from headrace.stores.build.folder import partial_folder
from headrace.stores.build.site import site_of
from headrace.stores.datasets.synthetic import write_synthetic
from headrace.stores.errors import SourceContentError, SourceError, StoreError, UserError
from headrace.stores.io.places import storage_of
from headrace.stores.source.source import open_source
from tests.conftest import SMALL, hashes, request_for
from tests.failing_disk import FAILURE, FailingDisk, PowerLoss, install
from tests.in_process import store_here
from tests.pipeline.corruptions import flip
from tests.pipeline.faults import (
    LEAST,
    Job,
    answers_signals,
    assert_as_it_was_or_whole,
    assert_ended_by,
    finished,
    send,
    wait_for_moment,
    workers_of,
)
from tests.refusals import assert_names, assert_refused, refused


@pytest.fixture(scope="module")
def least(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Three shards to make."""
    folder = tmp_path_factory.mktemp("least")
    write_synthetic(folder / "least.h5", windows=80, time=8, channels=2, groups=4)
    config = config_from_table(LEAST, "least")
    job = Job(folder / "least.h5", config, folder / "least.zarr")
    job.run_here(job.whole)
    return job


def harm_least(store: Path) -> int:
    """Two of the three shards, and a table."""
    flip(store / "raw" / "c.1.0.0", 100)
    (store / "label" / "c.2").unlink()
    flip(store / "manifest" / "raw_moments" / "c.0.0.0", 9)
    return 2


def calls_of(job: Job, target: Path) -> int:
    disk = FailingDisk(None)
    job.prepare(target)
    with pytest.MonkeyPatch.context() as patch:
        install(patch, disk)
        job.run_here(target)
    shutil.rmtree(target)
    return disk.calls


def fail_and_go_on(at: int, kind: str, job: Job, target: Path) -> None:
    job.prepare(target)
    before = hashes(target)
    with pytest.MonkeyPatch.context() as patch:
        install(patch, FailingDisk(at, kind))
        with pytest.raises((UserError, PowerLoss)) as caught:
            job.run_here(target)
    if kind == "error":
        assert isinstance(caught.value, UserError)
        assert_names(str(caught.value), FAILURE)
    assert_as_it_was_or_whole(target, before, job)
    job.run_here(target)
    assert hashes(target) == hashes(job.whole)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    shutil.rmtree(target)


def fail_each(kind: str, job: Job, target: Path, most: int | None) -> None:
    """Every call in turn, or about `most` of them."""
    calls = calls_of(job, target)
    assert calls > 200
    for at in range(0, calls, calls // most if most else 1):
        fail_and_go_on(at, kind, job, target)


HARMS = {"make": None, "mend": harm_least}


@pytest.mark.parametrize("kind", ["error", "power"])
@pytest.mark.parametrize("what", HARMS)
def test_a_call_that_fails_loses_nothing(kind: str, what: str, least: Job, tmp_path: Path) -> None:
    fail_each(kind, replace(least, harm=HARMS[what]), tmp_path / "least.zarr", 3)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["error", "power"])
@pytest.mark.parametrize("what", HARMS)
def test_every_call_that_fails_loses_nothing(
    kind: str, what: str, least: Job, tmp_path: Path
) -> None:
    fail_each(kind, replace(least, harm=HARMS[what]), tmp_path / "least.zarr", None)


@pytest.fixture
def tiny(tiny_config: Config, tiny_source: Path, tiny_store: Path) -> Job:
    """Nine shards to make."""
    return Job(tiny_source, tiny_config, tiny_store)


def harm_tiny(store: Path) -> int:
    """Six of the nine shards."""
    for shard in (0, 2, 3, 5, 7, 8):
        flip(store / "features" / f"c.{shard}.0", 1000 * shard)
    return 6


class End(NamedTuple):
    """How a stage is ended: the signal, and whether a worker gets it; and what the stage does."""

    how: signal.Signals
    worker: bool = False
    harm: Callable[[Path], int] | None = None
    times: int = 20


ENDS = {
    "kill -9": End(signal.SIGKILL, times=50),
    "kill -9 of a worker": End(signal.SIGKILL, worker=True, times=50),
    "SIGTERM": End(signal.SIGTERM),
    "Ctrl-C": End(signal.SIGINT),
    "kill -9 of a mending": End(signal.SIGKILL, harm=harm_tiny),
}


def end(stage: subprocess.Popen[str], how: signal.Signals, worker: psutil.Process | None) -> None:
    """End the stage, or one of its workers, and see that it ends as it should."""
    workers, answers = workers_of(stage), answers_signals(stage)
    if worker:
        worker.send_signal(how)
    else:
        send(stage, how)
    _, errors = stage.communicate(timeout=1800)
    psutil.wait_procs(workers, timeout=1800)
    assert not any(each.is_running() and each.status() != "zombie" for each in workers)
    if worker:
        assert stage.returncode == 0, errors
    elif how != signal.SIGKILL and answers:
        assert_ended_by(stage.returncode, errors, how)


def end_and_go_on(end_of: End, seed: int, job: Job, folder: Path, here: bool, *more: str) -> None:
    """End the stage at a random moment, start it again, `here` or in a new process, and compare."""
    folder.mkdir()
    chance, target = random.Random(seed), folder / "ended.zarr"
    command, due = [*job.command(folder, target), *more], job.prepare(target)
    before = hashes(target)
    stage = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for_moment(stage, job.place(target), chance)
    workers = workers_of(stage) if end_of.worker else []
    end(stage, end_of.how, chance.choice(workers) if workers else None)
    stood = len(finished(job.place(target)))
    assert_as_it_was_or_whole(target, before, job)
    if here:
        made = job.run_here(target)
    else:
        again = subprocess.run(command, capture_output=True, text=True, check=True)
        made = json.loads(again.stdout)["made_shards"]
    assert hashes(target) == hashes(job.whole)
    # A mending that is interrupted begins anew.
    assert made <= (due if job.harm else due - stood)
    wanted = {target.name, f"{target.name}.memory.json", "tiny.toml"}
    assert {path.name for path in folder.iterdir()} <= wanted
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "name", ["kill -9", pytest.param("kill -9 of a worker", marks=pytest.mark.cases)]
)
def test_a_stage_that_is_ended_loses_nothing(name: str, tiny: Job, tmp_path: Path) -> None:
    job = replace(tiny, harm=ENDS[name].harm)
    after_four_shards, workers = 23, 2 if ENDS[name].worker else 1
    more = ("--set", f"features.workers={workers}")
    end_and_go_on(ENDS[name], after_four_shards, job, tmp_path / "ended", True, *more)


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ENDS)
def test_a_stage_ended_at_any_moment_loses_nothing(name: str, tiny: Job, tmp_path: Path) -> None:
    job = replace(tiny, harm=ENDS[name].harm)
    for seed in range(ENDS[name].times):
        end_and_go_on(ENDS[name], seed, job, tmp_path / f"{seed}", here=False)


def test_a_source_that_goes_or_changes_half_way_leaves_nothing_wrong(
    tiny_source: Path, tiny_store: Path, tmp_path: Path
) -> None:
    """The first shard is made; then the file is another, and then it is gone."""
    data, config = tmp_path / "moving.h5", config_from_table({"name": "tiny", **SMALL}, "tiny")
    shutil.copy(tiny_source, data)
    target, state = tmp_path / "moving.zarr", storage_of(data).state()
    close_workshop()
    with open_source(data, config.source) as source:
        manifest, survey = plan_store(config, source)
    site_of(target).begin(manifest, survey.index)
    extract_shard(target, data, state, 0)
    os.utime(data, ns=(1, 1))
    with refused(SourceContentError, "moving.h5"):
        extract_shard(target, data, state, 1)
    data.unlink()
    with refused(SourceError, "moving.h5"):
        extract_shard(target, data, state, 1)
    assert finished(target) == {"0"}
    shutil.copy(tiny_source, data)
    store_here(request_for(config, data, target))
    assert hashes(target) == hashes(tiny_store)


@pytest.mark.parametrize("harmed", ["a shard", "a record"])
def test_what_stands_of_a_build_is_looked_at_before_it_is_believed(
    harmed: str, least: Job, tmp_path: Path
) -> None:
    target = tmp_path / "least.zarr"
    with (
        pytest.raises(KeyboardInterrupt),
        patch("headrace.stores.build.build.Build.finish", side_effect=KeyboardInterrupt),
    ):
        least.run_here(target)
    build = partial_folder(target)
    if harmed == "a shard":
        (build / "store" / "label" / "c.1").write_bytes(b"")
    else:
        flip(build / "records" / "1.npz", 3000)
    assert least.run_here(target) == 1
    assert hashes(target) == hashes(least.whole)


@pytest.mark.parametrize("left", ["a file", "a folder with a file", "a link"])
def test_what_stands_where_a_build_would_is_left_alone(
    left: str, least: Job, tmp_path: Path
) -> None:
    target = tmp_path / "least.zarr"
    build = partial_folder(target)
    if left == "a file":
        build.write_text("mine")
    elif left == "a link":
        build.symlink_to(tmp_path)
    else:
        build.mkdir()
        (build / "notes.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with refused(StoreError, "least.zarr.partial"):
        least.run_here(target)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("new", ["whole", "not whole"])
def test_a_mending_ended_between_two_names_ends_without_its_source(
    new: str, least: Job, tmp_path: Path
) -> None:
    target = tmp_path / "least.zarr"
    shutil.copytree(least.whole, target)
    harm_least(target)
    damaged, rename, calls = hashes(target), os.rename, []

    def once(source: Path, to: Path) -> None:
        calls.append(to)
        if len(calls) == 2:
            raise KeyboardInterrupt
        rename(source, to)

    with pytest.raises(KeyboardInterrupt), patch("headrace.stores.io.disk.os.rename", once):
        replace(least, harm=harm_least).run_here(target)
    assert not target.exists()
    if new == "not whole":
        (partial_folder(target) / "store" / "zarr.json").unlink()
    gone = replace(least, data=tmp_path / "gone.h5")
    assert gone.run_here(target) == 0
    assert hashes(target) == (hashes(least.whole) if new == "whole" else damaged)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_a_store_is_made_where_a_link_leads(least: Job, tmp_path: Path) -> None:
    link, loop = tmp_path / "link.zarr", tmp_path / "loop.zarr"
    link.symlink_to(tmp_path / "real.zarr")
    least.run_here(link)
    assert link.is_symlink()
    assert hashes(tmp_path / "real.zarr") == hashes(least.whole)
    loop.symlink_to(loop)
    with refused(StoreError, "loop.zarr"):
        least.run_here(loop)


def test_a_mount_point_is_refused_before_anything_is_made(small_disk: Path, least: Job) -> None:
    with refused(StoreError, "disk", f"--store {small_disk}/my.zarr"):
        least.run_here(small_disk)
    assert not list(small_disk.iterdir())


def test_a_store_that_is_being_built_is_left_alone(least: Job, tmp_path: Path) -> None:
    target, seen = tmp_path / "two.zarr", []
    finish = Build.finish

    def finish_later(build: Build, **given: Any) -> Any:
        with refused(StoreError, "two.zarr", "--store"):
            least.run_here(target)
        seen.append(build)
        return finish(build, **given)

    with patch("headrace.stores.build.build.Build.finish", finish_later):
        least.run_here(target)
    assert len(seen) == 1
    assert hashes(target) == hashes(least.whole)


@pytest.mark.cases
def test_two_processes_never_build_one_store(tiny: Job, tmp_path: Path) -> None:
    target = tmp_path / "two.zarr"
    command = [*tiny.command(tmp_path, target), "--set", "features.workers=1"]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    errors = [stage.communicate(timeout=1800)[1] for stage in both]
    codes = sorted(stage.returncode for stage in both)
    assert codes in ([0, 0], [0, 2]), errors
    if codes == [0, 2]:
        (error,) = (error for error, stage in zip(errors, both, strict=True) if stage.returncode)
        assert_refused(error, StoreError, "two.zarr", "--store")
    assert hashes(target) == hashes(tiny.whole)
    assert not target.with_name(f"{target.name}.lock").exists()


def test_a_lock_of_a_process_that_died_holds_nobody(least: Job, tmp_path: Path) -> None:
    target = tmp_path / "stale.zarr"
    target.with_name(f"{target.name}.lock").write_text("left behind")
    least.run_here(target)
    assert hashes(target) == hashes(least.whole)


def test_the_clock_decides_nothing(
    least: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: random.uniform(0, 4e9))
    least.run_here(tmp_path / "least.zarr")
    for path in tmp_path.rglob("*"):
        os.utime(path, (2e9, 1))
    assert hashes(tmp_path / "least.zarr") == hashes(least.whole)
