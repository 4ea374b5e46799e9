"""What is done by other processes, done here: tasks of workers, stages, a look at a source.

For what a test only needs; how workers and children do it has tests of its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

import pytest

from headrace.pipeline.cli.main import main
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.features.task import close_workshop
from headrace.pipeline.request import Request
from headrace.pipeline.workers.run import ShardJob
from headrace.stores.errors import UserError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.probe import probe


@contextmanager
def tasks_here() -> Iterator[None]:
    """Let stages do the tasks of workers themselves, and look at sources themselves."""
    with probes_here(), workers_here():
        yield


@contextmanager
def workers_here() -> Iterator[None]:
    """Let stages do the tasks of workers themselves; children look at sources, which may harm."""
    close_workshop()
    with pytest.MonkeyPatch.context() as patch:
        for module in ("features.stage", "repair.compare_source"):
            patch.setattr(f"headrace.pipeline.{module}.run_tasks", _tasks_here)
        try:
            yield
        finally:
            close_workshop()


@contextmanager
def probes_here() -> Iterator[None]:
    """Let sources be looked at without a child: what harms HDF5 would harm the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "_run_child", _probe_here)
        yield


@contextmanager
def stages_here() -> Iterator[None]:
    """Let cross-validations and ablations run their stages where TensorFlow is loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headrace.pipeline.experiments.child_stages.run_part", _part_here)
        yield


def store_here(request: Request) -> Place:
    """Make the store of a request, and say where it is."""
    with tasks_here():
        run_features(request)
    return request.store


def _probe_here(purpose: str, path: Place, given: str) -> subprocess.CompletedProcess[str]:
    output = StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output):
        patch.setattr(sys, "stdin", StringIO(given))
        code = probe.answer(purpose, storage_of(path).packed())
    return subprocess.CompletedProcess([], code, output.getvalue(), "")


def _part_here(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
    arguments = command[command.index("headrace.pipeline.launch") + 1 :]
    with redirect_stdout(StringIO()):
        return subprocess.CompletedProcess(command, main([*arguments]))


def _tasks_here(
    task: Callable[..., Any],
    name: str,
    target: Place,
    job: ShardJob,
    shards: Iterable[int],
    *given: Any,
    **_: Any,
) -> Iterator[Any]:
    for shard in shards:
        record = task(target, job.source, job.state, shard, job.code, *given)
        if isinstance(record, UserError):
            raise record
        yield shard, record
