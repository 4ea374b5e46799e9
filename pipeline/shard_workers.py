"""Dask workers that make or check shards: few tasks in flight, however many there are."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.shard_task import SourceState
from pipeline.store_plan import has_dashboard
from stores.errors import UserError

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

    from pipeline.console import Console

STARTS = 3
"""Times that workers are started, if the system ends them before they run."""


@dataclass(frozen=True)
class ShardJob:
    """What the tasks of a stage share.

    Attributes:
        source: the HDF5 file.
        state: `pipeline.shard_task.source_state` of it when the stage began.
        workers: processes of one thread each.
        console: where the link to Dask's dashboard is said.
    """

    source: Path
    state: SourceState
    workers: int
    console: Console


def run_tasks(
    task: Callable[..., Any], target: Path, job: ShardJob, shards: Iterable[int], *given: Any
) -> Iterator[Any]:
    """Run `task(target, source, state, shard, *given)` in worker processes for each shard.

    One task runs and one waits per worker, so the scheduler holds a few tasks however many
    shards there are.

    Args:
        task: `try_shard`, or `pipeline.shard_check.compare_shard`.
        target: of a build that has begun.
        job: what all tasks share.
        shards: which to do.
        given: more arguments.

    Yields:
        What each task returned, as it ends.

    Raises:
        UserError: what a task returned as such.
    """
    from distributed import KilledWorker, as_completed

    waiting = iter(shards)
    arguments = str(target.absolute()), str(job.source.absolute()), job.state
    name = f"{task.__name__.replace('_', '-')}"
    with local_client(job.workers) as client:
        if has_dashboard():
            job.console.say(f"Dask dashboard: {client.dashboard_link}")

        def submit(shard: int) -> Any:
            return client.submit(task, *arguments, shard, *given, key=f"{name}-{shard}", pure=False)

        first = [submit(shard) for _, shard in zip(range(2 * job.workers), waiting, strict=False)]
        running = as_completed(first, raise_errors=False)
        for future in running:
            try:
                record = future.result()
            except KilledWorker as error:
                raise UserError(
                    f"Task {future.key} was given up: the system ended every worker process that "
                    "had it, for lack of memory or because HDF5 crashed on the source. Start "
                    "again with features.workers = 1, or write the source anew with h5repack; "
                    "what is complete is kept."
                ) from error
            if isinstance(record, UserError):
                raise record
            yield record
            future.release()
            for shard in waiting:
                running.add(submit(shard))
                break


@contextmanager
def local_client(workers: int) -> Iterator[Client]:
    """A scheduler in this process and worker processes of one thread each, on loopback."""
    import dask
    from distributed import Client

    settings = {
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.worker.use-file-locking": False,
        "distributed.worker.profile.enabled": False,
    }
    with (
        dask.config.set(settings),
        _interrupts_held() as let_through,
        _started_cluster(workers) as cluster,
        Client(cluster) as client,
    ):
        let_through()
        yield client


def _started_cluster(workers: int) -> LocalCluster:
    """A cluster whose workers run; one that is ended while it starts ends the whole start.

    Raises:
        UserError: they were ended again and again.
    """
    from distributed import LocalCluster

    for _ in range(STARTS):
        with suppress(RuntimeError):
            return LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                host="127.0.0.1",
                silence_logs=logging.CRITICAL,
            )
    raise UserError(
        f"The {workers} worker processes could not be started in {STARTS} attempts: the system "
        "ended them, as it does for lack of memory. Set features.workers = 1, or free memory, "
        "and start again: what is complete is kept."
    )


@contextmanager
def _interrupts_held() -> Iterator[Callable[[], object]]:
    """Hold Ctrl-C back until the given function is called: threads and processes that start
    meanwhile never see it, so that this process alone answers, in one line.
    """
    # Started later, by the first worker's thread, it would let Ctrl-C through to that worker:
    # multiprocessing unblocks the signal for its caller once its tracker runs.
    resource_tracker.ensure_running()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    def let_through() -> object:
        return signal.pthread_sigmask(signal.SIG_SETMASK, held)

    try:
        yield let_through
    finally:
        let_through()
