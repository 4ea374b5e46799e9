"""Drawing the rows of a buffer for balance: rare classes or groups repeat, common ones thin out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_COPIES = 32
"""Of one row in a buffer that is drawn for balance, about: a rarer class stays rarer."""


@dataclass(frozen=True, eq=False)
class Sampling:
    """Draws rows of a buffer in proportion to weights, for balanced classes or groups.

    Attributes:
        column: "label" or "group".
        weight: (K,) float64, weight of a row of each class or group; above 0 where there are rows.
    """

    column: str
    weight: NDArray[np.float64]

    def draw(
        self, code: NDArray[np.int32], offset: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw as many rows as there are, by systematic sampling (Madow and Madow 1944).

        A row comes floor(e) or ceil(e) times, e being its expected number; MOST_COPIES bounds the
        weight of one row against the mean, lest a buffer be filled with one window.

        Args:
            code: (n,) the column's values.
            offset: in [0, 1), what is random about the draw.

        Returns:
            (n,) rows drawn, ascending, and which copy of its row each is, from 0.
        """
        if not len(code):
            return np.arange(0), np.arange(0)
        weight = self.weight[code]
        expected = np.cumsum(np.minimum(weight, MOST_COPIES * weight.mean()))
        edges = np.floor(expected * (len(code) / expected[-1]) + offset).astype(np.int64)
        edges[-1] = len(code)
        copies = np.diff(edges, prepend=0)
        rows = np.repeat(np.arange(len(code)), copies)
        first = np.cumsum(copies) - copies
        return rows, np.arange(len(rows)) - first[rows]
