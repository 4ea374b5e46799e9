"""What a Dask scheduler pays for a hundred thousand shards: memory, and time a task.

    python -m benchmarks.cluster [--shards 100000]

A scheduler and two workers in processes of their own, of one thread and of sixteen: as many tasks
end at a time as on a cluster of 32. The loop of the features stage is given tasks that do nothing;
beside it the same tasks are handed to the scheduler all at once.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.timing import machine, table
from headrace.pipeline.config.sections import ClusterOptions
from headrace.pipeline.console import QUIET
from headrace.pipeline.workers.cluster import WorkerNeed, remote_client
from headrace.pipeline.workers.run import ShardJob, run_tasks

ROOT = Path(__file__).resolve().parent.parent
MIB = 1 << 20
MANY = 16
MOST_GROWTH = 100 * MIB
"""Of the scheduler, from its first task to the last of a hundred thousand."""


def nothing(target: str, source: str, state: tuple[int, int, int], shard: int) -> dict[str, int]:
    """A task whose record is of the size of a shard's."""
    return {"shard": shard, "windows": 8192, "bytes": 1 << 25}


@contextmanager
def scheduler_and_workers(threads: int, workers: int = 2) -> Iterator[tuple[str, int]]:
    """Address and process id of a scheduler that has workers of so many threads."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    dask = [sys.executable, "-m", "dask"]
    commands = [["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]]
    limit = ["--nthreads", str(threads), "--memory-limit", "600MB", "--no-dashboard"]
    commands += [["worker", address, *limit]] * workers
    started = [
        subprocess.Popen([*dask, *each], env=environment, stderr=subprocess.DEVNULL)
        for each in commands
    ]
    try:
        with remote_client(ClusterOptions(scheduler=address)) as client:
            client.wait_for_workers(workers)
        yield address, started[0].pid
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


class Watched:
    """Resident memory of a process, sampled."""

    def __init__(self, pid: int) -> None:
        self._process, self._stop = psutil.Process(pid), threading.Event()
        self.first = self.peak = self._held()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _held(self) -> int:
        return int(self._process.memory_info().rss)

    def _sample(self) -> None:
        while not self._stop.wait(0.2):
            self.peak = max(self.peak, self._held())

    def growth(self) -> int:
        """Bytes from the start to the peak."""
        self._stop.set()
        self._thread.join()
        return self.peak - self.first


def ours(address: str, shards: int) -> None:
    """As the features stage does."""
    need = WorkerNeed(0, 0)
    options = ClusterOptions(scheduler=address)
    job = ShardJob(Path("source.h5"), (0, 0, 0), 0, need, options, QUIET)
    seen = sum(1 for _ in run_tasks(nothing, "make-shard", Path("s.zarr"), job, range(shards)))
    assert seen == shards


def at_once(address: str, shards: int) -> None:
    """All tasks in one graph, as a Dask array or bag would."""
    with remote_client(ClusterOptions(scheduler=address)) as client:
        futures = client.map(lambda shard: nothing("", "", (0, 0, 0), shard), range(shards))
        assert len(client.gather(futures)) == shards


def main() -> int:
    """Print both, and fail if the scheduler grows with the shards."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shards", type=int, default=100_000)
    shards = parser.parse_args().shards
    print(machine())
    rows, grown = [], {}
    ways: list[tuple[str, Callable[[str, int], None], int, int]] = [
        ("features stage", ours, 1, shards // 20),
        ("features stage", ours, MANY, shards // 20),
        ("features stage", ours, MANY, shards),
        # All hundred thousand at once are more than a worker of 600 MB can hold the names of.
        ("all at once", at_once, MANY, shards // 5),
    ]
    os.chdir(tempfile.mkdtemp())
    for name, run, threads, count in ways:
        with scheduler_and_workers(threads) as (address, pid):
            watched, begun = Watched(pid), time.perf_counter()
            run(address, count)
            seconds, growth = time.perf_counter() - begun, watched.growth()
        grown[name] = growth
        rows.append(
            (
                name,
                str(2 * threads),
                f"{count:,}",
                f"{1000 * seconds / count:.2f}",
                f"{growth / MIB:.0f}",
            )
        )
    columns = ("", "threads", "shards", "ms a task", "scheduler grew, MiB")
    print(table("A scheduler and its tasks", columns, rows))
    return int(grown["features stage"] > MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
