"""Polyphase resampling in slices whose values do not depend on where the slices are cut."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError

MAX_TERM = 1000
# 1e-6 of a rate is 3.6 ms in an hour: below the clock error of any sensor.
RATE_TOLERANCE = 1e-6
ZERO_CROSSINGS = 10
KAISER_BETA = 5.0


@dataclass(frozen=True)
class Ratio:
    """A change of sampling rate by `up / down`, two coprime whole numbers.

    Row `j` of the result stands at source row `j * down / up`. The filter is the default of
    `scipy.signal.resample_poly`: a Kaiser-windowed (beta 5) low-pass at the lower Nyquist
    frequency that reaches 10 x max(up, down) upsampled rows to either side. Before its first and
    after its last row a recording is taken to keep that row's value ("edge"): with zeros instead,
    a channel with an offset (gravity) would be drawn to zero at both ends.
    """

    up: int
    down: int

    @property
    def _lead(self) -> int:
        """Upsampled rows between the filter's first tap and the row it is centred on."""
        half = ZERO_CROSSINGS * max(self.up, self.down)
        return half + -half % self.down

    @property
    def _taps(self) -> int:
        """Taps that touch one result row (zeros that complete the last phase included)."""
        half = ZERO_CROSSINGS * max(self.up, self.down)
        return -(-(self._lead + half + 1) // self.up)

    def length(self, rows: int) -> int:
        """Rows that `rows` source rows become: `ceil(rows * up / down)`."""
        return -(-rows * self.up // self.down)

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """`length` of each entry, int64 of the same shape."""
        lengths: NDArray[np.int64] = -(-rows * self.up // self.down)
        return lengths

    def nearest(self, row: NDArray[np.int64], rows: NDArray[np.int64] | int) -> NDArray[np.int64]:
        """Source row nearest to each result row: `floor(row * down / up + 1/2)`.

        Half way between two source rows the later one is taken; the last of the recording's
        `rows` source rows is never passed.
        """
        nearest = (2 * row * self.down + self.up) // (2 * self.up)
        kept: NDArray[np.int64] = np.minimum(nearest, np.asarray(rows) - 1)
        return kept

    def support(self, first: int, stop: int) -> tuple[int, int]:
        """Source rows `(first, stop)` that result rows `first` to `stop` are computed from.

        They may reach past either end of the recording, where its edge value stands in.
        """
        newest = ((stop - 1) * self.down + self._lead) // self.up
        oldest = (first * self.down + self._lead) // self.up - self._taps + 1
        # upfirdn counts its result from the slice's first row: a slice that starts at a multiple
        # of `down` keeps the phase of the whole recording.
        return oldest // self.down * self.down, newest + 1

    def resample(
        self, rows: NDArray[np.float64], support_first: int, first: int, stop: int
    ) -> NDArray[np.float32]:
        """Result rows `first` to `stop` from their source rows.

        Args:
            rows: (source rows, C), the whole of `support(first, stop)`.
            support_first: the number of the first of them, as `support` gave it.
            first: first result row.
            stop: result row to stop before.

        Returns:
            (stop - first, C) float32, summed in float64.
        """
        # Here: the import takes a second and 30 MiB, and most sources are not resampled.
        from scipy.signal import upfirdn

        taps = _filter(self)
        # One row per channel: the filter then runs along contiguous memory.
        series = np.ascontiguousarray(rows.T)
        result = upfirdn(taps, series, self.up, self.down, axis=-1)
        skip = (self._lead - support_first * self.up) // self.down
        with np.errstate(over="ignore", invalid="ignore"):
            kept = result[:, first + skip : stop + skip].T.astype(np.float32)
        return np.ascontiguousarray(kept)

    def reached(
        self, marked: NDArray[np.bool_], support_first: int, first: int, stop: int
    ) -> NDArray[np.bool_]:
        """Which result rows a marked source row reaches, (stop - first,) bool.

        `marked` has one entry per row of `support(first, stop)`, numbered from `support_first`.
        """
        before = np.concatenate(([0], np.cumsum(marked, dtype=np.int64)))
        newest = (np.arange(first, stop) * self.down + self._lead) // self.up - support_first
        reached: NDArray[np.bool_] = before[newest + 1] > before[newest + 1 - self._taps]
        return reached


def resampling_ratio(source_hz: float, target_hz: float) -> Ratio:
    """The ratio `target_hz / source_hz` in whole numbers, both in Hz.

    Raises:
        UserError: no ratio of whole numbers up to 1000 is within a millionth.
    """
    exact = Fraction(repr(float(target_hz))) / Fraction(repr(float(source_hz)))
    near = exact.limit_denominator(MAX_TERM)
    if near.numerator == 0 or near.numerator > MAX_TERM or abs(near / exact - 1) > RATE_TOLERANCE:
        nearest = float(source_hz) * float(near)
        raise SourceError(
            f"Resampling from {source_hz:g} Hz to {target_hz:g} Hz needs a ratio of whole numbers "
            f"up to {MAX_TERM}; the nearest, {near.numerator}/{near.denominator}, gives "
            f"{nearest:.9g} Hz. Choose another source.target_rate_hz."
        )
    return Ratio(near.numerator, near.denominator)


@lru_cache(maxsize=8)
def _filter(ratio: Ratio) -> NDArray[np.float64]:
    """Taps of the low-pass, preceded by the zeros that make its delay a whole result row."""
    from scipy.signal import firwin

    widest = max(ratio.up, ratio.down)
    half = ZERO_CROSSINGS * widest
    low_pass = firwin(2 * half + 1, 1 / widest, window=("kaiser", KAISER_BETA)) * ratio.up
    return np.concatenate((np.zeros(-half % ratio.down), low_pass))
