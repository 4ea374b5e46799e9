"""Numbers that are written out in decimals, read to the bits that the nearest double has.

What fits 53 bits beside a power of ten up to 22 is one product or quotient of two doubles that are
exact, and so rounded once (W. D. Clinger, "How to read floating point numbers accurately", 1990).
Numbers of up to 19 digits are computed to 100 bits and rounded where that is without doubt. All
else is left to a whole parser: the kernel says where it stopped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.compiled.kernels import exact_kernel, part_of_kernel

SKIPPED = -2
"""Place of a column of texts."""
CHECKED = -1
"""Place of a column of numbers that are not wanted."""
_NEWLINE, _RETURN, _TAB, _BLANK, _QUOTE = 10, 13, 9, 32, 34
_MINUS, _PLUS, _ZERO, _NINE, _SMALL_E, _LARGE_E = 45, 43, 48, 57, 101, 69
_SMALL_N, _LARGE_N, _SMALL_A = 110, 78, 97
_DIGITS = 19
"""Of which a number fits 64 bits."""
_EXACT = 1 << 53
_EXACT_TENS = 22
_MOST_TENS = 44
_TENS = np.array([float(10**power) for power in range(_MOST_TENS + 1)])
_TENS_ERRORS = np.array([float(10**power - int(_TENS[power])) for power in range(_MOST_TENS + 1)])
"""By which powers of ten are rounded: the two together have more than 100 bits."""
_SPLIT = 134217729.0
"""Of a double into halves of 26 bits."""
_DOUBT = 1 + 2.0**-40


@exact_kernel
def read_decimals(
    raw: NDArray[np.uint8],
    at: Any,
    separator: int,
    mark: int,
    places: NDArray[np.int64],
    out: NDArray[np.float64],
) -> Any:
    """Fill `out` with the rows of a table that begin at byte `at`.

    Empty cells, "nan" and "NaN" are NaN. Blanks around cells are no part of them.

    Args:
        raw: the table's bytes.
        at: where its first row begins.
        separator: the byte between cells; a blank stands for a run of blanks and tabs.
        mark: the decimal mark.
        places: (columns,) where each column stands in `out`, `CHECKED` or `SKIPPED`.
        out: (rows, C).

    Returns:
        How many rows were read: fewer than there are in `out` if what follows is not plain: a
        number of more than 19 digits or beyond 10**44, a quote, a text where a number
        should be, a byte that is not ASCII, or another number of cells.
    """
    size, columns = raw.size, places.size
    tab = _TAB if separator == _BLANK else _BLANK
    at = max(at, 0)  # Else each byte is asked whether it is counted from the end.
    for row in range(out.shape[0]):
        while at < size and (raw[at] == _NEWLINE or raw[at] == _RETURN):
            at += 1
        if at >= size:
            return row
        for column in range(columns):
            at, place, value = _past_blanks(raw, at, tab), places[column], np.nan
            if place == SKIPPED:
                at = _past_text(raw, at, separator)
            elif at < size and raw[at] != separator and raw[at] > _RETURN:
                value, at = _number(raw, at, mark)
            elif separator == _BLANK:
                return row  # Of blanks and tabs none is an empty cell.
            if at < 0:
                return row
            if place >= 0:
                out[row, place] = value
            ends = at
            at = _past_blanks(raw, at, tab)
            if column + 1 == columns:
                at += np.int64(at < size and raw[at] == _RETURN)
                if at < size and raw[at] != _NEWLINE:
                    return row
                at += 1
            elif separator == _BLANK:
                if at == ends:
                    return row
            else:
                if at >= size or raw[at] != separator:
                    return row
                at += 1
    return out.shape[0]


@part_of_kernel
def _past_blanks(raw: Any, at: Any, tab: int) -> Any:
    while at < raw.size and (raw[at] == _BLANK or raw[at] == tab):
        at += 1
    return at


@part_of_kernel
def _past_text(raw: Any, at: Any, separator: int) -> Any:
    """The byte after a cell that is not wanted; -1: it is not plain."""
    while at < raw.size and raw[at] != separator and raw[at] != _NEWLINE:
        if separator == _BLANK and raw[at] == _TAB:
            break
        if raw[at] == _QUOTE or raw[at] >= 128 or raw[at] < _TAB:
            return -1
        at += 1
    return at - np.int64(at > 0 and raw[at - 1] == _RETURN)


@part_of_kernel
def _number(raw: Any, at: Any, mark: int) -> Any:
    """The number that begins at a byte, and the byte after it; -1: it is not plain."""
    begin, size = at, raw.size
    if at + 2 < size and (raw[at] == _SMALL_N or raw[at] == _LARGE_N):
        is_nan = raw[at + 1] == _SMALL_A and raw[at + 2] == raw[at]
        return np.nan, at + 3 if is_nan else -1
    negative = raw[at] == _MINUS
    at += np.int64(negative)
    first, mantissa = at, np.uint64(0)
    while at < size:
        digit = np.int64(raw[at]) - _ZERO
        if digit < 0 or digit > 9:
            break
        mantissa = mantissa * np.uint64(10) + np.uint64(digit)
        at += 1
    written, tens = at - first, 0
    if at < size and raw[at] == mark:
        at += 1
        first = at
        while at < size:
            digit = np.int64(raw[at]) - _ZERO
            if digit < 0 or digit > 9:
                break
            mantissa = mantissa * np.uint64(10) + np.uint64(digit)
            at += 1
        tens = first - at
    digits = written - tens
    if digits > _DIGITS:
        # Zeros before the first of others are none.
        first = begin + np.int64(negative)
        while first < at and (raw[first] == _ZERO or raw[first] == mark):
            digits -= np.int64(raw[first] == _ZERO)
            first += 1
        if digits > _DIGITS:
            return np.nan, -1
    elif digits == 0:
        return np.nan, -1
    if at < size and (raw[at] == _SMALL_E or raw[at] == _LARGE_E):
        at += 1
        below = at < size and raw[at] == _MINUS
        at += np.int64(at < size and (raw[at] == _MINUS or raw[at] == _PLUS))
        power: Any = 0
        first = at
        while at < size and _ZERO <= raw[at] <= _NINE and at - first < 4:
            power = power * 10 + (np.int64(raw[at]) - _ZERO)
            at += 1
        if at == first:
            return np.nan, -1
        tens += -power if below else power
    if mantissa < _EXACT and abs(tens) <= _EXACT_TENS:
        value = np.float64(np.int64(mantissa))
        value = value / _TENS[-tens] if tens < 0 else value * _TENS[tens]
    elif abs(tens) <= _MOST_TENS:
        value = _long_number(mantissa, tens)
        if np.isnan(value):
            return np.nan, -1
    else:
        return np.nan, -1
    return -value if negative else value, at


@exact_kernel
def _long_number(mantissa: np.uint64, tens: Any) -> Any:
    """`mantissa` times a power of ten, computed in two doubles; NaN where rounding is in doubt.

    Sums and products of two doubles with their errors are T. J. Dekker's ("A floating-point
    technique for extending the available precision", 1971), and A. Ziv's is the test of whether
    an error could change what is rounded ("Fast evaluation of elementary mathematical functions
    with correctly rounded last bit", 1991).
    """
    high = np.float64(mantissa)
    low = np.float64(np.int64(mantissa - np.uint64(high)))
    ten, ten_error = _TENS[abs(tens)], _TENS_ERRORS[abs(tens)]
    if tens < 0:
        first = high / ten
        product, error = _product(first, ten)
        second = (((high - product) - error) + (low - first * ten_error)) / ten
    else:
        first, error = _product(high, ten)
        second = error + (high * ten_error + low * ten)
    value = first + second
    error = (first - value) + second
    return value if value + error * _DOUBT == value else np.nan


@exact_kernel
def _product(one: float, other: float) -> tuple[float, float]:
    """A product, and what it was rounded by."""
    product = one * other
    split = one * _SPLIT
    one_high = split - (split - one)
    split = other * _SPLIT
    other_high = split - (split - other)
    one_low, other_low = one - one_high, other - other_high
    error = one_high * other_high - product
    error = (error + one_high * other_low + one_low * other_high) + one_low * other_low
    return product, error
