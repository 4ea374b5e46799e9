"""Runs one task a shard on Dask workers: few in flight, however many there are."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from headrace.pipeline.config.sections import ClusterOptions
from headrace.pipeline.workers.cluster import (
    NoScheduler,
    WorkerNeed,
    has_dashboard,
    local_client,
    remote_client,
    require_workers,
)
from headrace.stores.errors import ClusterError, UserError, first_line
from headrace.stores.io.places import Place
from headrace.stores.io.storage import State
from headrace.stores.text import format_bytes

if TYPE_CHECKING:
    from distributed import Client

    from headrace.pipeline.console import Console

LOOK_SECONDS = 5.0
"""How often the workers of a cluster are counted and checked again: some may have joined."""
RECONNECTS = 20
"""Times that a scheduler is looked for again once it is lost; each waits CONNECT_SECONDS."""


@dataclass(frozen=True)
class ShardJob:
    """What the tasks of a stage share.

    Attributes:
        source: its file or folder.
        state: `Storage.state` of it when the stage began.
        workers: local processes of one thread each.
        need: what a worker takes.
        cluster: where they run.
        console: where the link to Dask's dashboard is said.
        code: folder of the user's own feature functions.
        kept_pieces: bytes of decoded pieces of the source that a local worker keeps.
    """

    source: Place
    state: State
    workers: int
    need: WorkerNeed
    cluster: ClusterOptions
    console: Console
    code: Path | None = None
    kept_pieces: int = 0


class _SchedulerLost(Exception):
    """The scheduler, or what it knew, is gone."""


def run_tasks(
    task: Callable[..., Any],
    name: str,
    target: Place,
    job: ShardJob,
    shards: Iterable[int],
    *given: Any,
    done: Callable[[int], bool] = lambda shard: False,
) -> Iterator[Any]:
    """Run `task(target, source, state, shard, code, *given)` on workers for each shard.

    One task runs and one waits per thread, so the scheduler holds a few tasks however many
    shards there are. A cluster's scheduler that is lost is looked for again, and what it had in
    hand is asked for once more: a shard that is made twice has the same bytes.

    Args:
        task: `try_shard`, or `compare_shard` of the repair.
        name: of a task on the dashboard, before its number.
        target: of a build that has begun.
        job: what all tasks share.
        shards: which to do.
        given: more arguments.
        done: whether a shard whose result was lost needs no other task; its result is then None.

    Yields:
        The shard and what its task returned, as it ends.

    Raises:
        UserError: what a task returned as such, no worker can do it, or the scheduler stays away.
    """
    first = target.absolute(), job.source.absolute(), job.state
    flow, waiting, lost = _Flow(task, name, first, (job.code, *given)), iter(shards), 0
    while True:
        try:
            with _connected(job) as client:
                for shard, result in flow.results(client, job, waiting, done):
                    lost = 0
                    if isinstance(result, UserError):
                        raise result
                    yield shard, result
            return
        except (_SchedulerLost, NoScheduler) as error:
            if isinstance(error, NoScheduler) and not lost:
                raise
            lost += 1
            if lost > RECONNECTS:
                raise ClusterError(
                    f"The scheduler {job.cluster.scheduler} was lost again and again ({error}). "
                    "See to it, and start again: what is complete is kept."
                ) from error
            job.console.say("The scheduler is lost; looking for it again.")


@contextmanager
def _connected(job: ShardJob) -> Iterator[Client]:
    """A client of the named cluster, or of processes of our own; its dashboard is said."""
    if job.cluster.scheduler:
        with remote_client(job.cluster) as client:
            if "dashboard" in client.scheduler_info(n_workers=0).get("services", {}):
                job.console.say(f"Dask dashboard: {client.dashboard_link}")
            yield client
    else:
        with local_client(job.workers, int(job.cluster.memory_limit or 0)) as client:
            if has_dashboard():
                job.console.say(f"Dask dashboard: {client.dashboard_link}")
            yield client


class _Flow:
    """Keeps a few numbered tasks in hand, and knows which, should the scheduler forget them."""

    def __init__(
        self, task: Callable[..., Any], name: str, first: tuple[Any, ...], given: tuple[Any, ...]
    ) -> None:
        self._task, self._name, self._first, self._given = task, name, first, given
        self._running: dict[Any, int] = {}
        self._again: deque[int] = deque()
        self._ended: SimpleQueue[Any] = SimpleQueue()

    def results(
        self, client: Client, job: ShardJob, waiting: Iterator[int], done: Callable[[int], bool]
    ) -> Iterator[tuple[int, Any]]:
        """Each number and its result: first of those that were in hand, then of `waiting`.

        Raises:
            _SchedulerLost: what was in hand is kept for the next call.
            UserError: no worker can do a task.
        """
        self._again.extend(self._running.values())
        self._running.clear()
        for number in [each for each in self._again if done(each)]:
            self._again.remove(number)
            yield number, None
        remote = job.cluster.scheduler is not None
        threads, looked = job.workers, -math.inf
        while True:
            with _scheduler_held(remote):
                if remote and time.monotonic() - looked > LOOK_SECONDS:
                    threads, looked = require_workers(client, job.need), time.monotonic()
                self._submit(client, max(1, threads), waiting)
            if not self._running:
                return
            ended = self._next_ended(LOOK_SECONDS if remote else None)
            with _scheduler_held(remote):
                sound = [future for future in ended if future.status == "finished"]
                # Results that were lost on the way are left out, and nobody says which.
                gathered = client.gather(sound, errors="skip")
                whole = len(gathered) == len(sound)
                results = dict(zip(sound, gathered, strict=True)) if whole else {}
                for future in ended:
                    if future not in results:
                        if remote:
                            # If it was for lack of memory, its worker says how much.
                            require_workers(client, job.need)
                        results[future] = _result_of(future, job)
            for future in ended:
                yield self._running.pop(future), results[future]

    def _next_ended(self, seconds: float | None) -> list[Any]:
        """Tasks that have ended, all there are; none if that takes too long."""
        ended = []
        with suppress(Empty):
            ended.append(self._ended.get(timeout=seconds))
            while True:
                ended.append(self._ended.get_nowait())
        # Others are of a scheduler that was lost.
        return [future for future in ended if future in self._running]

    def _submit(self, client: Client, threads: int, waiting: Iterator[int]) -> None:
        """One task to run and one to wait for each thread; together, which takes half the time."""
        count = 2 * threads - len(self._running)
        self._again.extend(itertools.islice(waiting, max(0, count - len(self._again))))
        numbers = list(itertools.islice(self._again, max(0, count)))
        if not numbers:
            return
        futures = client.map(
            self._task,
            *([each] * len(numbers) for each in self._first),
            numbers,
            *([each] * len(numbers) for each in self._given),
            key=[f"{self._name}-{number}" for number in numbers],
            pure=False,
        )
        for future, number in zip(futures, numbers, strict=True):
            self._running[future] = number
            self._again.popleft()
            future.add_done_callback(self._ended.put)


@contextmanager
def _scheduler_held(remote: bool) -> Iterator[None]:
    """Tell a scheduler that is gone from what goes wrong in a task."""
    from concurrent.futures import CancelledError

    from distributed.comm import CommClosedError

    try:
        yield
    except (CancelledError, CommClosedError, ConnectionError) as error:
        if not remote:
            raise
        raise _SchedulerLost(first_line(error)) from error
    except RuntimeError as error:
        # What a client says that has given up.
        if not (remote and "closed" in str(error).lower()):
            raise
        raise _SchedulerLost(first_line(error)) from error


def _result_of(future: Any, job: ShardJob) -> Any:
    """What a task returned.

    Raises:
        UserError: no worker could run it.
    """
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        room = "features.workers = 1"
        if job.cluster.scheduler:
            room = f"workers of --memory-limit {format_bytes(job.need.limit(1))} or more a thread"
        raise ClusterError(
            f"Task {future.key} was given up: every worker process that had it was ended, for lack "
            f"of memory or because HDF5 crashed on the source. Start again with {room}, or write "
            "the source anew with h5repack; what is complete is kept."
        ) from error
    except ImportError as error:
        raise ClusterError(
            f"A worker cannot import what task {future.key} needs ({first_line(error)}). Install "
            "Headrace there, in the version that runs here."
        ) from error
