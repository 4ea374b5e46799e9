"""What a stage that runs a network plans to hold, how far it reads ahead, and what makes room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headrace.pipeline.memory.machine import total_memory, usable_budget
from headrace.pipeline.memory.measured import known_reserved, network_shape
from headrace.pipeline.memory.plan import MIB, TYPICAL, MemoryPlan
from headrace.pipeline.rows.order import buffer_chunks
from headrace.pipeline.stream.buffers import LEAST_PREFETCHED

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store

RESERVED = 540 * MIB
"""Anonymous memory of Python, TensorFlow, Numba and the default network after its first steps."""
CALLBACKS_LATER = "train.callbacks: measured as they begin, not in this sum."
UNNAMED_SHARE = 0.9
"""Of a budget that is not named, what reading ahead may fill: available memory moves meanwhile."""
ACTIVATIONS = "activations"
WEIGHTS = "weights and optimizer"
"""Buffers that a measured figure of the network holds already."""

StagePlan = Callable[["Config", "Store"], MemoryPlan]
"""The memory plan of a stage under a configuration."""


@dataclass(frozen=True)
class Knob:
    """A key of `stream` that follows from the budget: `least`, and by `step` up to `wanted`."""

    name: str
    least: int
    wanted: int
    step: int = 1


@dataclass(frozen=True)
class Key:
    """An option that makes room when it is smaller, and where a smaller value holds."""

    section: str
    name: str
    scope: str = ""
    least: int = 1

    def value(self, config: Config) -> int:
        """What it is now."""
        if self.name == "buffer_chunks":
            return buffer_chunks(config.stream)
        return int(getattr(getattr(config, self.section), self.name))


READ_THREADS = Key("stream", "read_threads")
PREFETCH = Key("stream", "prefetch_batches", least=LEAST_PREFETCHED)
BUFFER_CHUNKS = Key("stream", "buffer_chunks", " for a new run")
EVALUATE_BATCH = Key("evaluate", "batch")
TRAIN_BATCH = Key("train", "batch", " for a new run")
BASELINE = Key("evaluate", "baseline_windows")


def fitted(plan: StagePlan, config: Config, store: Store) -> tuple[Config, MemoryPlan]:
    """`config` reading ahead and caching as much as the budget allows, and the plan of it.

    Only where it does not say. Buffers read ahead (`stream.read_threads`) come first, then the
    batches that wait (`stream.prefetch_batches`); indexes of shards (`stream.index_cache`) get
    what is left.

    Args:
        plan: of the stage.
        config: resolved.
        store: what it will read.
    """
    given = config.stream.model_fields_set
    free = [knob for knob in _knobs(config, store) if knob.name not in given]
    for knob in free:
        config = config.changed("stream", **{knob.name: knob.least})
    for knob in free:
        # Bytes are linear in each: one more of it tells what all of them take.
        found = plan(config, store)
        more = plan(config.changed("stream", **{knob.name: knob.least + knob.step}), store)
        each = max(1, more.projected - found.projected)
        room = found.budget if config.memory.budget else int(found.budget * UNNAMED_SHARE)
        value = knob.least + max(0, room - found.projected) // each * knob.step
        config = config.changed("stream", **{knob.name: min(knob.wanted, value)})
    return config, plan(config, store)


def _knobs(config: Config, store: Store) -> tuple[Knob, ...]:
    """In the order in which they get room."""
    stream, index = config.stream, store.shard_index_bytes
    return (
        Knob("read_threads", 1, stream.read_threads),
        Knob("prefetch_batches", LEAST_PREFETCHED, stream.prefetch_batches),
        Knob("index_cache", index, store.index_bytes, step=index),
    )


def network_plan(
    stage: str, buffers: Mapping[str, int], config: Config, store: Store
) -> MemoryPlan:
    """The plan of a stage that holds `buffers` beside TensorFlow.

    Of callbacks of a training it says that they come on top.
    """
    measured = known_reserved(config, network_shape(store)).get(stage)
    budget, limit = usable_budget(config.memory.budget), total_memory()
    later = CALLBACKS_LATER if stage == "train" and config.train.callbacks else ""
    if measured is None:
        return MemoryPlan(stage, RESERVED, TYPICAL, buffers, budget, limit, later=later)
    rest = {name: size for name, size in buffers.items() if name not in (ACTIVATIONS, WEIGHTS)}
    return MemoryPlan(stage, measured, "measured", rest, budget, limit, later=later)


def with_remedies(plan: StagePlan, config: Config, store: Store, keys: Sequence[Key]) -> MemoryPlan:
    """The plan; where it does not fit, with values of `keys` that would: one alone, or together.

    Of a network of the user's own nothing is known with another batch until it is measured with
    it: no figure is given then.
    """
    found = plan(config, store)
    if found.fits:
        return found
    measured_again: tuple[str, ...] = ()
    if config.model.build is not None:
        batches = [key for key in keys if key.name == "batch" and key.value(config) > key.least]
        measured_again = tuple(
            f"a {key.section}.{key.name} below {key.value(config)}{key.scope}, which is measured "
            "again"
            for key in batches
        )
        keys = [key for key in keys if key.name != "batch"]
    least = config
    for key in keys:
        least = least.changed(key.section, **{key.name: key.least})
    remedies = [each for key in keys if (each := _shrunk(plan, config, store, [key]))]
    if not remedies:
        remedies = [each] if (each := _shrunk(plan, config, store, keys)) else []
    # What was measured may be less than is typical with another batch.
    floor = 0 if measured_again else min(found.projected, plan(least, store).projected)
    return replace(found, remedies=(*remedies, *measured_again), floor=floor)


def _shrunk(plan: StagePlan, config: Config, store: Store, keys: Sequence[Key]) -> str | None:
    """Values of `keys`, one after another halved until the plan fits; None if it never does."""
    values, smaller = {}, config
    for key in keys:
        value = key.value(config)
        while value > key.least and not plan(smaller, store).fits:
            value = max(key.least, value // 2)
            smaller = smaller.changed(key.section, **{key.name: value})
        values[key] = value
    if not plan(smaller, store).fits:
        return None
    changed = [key for key in keys if values[key] < key.value(config)]
    return " and ".join(f"{key.section}.{key.name} = {values[key]}{key.scope}" for key in changed)
