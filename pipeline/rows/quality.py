"""How well a stream's order mixes labels and groups, against independent draws of rows.

A batch of n rows drawn one by one from all training rows has some entropy of its labels and of its
groups; a batch of a stream has less where a buffer holds few of them. Their ratio is the quality:
1 is a true shuffle, and 0 is a stream sorted by group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.rows.order import Order
from headrace.stores.layout.folds import Fold

POOR = 0.97
"""Ratio below which a plan warns: a batch then misses a group or more of twenty."""
_ROWS = 1 << 18
"""About so many rows are imagined for an expectation: 4 MiB."""


def expected_group_entropy(
    order: Order, folds: Sequence[Fold], batch: int, stretch: int = 0
) -> float:
    """Quality of the groups of a batch, from the arrangement alone: no row is read.

    Rows are shuffled within a fold of a part, so a chunk holds its groups in proportion; they are
    taken to be equally large.

    Args:
        order: of the training.
        folds: all folds of every part of the store: `Store.part_folds`.
        batch: rows of a batch.
        stretch: windows that stand one after another, as blocks are shuffled whole: they are of
            one group. 0: rows are shuffled one by one.
    """
    rng = np.random.default_rng(0)
    groups = [np.array(fold.groups) for fold in folds]

    def imagined(ranges: Sequence[tuple[int, int]], most: int, whole: int = 1) -> NDArray[np.int32]:
        rows = _fold_rows(ranges, folds)
        rows = np.ceil(rows * min(1, most / rows.sum())).astype(np.int64)
        codes = [
            rng.choice(own, -(-size // whole)).repeat(whole)[:size]
            for own, size in zip(groups, rows, strict=True)
            if size
        ]
        return rng.permutation(np.concatenate(codes)).astype(np.int32)

    buffers = range(min(order.buffers, max(1, _ROWS // order.buffer_rows)))
    whole = max(1, stretch)
    parts = [imagined(order.buffer_ranges(0, b), order.buffer_rows, whole) for b in buffers]
    ideal = batch_entropy(imagined(order.ranges, _ROWS), batch)
    return batch_entropy(np.concatenate(parts), batch) / ideal if ideal > 0 else 1.0


def first_rows(order: Order) -> NDArray[np.int64]:
    """Rows of the store as the first epoch delivers them: of some buffers, or of a part of one."""
    rng, found = np.random.default_rng(0), []
    for buffer in range(min(order.buffers, max(1, _ROWS // order.buffer_rows))):
        starts, stops = np.array(order.buffer_ranges(0, buffer)).T
        ends, rows = np.cumsum(stops - starts), int((stops - starts).sum())
        # Of a buffer that is larger any draws are as good as the first of its rows.
        at = order.row_order(0, buffer, rows) if rows <= _ROWS else rng.integers(rows, size=_ROWS)
        found.append(at + (stops - ends)[np.searchsorted(ends, at, side="right")])
    return np.concatenate(found)


def batch_entropy(code: NDArray[np.integer], batch: int) -> float:
    """Mean entropy of consecutive whole batches; of all rows when they fill none."""
    batch = min(batch, len(code))
    batches = code[: len(code) // batch * batch].reshape(-1, batch)
    begins = np.diff(np.sort(batches, axis=1), axis=1, prepend=-1) != 0
    counts = np.diff(np.flatnonzero(begins), append=batches.size)
    return float(np.log(batch) - (counts * np.log(counts)).sum() / batches.size)


def _fold_rows(ranges: Sequence[tuple[int, int]], folds: Sequence[Fold]) -> NDArray[np.float64]:
    """(F,) rows of the ranges in each fold."""
    starts, stops = np.array(sorted(ranges), dtype=np.int64).T
    before = np.cumsum([0, *(stops - starts)])

    def below(row: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the ranges that are smaller than each."""
        last = np.searchsorted(stops, row, side="right")
        part = np.where(last < len(starts), row - starts[np.minimum(last, len(starts) - 1)], 0)
        return np.asarray(before[last] + part.clip(0))

    edges = np.array([(fold.start, fold.stop) for fold in folds], dtype=np.int64)
    return (below(edges[:, 1]) - below(edges[:, 0])).astype(np.float64)
