"""What the machine gives this process tree: memory and cores, clamped to its control groups."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

DEFAULT_FRACTION = 0.75
"""Of the available memory: the budget when none is named."""
UNLIMITED = 1 << 60
"""Version 1 has no word for "no limit": it gives a number near 2**63."""


def available_memory() -> int:
    """Bytes that this process tree may still take."""
    room = [max(0, limit - used) for limit, used, _ in _memory_groups()]
    return min([psutil.virtual_memory().available, *room])


def total_memory() -> int:
    """Bytes of memory in all."""
    return min([psutil.virtual_memory().total, *(limit for limit, _, _ in _memory_groups())])


def page_cache() -> int:
    """Bytes of files that the nearest limited control group caches; 0 without one.

    The kernel counts page cache by group, not by process, and gives it back under pressure.
    """
    return next((cached for _, _, cached in _memory_groups()), 0)


def usable_budget(named: int | None) -> int:
    """The budget in bytes: the one that is named, or three quarters of the available memory.

    Never more than there is in all: nobody may hold that, whatever was named.
    """
    if named is None:
        return int(available_memory() * DEFAULT_FRACTION)
    return min(int(named), total_memory())


def usable_cores() -> int:
    """Cores that this process may use, at least 1: its affinity, clamped to the groups' quotas."""
    allowed = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if allowed else os.cpu_count() or 1
    return min([cores, *_core_quotas()])


def _memory_groups() -> Iterator[tuple[int, int, int]]:
    """(limit, bytes held but for page cache, page cache) of the limited groups, innermost first.

    The kernel counts tmpfs and shared memory as page cache, but without swap they stay.
    """
    for folder, version in _groups("memory"):
        limits, used, cache, shared = {
            1: (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_cache", "total_shmem"),
            2: (("memory.max", "memory.high"), "memory.current", "file", "shmem"),
        }[version]
        size = min(_limit(folder / name) for name in limits)
        if size >= UNLIMITED:
            continue
        try:
            held = int((folder / used).read_text())
            table = _table((folder / "memory.stat").read_text())
        except (OSError, ValueError):  # The limit holds even if nobody says what is used of it.
            held, table = 0, {}
        cached = max(0, table.get(cache, 0) - table.get(shared, 0))
        yield size, max(0, held - cached), cached


def _limit(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # Not there, or "max".
        return UNLIMITED


def _core_quotas() -> Iterator[int]:
    """Cores' worth of time of every group around this process that has a quota, rounded up."""
    for folder, version in _groups("cpu"):
        names = {1: ("cpu.cfs_quota_us", "cpu.cfs_period_us"), 2: ("cpu.max",)}[version]
        try:
            words = " ".join((folder / name).read_text() for name in names).split()
            quota, period = map(int, words)
        except (OSError, ValueError):
            continue
        if quota > 0:
            yield max(1, math.ceil(quota / period))


def _groups(controller: str) -> Iterator[tuple[Path, int]]:
    """Folder and version of the control groups around this process, from the inside out."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, inside = line.split(":", 2)
        if controllers == "":
            root, version = "/sys/fs/cgroup", 2
        elif controller in controllers.split(","):
            root, version = f"/sys/fs/cgroup/{controller}", 1
        else:
            continue
        folder = Path(root + inside)
        while str(folder).startswith(root):
            yield folder, version
            folder = folder.parent


def _table(text: str) -> Mapping[str, int]:
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}
