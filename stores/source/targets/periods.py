"""Values of every so many seconds, as one a row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.derived.shaped import Shaped
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.labels.periods import Periods


class PeriodRows(Shaped):
    """Rows (S, K) of which stretches have the values of one period; see `SourceArray`."""

    def __init__(
        self,
        array: SourceArray,
        values: NDArray[np.float64],
        periods: Periods,
        rows: int,
        between: float,
    ) -> None:
        """Values that are held.

        Args:
            array: that they are of.
            values: (n, K) of the periods.
            periods: first row, row to stop before, and number among the values, of each stretch.
            rows: of the signals.
            between: stands in rows of no period.
        """
        super().__init__(array, (rows, values.shape[1]))
        self.dtype, self.piece_rows = np.dtype(np.float64), None
        self._values, self._between = values, between
        self._first, self._stop, self._number = periods
        self.cache_bytes = values.nbytes + 3 * self._first.nbytes

    def ready(self) -> PeriodRows:
        """Itself."""
        return self

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        row = np.arange(start, stop)
        at = np.maximum(np.searchsorted(self._first, row, side="right") - 1, 0)
        inside = (row >= self._first[at]) & (row < self._stop[at])
        return np.where(inside[:, None], self._values[self._number[at]], self._between)
