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
from pipeline.features import run_features
from pipeline.shard_task import extract_shard, open_workshop, source_state
from pipeline.store_plan import plan_store
from stores.building import begin_build, partial_folder
from stores.errors import UserError
from stores.source import open_source
from stores.synthetic import write_synthetic
from tests.conftest import SMALL, hashes, request_for
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
    else:
        build(target, data, config)
    run_features(request_for(config, data, target))
    assert hashes(target) == wanted
    assert not partial_folder(target).exists()
    shutil.rmtree(target)


def fail_each(
    kind: str, least: tuple[Path, Config, dict[str, str]], folder: Path, most: int | None
) -> None:
    """Every call in turn, or about `most` of them."""
    data, config, wanted = least
    target = folder / "least.zarr"
    calls = calls_of_a_build(target, data, config)
    assert calls > 300
    for at in range(0, calls, calls // most if most else 1):
        fail_and_go_on(at, kind, target, data, config, wanted)


@pytest.mark.parametrize("kind", ["error", "power"])
def test_a_call_that_fails_loses_nothing(
    kind: str, least: tuple[Path, Config, dict[str, str]], tmp_path: Path
) -> None:
    fail_each(kind, least, tmp_path, 25)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["error", "power"])
def test_every_call_that_fails_loses_nothing(
    kind: str, least: tuple[Path, Config, dict[str, str]], tmp_path: Path
) -> None:
    fail_each(kind, least, tmp_path, None)


def features_command(folder: Path, data: Path) -> tuple[list[str], Path]:
    """The features stage in a process of its own, and the store that it makes in `folder`."""
    config, target = folder / "tiny.toml", folder / "killed.zarr"
    config.write_text(tomli_w.dumps({**SMALL, "name": "tiny"}))
    # A shell that runs jobs in the background has Ctrl-C ignored.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pipeline.launch import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "features", "--json", "--config", str(config)]
    return [*command, "--data", str(data), "--store", str(target)], target


def finished(target: Path) -> set[str]:
    records = partial_folder(target) / "records"
    return {path.stem for path in records.glob("*.npz")} if records.is_dir() else set()


def wait_for_moment(stage: subprocess.Popen[str], target: Path, chance: random.Random) -> None:
    """Any moment of the stage: some time after its start, or after a shard, or at its end."""
    if chance.random() < 0.3:
        time.sleep(chance.uniform(0, 3))
        return
    count = chance.randrange(9)
    deadline = time.monotonic() + 120
    while len(finished(target)) < count and stage.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    time.sleep(chance.choice((0, chance.uniform(0, 0.02), chance.uniform(0, 0.3))))


