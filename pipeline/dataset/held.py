"""What iterating a part holds in memory, as named buffers, and reading ahead that fits a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from headrace.pipeline.memory.fit import StagePlan, fitted
from headrace.pipeline.memory.machine import total_memory, usable_budget
from headrace.pipeline.memory.plan import MIB, MemoryPlan
from headrace.pipeline.rows.order import buffer_chunks
from headrace.pipeline.stream.buffers import (
    array_buffers,
    buffer_rows,
    evaluation_rows,
    quantile_sample_bytes,
    store_buffers,
    stream_buffers,
    window_shape,
)
from headrace.stores.errors import BudgetError
from headrace.stores.text import format_bytes

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store

Feed = Literal["tf", "numpy"]
"""How batches are delivered; torch takes those of NumPy."""


def held_buffers(config: Config, store: Store, feed: Feed, shuffled: bool = True) -> dict[str, int]:
    """Bytes that iterating holds at most, by name, TensorFlow and the network apart."""
    window = window_shape(store, config)
    rows = buffer_rows(config, store) if shuffled else evaluation_rows(store)
    buffers = stream_buffers if feed == "tf" else array_buffers
    return {
        "quantile sample": quantile_sample_bytes(config, store),
        "tables of moments": 2 * store.table_bytes,
        **store_buffers(config, store),
        **buffers(config, window, rows),
    }


def fitted_to_budget(config: Config, store: Store, feed: Feed, shuffled: bool) -> Config:
    """`config` reading ahead as much as its budget allows.

    Raises:
        UserError: the least does not fit; says which budget, or which smaller buffer or batch,
            would do.
    """

    def plan_of(config: Config, store: Store) -> MemoryPlan:
        buffers, budget = held_buffers(config, store, feed, shuffled), config.memory.budget
        return MemoryPlan(
            feed, 0, "nothing", buffers, usable_budget(budget), total_memory(), key="budget"
        )

    found, plan = fitted(plan_of, config, store)
    if not plan.fits:
        raise _too_small(plan_of, found, store, plan)
    return found


def _too_small(plan_of: StagePlan, config: Config, store: Store, plan: MemoryPlan) -> BudgetError:
    worst = max(plan.buffers, key=lambda name: plan.buffers[name])
    ways = [f'budget = "{-(-plan.projected // MIB)}MiB"']
    chunks, smaller = buffer_chunks(config.stream, store.manifest.stretch), config
    while chunks > 1 and not plan_of(smaller, store).fits:
        chunks //= 2
        smaller = smaller.changed("stream", buffer_chunks=chunks)
    if plan_of(smaller, store).fits:
        ways.append(f"buffer_chunks = {chunks} (windows are then mixed less)")
    return BudgetError(
        f"Iterating by {plan.stage}() holds {format_bytes(plan.projected)}, above budget = "
        f"{format_bytes(plan.budget)}: the largest buffer is {worst} with "
        f"{format_bytes(plan.buffers[worst])}. Set {', or '.join(ways)}."
    )
