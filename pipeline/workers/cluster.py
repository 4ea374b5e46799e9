"""Where shards are made: worker processes on this machine, or a Dask cluster that is there."""

from __future__ import annotations

import logging
import math
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from headrace.pipeline.process import interrupts
from headrace.stores.errors import BudgetError, ClusterError, first_line
from headrace.stores.text import format_bytes

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

    from headrace.pipeline.config.sections import ClusterOptions

MAPPED = 150 << 20
"""Resident pages of libraries in a worker: 126 MiB measured on Linux, Python 3.11."""
PAUSE = 0.8
"""Of its limit, where a worker of Dask stops taking tasks."""
STARTS = 3
"""Times that local workers are started, if the system ends them before they run."""
CONNECT_SECONDS = 30.0
"""How long a scheduler is waited for."""


class NoScheduler(ClusterError):
    """None answers at that address."""


@dataclass(frozen=True)
class WorkerNeed:
    """What a worker process takes: bytes before any data, and of each of its threads."""

    reserved: int
    thread: int

    def limit(self, threads: int) -> int:
        """The least memory limit of a worker of so many threads, each with a task of its own.

        Dask counts resident pages of mapped files too, and above 80 % of the limit a worker
        waits for memory that will never be freed.
        """
        return math.ceil((MAPPED + self.reserved + threads * self.thread) / PAUSE)


@contextmanager
def remote_client(options: ClusterOptions) -> Iterator[Client]:
    """A client of the scheduler that `options` name.

    Raises:
        NoScheduler: it does not answer, or its certificates are not accepted.
    """
    import dask
    from distributed.security import Security

    security = None
    if options.tls_ca_file or options.tls_certificate:
        files = {
            "tls_ca_file": options.tls_ca_file,
            "tls_client_cert": options.tls_certificate,
            "tls_client_key": options.tls_key or options.tls_certificate,
        }
        named = {name: str(path) for name, path in files.items() if path is not None}
        security = Security(require_encryption=True, **named)
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with dask.config.set({"distributed.comm.timeouts.connect": f"{CONNECT_SECONDS:g}s"}):
            try:
                client = _client_class()(
                    options.scheduler,
                    security=security,
                    timeout=CONNECT_SECONDS,
                    set_as_default=False,
                    name="headrace",
                )
            except (OSError, ValueError, TypeError, RuntimeError) as error:
                raise NoScheduler(
                    f"The scheduler {options.scheduler} does not answer ({first_line(error)}). See "
                    "that it runs and can be reached (a tls:// one needs the certificates of "
                    "cluster.tls_*), and start again: what is complete is kept."
                ) from error
            with client:
                yield client
    finally:
        logger.setLevel(level)


@cache
def _client_class() -> type[Client]:
    """A client that is closed if it cannot connect.

    Dask's own waits for the garbage collector then, which may run where the next client starts
    its loop, and holds a lock that closing wants too: that hangs for good.
    """
    from distributed import Client

    class ClosedOnFailure(Client):  # type: ignore[misc]
        def start(self, **given: Any) -> None:
            try:
                super().start(**given)
            except BaseException:
                self.close()
                self._loop_runner.stop()
                raise

    return ClosedOnFailure


def require_workers(client: Client, need: WorkerNeed) -> int:
    """Check the workers of a cluster, and count their threads.

    Raises:
        UserError: one is limited to less memory than its tasks take.
    """
    workers: Mapping[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    for address, worker in workers.items():
        limit, threads = int(worker["memory_limit"] or 0), int(worker["nthreads"])
        if 0 < limit < need.limit(threads):
            raise ClusterError(
                f"The worker {address} is limited to {format_bytes(limit)}, and {threads} tasks at "
                f"a time need {format_bytes(need.limit(threads))}. Start it with --memory-limit "
                f"{format_bytes(need.limit(threads))} or more"
                + (", or with --nthreads 1" if threads > 1 and limit >= need.limit(1) else "")
                + ", or make a new store with a smaller store.shard_windows; what is complete is "
                "kept."
            )
    return sum(int(worker["nthreads"]) for worker in workers.values())


@contextmanager
def local_client(workers: int, memory_limit: int = 0) -> Iterator[Client]:
    """A scheduler in this process and worker processes of one thread each, on loopback.

    Args:
        workers: processes.
        memory_limit: bytes of each, above which it is ended and started again; 0 for none.
    """
    import dask
    from distributed import Client

    # Started later, by the first worker's thread, it would let Ctrl-C through to that worker:
    # multiprocessing unblocks the signal for its caller once its tracker runs.
    # Of processes that are ended at once it would report what it then cleans up.
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    resource_tracker.ensure_running()
    settings = {
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": 0.95 if memory_limit else False,
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.worker.use-file-locking": False,
        "distributed.worker.profile.enabled": False,
    }
    with (
        dask.config.set(settings),
        # So that this process alone answers Ctrl-C, in one line.
        interrupts.held({signal.SIGINT}) as let_through,
        _started_cluster(workers, memory_limit) as cluster,
        Client(cluster) as client,
    ):
        let_through()
        yield client


def _started_cluster(workers: int, memory_limit: int) -> LocalCluster:
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
                memory_limit=memory_limit,
                dashboard_address="127.0.0.1:0",
                host="127.0.0.1",
                silence_logs=logging.CRITICAL,
            )
    raise BudgetError(
        f"The {workers} worker processes could not be started in {STARTS} attempts: the system "
        "ended them, as it does for lack of memory. Set features.workers = 1, or free memory, "
        "and start again: what is complete is kept."
    )


def has_dashboard() -> bool:
    """Whether Dask will serve its dashboard."""
    return find_spec("bokeh") is not None
