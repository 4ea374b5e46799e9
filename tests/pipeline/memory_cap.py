"""A cap on the memory of a process tree that the kernel enforces: cgroup v1 or v2."""

from __future__ import annotations

import contextlib
import os
import subprocess
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

    def run(
        self, command: Sequence[str], cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, its output captured."""
        if self.group is not None:
            enter = f'echo $$ > "{self.group}/cgroup.procs" && exec "$@"'
            command = ["sh", "-c", enter, "sh", *command]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


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
    name = f"headrace-test-{os.getpid()}"
    with contextlib.suppress(OSError):
        if (V1 / "memory.limit_in_bytes").exists():
            group = V1 / name
            group.mkdir()
            (group / "memory.limit_in_bytes").write_text(str(limit))
            with contextlib.suppress(OSError):  # No swap accounting: then no swap to count.
                (group / "memory.memsw.limit_in_bytes").write_text(str(limit))
            return group
        if "memory" in (V2 / "cgroup.subtree_control").read_text().split():
            group = V2 / name
            group.mkdir()
            (group / "memory.max").write_text(str(limit))
            with contextlib.suppress(OSError):
                (group / "memory.swap.max").write_text("0")
            return group
    return None


def _remove(group: Path) -> None:
    for _ in range(50):
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.1)
