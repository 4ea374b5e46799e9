"""What training and evaluation will hold in memory: named buffers in bytes, and their plans."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headrace.model.normaliser import SAMPLE_ROWS
from headrace.pipeline.config.marks import resource_keys
from headrace.pipeline.config.sections import StreamOptions
from headrace.pipeline.memory.machine import total_memory, usable_budget
from headrace.pipeline.memory.measured import known_reserved
from headrace.pipeline.memory.plan import MIB, MemoryPlan
from headrace.pipeline.rows.order import buffer_chunks
from headrace.pipeline.stream.buffers import (
    LEAST_PREFETCHED,
    buffer_rows,
    evaluation_buffers,
    evaluation_rows,
    stream_buffers,
    window_shape,
)

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store

RESERVED = 540 * MIB
"""Anonymous memory of Python, TensorFlow, Numba and the default network after its first steps."""
UNNAMED_SHARE = 0.9
"""Of a budget that is not named, what reading ahead may fill: available memory moves meanwhile."""
RESERVED_PARENT = 150 * MIB
"""Of the process that starts the folds of a cross-validation; it holds no TensorFlow."""
ACTIVATIONS = "activations"
WEIGHTS = "weights and optimizer"
TREE_BYTES = 4096
"""Of the baseline's forest and its fitting, per training row: 300 trees of 2 nodes a leaf."""
RAW_MEASURES = 6
"""Columns a channel that the baseline gets of windows without features."""
DEVICE_BYTES = 800 << 20
"""Of TensorFlow's graphs for each device of a training but the first, whatever the network's width:
731 MiB measured with two parts of a CPU, 571 each with four, the default network."""


@dataclass(frozen=True)
class _Key:
    """An option that makes room when it is smaller, and where a smaller value holds."""

    section: str
    name: str
    scope: str = ""
    least: int = 1

    def value(self, config: Config) -> int:
        if self.name == "buffer_chunks":
            return buffer_chunks(config.stream)
        return int(getattr(getattr(config, self.section), self.name))


_READ_THREADS = _Key("stream", "read_threads")
_PREFETCH = _Key("stream", "prefetch_batches", least=LEAST_PREFETCHED)
_BUFFER_CHUNKS = _Key("stream", "buffer_chunks", " for a new run")
_EVALUATE_BATCH = _Key("evaluate", "batch")
_TRAIN_BATCH = _Key("train", "batch", " for a new run")
_BASELINE = _Key("evaluate", "baseline_windows")


def plan_train(config: Config, store: Store) -> MemoryPlan:
    """The memory plan of a training."""
    keys = (_PREFETCH, _READ_THREADS, _BUFFER_CHUNKS, _EVALUATE_BATCH, _TRAIN_BATCH)
    return _with_remedies(config, lambda c: _train(c, store), keys)


def plan_evaluate(config: Config, store: Store, baseline: bool) -> MemoryPlan:
    """The memory plan of an evaluation."""
    keys = (_READ_THREADS, _EVALUATE_BATCH, *([_BASELINE] if baseline else []))
    return _with_remedies(config, lambda c: _evaluate(c, store, baseline), keys)


def plan_crossval(config: Config, store: Store, baseline: bool) -> MemoryPlan:
    """The memory plan of a cross-validation: its parent, and the larger stage of a fold."""

    def plan(config: Config) -> MemoryPlan:
        stages = (_train(config, store), _evaluate(config, store, baseline))
        largest = max(stages, key=lambda stage: stage.projected)
        return replace(largest, stage="crossval", reserved=largest.reserved + RESERVED_PARENT)

    keys = (_PREFETCH, _READ_THREADS, _BUFFER_CHUNKS, _EVALUATE_BATCH, _TRAIN_BATCH)
    return _with_remedies(config, plan, keys)


def fit_read_ahead(config: Config, store: Store, plan: Callable[[Config], MemoryPlan]) -> Config:
    """`config` reading ahead and caching as much as the budget allows, where it does not say.

    Buffers read ahead (`stream.read_threads`) come first, then the batches that wait
    (`stream.prefetch_batches`); indexes of shards (`stream.index_cache`) get what is left.

    Args:
        config: resolved.
        store: what it will read.
        plan: the memory plan of the stage under a config.
    """
    least = {
        "read_threads": 1,
        "prefetch_batches": LEAST_PREFETCHED,
        "index_cache": store.shard_index_bytes,
    }
    wanted = {
        "read_threads": config.stream.read_threads,
        "prefetch_batches": config.stream.prefetch_batches,
        "index_cache": store.index_bytes,
    }
    step = {"read_threads": 1, "prefetch_batches": 1, "index_cache": store.shard_index_bytes}
    given = config.stream.model_fields_set
    free = [name for name in resource_keys(StreamOptions) if name not in given]
    fitted = config
    for name in free:
        fitted = fitted.changed("stream", **{name: least[name]})
    for name in free:
        # Bytes are linear in each: one more of it tells what all of them take.
        found, more = plan(fitted), fitted.changed("stream", **{name: least[name] + step[name]})
        each = max(1, plan(more).projected - found.projected)
        room = found.budget if config.memory.budget else int(found.budget * UNNAMED_SHARE)
        value = least[name] + max(0, room - found.projected) // each * step[name]
        fitted = fitted.changed("stream", **{name: min(wanted[name], value)})
    return fitted


