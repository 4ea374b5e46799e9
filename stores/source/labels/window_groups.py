"""Groups of a source that is split by window: stretches of candidates, dealt out in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.names import Codes, slices

WINDOWS_TOGETHER = 16
"""Consecutive candidates that stay together."""
MOST_GROUPS = 100
"""Groups of each official part at most."""


class WindowGroups:
    """Groups of stretches of candidates, each group within one official part.

    Attributes:
        names: of the groups that have candidates.
    """

    def __init__(
        self, windows: int, parts: Sequence[str], read_parts: Callable[[int, int], Codes]
    ) -> None:
        """Deal out `windows` candidates of the official `parts`, () without them.

        `read_parts(start, stop)` gives the numbers of the candidates' parts, -1 for none.
        """
        self._dealt = min(MOST_GROUPS, -(-windows // WINDOWS_TOGETHER))
        used = np.zeros(max(1, len(parts)) * self._dealt, dtype=bool)
        for start, stop in slices(windows):
            used[self._places(start, read_parts(start, stop))] = True
        self._number: Codes = (np.cumsum(used) - 1).astype(np.int32)
        self.names = tuple(
            f"{parts[place // self._dealt]} windows {place % self._dealt}"
            if parts
            else f"windows {place}"
            for place in np.flatnonzero(used).tolist()
        )

    def numbers(self, start: int, part: Codes) -> Codes:
        """(n,) int32 numbers of the groups of the candidates from `start` on, of parts (n,)."""
        return self._number[self._places(start, part)]

    def _places(self, start: int, part: Codes) -> NDArray[np.int64]:
        stretch = np.arange(start, start + len(part), dtype=np.int64) // WINDOWS_TOGETHER
        return np.maximum(part, 0) * self._dealt + stretch % self._dealt
