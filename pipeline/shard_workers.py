"""Dask workers that make shards: a bounded number of tasks in flight, whatever their total."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.shard_task import SourceState, try_shard
from stores.errors import UserError

if TYPE_CHECKING:
    from distributed import Client


def make_shards(
    target: Path, source: Path, state: SourceState, shards: list[int], workers: int
) -> Iterator[dict[str, int]]:
    """Make the shards of a build in `workers` processes; yields each task's record as it ends.

    One task runs and one waits per worker, so the scheduler holds a few tasks however many
    shards there are.

    Args:
        target: where the store will stand; its build has begun.
        source: the HDF5 file.
        state: `pipeline.shard_task.source_state` of it when the stage began.
        shards: which to make.
        workers: processes of one thread each.

    Raises:
        UserError: what a task raised.
    """
    from distributed import as_completed

    waiting = iter(shards)
    arguments = str(target.absolute()), str(source.absolute()), state
    with local_client(workers) as client:

        def submit(shard: int) -> Any:
            return client.submit(
                try_shard, *arguments, shard, key=f"extract-shard-{shard}", pure=False
            )

        first = [submit(shard) for _, shard in zip(range(2 * workers), waiting, strict=False)]
        running = as_completed(first, raise_errors=False)
        for future in running:
            record = future.result()
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
    from distributed import Client, LocalCluster

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
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        let_through()
        yield client


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
