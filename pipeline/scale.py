"""What a store of any number of windows takes to make, with any number of workers: arithmetic."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from stores.manifest import Manifest
from stores.text import counted, format_bytes, format_seconds

TYPICAL_VALUES = 20_000 * 128 * 9
"""Raw values a second that a worker turns into features and writes: 20,000 windows of 128 x 9,
measured with two workers on two cores (docs/benchmarks.md)."""
TASK_SECONDS = 0.01
"""Of the scheduler and the stage for a task, whatever it does, with two workers: measured by
benchmarks/cluster.py on two busy cores."""


@dataclass(frozen=True)
class Scale:
    """What is to be expected.

    Attributes:
        windows, workers: as asked.
        rate: windows a second of one worker.
        measured: whether that rate was measured here; else it is typical.
        shards: of the store, each a task.
        store_bytes: of raw windows and features before compression.
        manifest_bytes: of the tables that every shard has rows in.
        work_seconds: of the workers, all together busy.
        task_seconds: that the scheduler takes to hand the tasks out, one after another.
    """

    windows: int
    workers: int
    rate: float
    measured: bool
    shards: int
    store_bytes: int
    manifest_bytes: int
    work_seconds: float
    task_seconds: float

    @property
    def seconds(self) -> float:
        """Until the store stands: the workers', or the scheduler's if that is more."""
        return max(self.work_seconds, self.task_seconds)

    def as_table(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self) | {"seconds": self.seconds}

    def said(self) -> str:
        """In one sentence."""
        how = "measured here" if self.measured else "typical of windows of this size"
        return (
            f"{self.windows:,} windows by {counted(self.workers, 'worker')}: "
            f"{format_seconds(self.seconds)}, at {self.rate:,.0f} windows/s each ({how}); "
            f"{counted(self.shards, 'shard')}, {format_bytes(self.store_bytes)} before "
            f"compression and {format_bytes(self.manifest_bytes)} of manifest."
        )


def scale_of(manifest: Manifest, windows: int, workers: int, rate: float | None) -> Scale:
    """What `windows` windows like those of `manifest` take.

    Args:
        manifest: of a store, or of one that is to be made.
        windows: how many.
        workers: processes of one thread, on cores of their own.
        rate: windows a second of one worker, if it was measured.
    """
    shards = -(-windows // manifest.shard)
    # Each border of a fold cuts one shard's rows in two.
    pieces = shards + len(manifest.folds) - 1
    rows = {table.name: table.row_bytes for table in manifest.tables()}
    digests = rows.pop("shard_digest")
    found = rate or TYPICAL_VALUES / (manifest.time * len(manifest.channels))
    return Scale(
        windows=windows,
        workers=workers,
        rate=found,
        measured=rate is not None,
        shards=shards,
        store_bytes=windows * sum(array.row_bytes for array in manifest.arrays()),
        manifest_bytes=shards * digests + pieces * sum(rows.values()),
        work_seconds=windows / (workers * found),
        task_seconds=shards * TASK_SECONDS,
    )
