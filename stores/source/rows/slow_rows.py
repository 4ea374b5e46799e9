"""Rows of a slow signal at a faster rate: on a line between two of its own, or the earlier one."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SlowRows:
    """A change of rate for slow signals; see `Ratio`.

    Row `j` of the result stands at row `first + j * step` of the slow signal, a fraction: no value
    depends on which others are read.

    Attributes:
        step: slow rows to a row of the result.
        first: where row 0 of the result stands.
        hold: the earlier row stands until the next; else values lie on a line between the two.
    """

    step: Fraction
    first: Fraction
    hold: bool

    def support(self, first: int, stop: int) -> tuple[int, int]:
        """Slow rows `(first, stop)` that result rows `first` to `stop` are computed from."""
        row, part = self._place(np.array([first, stop - 1]))
        return int(row[0]), int(row[1]) + 1 + (not self.hold and bool(part[1]))

    def resample(
        self, rows: NDArray[np.float64], support_first: int, first: int, stop: int
    ) -> NDArray[np.float32]:
        """Result rows `first` to `stop`, (stop - first, C) float32; arguments as in `Ratio`."""
        row, part = self._place(np.arange(first, stop))
        with np.errstate(over="ignore", invalid="ignore"):
            values = rows[row - support_first]
            if not self.hold and part.any():
                between = np.flatnonzero(part)
                after = rows[row[between] + 1 - support_first]
                values[between] += (after - values[between]) * part[between, None]
            return values.astype(np.float32)

    def reached(
        self, marked: NDArray[np.bool_], support_first: int, first: int, stop: int
    ) -> NDArray[np.bool_]:
        """Which result rows a marked slow row reaches, (stop - first,) bool."""
        row, part = self._place(np.arange(first, stop))
        reached = marked[row - support_first]
        if not self.hold:
            between = np.flatnonzero(part)
            reached[between] |= marked[row[between] + 1 - support_first]
        return reached

    def _place(self, number: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Slow row at or before each result row, and how far it is to the next, 0 to 1."""
        # Whole rows and their parts are counted apart: the product of a late row and a long step
        # would overflow, while the denominators of rates are a million at most.
        below = self.step.denominator
        many, left = np.divmod(number, below)
        whole, part = divmod(self.step.numerator, below)
        steps, rest = np.divmod(left * part, below)
        row = many * self.step.numerator + left * whole + steps
        start, begun = divmod(self.first.numerator, self.first.denominator)
        over = self.first.denominator * below
        more, at = np.divmod(rest * self.first.denominator + begun * below, over)
        return row + start + more, at / over
