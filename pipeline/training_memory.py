"""What training and evaluation will hold in memory: named buffers in bytes, and their plans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.normaliser import SAMPLE_ROWS
from pipeline.budget import MIB, MemoryPlan
from pipeline.memory import default_budget
from pipeline.stream_buffers import (
    buffer_rows,
    evaluation_buffers,
    stream_buffers,
    window_shape,
)

if TYPE_CHECKING:
    from pipeline.config import Config
    from stores import Store

RESERVED = 520 * MIB
"""Anonymous memory of Python, TensorFlow and the default network, after its first steps."""
RESERVED_PARENT = 150 * MIB
"""Of the process that starts the folds of a cross-validation; it holds no TensorFlow."""
TREE_BYTES = 4096
"""Of the baseline's forest and its fitting, per training row: 300 trees of 2 nodes a leaf."""
RAW_MEASURES = 6
"""Columns a channel that the baseline gets of windows without features."""


def plan_train(config: Config, store: Store) -> MemoryPlan:
    """The memory plan of a training.

    Raises:
        UserError: it does not fit the budget.
    """
    return _plan("train", RESERVED, train_buffers(config, store), config)


def plan_evaluate(config: Config, store: Store, baseline: bool) -> MemoryPlan:
    """The memory plan of an evaluation.

    Raises:
        UserError: it does not fit the budget.
    """
    return _plan("evaluate", RESERVED, evaluate_buffers(config, store, baseline), config)


def plan_crossval(config: Config, store: Store, baseline: bool) -> MemoryPlan:
    """The memory plan of a cross-validation: its parent, and the larger stage of a fold.

    Raises:
        UserError: it does not fit the budget.
    """
    stages = (train_buffers(config, store), evaluate_buffers(config, store, baseline))
    largest = max(stages, key=lambda buffers: sum(buffers.values()))
    return _plan("crossval", RESERVED + RESERVED_PARENT, largest, config)


def train_buffers(config: Config, store: Store) -> dict[str, int]:
    """Bytes of what a training holds beside TensorFlow.

    The quantile sample is 10,000 rows, or all of a small store, as float32 and, to take quantiles
    of, twice as float64: 283 features make 54 MiB. It is gone before the first batch, but the
    allocator may keep its place.
    """
    window = window_shape(store, config)
    blocks = len(config.model.dilations)
    sample = 0
    if config.model.feature_scaling == "quantile":
        sample = min(SAMPLE_ROWS, store.windows) * window.features * (4 + 8 + 8)
    return {
        "quantile sample": sample,
        "activations": 2 * config.train.batch * activation_bytes(config, store, blocks),
        **stream_buffers(config, window, buffer_rows(config, store)),
        **evaluation_buffers(config, window, buffer_rows(config, store)),
    }


def evaluate_buffers(config: Config, store: Store, baseline: bool = False) -> dict[str, int]:
    """Bytes of what an evaluation holds beside TensorFlow; all views of a batch at once."""
    window = window_shape(store, config)
    batch = config.evaluate.batch * window.float_bytes
    buffers = {
        "views": 2 * batch * len(config.evaluate.views),
        "activations": 2 * config.evaluate.batch * activation_bytes(config, store, blocks=1),
        **evaluation_buffers(config, window, buffer_rows(config, store)),
    }
    if baseline:
        columns = len(store.feature_names) or RAW_MEASURES * len(store.channels)
        read = 0 if store.feature_names else 2 * 4 * store.time * len(store.channels)
        rows = config.evaluate.baseline_windows
        buffers["baseline rows"] = rows * (read + 2 * 4 * columns + TREE_BYTES)
    return buffers


def activation_bytes(config: Config, store: Store, blocks: int) -> int:
    """Float32 outputs of the layers for one window, of `blocks` residual blocks of the tower.

    Per step of the tower: 3 outputs of the stem and 8 of each block, `model.filters` wide. A
    training step keeps all blocks; prediction drops a block's outputs when the next has run.
    """
    options, floats = config.model, 0
    if options.inputs != "features":
        steps = -(-store.time // options.stem_stride)
        floats += 2 * store.time * len(store.channels)
        floats += steps * options.filters * (3 + 8 * blocks)
    if options.inputs != "raw":
        floats += 2 * len(store.feature_names) + 4 * sum(options.feature_units)
    return 4 * floats


def _plan(stage: str, reserved: int, buffers: dict[str, int], config: Config) -> MemoryPlan:
    budget = int(config.memory.budget or default_budget())
    plan = MemoryPlan(stage, reserved, "typical of this version", buffers, budget)
    chunks, batch = config.stream.buffer_chunks or 16, config.evaluate.batch
    return plan.require_fit(
        [
            f"stream.buffer_chunks = {max(1, chunks // 2)} for a new run",
            f"evaluate.batch = {max(1, batch // 2)}",
        ]
    )
