"""A cap on the memory of a process tree that the kernel enforces: control groups, v1 or v2."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Cap:
    """A control group without swap, or nothing where making one is not permitted."""

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


@contextlib.contextmanager
def memory_cap(limit: int) -> Iterator[Cap]:
    """A cap of `limit` bytes, page cache included, that is gone when the block ends."""
    group = _make(limit)
    try:
        yield Cap(group)
    finally:
        if group is not None:
            _remove(group)


def _make(limit: int) -> Path | None:
    """A group of its own for each cap: two may be open at a time."""
    if (V1 / "memory.limit_in_bytes").exists():
        root, memory, swap = V1, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
        together = limit  # Version 1 limits memory and swap in one figure.
    elif "memory" in _words(V2 / "cgroup.subtree_control"):
        root, memory, swap, together = V2, "memory.max", "memory.swap.max", 0
    else:
        return None
    try:
        group = Path(tempfile.mkdtemp(prefix=f"headrace-{os.getpid()}-", dir=root))
    except OSError:
        return None
    try:
        (group / memory).write_text(str(limit))
    except OSError:
        _remove(group)
        return None
    with contextlib.suppress(OSError):  # No swap accounting: then no swap to count.
        (group / swap).write_text(str(together))
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
