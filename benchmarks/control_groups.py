"""Control groups of the kernel, v1 or v2: a cap on a process tree's memory, a share of a core."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
"""Version 2; of version 1 a folder of it for each controller."""
PERIOD_US = 100_000
"""In which a share of a core is counted, the kernel's own default."""
EMPTY_SECONDS = 600
"""For the last processes to be gone: trackers that clean up, and what waits to be reaped."""


@dataclass(frozen=True)
class ControlGroup:
    """A control group, or nothing where making one is not permitted."""

    group: Path | None

    @property
    def enforced(self) -> bool:
        """Whether the kernel holds processes to it."""
        return self.group is not None

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command that runs `command` in the group."""
        if self.group is None:
            return list(command)
        enter = f'echo $$ > "{self.group}/cgroup.procs" && exec "$@"'
        return ["sh", "-c", enter, "sh", *command]

    def run(
        self, command: Sequence[str], cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, its output captured."""
        return subprocess.run(
            self.inside(command), capture_output=True, text=True, check=False, cwd=cwd
        )

    def wait_until_empty(self) -> None:
        """Wait for the last process in it to end.

        Raises:
            TimeoutError: some are still there after EMPTY_SECONDS.
        """
        deadline = time.monotonic() + EMPTY_SECONDS
        while left := (self.group / "cgroup.procs").read_text().split() if self.group else []:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Processes {', '.join(left)} have not ended.")
            time.sleep(0.01)


@contextlib.contextmanager
def memory_cap(limit: int) -> Iterator[ControlGroup]:
    """A cap of `limit` bytes, page cache included and without swap; gone when the block ends."""
    # Version 1 limits memory and swap in one figure. No file for it: no swap accounting, no swap.
    one = {"memory.limit_in_bytes": limit, "memory.memsw.limit_in_bytes?": limit}
    two = {"memory.max": limit, "memory.swap.max?": 0}
    with _group("memory", one, two) as made:
        yield made


@contextlib.contextmanager
def cpu_quota(percent: int) -> Iterator[ControlGroup]:
    """`percent` of a core for all processes together; gone when the block ends."""
    quota = PERIOD_US * percent // 100
    one = {"cpu.cfs_period_us": PERIOD_US, "cpu.cfs_quota_us": quota}
    with _group("cpu", one, {"cpu.max": f"{quota} {PERIOD_US}"}) as made:
        yield made


@contextlib.contextmanager
def _group(
    controller: str, one: Mapping[str, object], two: Mapping[str, object]
) -> Iterator[ControlGroup]:
    """A group of its own for each call: two may be open at a time."""
    if (ROOT / controller / "tasks").exists():
        group = _make(ROOT / controller, one)
    elif controller in _words(ROOT / "cgroup.subtree_control"):
        group = _make(ROOT, two)
    else:
        group = None
    try:
        yield ControlGroup(group)
    finally:
        if group is not None:
            _remove(group)


def _make(root: Path, limits: Mapping[str, object]) -> Path | None:
    """A group below `root` with `limits`, of which those with a question mark may be missing."""
    try:
        group = Path(tempfile.mkdtemp(prefix=f"headrace-{os.getpid()}-", dir=root))
    except OSError:
        return None
    for name, value in limits.items():
        try:
            (group / name.rstrip("?")).write_text(str(value))
        except OSError:
            if not name.endswith("?"):
                _remove(group)
                return None
    return group


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _remove(group: Path) -> None:
    for _ in range(50):
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.1)
