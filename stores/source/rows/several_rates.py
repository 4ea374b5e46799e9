"""Arrays of several rates as one, whose rows are those of the fastest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.arrays import rows_of
from headrace.stores.source.beside import option_of
from headrace.stores.source.derived.chosen import chosen
from headrace.stores.source.derived.shaped import Shaped
from headrace.stores.source.derived.side_by_side import SideBySide
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.rows.rates import common_rows, ratio_of


class SeveralRates(Shaped):
    """Arrays (S, C), each of a rate of its own, that begin at one moment; see `SourceArray`.

    As one array its rows are those of the fastest, and a slower one's rows stand until the next:
    that is what a fingerprint is taken of. What is delivered is made of each array's own rows.

    Attributes:
        arrays: (S of each, C of each).
        rates: of each, Hz.
        places: the channels that those of each array become.
        ratios: rows of each to a row of the fastest.
    """

    def __init__(
        self,
        arrays: Sequence[SourceArray],
        rates: Sequence[float],
        places: Sequence[Sequence[int]] | None = None,
        names: Sequence[str] | None = None,
        rows: int | None = None,
        most_cut: int = 0,
    ) -> None:
        """Arrays that last as long, but for less than a row of the slowest.

        Where one lacks less than a row of its own at the end, its last stands; what is longer is
        cut.

        Args:
            arrays: (S, C) each.
            rates: of each, Hz.
            places: the channels that those of each array become; without it they follow.
            names: of all channels; without them as the arrays say.
            rows: of the fastest; without it as many as all arrays last for.
            most_cut: rows of the slowest by which they may differ.

        Raises:
            UserError: they do not last as long.
        """
        self._side = SideBySide(arrays, 2, places)
        self._names, self.rate_hz, self._most_cut = names, max(rates), most_cut
        rows = common_rows(arrays, rates, most_cut) if rows is None else rows
        super().__init__(self._side, (rows, *(self._side.shape or ())[1:]))
        self.arrays, self.rates = tuple(arrays), tuple(rates)
        widths = np.cumsum([0] + [(array.shape or (0, 0))[1] for array in arrays]).tolist()
        self.places: list[list[int]] = (
            [list(range(low, high)) for low, high in pairwise(widths)]
            if places is None
            else [list(each) for each in places]
        )
        self.ratios = tuple(ratio_of(rate, self.rate_hz) for rate in rates)
        self.piece_rows = self.arrays[self.ratios.index(Fraction(1))].piece_rows
        costs = zip(arrays, self.ratios, strict=True)
        self.row_bytes = sum(ceil(array.row_bytes * ratio) for array, ratio in costs)

    def ready(self) -> SeveralRates:
        """See `SourceArray`."""
        arrays = [array.ready() for array in self.arrays]
        rows = (self.shape or (0,))[0]
        return SeveralRates(arrays, self.rates, self.places, self._names, rows)

    def attribute(self, name: str) -> Any | None:
        """The rate of the fastest; of values a channel, those of all arrays."""
        if name == "sampling_rate_hz":
            return self.rate_hz
        if name == "channels" and self._names is not None:
            return np.array(self._names, dtype=object)
        return self._side.attribute(name)

    def attributes(self) -> list[Mapping[str, Any]]:
        """Those of each array, but for their rates, which are used."""
        return [
            {name: value for name, value in each.items() if option_of(name) != "rate_hz"}
            for each in self._side.attributes()
        ]

    def chosen(self, channels: Sequence[int], names: Sequence[str] | None = None) -> SeveralRates:
        """The array of these channels, of the arrays that have some of them."""
        arrays, rates, places = [], [], []
        for array, rate, own in zip(self.arrays, self.rates, self.places, strict=True):
            taken = [(own.index(c), at) for at, c in enumerate(channels) if c in own]
            if taken:
                arrays.append(chosen(array, [column for column, _ in taken]))
                rates.append(rate)
                places.append([at for _, at in taken])
        if names is None and self._names is not None:
            names = [self._names[channel] for channel in channels]
        return SeveralRates(arrays, rates, places, names, most_cut=self._most_cut)

    def part(self, number: int, first: int, stop: int, nearest: bool) -> tuple[int, int]:
        """Rows of one of the arrays that rows `first` to `stop` of all are made of; at least one.

        Args:
            number: of the array.
            first: row of the fastest.
            stop: row to stop before.
            nearest: take the rows nearest to these, not those from `first` on.
        """
        ratio, most = self.ratios[number], (self.arrays[number].shape or (0,))[0]
        half = Fraction(1, 2)
        low, high = (
            floor(row * ratio + half) if nearest else ceil(row * ratio) for row in (first, stop)
        )
        if high <= low:
            low = floor(first * ratio)
        low = max(0, min(low, most - 1))
        return low, min(max(high, low + 1), most)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        out = np.empty((stop - start, *(self.shape or ())[1:]), self.dtype)
        for array, ratio, columns in zip(self.arrays, self.ratios, self.places, strict=True):
            row = np.arange(start, stop) * ratio.numerator // ratio.denominator
            # An array may lack less than a row of its own at the end: its last one stands.
            row = np.minimum(row, rows_of(array) - 1)
            if len(row):
                out[:, columns] = array.read(int(row[0]), int(row[-1]) + 1)[row - row[0]]
        return out

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Those of all."""
        for array, ratio in zip(self.arrays, self.ratios, strict=True):
            most = rows_of(array)
            yield from array.byte_spans(
                min(floor(low * ratio), most - 1), min(ceil(high * ratio), most)
            )
