"""Which rows of the signals the windows of recordings are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.recording_table import RecordingTable
from headrace.stores.source.rows.resampling import Ratio
from headrace.stores.source.targets.interface import Integers, Places


@dataclass(frozen=True)
class WindowRows:
    """Windows, and the rows that they are cut of.

    Attributes:
        places: where windows are, at their own rate.
        table: pieces of recordings.
        ratio: of the windows' rate to the rows'.
        time: T, samples of a window.
        rate_hz: of the windows.
    """

    places: Places
    table: RecordingTable
    ratio: Ratio
    time: int
    rate_hz: float

    @property
    def lengths(self) -> Integers:
        """(P,) rows of each piece, at the windows' rate."""
        return self.ratio.lengths(self.table.length)

    def places_within(self, start: int, stop: int) -> tuple[NDArray[np.int32], Integers]:
        """Piece, and first row in it at the windows' rate, of candidates, (n,) each."""
        return self.places.places_within(start, stop)

    def source_rows(self, start: int, stop: int, at: str) -> tuple[Integers, Integers]:
        """First of the signals' rows, and the one after the last, of candidates, (n,) each.

        Args:
            start, stop: candidates.
            at: "last", "centre" or "mean": of the last row, of the middle one, or of all.
        """
        piece, row = self.places_within(start, stop)
        first, last = {
            "last": (self.time - 1, self.time - 1),
            "centre": (self.time // 2, self.time // 2),
            "mean": (0, self.time - 1),
        }[at]
        begin, length = self.table.start[piece], self.table.length[piece]
        low, high = (self.ratio.nearest(row + each, length) for each in (first, last))
        return begin + low, begin + high + 1
