"""How much memory there is, and how much a process tree really holds while a stage runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.05
DEFAULT_FRACTION = 0.75
"""Of the available memory: the budget when none is named."""


@dataclass
class MemoryUse:
    """Peaks of the process tree, in bytes.

    Attributes:
        peak: anonymous + shared memory: what a memory cap counts against the stage.
        mapped_peak: resident pages of mapped files (code, libraries); shared with other
            processes and dropped under pressure, so shown apart.
        timeline: (seconds since the start, anonymous + shared bytes), thinned to 2,000 points.
    """

    peak: int = 0
    mapped_peak: int = 0
    timeline: list[tuple[float, int]] = field(default_factory=list)

    def add(self, seconds: float, held: int, mapped: int) -> None:
        """Take one sample."""
        self.peak = max(self.peak, held)
        self.mapped_peak = max(self.mapped_peak, mapped)
        self.timeline.append((round(seconds, 3), held))
        if len(self.timeline) >= 4000:
            self.timeline = [
                max(pair, key=lambda point: point[1])
                for pair in zip(self.timeline[::2], self.timeline[1::2], strict=True)
            ]


@contextmanager
def watch_memory() -> Iterator[MemoryUse]:
    """Sample this process and its descendants every 50 ms until the block ends."""
    use, stop, begun = MemoryUse(), threading.Event(), time.monotonic()

    def sample() -> None:
        while True:
            use.add(time.monotonic() - begun, *tree_memory(os.getpid()))
            if stop.wait(SAMPLE_SECONDS):
                return

    thread = threading.Thread(target=sample, name="memory", daemon=True)
    thread.start()
    try:
        yield use
    finally:
        stop.set()
        thread.join()


def tree_memory(pid: int) -> tuple[int, int]:
    """(anonymous + shared, mapped files) bytes resident in a process and its descendants."""
    if not Path("/proc/self/task").exists():
        return _portable_tree_memory(pid)
    held = mapped = 0
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        try:
            held_here, mapped_here = _status(current)
            waiting += _children(current)
        except (FileNotFoundError, ProcessLookupError):
            continue
        held += held_here
        mapped += mapped_here
    return held, mapped


def available_memory() -> int:
    """Bytes that this process tree may still take: the system's, clamped to its cgroups."""
    return min([psutil.virtual_memory().available, *_cgroup_room()])


def total_memory() -> int:
    """Bytes of memory of the machine, clamped to the cgroup limits."""
    return min([psutil.virtual_memory().total, *(limit for limit, _ in _cgroups())])


def default_budget() -> int:
    """Three quarters of the available memory."""
    return int(available_memory() * DEFAULT_FRACTION)


def _status(pid: int) -> tuple[int, int]:
    held = mapped = 0
    with open(f"/proc/{pid}/status", "rb") as stream:
        for line in stream:
            if line.startswith((b"RssAnon:", b"RssShmem:")):
                held += int(line.split()[1])
            elif line.startswith(b"RssFile:"):
                mapped += int(line.split()[1])
    return held * 1024, mapped * 1024


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as stream:
                found += map(int, stream.read().split())
        except FileNotFoundError:
            continue
    return found


def _portable_tree_memory(pid: int) -> tuple[int, int]:
    """Where there is no /proc, resident memory stands for anonymous memory."""
    held = 0
    process = psutil.Process(pid)
    for one in [process, *process.children(recursive=True)]:
        try:
            held += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return held, 0


def _cgroup_room() -> Iterator[int]:
    for limit, used in _cgroups():
        yield max(0, limit - used)


def _cgroups() -> Iterator[tuple[int, int]]:
    """(limit, bytes held that are not page cache) of every limited cgroup around this process."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, inside = line.split(":", 2)
        if controllers == "":
            root, limit, used, cache = "/sys/fs/cgroup", "memory.max", "memory.current", "file"
        elif "memory" in controllers.split(","):
            root, limit = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
            used, cache = "memory.usage_in_bytes", "total_cache"
        else:
            continue
        folder = Path(root + inside)
        while str(folder).startswith(root):
            found = _limit_and_use(folder, limit, used, cache)
            if found is not None:
                yield found
            folder = folder.parent


def _limit_and_use(folder: Path, limit: str, used: str, cache: str) -> tuple[int, int] | None:
    try:
        text = (folder / limit).read_text().strip()
        if text == "max" or int(text) >= 1 << 60:
            return None
        table = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int(text), max(0, int((folder / used).read_text()) - int(table.get(cache, 0)))
    except (OSError, ValueError):
        return None
