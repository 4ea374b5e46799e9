"""An append that fails or is ended at any moment: the store is as it was, and the part the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.faults import AppendJob
from tests.pipeline.features.growing import (
    CUT,
    LEAST,
    append,
    config_of,
    grown,
    write_people,
    write_recorded,
)
from tests.pipeline.test_faults import ENDS, end_and_go_on, fail_each

WINDOWS = {**LEAST, "memory": {"budget": "4GiB"}}


def job_of(folder: Path, form: str) -> AppendJob:
    """A part of several shards that is to be added to a store."""
    if form == "windows":
        table: dict[str, Any] = WINDOWS
        first = write_people(folder / "first.h5", ["anna", "bert", "cleo"])
        more = write_people(folder / "more.h5", ["bert", "emil", "fred"])
    else:
        table = {**CUT, "memory": {"budget": "4GiB"}}
        first = write_recorded(folder / "first.h5", [1, 2, 3])
        more = write_recorded(folder / "more.h5", [2, 5])
    config = config_of(table)
    grown(folder / "base.zarr", config, first)
    shutil.copytree(folder / "base.zarr", folder / "whole.zarr")
    append(folder / "whole.zarr", more, config)
    return AppendJob(more, config, folder / "whole.zarr", base=folder / "base.zarr")


@pytest.fixture(
    scope="module", params=["windows", pytest.param("stretches", marks=pytest.mark.faults)]
)
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AppendJob:
    return job_of(tmp_path_factory.mktemp("append"), request.param)


@pytest.mark.parametrize("kind", ["error", "power"])
def test_a_call_that_fails_loses_nothing(kind: str, job: AppendJob, tmp_path: Path) -> None:
    fail_each(kind, job, tmp_path / "grown.zarr", 2)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["error", "power"])
def test_every_call_that_fails_loses_nothing(kind: str, job: AppendJob, tmp_path: Path) -> None:
    fail_each(kind, job, tmp_path / "grown.zarr", None)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["kill -9", "kill -9 of a worker", "SIGTERM", "Ctrl-C"])
def test_an_append_ended_at_any_moment_loses_nothing(
    name: str, job: AppendJob, tmp_path: Path
) -> None:
    for seed in range(4):
        end_and_go_on(ENDS[name], seed, job, tmp_path / f"{seed}", here=False)
