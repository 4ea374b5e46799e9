"""What an evaluation will hold in memory: named buffers in bytes, and their plan."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from headrace.model.sizes import activation_bytes, parameters
from headrace.pipeline.memory.fit import (
    ACTIVATIONS,
    BASELINE,
    EVALUATE_BATCH,
    READ_THREADS,
    WEIGHTS,
    network_plan,
    with_remedies,
)
from headrace.pipeline.memory.measured import network_shape
from headrace.pipeline.stream.buffers import (
    evaluation_buffers,
    evaluation_rows,
    store_buffers,
    window_shape,
)

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.memory.plan import MemoryPlan
    from headrace.stores import Store

TREE_BYTES = 4096
"""Of the baseline's forest and its fitting, per training row: 300 trees of 2 nodes a leaf."""
RAW_MEASURES = 6
"""Columns a channel that the baseline gets of windows without features."""


def plan_evaluate(config: Config, store: Store, baseline: bool) -> MemoryPlan:
    """The memory plan of an evaluation, with remedies where it does not fit."""
    keys = (READ_THREADS, EVALUATE_BATCH, *([BASELINE] if baseline else []))
    return with_remedies(partial(evaluate_plan, baseline=baseline), config, store, keys)


def evaluate_plan(config: Config, store: Store, baseline: bool) -> MemoryPlan:
    """The memory plan of an evaluation, without remedies."""
    return network_plan("evaluate", evaluate_buffers(config, store, baseline), config, store)


def evaluate_buffers(config: Config, store: Store, baseline: bool = False) -> dict[str, int]:
    """Bytes of what an evaluation holds beside TensorFlow; all views of a batch at once."""
    window, shape = window_shape(store, config), network_shape(store)
    rows = config.evaluate.batch
    activations = activation_bytes(config.model, **shape, training=False)
    buffers = {
        WEIGHTS: 3 * 4 * parameters(config.model, **shape),
        **store_buffers(config, store),
        "views": 2 * rows * window.float_bytes * len(config.evaluate.views),
        ACTIVATIONS: 2 * rows * activations,
        **evaluation_buffers(config, window, evaluation_rows(store)),
    }
    if baseline:
        columns = len(store.feature_names) or RAW_MEASURES * len(store.spec.channels)
        read = 0 if store.feature_names else 2 * store.spec.float_bytes
        rows = config.evaluate.baseline_windows
        buffers["baseline rows"] = rows * (read + 2 * 4 * columns + TREE_BYTES)
    return buffers
