"""Stores made of many files: the same bytes always, and what became of a file is named."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.console import QUIET
from headrace.pipeline.features.memory import Making, features_plan
from headrace.pipeline.features.plan import plan_build, plan_store
from headrace.pipeline.features.stage import begin_store, run_features
from headrace.pipeline.features.task import close_workshop, extract_shard
from headrace.pipeline.repair.stage import run_repair
from headrace.pipeline.repair.verify import run_verify
from headrace.stores.errors import SourceContentError, StoreError
from headrace.stores.source.files import many
from headrace.stores.source.formats.text_table import TextTable
from headrace.stores.source.probe.probe import open_stranger
from headrace.stores.source.source import open_source
from headrace.stores.store import open_store
from tests.conftest import changed, hashes, request_for
from tests.in_process import store_here, tasks_here
from tests.pipeline.faults import OwnJob
from tests.pipeline.test_faults import ENDS, end_and_go_on
from tests.refusals import refused

PEOPLE = 6
LEAST = {
    "name": "least",
    "store": {"chunk_windows": 8, "shard_windows": 32, "block_windows": 8},
    "features": {"select": ["x__mean"]},
    "folds": {"count": 3},
    "memory": {"budget": "4GiB"},
}


def write_person(folder: Path, kind: str, person: int) -> None:
    rows = 300 + 20 * person
    values = np.random.default_rng(person).normal(size=(rows, 2)).round(3)
    labels = np.array(["sit", "walk"])[np.arange(rows) // 60 % 2]
    name = folder / f"p{person:02}"
    if kind == "parquet":
        table = pa.table({"x": values[:, 0], "y": values[:, 1], "label": labels})
        parquet.write_table(table, name.with_suffix(".parquet"))
        return
    if kind == "csv":
        lines = [f"{x},{y},{label}" for (x, y), label in zip(values, labels, strict=True)]
        name.with_suffix(".csv").write_text("\n".join(["x,y,label", *lines]) + "\n")
        return
    fields = [("x", "f8"), ("y", "f8"), ("label", "U4")]
    table = [(x, y, label) for (x, y), label in zip(values, labels, strict=True)]
    np.save(name.with_suffix(".npy"), np.array(table, fields))


@dataclass(frozen=True)
class Made:
    """A folder of files, its configuration, and the store that they give."""

    data: Path
    config: Config
    store: Path
    kind: str


def config_of(kind: str) -> Config:
    source = {"files": [f"p{{subject}}.{kind}"], "signals": ["x", "y"], "labels": "label"}
    table = {**LEAST, "source": {**source, "rate_hz": 20.0, "window_samples": 20}}
    return config_from_table(table, "least")


@pytest.fixture(scope="module", params=["csv", "npy"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "data").mkdir()
    for person in range(PEOPLE):
        write_person(folder / "data", request.param, person)
    config = config_of(request.param)
    store_here(request_for(config, folder / "data", folder / "made.zarr"))
    return Made(folder / "data", config, folder / "made.zarr", request.param)


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Made:
    """The same, to be harmed."""
    shutil.copytree(made.data, tmp_path / "data")
    shutil.copytree(made.store, tmp_path / "copied.zarr")
    return Made(tmp_path / "data", made.config, tmp_path / "copied.zarr", made.kind)


def test_files_of_text_and_of_numbers_give_the_same_rows(
    made: Made, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = open_store(made.store)
    with open_source(made.data, made.config.source) as source:
        windows = source.read_windows(0, source.windows)
    index = store.read("source_index", 0, store.windows)
    np.testing.assert_array_equal(store.read("raw", 0, store.windows), windows[index])
    expected = np.random.default_rng(0).normal(size=(300, 2)).round(3)[:20]
    np.testing.assert_array_equal(windows[0], expected)


def test_decoded_pieces_are_kept_where_the_budget_leaves_room_and_change_no_byte(
    tmp_path: Path,
) -> None:
    (tmp_path / "data").mkdir()
    for person in range(PEOPLE):
        write_person(tmp_path / "data", "parquet", person)
    budget, kept, stores = "4GiB", [], []
    with open_source(tmp_path / "data", config_of("parquet").source) as source:
        for name in ("roomy.zarr", "tight.zarr"):
            own = {"memory": {"budget": budget}, "features": {"workers": 1}}
            config = changed(config_of("parquet"), **own)
            planned = plan_build(config, source, QUIET)
            kept.append(planned.kept_pieces)
            stores.append(tmp_path / name)
            store_here(request_for(config, tmp_path / "data", stores[-1]))
            budget = f"{planned.memory.projected - planned.kept_pieces}B"
    rows = sum(300 + 20 * person for person in range(PEOPLE))
    assert kept == [rows * 16, 0]
    assert hashes(stores[0]) == hashes(stores[1])


def test_what_another_process_found_is_not_found_again(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_source(made.data, made.config.source) as source:
        first, census = source.fingerprint(), source.census
        windows = source.read_windows(0, source.windows)
        labels = source.read_labels(0, source.windows)
    assert census is not None
    opened: list[Path] = []
    real = many.open_alike
    monkeypatch.setattr(many, "open_alike", lambda path, *a: opened.append(path) or real(path, *a))
    with open_stranger(made.data, made.config.source) as source:
        assert len(set(opened)) == 1, "one file says what all are like"
        assert source.fingerprint() == first
        assert source.census is not None
        assert source.census.state == census.state
        assert [len(each) for each in source.census.pieces.values()] == (
            [1] * PEOPLE if made.kind == "csv" else []
        )
        monkeypatch.setattr(TextTable, "model", lambda _: pytest.fail("was planned again"))
        np.testing.assert_array_equal(source.read_windows(0, source.windows), windows)
        np.testing.assert_array_equal(source.read_labels(0, source.windows).label, labels.label)


def test_a_changed_a_lost_and_a_new_file_are_named(copied: Made) -> None:
    suffix = f".{copied.kind}"
    changed, gone, new = (copied.data / f"p{n:02}{suffix}" for n in (1, 3, 9))
    content = bytearray(changed.read_bytes())
    content[-20] = ord("3") if content[-20] != ord("3") else ord("4")
    changed.write_bytes(content)
    gone.unlink()
    write_person(copied.data, copied.kind, 9)
    names = ("changed", changed.name, "gone", gone.name, "new", new.name)
    request = request_for(copied.config, copied.data, copied.store)
    with tasks_here():
        with refused(StoreError, *names):
            run_features(request)
        with refused(StoreError, *names):
            run_verify(request, with_source=True)
        harm(copied.store)
        with refused(StoreError, *names):
            run_repair(request, "checksums")


def test_a_file_that_is_touched_changes_nothing(copied: Made) -> None:
    os.utime(copied.data / f"p01.{copied.kind}", ns=(1, 1))
    with tasks_here():
        made = run_features(request_for(copied.config, copied.data, copied.store))
    assert made["made_shards"] == 0


def harm(store: Path) -> int:
    """Damage one shard of three."""
    path = store / "raw/c.1.0.0"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return 1


def test_a_damaged_shard_is_made_again_of_the_files(copied: Made) -> None:
    before = hashes(copied.store)
    harm(copied.store)
    request = request_for(copied.config, copied.data, copied.store)
    with tasks_here():
        assert run_repair(request, "checksums")["made_shards"] == 1
        assert hashes(copied.store) == before
        assert run_verify(request, with_source=True)["problems"] == []


def test_a_file_that_changes_half_way_is_named(copied: Made, tmp_path: Path) -> None:
    target = tmp_path / "new.zarr"
    close_workshop()
    request = request_for(copied.config, copied.data, target)
    with open_source(copied.data, copied.config.source) as source:
        state = source.state()
        planned = plan_build(copied.config, source, request.console)
    build = begin_store(target, planned, planned.manifest.shards, request.console)
    extract_shard(target, copied.data, state, 0)
    for person in range(PEOPLE):
        os.utime(copied.data / f"p{person:02}.{copied.kind}", ns=(1, 1))
    with pytest.raises(SourceContentError, match=rf"p0\d\.{copied.kind}"):
        extract_shard(target, copied.data, state, 1)
    assert build.finished_shards() == [0]
    close_workshop()
    # The content is what it was: the build goes on.
    store_here(request)
    assert hashes(target) == hashes(copied.store)


def test_the_plan_counts_what_sources_of_many_files_hold(made: Made) -> None:
    with open_source(made.data, made.config.source) as source:
        assert source.census is not None
        assert source.table_bytes > source.census.nbytes > 300 * PEOPLE
        manifest, survey = plan_store(made.config, source)
        making = Making(manifest, None, source, survey.index.nbytes)
        one, two = (features_plan(made.config, making, workers) for workers in (1, 2))
        name = "tables of the source"
        assert two.buffers[name] == 3 * source.table_bytes
        assert one.buffers[name] == 2 * source.table_bytes


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["kill -9", "kill -9 of a worker"])
def test_a_stage_on_many_files_that_is_ended_loses_nothing(
    name: str, made: Made, tmp_path: Path
) -> None:
    for harmed in (None, harm) if name == "kill -9" else (None,):
        job = OwnJob(made.data, made.config, made.store, harmed)
        for seed in range(4):
            folder = tmp_path / f"{seed}{harmed is None}"
            end_and_go_on(ENDS[name], seed, job, folder, here=False)
