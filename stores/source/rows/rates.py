"""Signals of several rates, side by side: what their rates are, and that they last as long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.beside import RATES, letters_of, plain_number
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.rows.resampling import RATE_TOLERANCE
from headrace.stores.text import counted

OF_ARRAYS = RATES | {"rate", "hz", "frequency", "frequencyhz"}
"""Names of the rate of one of several arrays, without what stands between their words."""
MOST_DENOMINATOR = 10**6
NEARLY = 0.05
"""Of the rows of an array: as many may be missing at its end, and it is of the same rate."""


def rates_of(arrays: Sequence[SourceArray], options: SourceOptions) -> list[float] | None:
    """The rate of each of several arrays, in Hz; None: they are of one rate.

    Given by `source.rates_hz`, else what stands beside each array. Arrays that are equally long,
    of which none says another rate than the others, are of one.

    Raises:
        UserError: another number of rates than of arrays; arrays are not equally long, and one
            says no rate.
    """
    if options.rates_hz:
        if len(options.rates_hz) != len(arrays):
            raise SourceError(
                f"source.rates_hz has {len(options.rates_hz)} rates for {len(arrays)} arrays: "
                f"{', '.join(array.where for array in arrays)}. Give one for each, in this order."
            )
        return list(options.rates_hz)
    said = [said_rate(array) for array in arrays]
    as_long = len({rows_of(array) for array in arrays}) == 1
    if as_long and (options.rate_hz is not None or len({*said} - {None}) < 2):
        return None
    if options.rate_hz is not None or None in said:
        raise SourceError(
            f"The signals differ in length: {_shown(arrays, said)}. {longer_by(arrays)}Give the "
            f"rate of each: source.rates_hz = {_proposed(arrays, options)}, in place of one for "
            "all."
        )
    return [rate for rate in said if rate is not None]


def said_rate(array: SourceArray) -> float | None:
    """What an attribute says, nearest to the array first; in Hz, None: nothing."""
    levels: list[Mapping[str, Any]] = array.attributes()
    own = _rate_in(levels[0]) if levels else None
    if own is not None:
        return own
    found = _number(array.attribute("sampling_rate_hz"))
    return found or next((rate for each in levels if (rate := _rate_in(each)) is not None), None)


def ratio_of(one: float, other: float) -> Fraction:
    """`one / other`, two rates in Hz.

    Raises:
        UserError: it is no ratio of whole numbers up to a million.
    """
    exact = Fraction(repr(float(one))) / Fraction(repr(float(other)))
    near = exact.limit_denominator(MOST_DENOMINATOR)
    if near == 0 or abs(near / exact - 1) > RATE_TOLERANCE:
        raise SourceError(
            f"{one:g} Hz and {other:g} Hz are no ratio of whole numbers up to {MOST_DENOMINATOR:,}."
            " Choose rates with source.rates_hz that are."
        )
    return near


def longer_by(arrays: Sequence[SourceArray]) -> str:
    """How arrays that are nearly as long may be cut; "": they are not."""
    rows = [rows_of(array) for array in arrays]
    more = max(rows) - min(rows)
    if not 0 < more <= NEARLY * max(rows):
        return ""
    return f"If they begin together, source.max_cut_rows = {more} cuts them to the shortest. Or: "


def common_rows(arrays: Sequence[SourceArray], rates: Sequence[float], most_cut: int = 0) -> int:
    """Rows of the fastest that are delivered: those for which no array lacks a row of its own.

    Raises:
        UserError: the arrays differ by a row of the slowest and `most_cut` of them, or more.
    """
    fastest, slowest = max(rates), min(rates)
    ratios = [ratio_of(rate, fastest) for rate in rates]
    lasting = [rows_of(array) / ratio for array, ratio in zip(arrays, ratios, strict=True)]
    away = (max(lasting) - min(lasting)) * ratio_of(slowest, fastest)
    if away >= 1 + most_cut:
        raise SourceError(
            f"The signals do not last as long: {_shown(arrays, rates)}. They may differ by less "
            f"than {counted(1 + most_cut, 'row')} of the slowest, {(1 + most_cut) / slowest:.6g} "
            "s. Give other rates with source.rates_hz, or leave one out; if they begin together, "
            f"source.max_cut_rows = {floor(away)} cuts them to the shortest."
        )
    ends = zip(arrays, ratios, strict=True)
    return min(
        ceil((rows_of(array) + (ratio != 1)) / ratio) - (ratio != 1) for array, ratio in ends
    )


def _shown(arrays: Sequence[SourceArray], rates: Sequence[float | None]) -> str:
    return ", ".join(
        f"{array.where} {rows_of(array):,} rows"
        + ("" if rate is None else f" at {rate:g} Hz = {rows_of(array) / rate:.6g} s")
        for array, rate in zip(arrays, rates, strict=True)
    )


def _proposed(arrays: Sequence[SourceArray], options: SourceOptions) -> str:
    """Rates in proportion to the lengths, as far as one is known."""
    known = options.rate_hz or _number(arrays[0].attribute("sampling_rate_hz"))
    longest = max(rows_of(array) for array in arrays)
    if known is None or longest == 0:
        return f"[{', '.join('...' for _ in arrays)}]"
    return f"[{', '.join(f'{known * rows_of(array) / longest:.6g}' for array in arrays)}]"


def _rate_in(attributes: Mapping[str, Any]) -> float | None:
    named = (value for name, value in attributes.items() if letters_of(name) in OF_ARRAYS)
    return next((rate for value in named if (rate := _number(value)) is not None), None)


def _number(value: Any) -> float | None:
    """A rate above 0, also as a text says it; as float32 writes it: 51.2, not 51.2000008."""
    array = np.asarray(plain_number(value))
    if array.size != 1 or array.dtype.kind not in "fiu":
        return None
    rate = float(str(array.reshape(-1)[0]))
    return rate if 0 < rate < float("inf") else None
