"""Reads rows of signals of several rates as they are delivered: at one, in units."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError
from headrace.stores.source.arrays import SLICE_BYTES
from headrace.stores.source.channels import ChannelInfo
from headrace.stores.source.derived.joined import JoinedArray
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.rows.rates import ratio_of
from headrace.stores.source.rows.resampling import Ratio, resampling_ratio
from headrace.stores.source.rows.several_rates import SeveralRates
from headrace.stores.source.rows.slow_rows import SlowRows
from headrace.stores.source.rows.tracks import FLOAT64_BYTES, Change, Track, make_track


class RatedRows:
    """Rows of recordings whose channels are of several rates; as `RecordingRows`.

    Slower signals are interpolated or held; faster ones, and the fastest, go through the polyphase
    filter. Each is filtered at its own rate.
    """

    by_recording = in_units = True

    def __init__(
        self,
        data: SourceArray,
        info: ChannelInfo,
        options: SourceOptions,
        recordings: int,
        target_hz: float,
    ) -> None:
        """Set what is done to rows as they are read.

        Args:
            data: signals of several rates, or many of them one after another.
            info: of all channels.
            options: for the steps, and for what is between two rows of a slow signal.
            recordings: how many there are.
            target_hz: the rate that is delivered.

        Raises:
            UserError: see `make_track` and `resampling_ratio`.
        """
        first = several_of(data)
        assert first is not None
        self._data, self._rates, self._target = data, first.rates, target_hz
        self._types = [array.dtype for array in first.arrays]
        self._hold, self._places = options.slow == "hold", first.places
        self._tracks = [
            make_track(array, _of_channels(info, own, rate), options, recordings, in_units=True)
            for array, own, rate in zip(first.arrays, first.places, first.rates, strict=True)
        ]
        self._slow = [rate < target_hz and rate < first.rate_hz for rate in first.rates]
        self._ratios = [
            None if slow else _ratio(rate, target_hz)
            for slow, rate in zip(self._slow, first.rates, strict=True)
        ]
        self._fastest = first.rates.index(first.rate_hz)
        self.row_bytes = len(info.channels) * FLOAT64_BYTES
        least = [1]
        for track, rate in zip(self._tracks, first.rates, strict=True):
            if track.filters is not None:
                least.append(int(track.filters.block * target_hz / rate) + 1)
        down = max(1, ceil(first.rate_hz / target_hz))
        self.slice_rows = max(*least, SLICE_BYTES // (self.row_bytes * down))

    @property
    def nbytes(self) -> int:
        """Bytes of the recordings' means."""
        return sum(track.nbytes for track in self._tracks)

    def require_length(self, rows: NDArray[np.int64], where: str) -> None:
        """Check that recordings of so many rows of the fastest are as long as the filters.

        Raises:
            UserError: some are not.
        """
        for track, rate in zip(self._tracks, self._rates, strict=True):
            own = (rows * (rate / self._rates[self._fastest])).astype(np.int64)
            track.require_length(own, where)

    def buffer_bytes(self, window: int, longest: int) -> int:
        """As `RecordingRows.buffer_bytes`."""
        rows = max(self.slice_rows, window)
        held = [
            track.held_bytes(self._change(number, Fraction(0)), rows, longest)
            for number, track in enumerate(self._tracks)
        ]
        return max(held) + rows * self.row_bytes

    def source_span(self, origin: int, rows: int, low: int, high: int) -> tuple[int, int]:
        """As `RecordingRows.source_span`, of the fastest."""
        change, track = self._change(self._fastest, Fraction(0)), self._tracks[self._fastest]
        start, stop = track.span(change, rows, low, high)
        return origin + start, origin + stop

    def read(
        self, recording: int, origin: int, rows: int, low: int, high: int, marks: bool
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """As `RecordingRows.read`; rows count in the fastest."""
        several, begin = self._located(origin)
        delivered = np.empty((high - low, self.row_bytes // FLOAT64_BYTES), np.float32)
        marked = np.zeros(high - low, dtype=bool) if marks else None
        for number, track in enumerate(self._tracks):
            array = several.arrays[number]
            first, stop = several.part(number, begin, begin + rows, not self._slow[number])
            change = self._change(number, begin * several.ratios[number] - first)
            stored = _reader(array, track, first)
            values, bad = track.read(stored, recording, stop - first, change, low, high, marks)
            delivered[:, self._places[number]] = values
            if marked is not None and bad is not None:
                marked |= bad
        return delivered, marked

    def _change(self, number: int, first: Fraction) -> Change | None:
        """The change of rate of an array, of which row `first` is where the recording begins."""
        if not self._slow[number]:
            return self._ratios[number]
        return SlowRows(ratio_of(self._rates[number], self._target), first, self._hold)

    def _located(self, row: int) -> tuple[SeveralRates, int]:
        """The signals that a row of all stands in, and which row of them it is.

        Raises:
            UserError: they are of other rates than the first.
        """
        found, first = self._data, row
        if isinstance(self._data, JoinedArray):
            found, first = self._data.part(row)
        assert isinstance(found, SeveralRates)
        types = [array.dtype for array in found.arrays]
        if found.rates != self._rates or types != self._types:
            raise SourceContentError(
                f"{found.where} and what stands beside it are {_listed(found.rates, types)}; those "
                f"of the first recording are {_listed(self._rates, self._types)}. Leave it out, or "
                "give rates that hold for all with source.rates_hz."
            )
        return found, first


def several_of(data: SourceArray) -> SeveralRates | None:
    """The signals of several rates, or of many recordings the first's; None: of one rate."""
    first = data.part(0)[0] if isinstance(data, JoinedArray) else data
    return first if isinstance(first, SeveralRates) else None


def _ratio(rate_hz: float, target_hz: float) -> Ratio | None:
    ratio = resampling_ratio(rate_hz, target_hz)
    return None if ratio.up == ratio.down else ratio


def _of_channels(info: ChannelInfo, places: Sequence[int], rate_hz: float) -> ChannelInfo:
    """What is said of some of the channels."""
    at = list(places)
    return ChannelInfo(
        tuple(info.channels[place] for place in at),
        tuple(info.units[place] for place in at),
        info.scale[at],
        info.offset[at],
        rate_hz,
    )


def _reader(array: SourceArray, track: Track, first: int) -> Any:
    def stored(start: int, stop: int) -> NDArray[Any]:
        values = np.empty((stop - start, track.channels), dtype=track.dtype)
        array.read_into(values, first + start)
        return values

    return stored


def _listed(rates: Sequence[float], types: Sequence[np.dtype[Any]]) -> str:
    each = zip(types, rates, strict=True)
    return ", ".join(f"{dtype} at {rate:g} Hz" for dtype, rate in each)
