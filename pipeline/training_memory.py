"""What training and evaluation will hold in memory: named buffers in bytes, and their plans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from model.normaliser import SAMPLE_ROWS
from pipeline.budget import MIB, MemoryPlan
from pipeline.memory import default_budget
from pipeline.reserved import known_reserved
from pipeline.stream_buffers import (
    buffer_chunks,
    buffer_rows,
    evaluation_buffers,
    evaluation_rows,
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
ACTIVATIONS = "activations"
TREE_BYTES = 4096
"""Of the baseline's forest and its fitting, per training row: 300 trees of 2 nodes a leaf."""
BUFFER_CHUNKS_KEY = ("stream", "buffer_chunks", " for a new run")
EVALUATE_BATCH_KEY = ("evaluate", "batch", "")
BASELINE_KEY = ("evaluate", "baseline_windows", "")
"""(section, key, scope) that a smaller value of makes room."""
RAW_MEASURES = 6
"""Columns a channel that the baseline gets of windows without features."""


def plan_train(config: Config, store: Store) -> MemoryPlan:
    """The memory plan of a training."""
    measured = known_reserved(config, store).get("train")
    keys = (BUFFER_CHUNKS_KEY,)
    return _plan("train", measured, 0, config, lambda c: train_buffers(c, store), keys)


def plan_evaluate(config: Config, store: Store, baseline: bool) -> MemoryPlan:
    """The memory plan of an evaluation."""
    keys = (EVALUATE_BATCH_KEY, *([BASELINE_KEY] if baseline else []))
    measured = known_reserved(config, store).get("evaluate")

    def buffers(config: Config) -> dict[str, int]:
        return evaluate_buffers(config, store, baseline)

    return _plan("evaluate", measured, 0, config, buffers, keys)


def plan_crossval(config: Config, store: Store, baseline: bool) -> MemoryPlan:
    """The memory plan of a cross-validation: its parent, and the larger stage of a fold."""

    def largest(config: Config) -> dict[str, int]:
        stages = (train_buffers(config, store), evaluate_buffers(config, store, baseline))
        return max(stages, key=lambda buffers: sum(buffers.values()))

    keys = (BUFFER_CHUNKS_KEY, EVALUATE_BATCH_KEY)
    measured = max(known_reserved(config, store).values(), default=None)
    return _plan("crossval", measured, RESERVED_PARENT, config, largest, keys)


def fit_read_ahead(config: Config, plan: Callable[[Config], MemoryPlan]) -> Config:
    """`config` reading ahead as much as the budget allows: `stream.read_threads`, if not chosen.

    Args:
        config: resolved.
        plan: the memory plan of the stage under a config.
    """
    if "read_threads" in config.stream.model_fields_set:
        return config
    fewer = config
    for threads in range(config.stream.read_threads, 0, -1):
        fewer = _changed(config, "stream", "read_threads", threads)
        if plan(fewer).fits:
            break
    return fewer


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
        ACTIVATIONS: 2 * config.train.batch * activation_bytes(config, store, blocks),
        **stream_buffers(config, window, buffer_rows(config, store)),
        **evaluation_buffers(config, window, evaluation_rows(store)),
    }


def evaluate_buffers(config: Config, store: Store, baseline: bool = False) -> dict[str, int]:
    """Bytes of what an evaluation holds beside TensorFlow; all views of a batch at once."""
    window = window_shape(store, config)
    batch = config.evaluate.batch * window.float_bytes
    buffers = {
        "views": 2 * batch * len(config.evaluate.views),
        ACTIVATIONS: 2 * config.evaluate.batch * activation_bytes(config, store, blocks=1),
        **evaluation_buffers(config, window, evaluation_rows(store)),
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


def _plan(
    stage: str,
    measured: int | None,
    parent: int,
    config: Config,
    buffers: Callable[[Config], dict[str, int]],
    keys: Sequence[tuple[str, str, str]],
) -> MemoryPlan:
    """The plan of a stage; where it does not fit, with the values of `keys` that would.

    What was measured holds the network's activations already.
    """
    budget = int(config.memory.budget or default_budget())

    def plan(config: Config) -> MemoryPlan:
        held = buffers(config)
        if measured is None:
            return MemoryPlan(stage, RESERVED + parent, "typical of this version", held, budget)
        held.pop(ACTIVATIONS)
        return MemoryPlan(stage, measured + parent, "measured", held, budget)

    found = plan(config)
    if found.fits:
        return found
    remedies = []
    for section, key, scope in keys:
        value, smaller = getattr(getattr(config, section), key), config
        if key == "buffer_chunks":
            value = buffer_chunks(config.stream)
        while value > 1 and not plan(smaller).fits:
            value //= 2
            smaller = _changed(config, section, key, value)
        if plan(smaller).fits:
            remedies.append(f"{section}.{key} = {value}{scope}")
    return replace(found, remedies=tuple(remedies))


def _changed(config: Config, section: str, key: str, value: int) -> Config:
    options = getattr(config, section).model_copy(update={key: value})
    return config.model_copy(update={section: options})