def workers_of(stage: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        below = psutil.Process(stage.pid).children(recursive=True)
        return [each for each in below if "spawn_main" in " ".join(each.cmdline())]
    except psutil.Error:
        return []


def end_and_go_on(
    how: signal.Signals, at_a_worker: bool, seed: int, store: Path, data: Path, folder: Path
) -> None:
    """End the stage at a random moment, start it again, and compare."""
    folder.mkdir()
    chance = random.Random(seed)
    command, target = features_command(folder, data)
    stage = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for_moment(stage, target, chance)
    workers = workers_of(stage)
    if at_a_worker and workers:
        chance.choice(workers).send_signal(how)
    elif how == signal.SIGINT:
        os.killpg(stage.pid, how)
    else:
        stage.send_signal(how)
    _, errors = stage.communicate(timeout=120)
    psutil.wait_procs(workers, timeout=30)
    if at_a_worker and workers:
        assert stage.returncode == 0, errors
    elif how != signal.SIGKILL:
        words = {signal.SIGINT: (130, "Interrupted"), signal.SIGTERM: (143, "Stopped")}[how]
        early = stage.returncode == -how or ("Traceback" in errors and "pipeline" not in errors)
        assert (
            stage.returncode == 0
            or early
            or ((stage.returncode, errors.split(";")[0]) == words and errors.count("\n") == 1)
        ), (stage.returncode, errors)
    assert not any(each.is_running() and each.status() != "zombie" for each in workers)
    stood = len(finished(target))
    if target.exists():
        assert hashes(target) == hashes(store)
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert hashes(target) == hashes(store)
    assert json.loads(again.stdout)["made_shards"] <= 9 - stood
    assert not [path for path in folder.iterdir() if path.name.startswith("killed.zarr.p")]
    shutil.rmtree(folder)


ENDS = {
    "kill -9": (signal.SIGKILL, False),
    "kill -9 of a worker": (signal.SIGKILL, True),
    "SIGTERM": (signal.SIGTERM, False),
    "Ctrl-C": (signal.SIGINT, False),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_stage_that_is_ended_loses_nothing(
    how: str, tiny_store: Path, tiny_source: Path, tmp_path: Path
) -> None:
    end_and_go_on(*ENDS[how], 4, tiny_store, tiny_source, tmp_path / "ended")


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", ENDS)
def test_a_stage_ended_at_any_moment_loses_nothing(
    how: str, tiny_store: Path, tiny_source: Path, tmp_path: Path
) -> None:
    for seed in range(50 if "kill" in how else 20):
        end_and_go_on(*ENDS[how], seed, tiny_store, tiny_source, tmp_path / f"{seed}")


def test_a_full_disk_is_said_in_one_line_and_gone_on_from(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "more.h5"
    write_synthetic(data, windows=3000, time=64, channels=3, groups=8)
    monkeypatch.setattr("pipeline.features.require_disk", lambda *_: None)
    config = config_from_table({"name": "tiny", **SMALL}, "tiny")
    run_features(request_for(config, data, tmp_path / "roomy.zarr"))
    target = small_disk / "full.zarr"
    with pytest.raises(UserError, match=r"No space left on device\). Free disk space"):
        run_features(request_for(config, data, target))
    assert not target.exists()
    assert not list(small_disk.rglob("*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    run_features(request_for(config, data, target))
    assert hashes(target) == hashes(tmp_path / "roomy.zarr")


def test_a_source_that_goes_or_changes_half_way_leaves_nothing_wrong(
    tiny_source: Path, tiny_store: Path, tmp_path: Path
) -> None:
    """The first shard is made; then the file is another, and then it is gone."""
    data, config = tmp_path / "moving.h5", config_from_table({"name": "tiny", **SMALL}, "tiny")
    shutil.copy(tiny_source, data)
    target, state = tmp_path / "moving.zarr", source_state(data)
    open_workshop.cache_clear()
    with open_source(data, config.source) as source:
        manifest, survey = plan_store(config, source)
    begin_build(target, manifest, survey.index)
    extract_shard(str(target), str(data), state, 0)
    os.utime(data, ns=(1, 1))
    with pytest.raises(UserError, match="was changed while it was being read"):
        extract_shard(str(target), str(data), state, 1)
    data.unlink()
    with pytest.raises(UserError, match="is gone"):
        extract_shard(str(target), str(data), state, 1)
    assert finished(target) == {"0"}
    shutil.copy(tiny_source, data)
    run_features(request_for(config, data, target))
    assert hashes(target) == hashes(tiny_store)


def test_two_processes_never_build_one_store(
    tiny_store: Path, tiny_source: Path, tmp_path: Path
) -> None:
    command, target = features_command(tmp_path, tiny_source)
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    errors = [stage.communicate(timeout=120)[1] for stage in both]
    codes = sorted(stage.returncode for stage in both)
    assert codes in ([0, 0], [0, 2]), errors
    if codes == [0, 2]:
        assert any("Another process is building" in error for error in errors)
    assert hashes(target) == hashes(tiny_store)
    assert not target.with_name(f"{target.name}.lock").exists()


def test_a_lock_of_a_process_that_died_holds_nobody(
    tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    target = tmp_path / "stale.zarr"
    target.with_name(f"{target.name}.lock").write_text("left behind")
    run_features(request_for(tiny_config, tiny_source, target))
    assert target.exists()


def test_the_clock_decides_nothing(
    least: tuple[Path, Config, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, config, wanted = least
    monkeypatch.setattr(time, "time", lambda: random.uniform(0, 4e9))
    build(tmp_path / "least.zarr", data, config)
    for path in tmp_path.rglob("*"):
        os.utime(path, (2e9, 1))
    assert hashes(tmp_path / "least.zarr") == wanted
