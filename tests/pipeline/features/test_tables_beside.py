"""Stores whose labels stand in a table beside the data: one that changed is named by each stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.features.plan import plan_build
from headrace.pipeline.features.stage import begin_store, plan_job, run_features
from headrace.pipeline.features.task import close_workshop, extract_shard
from headrace.pipeline.repair.stage import run_repair
from headrace.pipeline.repair.verify import run_verify
from headrace.stores.errors import SourceContentError, StoreError
from headrace.stores.source.source import open_source
from tests.conftest import hashes, request_for
from tests.in_process import store_here, tasks_here
from tests.pipeline.features.test_many_files import LEAST, harm, write_person
from tests.refusals import refused

PEOPLE = 3
ROWS = 300


def write_table(table: Path, names: tuple[str, str]) -> None:
    bouts = [
        f"{person},{start},{start + 60},{names[start // 60 % 2]}\n"
        for person in range(PEOPLE)
        for start in range(0, ROWS, 60)
    ]
    table.write_text("".join(["subject,start,stop,label\n", *bouts]))


@pytest.fixture(params=["many", "one"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Config]:
    """What is read, with bouts.txt beside it, and how."""
    folder = tmp_path / "data"
    folder.mkdir()
    write_table(folder / "bouts.txt", ("sit", "walk"))
    source: dict[str, Any] = {"intervals": {"file": "bouts.txt"}}
    source |= {"rate_hz": 20.0, "window_samples": 20, "groups": "subject"}
    if request.param == "many":
        for person in range(PEOPLE):
            write_person(folder, "csv", person)
        source |= {"files": ["p0{subject}.csv"], "signals": ["x", "y"]}
        path = folder
    else:
        path = folder / "all.h5"
        with h5py.File(path, "w") as file:
            values = np.random.default_rng(0).normal(size=(PEOPLE * ROWS, 2))
            file["signals"] = values
            file["recordings/start"] = ROWS * np.arange(PEOPLE)
            file["recordings/length"] = np.full(PEOPLE, ROWS)
            file["recordings/subject"] = np.arange(PEOPLE)
    return path, config_from_table({**LEAST, "features": {"select": []}, "source": source}, "least")


def test_a_table_that_changes_half_way_is_named_and_nothing_is_mixed(
    data: tuple[Path, Config], tmp_path: Path
) -> None:
    path, config = data
    table = tmp_path / "data" / "bouts.txt"
    whole = store_here(request_for(config, path, tmp_path / "whole.zarr"))
    target = tmp_path / "new.zarr"
    request = request_for(config, path, target)
    with open_source(path, config.source) as source:
        state = source.state()
        planned = plan_build(config, source, request.console)
    build = begin_store(target, planned, planned.manifest.shards, request.console)
    extract_shard(target, path, state, 0)
    write_table(table, ("walk", "sit"))
    with refused(SourceContentError, table.name):  # By the process that has opened it before.
        extract_shard(target, path, state, 1)
    close_workshop()
    with refused(SourceContentError, table.name):  # And by one that opens it now.
        extract_shard(target, path, state, 1)
    close_workshop()
    assert build.finished_shards() == [0]
    with tasks_here(), refused(StoreError, table.name):  # What is begun is not gone on with.
        run_features(request)
    write_table(table, ("sit", "walk"))
    store_here(request)
    assert hashes(target) == hashes(whole)


def test_a_table_that_changes_before_the_stage_has_begun_is_named(
    data: tuple[Path, Config], tmp_path: Path
) -> None:
    path, config = data
    with open_source(path, config.source) as source:
        write_table(tmp_path / "data" / "bouts.txt", ("walk", "sit"))
        with refused(SourceContentError, "bouts.txt"):
            plan_job(request_for(config, path, tmp_path / "n.zarr"), source, tmp_path / "n.zarr")


def test_a_table_that_changed_since_is_named_by_every_stage(
    data: tuple[Path, Config], tmp_path: Path
) -> None:
    path, config = data
    request = request_for(config, path, tmp_path / "made.zarr")
    store_here(request)
    with tasks_here():
        assert run_verify(request, with_source=True)["problems"] == []
        write_table(tmp_path / "data" / "bouts.txt", ("walk", "sit"))
        named = ("changed", "bouts.txt")
        with refused(StoreError, *named):
            run_features(request)
        with refused(StoreError, *named):
            run_verify(request, with_source=True)
        harm(request.store)
        with refused(StoreError, *named):
            run_repair(request, "checksums")
