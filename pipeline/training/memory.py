"""What a training will hold in memory: named buffers in bytes, and their plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.model.sizes import activation_bytes, parameters
from headrace.pipeline.memory.fit import (
    ACTIVATIONS,
    BUFFER_CHUNKS,
    EVALUATE_BATCH,
    PREFETCH,
    READ_THREADS,
    TRAIN_BATCH,
    WEIGHTS,
    network_plan,
    with_remedies,
)
from headrace.pipeline.memory.measured import WEIGHTS as MEASURED_WEIGHTS
from headrace.pipeline.memory.measured import known_reserved, network_shape
from headrace.pipeline.memory.plan import MIB, MemoryPlan
from headrace.pipeline.stream.buffers import (
    buffer_rows,
    evaluation_buffers,
    evaluation_rows,
    quantile_sample_bytes,
    store_buffers,
    stream_buffers,
    window_shape,
)

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store

DEVICE_BYTES = 800 * MIB
"""Of TensorFlow's graphs for each device of a training but the first, whatever the network's width:
731 MiB measured with two parts of a CPU, 571 each with four, the default network."""
TRAIN_KEYS = (PREFETCH, READ_THREADS, BUFFER_CHUNKS, EVALUATE_BATCH, TRAIN_BATCH)
"""Options that make room in a training."""


def plan_train(config: Config, store: Store) -> MemoryPlan:
    """The memory plan of a training, with remedies where it does not fit."""
    return with_remedies(train_plan, config, store, TRAIN_KEYS)


def train_plan(config: Config, store: Store) -> MemoryPlan:
    """The memory plan of a training, without remedies."""
    return network_plan("train", train_buffers(config, store), config, store)


def train_buffers(config: Config, store: Store) -> dict[str, int]:
    """Bytes of what a training holds beside TensorFlow.

    The quantile sample is 10,000 rows, or all of a small store, as float32 and, to take quantiles
    of, twice as float64: 283 features make 54 MiB. It is gone before the first batch, but the
    allocator may keep its place. Of weights there are the network's own, their gradients, two
    moments, the average and the best so far; a state is a copy of four of these and its archive.
    """
    window, shape = window_shape(store, config), network_shape(store)
    weights = 4 * parameters(config.model, **shape)
    if config.model.build is not None:
        weights = known_reserved(config, shape).get(MEASURED_WEIGHTS, weights)
    activations = activation_bytes(config.model, **shape, training=True)
    return {
        "quantile sample": quantile_sample_bytes(config, store),
        WEIGHTS: 7 * weights,
        "graphs of more devices": DEVICE_BYTES * (config.train.devices - 1),
        "state being written": 10 * weights,
        "tables of moments": 2 * store.table_bytes,
        **store_buffers(config, store),
        ACTIVATIONS: 2 * config.train.batch * activations,
        **stream_buffers(config, window, buffer_rows(config, store)),
        **evaluation_buffers(config, window, evaluation_rows(store)),
    }
