"""Rows of some folds once, in the order of the store: parts of a `Dataset` that do not train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.rows.ranges import Range, cut_ranges, merge_ranges, share_ranges
from headrace.pipeline.rows.split import fold_ranges

if TYPE_CHECKING:
    from headrace.stores import Store


@dataclass(frozen=True)
class InOrder:
    """The same questions as `rows.order.Order` answers, of rows that nobody shuffles.

    Attributes:
        pieces: row ranges, ascending; each is read as one buffer.
    """

    pieces: tuple[Range, ...]

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Rows before each piece, and all of them."""
        return np.cumsum([0, *(stop - start for start, stop in self.pieces)])

    @property
    def buffers(self) -> int:
        """Number of pieces."""
        return len(self.pieces)

    @cached_property
    def buffer_rows(self) -> int:
        """Most rows of a piece."""
        return max((stop - start for start, stop in self.pieces), default=0)

    def rank_rows(self, epoch: int) -> int:
        """Number of rows; an epoch is like any other."""
        del epoch
        return int(self._starts[-1])

    def steps(self, batch: int, drop_remainder: bool, limit: int | None = None) -> int:
        """Batches of `batch` rows, at most `limit`."""
        rows = self.rank_rows(0)
        steps = rows // batch if drop_remainder else -(-rows // batch)
        return steps if limit is None else min(steps, limit)

    def buffer_ranges(self, epoch: int, buffer: int) -> list[Range]:
        """The rows of a piece."""
        del epoch
        return [self.pieces[buffer]]

    def row_order(self, epoch: int, buffer: int, rows: int) -> NDArray[np.int64]:
        """As they stand: int64 (rows,)."""
        del epoch, buffer
        return np.arange(rows)

    def draw_offset(self, epoch: int, buffer: int) -> float:
        """Nothing is drawn."""
        del epoch, buffer
        return 0.0

    def locate(self, epoch: int, row: int) -> tuple[int, int]:
        """Piece that holds the row number `row`, and the rows of it that precede.

        `row` may be the end: then the piece is one past the last.
        """
        del epoch
        piece = int(np.searchsorted(self._starts[1:], row, side="right"))
        return piece, row - int(self._starts[piece])


def rows_in_order(
    store: Store, folds: Sequence[str], rows: int, rank: int = 0, ranks: int = 1
) -> InOrder:
    """All rows of the folds, or one of `ranks` equal shares, read some `rows` at a time.

    Raises:
        UserError: as `fold_ranges`.
    """
    starts = store.part_starts
    own = share_ranges(merge_ranges(fold_ranges(store, folds), starts), rank, ranks)
    return InOrder(tuple(cut_ranges(own, rows, starts)))
