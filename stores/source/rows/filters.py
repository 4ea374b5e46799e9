"""FIR filters of continuous signals, in blocks whose values do not depend on how they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.filter_options import FilterOptions
from headrace.stores.text import shown

WINDOW = "hamming"
TRANSITIONS = 3.3
"""Length of a Hamming window's filter, in periods of its transition width (MNE, as in Ifeachor and
Jervis, Digital Signal Processing, 2nd edition, table 7.3)."""
LEAST_TRANSITION, SHARE = 2.0, 0.25
"""MNE's `l_trans_bandwidth` and `h_trans_bandwidth` of "auto": a quarter of the edge, but 2 Hz."""
NOTCH_TRANSITION, NOTCH_SHARE = 0.5, 1 / 200
"""MNE's `notch_filter`: 0.5 Hz to either side, and a stop band of a 200th of the frequency."""
LEAST_BLOCK = 1024
MOST_TAPS = 1 << 20
DIRECT_TAPS = 1 << 14
"""Up to here a product of two filters is made tap by tap; beyond it would take minutes."""


class Filters:
    """Filters of C channels, each the product of all that apply to it.

    A recording is filtered in blocks that start at fixed rows of it, whatever part of it is read:
    overlap-save with one length of Fourier transform. Before its first and after its last row it
    is taken to keep that row's value.
    """

    def __init__(self, taps: Sequence[NDArray[np.float64] | None]) -> None:
        """`taps` (odd length) of each channel; None leaves it as it is."""
        self._half = [0 if each is None else len(each) // 2 for each in taps]
        self.half = max(self._half)
        self.taps = 2 * self.half + 1
        self.size = max(LEAST_BLOCK, 1 << (2 * self.taps - 1).bit_length())
        self.block = self.size - 2 * self.half
        self._response: list[NDArray[np.complex128] | None] = []
        made: dict[bytes, NDArray[np.complex128]] = {}
        for each, half in zip(taps, self._half, strict=True):
            if each is None:
                self._response.append(None)
                continue
            key = each.tobytes()
            if key not in made:
                made[key] = np.fft.rfft(np.pad(each, self.half - half), self.size)
            self._response.append(made[key])
        self.nbytes = sum(each.nbytes for each in made.values())
        self.block_bytes = 8 * self.size * np.dtype(np.float64).itemsize

    def support(self, first: int, stop: int) -> tuple[int, int]:
        """Rows `(first, stop)` that rows `first` to `stop` are computed from: whole blocks.

        They may reach past either end of the recording, where its edge value stands in.
        """
        low, high = first // self.block, -(-stop // self.block)
        return low * self.block - self.half, high * self.block + self.half

    def apply(
        self, rows: NDArray[np.float64], support_first: int, first: int, stop: int
    ) -> NDArray[np.float64]:
        """Filtered rows `first` to `stop`.

        A value that is not finite makes NaN of its own channel as far as the taps reach, and leaves
        the rest of its block alone.

        Args:
            rows: (rows, C), the whole of `support(first, stop)`.
            support_first: the number of the first of them.
            first: first row.
            stop: row to stop before.

        Returns:
            (stop - first, C) float64.
        """
        begin = support_first + self.half
        filtered = np.ascontiguousarray(rows[first - support_first : stop - support_first])
        for channel, response in enumerate(self._response):
            if response is None:
                continue
            series = np.ascontiguousarray(rows[:, channel])
            finite = np.isfinite(series)
            every = bool(finite.all())
            if not every:
                series[~finite] = 0
            for start in range(0, len(series) - 2 * self.half, self.block):
                part = np.fft.rfft(series[start : start + self.size])
                part *= response
                values = np.fft.irfft(part, self.size)[2 * self.half :]
                low, high = max(begin + start, first), min(begin + start + self.block, stop)
                if low < high:
                    inside = values[low - begin - start : high - begin - start]
                    filtered[low - first : high - first, channel] = inside
            if not every:
                reached = self._reached(~finite, channel, support_first, first, stop)
                filtered[reached, channel] = np.nan
        return filtered

    def reached(
        self, marked: NDArray[np.bool_], support_first: int, first: int, stop: int
    ) -> NDArray[np.bool_]:
        """Which values a marked value of their channel reaches, (stop - first, C) bool."""
        channels = range(marked.shape[1])
        each = [self._reached(marked[:, c], c, support_first, first, stop) for c in channels]
        return np.stack(each, axis=1)

    def _reached(
        self, marked: NDArray[np.bool_], channel: int, support_first: int, first: int, stop: int
    ) -> NDArray[np.bool_]:
        before = np.concatenate(([0], np.cumsum(marked, dtype=np.int64)))
        half, row = self._half[channel], np.arange(first, stop) - support_first
        reached: NDArray[np.bool_] = before[row + half + 1] > before[row - half]
        return reached


def make_filters(
    filters: Sequence[FilterOptions], channels: Sequence[str], rate_hz: float, where: str
) -> Filters | None:
    """The filters of these channels; None where none applies to any of them.

    Args:
        filters: in any order: they are linear.
        channels: C names.
        rate_hz: of the signals as stored.
        where: the signals, for errors.

    Raises:
        UserError: a frequency is not below half of the rate; a width has no room.
    """
    taps: list[NDArray[np.float64] | None] = [None] * len(channels)
    for each in filters:
        chosen = [at for at, name in enumerate(channels) if filtered_by(each, name)]
        if not chosen:
            continue
        made = _design(each, rate_hz, [channels[at] for at in chosen], where)
        for at in chosen:
            found = taps[at]
            taps[at] = made if found is None else joined_taps(found, made, channels[at], where)
    return Filters(taps) if any(each is not None for each in taps) else None


def filtered_by(options: FilterOptions, channel: str) -> bool:
    """Whether a filter is for a channel."""
    return not options.channels or any(fnmatchcase(channel, glob) for glob in options.channels)


def check_filtered(filters: Sequence[FilterOptions], channels: Sequence[str]) -> None:
    """Check that each name that a filter is for is one.

    Raises:
        UserError: a pattern matches no channel.
    """
    for number, each in enumerate(filters):
        require_channels(each.channels, channels, f"source.filter[{number}].channels")


def require_channels(globs: Sequence[str], channels: Sequence[str], option: str) -> None:
    """Check that each of the patterns that an option lists matches a channel.

    Raises:
        UserError: one does not.
    """
    for glob in globs:
        if not any(fnmatchcase(channel, glob) for channel in channels):
            raise SourceError(
                f"{option} lists {glob!r}, which matches no channel. The channels are: "
                f"{shown(channels)}."
            )


def _design(
    options: FilterOptions, rate_hz: float, channels: Sequence[str], where: str
) -> NDArray[np.float64]:
    """Taps, an odd number: a window's design with its -6 dB points in the middle of transitions."""
    # Here: the import takes a second and 30 MiB, and most sources are not filtered.
    from scipy.signal import firwin

    for name, value in _frequencies(options):
        if value >= rate_hz / 2:
            raise SourceError(
                f"source.filter has a {options.kind} with {name} = {value:g} for "
                f"{shown(channels)}; {where} has {rate_hz:g} Hz, which holds nothing from "
                f"{rate_hz / 2:g} Hz on. Choose a lower one, or name the channels that it is for "
                "with its channels."
            )
    cutoffs, width = _cutoffs(options, rate_hz)
    if cutoffs[0] <= 0 or cutoffs[-1] >= rate_hz / 2:
        raise SourceError(
            f"source.filter has a {options.kind} with width_hz = {width:g}, which reaches past "
            f"0 Hz or {rate_hz / 2:g} Hz, half the rate of {where}. Choose a smaller one."
        )
    count = max(1, round(TRANSITIONS * rate_hz / width)) | 1
    if count > MOST_TAPS:
        raise SourceError(
            f"source.filter has a {options.kind} that needs {count:,} taps at the {rate_hz:g} Hz "
            f"of {where}: {count / rate_hz:g} s. Set a larger width_hz than {width:g}."
        )
    kinds = {"notch": "bandstop"}
    taps: NDArray[np.float64] = firwin(
        count,
        cutoffs,
        window=WINDOW,
        pass_zero=kinds.get(options.kind, options.kind),
        fs=rate_hz,
    )
    return taps


def joined_taps(
    one: NDArray[np.float64], other: NDArray[np.float64], channel: str, where: str
) -> NDArray[np.float64]:
    """Taps of two filters, one after the other.

    Args:
        one: odd number of taps.
        other: the same of another filter.
        channel: that they are for, for errors.
        where: its signals, for errors.

    Raises:
        UserError: they are more than 2**20.
    """
    count = len(one) + len(other) - 1
    if count > MOST_TAPS:
        raise SourceError(
            f"The filters of {channel!r} need {count:,} taps together for {where}; there may be "
            f"{MOST_TAPS:,}. Set larger widths with width_hz in source.filter, or leave one out."
        )
    if min(len(one), len(other)) <= DIRECT_TAPS:
        return np.convolve(one, other)
    from scipy.signal import fftconvolve

    taps: NDArray[np.float64] = fftconvolve(one, other)
    return taps


def _frequencies(options: FilterOptions) -> Iterator[tuple[str, float]]:
    for name in ("low_hz", "high_hz", "hz"):
        value = getattr(options, name)
        if value is not None:
            yield name, value


def _cutoffs(options: FilterOptions, rate_hz: float) -> tuple[list[float], float]:
    """-6 dB points, and the width of the narrowest transition; Hz."""
    width = options.width_hz
    if options.kind == "notch":
        assert options.hz is not None
        width = width or min(NOTCH_TRANSITION, options.hz, rate_hz / 2 - options.hz)
        half = options.hz * NOTCH_SHARE / 2 + width / 2
        return [options.hz - half, options.hz + half], width
    cutoffs, widths = [], []
    if (low := options.low) is not None:
        widths.append(width or min(max(SHARE * low, LEAST_TRANSITION), low))
        cutoffs.append(low - widths[-1] / 2)
    if (high := options.high) is not None:
        widths.append(width or min(max(SHARE * high, LEAST_TRANSITION), rate_hz / 2 - high))
        cutoffs.append(high + widths[-1] / 2)
    return cutoffs, min(widths)
