"""What the stream holds in memory, as named buffers in bytes: arithmetic without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headrace.model.normaliser import SAMPLE_ROWS
from headrace.pipeline.augmentations.registry import Stage, chosen
from headrace.pipeline.rows.order import buffer_chunks

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store
    from headrace.stores.spec import WindowSpec

EVALUATION_CHUNKS = 8
"""Chunks read at a time where nothing is shuffled; decides no value."""
PREPARE_CALLS = 2
"""Blocks that are augmented and normalised at a time."""
LEAST_PREFETCHED = 2
"""Finished batches that wait for the training step at least, and for an evaluation's."""
BLOCK_BYTES = 3 * 2**20
"""Float32 of a block: small enough for the caches of a core, large enough to be worth a call."""


@dataclass(frozen=True)
class WindowShape:
    """What the size of a window depends on.

    Attributes:
        raw: None where it is not read.
        features: how many.
        stretched: bytes of the stretches that windows are cut from, for each window; 0: windows
            are stored.
    """

    raw: WindowSpec | None
    features: int
    stretched: int = 0

    @property
    def stored_bytes(self) -> int:
        """A window as read: raw as stored, float32 features, label, source index and place."""
        raw = 0 if self.raw is None else self.raw.stored_bytes
        return raw + 4 * self.features + 20

    @property
    def buffer_bytes(self) -> int:
        """A window in a buffer of a training: of stretches its part, and where it begins."""
        return self.stretched + 4 * self.features + 40 if self.stretched else self.stored_bytes

    @property
    def float_bytes(self) -> int:
        """A window's raw and features as float32."""
        raw = 0 if self.raw is None else self.raw.float_bytes
        return raw + 4 * self.features


def window_shape(store: Store, config: Config) -> WindowShape:
    """Shape of what the network of `config` reads of a window of `store`."""
    inputs = config.model.inputs
    return WindowShape(
        raw=None if inputs == "features" else store.spec,
        features=0 if inputs == "raw" else len(store.feature_names),
        stretched=0 if inputs == "features" else store.stretch_share_bytes,
    )


def buffer_rows(config: Config, store: Store) -> int:
    """Most windows that a buffer holds: a small store does not fill one."""
    chunks = buffer_chunks(config.stream, store.manifest.stretch)
    return min(chunks * store.chunk_windows, store.windows)


def block_rows(window: WindowShape, batch: int) -> int:
    """Windows that are augmented and normalised together; decides no value, only speed.

    Whole batches where these are small: tf.data then cuts them without a copy.
    """
    rows = int(np.clip(BLOCK_BYTES // window.float_bytes, 16, 4096))
    return rows // batch * batch or rows


def store_buffers(config: Config, store: Store) -> dict[str, int]:
    """Bytes that an open store holds, by name: of shards' indexes one shard's at least."""
    kept, index = config.stream.index_cache, store.index_bytes
    if kept is not None:
        index = max(store.shard_index_bytes, min(index, kept))
    return {"indexes of shards": index, **store.request_buffers}


def stream_buffers(config: Config, window: WindowShape, rows: int) -> dict[str, int]:
    """Bytes that a training stream with buffers of `rows` windows holds at most, by name.

    Buffers in flight are those being read, the one being cut into batches, the one before it whose
    last batch is unfinished, and the one that the oldest batch that waits was cut from: 2 + 3 = 5
    of 4,096 windows of 128 x 9 float32 and 283 features, 113 MiB. One that is being read is held
    as it was decoded and in its order.
    """
    threads = config.stream.read_threads
    buffer = rows * window.buffer_bytes
    block = (block_rows(window, config.train.batch) + 1) * window.float_bytes
    # Blocks in work, each with the temporaries of its operations, and as many that wait.
    blocks = PREPARE_CALLS * 4 * block + PREPARE_CALLS * block
    batch = config.train.batch * window.float_bytes
    return {
        "epoch buffers": (threads + 3) * buffer,
        "buffers being read": threads * buffer,
        "blocks being augmented": blocks,
        "batches prefetched": (config.stream.prefetch_batches + 2) * batch,
        **_tables(config, window),
    }


def array_buffers(config: Config, window: WindowShape, rows: int) -> dict[str, int]:
    """Bytes that a stream of arrays with buffers of `rows` windows holds at most, by name.

    Float32 buffers are those being made, one that waits, the one being cut into batches, and the
    one that the caller's last batch is a view of. One that is being made is held as it was decoded,
    too.
    """
    threads = config.stream.read_threads
    if window.stretched:
        block = (block_rows(window, config.train.batch) + 1) * (window.float_bytes + 20)
        return {
            "epoch buffers": (2 * threads + 1) * rows * window.buffer_bytes,
            "blocks being cut": (threads + 3) * block,
            "batch joined of two blocks": 2 * config.train.batch * window.float_bytes,
            **_tables(config, window),
        }
    return {
        "epoch buffers": (threads + 3) * rows * (window.float_bytes + 20),
        "buffers being read": threads * rows * window.stored_bytes,
        "batch joined of two buffers": 2 * config.train.batch * window.float_bytes,
        **_tables(config, window),
    }


def _tables(config: Config, window: WindowShape) -> dict[str, int]:
    return {
        each.held[0]: each.held[1](*window.raw.shape)
        for each, _ in chosen(config.augment, *Stage)
        if each.held and window.raw is not None
    }


def quantile_sample_bytes(config: Config, store: Store) -> int:
    """Bytes of the rows that quantiles are taken of: as float32, and twice as float64.

    10,000 rows, or all of a small store; 283 features make 54 MiB.
    """
    if config.model.feature_scaling != "quantile":
        return 0
    features = window_shape(store, config).features
    return min(SAMPLE_ROWS, store.windows) * features * (4 + 8 + 8)


def evaluation_rows(store: Store) -> int:
    """Most windows that an evaluation stream reads at a time, cut if they are of stretches."""
    chunks = 4 if store.manifest.stretches else EVALUATION_CHUNKS
    return min(chunks * store.chunk_windows, store.windows)


def evaluation_buffers(config: Config, window: WindowShape, rows: int) -> dict[str, int]:
    """Bytes that an evaluation stream which reads `rows` windows at a time holds, by name."""
    threads = config.stream.read_threads
    buffer = rows * window.stored_bytes
    batch = config.evaluate.batch * window.float_bytes
    return {
        "evaluation buffers": (threads + 2) * buffer,
        "evaluation buffers being read": threads * buffer,
        "evaluation batches": (LEAST_PREFETCHED + 2) * batch,
    }
