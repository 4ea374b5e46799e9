"""One store of the parts of a store that grew: the bytes of one that is made at once."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace import stores
from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.features.append import run_append
from headrace.pipeline.features.compact import run_compact
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.repair.verify import run_verify
from headrace.pipeline.workers.run import ShardJob
from headrace.stores.build.site import site_of
from headrace.stores.build.writers import writer_versions
from headrace.stores.errors import BudgetError, DiskError, StoreError
from headrace.stores.io import disk
from headrace.stores.io.local_storage import LocalStorage
from headrace.stores.store import open_store
from tests.conftest import changed, hashes, request_for
from tests.in_process import store_here, tasks_here
from tests.refusals import refused

LENGTHS = (400, 333, 512, 90, 31, 620, 301, 355, 500)
LEAST: dict[str, Any] = {
    "source": {"window_samples": 32, "step_samples": 4},
    "store": {"chunk_windows": 32, "shard_windows": 128},
    "features": {"select": ["ch0__mean", "ch1__std"]},
    "folds": {"count": 3},
}
KINDS: dict[str, dict[str, dict[str, Any]]] = {
    "stretches": {},
    "windows": {"store": {"raw": "windows"}},
    "windows one by one": {"store": {"block_windows": 16}},
    "twice the rate": {"source": {"target_rate_hz": 100}},
    "an odd rate": {"source": {"target_rate_hz": 75}},
    "half the rate": {"source": {"target_rate_hz": 25, "step_samples": 2}},
    "majority": {"source": {"label_rule": "majority"}},
    "dropped": {"source": {"non_finite": "drop"}},
    "filled": {"source": {"non_finite": "fill"}},
    "filled windows": {"source": {"non_finite": "fill"}, "store": {"block_windows": 16}},
    "as float16": {"store": {"raw_dtype": "float16"}},
    "no features": {"features": {"select": []}},
}


def config_of(kind: str) -> Config:
    own = KINDS[kind]
    table = {name: {**LEAST.get(name, {}), **own.get(name, {})} for name in {*LEAST, *own}}
    return config_from_table({"name": "compact", **table}, kind)


def write_signals(path: Path, first: int, last: int, gap: bool = False) -> None:
    """Recordings `first` to `last` of all; the labels change every 90 rows."""
    rng, rows = np.random.default_rng(0), sum(LENGTHS)
    values = rng.integers(-900, 900, (rows, 2)).astype("f4" if gap else "i2")
    if gap:
        values[np.cumsum(LENGTHS) - 20, 1] = np.nan
    edges = np.cumsum([0, *LENGTHS])
    part = slice(edges[first], edges[last])
    with h5py.File(path, "w") as file:
        file["signals"] = values[part]
        file["signals"].attrs["sampling_rate_hz"] = 50.0
        file["labels"] = (np.arange(rows) // 90 % 2)[part]
        table = file.create_group("recordings")
        table["start"] = edges[first:last] - edges[first]
        table["length"] = LENGTHS[first:last]
        table["subject"] = np.arange(first, last) * 7 % 5


def write_windows(path: Path, first: int, last: int) -> None:
    rng = np.random.default_rng(0)
    edges = np.cumsum([0, *LENGTHS])
    part = slice(edges[first], edges[last])
    rows = edges[-1]
    with h5py.File(path, "w") as file:
        file["X"] = rng.normal(size=(rows, 16, 2)).astype("f4")[part]
        file["X"].attrs["sampling_rate_hz"] = 50.0
        file["y"] = rng.integers(0, 3, rows)[part]
        file["groups"] = np.repeat(np.arange(len(LENGTHS)) * 7 % 5, LENGTHS)[part]


def grown(folder: Path, config: Config, edges: Sequence[int], write: Any = write_signals) -> Path:
    """A store of parts that were cut at `edges`, and `all.h5`, the source of all."""
    for number, (first, last) in enumerate(pairwise(edges)):
        write(folder / f"{number}.h5", first, last)
        request = request_for(config, folder / f"{number}.h5", folder / "grown.zarr")
        with tasks_here():
            (run_append if number else run_features)(request)
    write(folder / "all.h5", edges[0], edges[-1])
    return folder / "grown.zarr"


def made_at_once(folder: Path, config: Config) -> Path:
    config = changed(config, folds={"like": folder / "grown.zarr"})
    return Path(str(store_here(request_for(config, folder / "all.h5", folder / "once.zarr"))))


def ended(*_: Any, **__: Any) -> Any:
    raise StoreError("ended")


def compacted(folder: Path, config: Config, data: bool = True) -> Path:
    source = folder / "all.h5" if data else None
    with tasks_here():
        run_compact(request_for(config, source, folder / "grown.zarr"), folder / "one.zarr")
    return folder / "one.zarr"


FIRST = ("stretches", "windows", "twice the rate", "filled")


@pytest.mark.parametrize(
    "kind",
    [kind if kind in FIRST else pytest.param(kind, marks=pytest.mark.cases) for kind in KINDS],
)
def test_the_bytes_are_those_of_a_store_made_at_once(kind: str, tmp_path: Path) -> None:
    config = config_of(kind)
    gap = config.source.non_finite != "error"
    grown(tmp_path, config, (0, 5, 8, 9), lambda *given: write_signals(*given, gap=gap))
    assert hashes(compacted(tmp_path, config)) == hashes(made_at_once(tmp_path, config))
    assert not list(tmp_path.glob("*unshuffled*"))


def test_windows_of_a_source_of_windows_too(tmp_path: Path) -> None:
    config = changed(config_of("windows one by one"), source={"step_samples": None})
    config = changed(config, source={"window_samples": None})
    grown(tmp_path, config, (0, 5, 6, 9), write_windows)
    assert hashes(compacted(tmp_path, config)) == hashes(made_at_once(tmp_path, config))


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cuts=st.sets(st.integers(5, 8), max_size=3),
    kind=st.sampled_from(["stretches", "windows one by one"]),
    shard=st.sampled_from([64, 96, 1024]),
)
def test_wherever_the_sources_end(
    cuts: set[int], kind: str, shard: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    config = changed(config_of(kind), store={"shard_windows": shard})
    grown(folder, config, (0, *sorted(cuts), 9))
    assert hashes(compacted(folder, config)) == hashes(made_at_once(folder, config))


def test_without_the_sources_only_they_are_said_otherwise(tmp_path: Path) -> None:
    config = config_of("stretches")
    grown(tmp_path, config, (0, 4, 6, 9))
    once = hashes(made_at_once(tmp_path, config))
    found = hashes(compacted(tmp_path, config, data=False))
    differing = {name.partition("/")[0] for name in once if once[name] != found[name]}
    # The last recording of each part has windows, so they are counted on as they are in all.
    assert differing == {"zarr.json", "manifest", "start"}


def test_in_place_it_takes_the_place_of_all_parts(tmp_path: Path) -> None:
    config = config_of("stretches")
    store = grown(tmp_path, config, (0, 5, 7, 9))
    once, before = hashes(made_at_once(tmp_path, config)), open_store(store)
    request = request_for(config, tmp_path / "all.h5", store)
    with tasks_here():
        made = run_compact(request)
        assert made["windows"] == before.windows
        assert hashes(store) == once
        assert run_compact(request)["made_shards"] == 0
        assert run_verify(request, with_source=True)["parts"] == 1
    after = open_store(store)
    for fold in before.folds:
        assert set(fold.groups) == {
            before.groups.index(after.groups[group]) for group in after.fold(fold.name).groups
        }


def test_another_source_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    config = config_of("stretches")
    store = grown(tmp_path, config, (0, 5, 9))
    before = hashes(store)
    write_signals(tmp_path / "other.h5", 0, 8)
    with tasks_here(), refused(StoreError, str(tmp_path / "other.h5"), "windows"):
        run_compact(request_for(config, tmp_path / "other.h5", store))
    assert hashes(store) == before
    assert not list(tmp_path.glob("*unshuffled*"))


def test_a_source_of_other_labels_is_refused_and_what_was_laid_out_is_named(tmp_path: Path) -> None:
    config = config_of("stretches")
    store = grown(tmp_path, config, (0, 5, 9))
    with h5py.File(tmp_path / "all.h5", "r+") as file:
        file["labels"][:] = 1 - file["labels"][:]
    with tasks_here(), refused(StoreError, "all.h5", "0", "grown.zarr.unshuffled"):
        run_compact(request_for(config, tmp_path / "all.h5", store))
    with tasks_here():
        run_compact(request_for(config, None, store))
    assert not list(tmp_path.glob("*unshuffled*"))


def test_a_disk_that_gives_no_room_is_an_error(tmp_path: Path) -> None:
    config = config_of("stretches")
    store = grown(tmp_path, config, (0, 5, 9))
    before, limits = hashes(store), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with tasks_here(), refused(DiskError, "grown.zarr.unshuffled"):
            run_compact(request_for(config, None, store))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert hashes(store) == before


@pytest.mark.parametrize("lacking", ["memory", "disk"])
def test_what_will_not_fit_is_refused_before_anything_is_laid_out(
    lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("windows one by one")
    store = grown(tmp_path, config, (0, 5, 9))
    laid_out = open_store(store).windows * 32 * 2 * 2
    if lacking == "memory":
        config = changed(config, memory={"budget": 200 << 20})
    else:  # Enough for the store alone, which is said to take 16 MiB and what windows take.
        free = int(1.5 * laid_out) + (16 << 20)
        monkeypatch.setattr(LocalStorage, "free_bytes", lambda storage: free)
    with tasks_here(), refused(BudgetError, "memory" if lacking == "memory" else "free"):
        run_compact(request_for(config, None, store), tmp_path / "one.zarr")
    assert not list(tmp_path.glob("one*"))


def test_what_is_laid_out_asks_for_no_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("windows one by one")
    store = grown(tmp_path, config, (0, 5, 9))
    with monkeypatch.context() as patch, tasks_here(), refused(StoreError, "ended"):
        patch.setattr("headrace.pipeline.features.compact.make_store", ended)
        run_compact(request_for(config, None, store))
    free = int(1.5 * open_store(store).windows * 32 * 2 * 2) + (16 << 20)
    monkeypatch.setattr(LocalStorage, "free_bytes", lambda storage: free)
    with tasks_here():
        run_compact(request_for(config, None, store))
    assert len(open_store(store).parts) == 1


def test_a_source_that_was_named_once_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("stretches")
    store = grown(tmp_path, config, (0, 5, 9))
    alone = hashes(compacted(tmp_path, config, data=False))
    with monkeypatch.context() as patch, tasks_here(), refused(StoreError, "ended"):
        patch.setattr("headrace.pipeline.features.compact.make_store", ended)
        run_compact(request_for(config, tmp_path / "all.h5", store))
    with tasks_here():
        run_compact(request_for(config, None, store))
    assert hashes(store) == alone


def test_parts_whose_features_other_versions_made_are_compacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("stretches")
    with monkeypatch.context() as patch:
        for module in ("plan", "task"):
            name = f"headrace.pipeline.features.{module}.writer_versions"
            patch.setattr(name, lambda: {**writer_versions(), "numba": "0.1"})
        grown(tmp_path, config, (0, 5, 9))
    one = open_store(compacted(tmp_path, config))
    assert one.manifest.writers["numba"] == "0.1"


def test_workers_are_of_this_machine_and_within_their_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("stretches")
    store, jobs = grown(tmp_path, config, (0, 5, 9)), list[ShardJob]()

    def kept(target: Path, planned: object, job: ShardJob, *_: Any, **__: Any) -> int:
        jobs.append(job)
        return 0

    monkeypatch.setattr("headrace.pipeline.features.compact.make_store", kept)
    far = changed(config, cluster={"scheduler": "tcp://127.0.0.1:1"})
    with tasks_here():
        run_compact(request_for(far, None, store), tmp_path / "one.zarr")
    assert jobs[0].workers > 0
    assert jobs[0].cluster.scheduler is None
    small = changed(config, cluster={"memory_limit": 1 << 20})
    with tasks_here(), refused(BudgetError, "cluster.memory_limit"):
        run_compact(request_for(small, None, store), tmp_path / "two.zarr")


def test_no_kernel_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("stretches")
    grown(tmp_path, config, (0, 5, 9))
    monkeypatch.setattr("headrace.pipeline.features.stage.kernels_are_cached", lambda: False)
    monkeypatch.setattr("headrace.pipeline.features.stage.compile_in_child", ended)
    assert compacted(tmp_path, config, data=False).is_dir()


def test_no_two_make_the_same_output(tmp_path: Path) -> None:
    config = config_of("stretches")
    store = grown(tmp_path, config, (0, 5, 9))
    with site_of(tmp_path / "one.zarr").lock(), refused(StoreError, "one.zarr"), tasks_here():
        run_compact(request_for(config, None, store), tmp_path / "one.zarr")
    assert not list(tmp_path.glob("*unshuffled*"))


@pytest.mark.parametrize(
    "moment",
    [
        "unshuffled",
        pytest.param("shards", marks=pytest.mark.cases),
        pytest.param("first name", marks=pytest.mark.cases),
        "second name",
    ],
)
def test_ended_at_any_moment_it_is_gone_on_with(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("stretches")
    store = grown(tmp_path, config, (0, 5, 9))
    once, before = hashes(made_at_once(tmp_path, config)), hashes(store)
    request = request_for(config, tmp_path / "all.h5", store)
    renames = {"first name": 1, "second name": 2}.get(moment, 0)
    taken: list[Path] = []

    class Ended(Exception):
        pass

    def ends(*given: Any, **named: Any) -> Any:
        raise Ended

    def rename(old: Path, new: Path) -> None:
        if store in (old, new):
            taken.append(new)
            if len(taken) == renames:
                raise Ended
        disk.rename_folder(old, new)

    with monkeypatch.context() as patch, tasks_here():
        if moment == "unshuffled":
            patch.setattr("headrace.pipeline.features.unshuffle.write_bytes", ends)
        elif moment == "shards":
            patch.setattr("headrace.stores.build.local.LocalBuild._commit", ends)
        else:
            patch.setattr("headrace.stores.build.local.rename_folder", rename)
        with pytest.raises(Ended):
            run_compact(request)
    if moment == "second name":
        assert not store.exists()
    else:
        assert hashes(store) == before
    with tasks_here():
        run_compact(request)
    assert hashes(store) == once
    assert sorted(path.name for path in tmp_path.glob("grown*")) == ["grown.zarr"]


def test_what_cannot_be_compacted_is_refused(tmp_path: Path) -> None:
    config = config_of("stretches")
    store = grown(tmp_path, config, (0, 5, 9))
    with refused(StoreError, str(tmp_path / "none.zarr")):
        run_compact(request_for(config, None, tmp_path / "none.zarr"))
    taken = tmp_path / "taken.zarr"
    shutil.copytree(store, taken)
    with refused(StoreError, str(taken)):
        run_compact(request_for(config, None, store), taken)
    (tmp_path / "grown.zarr" / "parts" / "0002.partial").mkdir()
    with refused(StoreError, "0002.partial"):
        run_compact(request_for(config, None, store))
    assert site_of(store).is_finished()


def test_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(grown(tmp_path, config_of("stretches"), (0, 5, 9)))
    for options in (["--compact", "--append"], ["--output", str(tmp_path / "x.zarr")]):
        assert main(["features", "--store", store, *options]) == 2
        assert options[0] in capsys.readouterr().err
    one = tmp_path / "one.zarr"
    with tasks_here():
        compact = ["features", "--compact", "--store", store, "--quiet"]
        assert main([*compact, "--output", str(one)]) == 0
        assert len(stores.open(store).parts) == 2
        assert main(compact) == 0
    assert len(stores.open(store).parts) == 1
    assert one.with_name("one.zarr.memory.json").is_file()


@pytest.mark.faults
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["stretches", "windows one by one"])
def test_killed_at_random_moments_it_is_gone_on_with(kind: str, tmp_path: Path) -> None:
    config = config_of(kind)
    grown(tmp_path, config, (0, 5, 9))
    once = hashes(made_at_once(tmp_path, config))
    for seed in range(6):
        store = tmp_path / f"{seed}.zarr"
        shutil.copytree(tmp_path / "grown.zarr", store)
        command = [sys.executable, "-m", "headrace", "features", "--compact", "--quiet"]
        command += ["--store", str(store), "--data", str(tmp_path / "all.h5")]
        begun = time.monotonic()
        subprocess.run(command, check=True)
        seconds, chance = time.monotonic() - begun, random.Random(seed)
        shutil.rmtree(store)
        shutil.copytree(tmp_path / "grown.zarr", store)
        stage = subprocess.Popen(command, start_new_session=True)
        time.sleep(seconds * chance.uniform(0.3, 1))
        with suppress(ProcessLookupError):
            os.killpg(stage.pid, signal.SIGKILL)
        stage.wait()
        subprocess.run(command, check=True)
        assert hashes(store) == once
        assert not list(tmp_path.glob(f"{seed}.zarr.[pu]*"))
