"""How much memory a process tree really holds while a stage runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from headrace.pipeline.memory.machine import page_cache
from headrace.pipeline.process.tree import children_of

SAMPLE_SECONDS = 0.05


@dataclass
class MemoryUse:
    """Peaks of the process tree, in bytes.

    Attributes:
        peak: anonymous + shared memory: what a memory cap counts against the stage.
        mapped_peak: resident pages of mapped files (code, libraries); shared with other
            processes and dropped under pressure, so shown apart.
        cache_peak: page cache of the nearest limited control group, apart too; 0 without one.
        timeline: (seconds since the start, anonymous + shared bytes), thinned to 2,000 points.
        held: anonymous + shared memory at the last sample.
        budget: the most that may be held; 0 until a stage has planned.
    """

    peak: int = 0
    mapped_peak: int = 0
    cache_peak: int = 0
    timeline: list[tuple[float, int]] = field(default_factory=list)
    held: int = 0
    budget: int = 0

    def add(self, seconds: float, held: int, mapped: int, cached: int) -> None:
        """Take one sample."""
        self.held, self.peak = held, max(self.peak, held)
        self.mapped_peak = max(self.mapped_peak, mapped)
        self.cache_peak = max(self.cache_peak, cached)
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
            use.add(time.monotonic() - begun, *tree_memory(os.getpid()), page_cache())
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
            waiting += children_of(current)
        except (FileNotFoundError, ProcessLookupError):
            continue
        held += held_here
        mapped += mapped_here
    return held, mapped


def _status(pid: int) -> tuple[int, int]:
    held = mapped = 0
    with open(f"/proc/{pid}/status", "rb") as stream:
        for line in stream:
            if line.startswith((b"RssAnon:", b"RssShmem:")):
                held += int(line.split()[1])
            elif line.startswith(b"RssFile:"):
                mapped += int(line.split()[1])
    return held * 1024, mapped * 1024


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