def train_buffers(config: Config, store: Store) -> dict[str, int]:
    """Bytes of what a training holds beside TensorFlow.

    The quantile sample is 10,000 rows, or all of a small store, as float32 and, to take quantiles
    of, twice as float64: 283 features make 54 MiB. It is gone before the first batch, but the
    allocator may keep its place. Of weights there are the network's own, their gradients, two
    moments, the average and the best so far; a state is a copy of four of these and its archive.
    """
    window = window_shape(store, config)
    blocks = len(config.model.dilations)
    sample = 0
    if config.model.feature_scaling == "quantile":
        sample = min(SAMPLE_ROWS, store.windows) * window.features * (4 + 8 + 8)
    weights = 4 * parameters(config, store)
    return {
        "quantile sample": sample,
        WEIGHTS: 7 * weights,
        "graphs of more devices": DEVICE_BYTES * (config.train.devices - 1),
        "state being written": 10 * weights,
        "tables of moments": 2 * store.manifest.table_bytes,
        "indexes of shards": _index_bytes(config, store),
        **store.request_buffers,
        ACTIVATIONS: 2 * config.train.batch * activation_bytes(config, store, blocks),
        **stream_buffers(config, window, buffer_rows(config, store)),
        **evaluation_buffers(config, window, evaluation_rows(store)),
    }


def evaluate_buffers(config: Config, store: Store, baseline: bool = False) -> dict[str, int]:
    """Bytes of what an evaluation holds beside TensorFlow; all views of a batch at once."""
    window = window_shape(store, config)
    batch = config.evaluate.batch * window.float_bytes
    buffers = {
        WEIGHTS: 3 * 4 * parameters(config, store),
        "indexes of shards": _index_bytes(config, store),
        **store.request_buffers,
        "views": 2 * batch * len(config.evaluate.views),
        ACTIVATIONS: 2 * config.evaluate.batch * activation_bytes(config, store, blocks=1),
        **evaluation_buffers(config, window, evaluation_rows(store)),
    }
    if baseline:
        columns = len(store.feature_names) or RAW_MEASURES * len(store.spec.channels)
        read = 0 if store.feature_names else 2 * store.spec.float_bytes
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
        steps = -(-store.spec.time // options.stem_stride)
        floats += 2 * store.spec.values
        floats += steps * options.filters * (3 + 8 * blocks)
    if options.inputs != "raw":
        floats += 2 * len(store.feature_names) + 4 * sum(options.feature_units)
    return 4 * floats


def parameters(config: Config, store: Store) -> int:
    """Weights of the network: of the kernels of its layers, which all but a percent belong to."""
    options, outputs, joined = config.model, len(store.classes), 0
    count = 0
    if options.inputs != "features":
        width = options.filters
        count += options.stem_kernel * len(store.spec.channels) * width
        count += len(options.dilations) * 2 * (options.kernel * width + width * width)
        joined += 2 * width
    if options.inputs != "raw":
        widths = (len(store.feature_names), *options.feature_units)
        count += sum(one * two for one, two in itertools.pairwise(widths))
        joined += widths[-1]
    return count + joined * (options.fusion_units + outputs) + options.fusion_units * outputs


def _index_bytes(config: Config, store: Store) -> int:
    """Of shards' indexes that are kept: one shard's at least."""
    if config.stream.index_cache is None:
        return store.index_bytes
    return max(store.shard_index_bytes, min(store.index_bytes, config.stream.index_cache))


def _train(config: Config, store: Store) -> MemoryPlan:
    measured = known_reserved(config, store).get("train")
    return _plan("train", measured, train_buffers(config, store), config)


def _evaluate(config: Config, store: Store, baseline: bool) -> MemoryPlan:
    measured = known_reserved(config, store).get("evaluate")
    return _plan("evaluate", measured, evaluate_buffers(config, store, baseline), config)


def _plan(stage: str, measured: int | None, held: dict[str, int], config: Config) -> MemoryPlan:
    """The plan of a stage; what was measured holds the network and its activations already."""
    budget, limit = usable_budget(config.memory.budget), total_memory()
    if measured is None:
        return MemoryPlan(stage, RESERVED, "typical of this version", held, budget, limit)
    rest = {name: size for name, size in held.items() if name not in (ACTIVATIONS, WEIGHTS)}
    return MemoryPlan(stage, measured, "measured", rest, budget, limit)


def _with_remedies(
    config: Config, plan: Callable[[Config], MemoryPlan], keys: Sequence[_Key]
) -> MemoryPlan:
    """The plan; where it does not fit, with values of `keys` that would: one alone, or together."""
    found = plan(config)
    if found.fits:
        return found
    least = config
    for key in keys:
        least = least.changed(key.section, **{key.name: key.least})
    remedies = [shrunk for key in keys if (shrunk := _shrink(config, [key], plan))]
    if not remedies:
        remedies = [shrunk] if (shrunk := _shrink(config, keys, plan)) else []
    return replace(found, remedies=tuple(remedies), floor=plan(least).projected)


def _shrink(
    config: Config, keys: Sequence[_Key], plan: Callable[[Config], MemoryPlan]
) -> str | None:
    """Values of `keys`, one after another halved until the plan fits; None if it never does."""
    values, smaller = {}, config
    for key in keys:
        value = key.value(config)
        while value > key.least and not plan(smaller).fits:
            value = max(key.least, value // 2)
            smaller = smaller.changed(key.section, **{key.name: value})
        values[key] = value
    if not plan(smaller).fits:
        return None
    changed = [key for key in keys if values[key] < key.value(config)]
    return " and ".join(f"{key.section}.{key.name} = {values[key]}{key.scope}" for key in changed)
