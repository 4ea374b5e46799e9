"""Reads rows of the signals as they are delivered: as stored, or in units at another rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import SLICE_BYTES
from headrace.stores.source.channels import ChannelInfo
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.rows.rated_rows import RatedRows, several_of
from headrace.stores.source.rows.resampling import Ratio
from headrace.stores.source.rows.tracks import FLOAT64_BYTES, Track, check_channels, make_track


class RecordingRows:
    """Contiguous slices of one array `signals` (S, C); holds nothing between two reads."""

    def __init__(self, data: SourceArray, track: Track, ratio: Ratio | None) -> None:
        """Set what is done to rows as they are read.

        Args:
            data: (S, C).
            track: its channels, and the steps to what is delivered.
            ratio: change of rate; None delivers rows at their own.
        """
        self._data, self._track, self._ratio = data, track, ratio
        self.by_recording, self.in_units = track.by_recording, track.in_units
        self.row_bytes = track.row_bytes
        # Rows as delivered that make about 4 MiB of what is held: the source rows in float64.
        row, least = self.row_bytes, 1
        if track.in_units:
            row = track.channels * FLOAT64_BYTES
        if ratio is not None:
            row *= max(1, -(-ratio.down // ratio.up))
        if track.filters is not None:
            # Whole blocks are filtered, whatever is read of them.
            least = ratio.length(track.filters.block) if ratio else track.filters.block
        self.slice_rows = max(least, SLICE_BYTES // row)

    @property
    def nbytes(self) -> int:
        """Bytes of the recordings' means."""
        return self._track.nbytes

    def require_length(self, rows: NDArray[np.int64], where: str) -> None:
        """Check that recordings of so many rows are as long as the filters.

        Raises:
            UserError: some are not.
        """
        self._track.require_length(rows, where)

    def buffer_bytes(self, window: int, longest: int) -> int:
        """Most bytes held while a slice is read.

        Args:
            window: rows of a window as delivered.
            longest: rows of the longest recording.
        """
        return self._track.held_bytes(self._ratio, max(self.slice_rows, window), longest)

    def source_span(self, origin: int, rows: int, low: int, high: int) -> tuple[int, int]:
        """Rows of the signals `(start, stop)` that delivered rows `low` to `high` come from.

        Args:
            origin: row of the signals that delivered row 0 stands at.
            rows: source rows of the recording from there.
            low: first delivered row.
            high: delivered row to stop before.
        """
        start, stop = self._track.span(self._ratio, rows, low, high)
        return origin + start, origin + stop

    def read(
        self, recording: int, origin: int, rows: int, low: int, high: int, marks: bool
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Delivered rows `low` to `high` of a recording; other arguments as in `source_span`.

        Returns:
            (high - low, C) in the delivered type, and (high - low,) bool, True where NaN or
            infinity went into the row; None where that cannot be or is not asked for.
        """

        def stored(start: int, stop: int) -> NDArray[Any]:
            values = np.empty((stop - start, self._track.channels), dtype=self._track.dtype)
            self._data.read_into(values, origin + start)
            return values

        return self._track.read(stored, recording, rows, self._ratio, low, high, marks)


def make_rows(
    data: SourceArray,
    info: ChannelInfo,
    options: SourceOptions,
    recordings: int,
    ratio: Ratio | None,
    target_hz: float,
) -> RecordingRows | RatedRows:
    """What reads `data` (S, C) as it is delivered.

    Args:
        data, info: the signals, and what is said of their channels.
        options: for the steps.
        recordings: how many there are.
        ratio: change of rate of the fastest; None: it keeps its own.
        target_hz: the rate that is delivered.

    Raises:
        UserError: see `make_track`.
    """
    check_channels(options, info.channels)
    if several_of(data) is not None:
        return RatedRows(data, info, options, recordings, target_hz)
    track = make_track(data, info, options, recordings, ratio is not None)
    return RecordingRows(data, track, ratio)
