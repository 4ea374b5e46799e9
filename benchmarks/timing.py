"""Timing side by side: every round runs each contender once, so that noise meets all of them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    before: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Median seconds of each contender over `rounds` rounds, after one that is not counted.

    `time.process_time` as the clock leaves out what other processes took of the core. `before`
    runs ahead of each, outside the clock.
    """
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            before()
            begun = clock()
            run()
            if number:
                taken[name].append(clock() - begun)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def on_one_core() -> None:
    """Keep this process, and all threads that it will start, on the first core it may use."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def machine() -> str:
    """The processor, the cores this process may use, and the load, in one line."""
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    processor = names[0] if names else platform.machine()
    return f"{processor}, {cores} core(s), load {load:.1f}, Python {platform.python_version()}"


def version(*distributions: str) -> str:
    """Name and version of each, comma-separated."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in distributions)


def table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table under a heading, columns after the first to the right."""
    lines = [f"### {title}", "", "| " + " | ".join(columns) + " |"]
    lines.append("|---|" + "---:|" * (len(columns) - 1))
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
