"""What a store of any number of windows takes to make, with any number of workers: arithmetic."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from headrace.stores.manifest import TABLE_ROWS, Manifest
from headrace.stores.shards.reader import KEPT_SHARDS
from headrace.stores.text import counted, format_bytes, format_seconds

TYPICAL_VALUES = 20_000 * 128 * 9
"""Raw values a second that a worker turns into features and writes: 20,000 windows of 128 x 9,
measured with two workers on two cores (docs/benchmarks.md)."""
TASK_SECONDS = 0.001
"""Of the scheduler and the stage for a task, whatever it does, where many end at a time: measured
by benchmarks/cluster.py with 32 threads and 100,000 tasks on two cores."""
READ_DOLLARS, WRITE_DOLLARS = 0.4e-6, 5e-6
"""Of a request to S3 Standard (aws.amazon.com/s3/pricing, us-east-1): GET and HEAD, and PUT. Bytes
cost nothing within a region, and more than requests outside of one."""


SMALL_ARRAYS = ("label", "source_index")
"""Read whole, a shard's at a time."""


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
        written_objects: requests that write the store and its records, in an object store.
        epoch_reads: requests that read it once, for a network that takes raw and features.
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
    written_objects: int
    epoch_reads: int

    @property
    def seconds(self) -> float:
        """Until the store stands: the workers', or the scheduler's if that is more."""
        return max(self.work_seconds, self.task_seconds)

    def as_table(self) -> dict[str, Any]:
        """JSON-able."""
        dollars = {
            "written_dollars": self.written_objects * WRITE_DOLLARS,
            "epoch_dollars": self.epoch_reads * READ_DOLLARS,
        }
        return asdict(self) | dollars | {"seconds": self.seconds}

    def said(self) -> str:
        """In one sentence."""
        how = "measured here" if self.measured else "typical of windows of this size"
        return (
            f"{self.windows:,} windows by {counted(self.workers, 'worker')}: "
            f"{format_seconds(self.seconds)}, at {self.rate:,.0f} windows/s each ({how}); "
            f"{counted(self.shards, 'shard')}, {format_bytes(self.store_bytes)} before "
            f"compression and {format_bytes(self.manifest_bytes)} of manifest. In an object store: "
            f"{self.written_objects:,} requests to write it, {self.epoch_reads:,} an epoch "
            f"(S3 Standard: {self.written_objects * WRITE_DOLLARS:,.2f} $ and "
            f"{self.epoch_reads * READ_DOLLARS:,.2f} $)."
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
    found = rate or TYPICAL_VALUES / (manifest.spec.values)
    return Scale(
        windows=windows,
        workers=workers,
        rate=found,
        measured=rate is not None,
        shards=shards,
        store_bytes=windows * manifest.window_bytes,
        manifest_bytes=shards * digests + pieces * sum(rows.values()),
        work_seconds=windows / (workers * found),
        task_seconds=shards * TASK_SECONDS,
        written_objects=shards * (len(manifest.arrays()) + 1)
        + sum(-(-pieces // TABLE_ROWS) for _ in (*rows, digests)),
        epoch_reads=_epoch_reads(manifest, windows, shards),
    )


def _epoch_reads(manifest: Manifest, windows: int, shards: int) -> int:
    """Requests of an epoch: chunks of raw and features; indexes, and labels and positions whole.

    Indexes and labels of so many shards are kept; of more, each chunk asks for its own again. An
    index takes two requests, one of them for the object's size.
    """
    large = 1 + bool(manifest.features)
    chunks = -(-windows // manifest.chunk)
    asked = shards if shards <= KEPT_SHARDS else chunks
    return chunks * large + asked * (2 * large + len(SMALL_ARRAYS))
