"""The worst of what was streamed, few of them, and what is said of scores over groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Worst:
    """Rows with the largest value of one column; which are kept does not depend on batches."""

    def __init__(self, count: int, by: str, columns: Sequence[tuple[Any, ...]]) -> None:
        """Keep `count` rows of these columns and of `source_index`."""
        self._count, self._by = count, by
        self.rows = np.zeros(0, [*columns, ("source_index", np.int64)])
        """Those kept, the worst first."""

    def keep(self, these: NDArray[np.bool_], **columns: NDArray[Any]) -> None:
        """Look at the rows `these`, a mask (n,), of columns (n,)."""
        found = np.empty(int(these.sum()), self.rows.dtype)
        for name, values in columns.items():
            found[name] = values[these]
        both = np.concatenate([self.rows, found])
        # Ties by source index, and then by the other columns: not by the order of batches.
        names = self.rows.dtype.names or ()
        others = [both[name] for name in names if name != self._by and both[name].ndim == 1]
        order = np.lexsort((*others, -both[self._by]))
        self.rows = both[order[: self._count]]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, deviation (ddof 1), least and most of the scores of groups; 0 without any."""
    array = np.asarray(values, np.float64)
    if not array.size:
        return dict.fromkeys(("mean", "sd", "least", "most"), 0.0)
    return {
        "mean": float(array.mean()),
        "sd": float(array.std(ddof=1)) if array.size > 1 else 0.0,
        "least": float(array.min()),
        "most": float(array.max()),
    }
