"""The features stage without processes: its workers' tasks, done here, to the same bytes.

For stores that a test reads; how workers do it has tests of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from headrace.pipeline.features.stage import run_features
from headrace.pipeline.features.task import close_workshop
from headrace.pipeline.request import Request
from headrace.pipeline.workers.run import ShardJob
from headrace.stores.errors import UserError
from headrace.stores.io.places import Place
from headrace.stores.source.source import open_source


@contextmanager
def tasks_here() -> Iterator[None]:
    """Let stages do the tasks of workers themselves, and open sources at once."""
    close_workshop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headrace.pipeline.features.stage.run_tasks", _tasks_here)
        for stage in ("features", "repair"):
            patch.setattr(f"headrace.pipeline.{stage}.stage.open_stranger", open_source)
        yield


def make_store(request: Request) -> Place:
    """Make the store of a request, and say where it is."""
    with tasks_here():
        run_features(request)
    return request.store


def _tasks_here(
    task: Callable[..., Any],
    name: str,
    target: Place,
    job: ShardJob,
    shards: Iterable[int],
    **_: Any,
) -> Iterator[Any]:
    for shard in shards:
        record = task(target, job.source, job.state, shard)
        if isinstance(record, UserError):
            raise record
        yield shard, record
