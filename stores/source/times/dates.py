"""Dates and times of day that are written as texts, as whole nanoseconds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
_TIME = (
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9][0-9])(?::(?P<second>[0-9][0-9])(?:[.,:](?P<fraction>[0-9]+))?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?"
)
_ZONE = r"(?:\s*(?:Z|UTC|GMT|(?P<zone>[+-][0-9][0-9]:?(?:[0-9][0-9])?)))?"
_DAYS = (
    r"(?P<year>[0-9]{4})[-/.](?P<month>[0-9]{1,2})[-/.](?P<day>[0-9]{1,2})",
    r"(?P<year>[0-9]{4})(?P<month>[0-9][0-9])(?P<day>[0-9][0-9])",
    r"(?P<first>[0-9]{1,2})(?P<mark>[-/.])(?P<other>[0-9]{1,2})[-/.](?P<year>[0-9]{4})",
)
_FORMS = tuple(
    re.compile(text)
    for text in (*(rf"{day}(?:(?:T|[ _-]+|,\s*){_TIME}{_ZONE})?" for day in _DAYS), _TIME)
)
YEARS = (1678, 2261)
"""Of which every nanosecond has a number in int64."""
_AS_ZERO = str.maketrans("123456789", "0" * 9)
_ZERO, _NINE = ord("0"), ord("9")
_NUMBERS = ("year", "month", "day", "first", "other", "hour", "minute", "second", "fraction")
_ISO_DAY = 10
"""Letters of 2024-05-06."""


def is_date(text: str) -> bool:
    """Whether a text is a date, with or without a time of day, or a time of day alone."""
    return _parts(text) is not None


def is_time_of_day(text: str) -> bool:
    """Whether a text is a time of day without a date."""
    parts = _parts(text)
    return parts is not None and "year" not in parts


def is_day(text: str) -> bool:
    """Whether a text is a date without a time of day."""
    parts = _parts(text)
    return parts is not None and "hour" not in parts


def month_is_first(texts: Sequence[str]) -> bool:
    """What 05/06/2024 means among these: of which one number is above 12, else by the mark.

    Points stand between day and month in this order, slashes and hyphens between month and day.
    """
    parts = [found for text in texts if (found := _parts(text)) is not None and "first" in found]
    if any(int(found["first"]) > 12 for found in parts):
        return False
    if any(int(found["other"]) > 12 for found in parts):
        return True
    return not any(found["mark"] == "." for found in parts)


def nanoseconds(texts: NDArray[np.str_], month_first: bool) -> NDArray[np.int64]:
    """(n,) nanoseconds since 1970, or since midnight where there is no date.

    Args:
        texts: (n,).
        month_first: what 05/06/2024 means.

    Raises:
        ValueError: with the number of the first that is no date, or not of the `YEARS`.
    """
    if _plain_iso(texts):
        try:
            return texts.astype("datetime64[ns]").astype(np.int64)
        except ValueError:
            pass  # Said below, with its place.
    letters = np.ascontiguousarray(texts).view(np.uint32).reshape(len(texts), -1)
    shapes = np.where((letters >= _ZERO) & (letters <= _NINE), _ZERO, letters)
    found, right = np.empty(len(texts), np.int64), np.ones(len(texts), bool)
    rest = np.arange(len(texts))
    while len(rest) and right[: rest[0]].all():
        alike = (shapes[rest] == shapes[rest[0]]).all(axis=1)
        rows, rest = rest[alike], rest[~alike]
        found[rows], right[rows] = _of_shape(str(texts[rows[0]]), letters[rows], month_first)
    if not right.all():
        raise ValueError(int(np.argmin(right)))
    return found


def _plain_iso(texts: NDArray[np.str_]) -> bool:
    """Whether NumPy reads all of them as we do: 2024-05-06 07:08:09.1, without a zone."""
    width = texts.dtype.itemsize // 4
    if len(texts) == 0 or width < _ISO_DAY:
        return False
    letters = np.ascontiguousarray(texts).view("U1").reshape(len(texts), width)
    days = (letters[:, [4, 7]] == "-").all() and (letters[:, _ISO_DAY - 1] != "").all()
    years = texts.astype("U4")
    days = days and ((years >= str(YEARS[0])) & (years <= str(YEARS[1]))).all()
    return bool(days) and bool(np.isin(letters[:, _ISO_DAY:], [*"0123456789 T:.", ""]).all())


@lru_cache(maxsize=1024)
def _spans(shape: str) -> Mapping[str, tuple[int, int]] | None:
    """Where the parts of a date stand in texts of a shape, whose digits are 0; None: in none."""
    text = shape.strip()
    match = next((found for form in _FORMS if (found := form.fullmatch(text)) is not None), None)
    if match is None:
        return None
    begin = len(shape) - len(shape.lstrip())
    spans = {name: match.span(name) for name in match.groupdict()}
    # Of a fraction nine digits count.
    return {
        name: (begin + low, begin + (min(high, low + 9) if name == "fraction" else high))
        for name, (low, high) in spans.items()
        if low >= 0
    }


def _parts(text: str) -> dict[str, str] | None:
    """The parts of a date by their names; None: it is none."""
    spans = _spans(text.translate(_AS_ZERO))
    if spans is None:
        return None
    return {name: text[low:high] for name, (low, high) in spans.items()}


def _of_shape(
    text: str, letters: NDArray[np.uint32], month_first: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(n,) nanoseconds of texts that differ by digits alone, and which of them are dates.

    Args:
        text: one of them.
        letters: (n, width) of all.
        month_first: what 05/06/2024 means.
    """
    spans = _spans(text.translate(_AS_ZERO))
    if spans is None:
        return np.zeros(len(letters), np.int64), np.zeros(len(letters), bool)

    def number(low: int, high: int) -> NDArray[np.int64]:
        powers = 10 ** np.arange(high - low, dtype=np.int64)[::-1]
        return (letters[:, low:high].astype(np.int64) - _ZERO) @ powers

    values = {name: number(*spans.get(name, (0, 0))) for name in _NUMBERS}
    hour, half = values["hour"], text[slice(*spans.get("half", (0, 0)))]
    right = (hour <= (12 if half else 24)) & (values["minute"] <= 59) & (values["second"] <= 60)
    if half:
        hour = hour % 12 + (12 if half in "pP" else 0)
    seconds = hour * 3600 + values["minute"] * 60 + values["second"]
    if "zone" in spans:
        low, high = spans["zone"]
        ahead = number(low + 1, low + 3) * 3600
        if high > low + 4:
            ahead += number(high - 2, high) * 60
        seconds -= -ahead if text[low] == "-" else ahead
    low, high = spans.get("fraction", (0, 0))
    found = seconds * SECOND_NS + values["fraction"] * 10 ** (9 - (high - low))
    if "year" in spans:
        days, there = _days(values, "first" in spans, month_first)
        found, right = found + days * DAY_NS, right & there
    return found, right


def _days(
    values: Mapping[str, NDArray[np.int64]], either: bool, month_first: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(n,) days since 1970, and which of them are there and of the `YEARS`.

    Args:
        values: (n,) each, by the names of the parts.
        either: whether the month may be the `first` number or the `other`.
        month_first: which it is.
    """
    names = (
        ("month", "day")
        if not either
        else ("first", "other")
        if month_first
        else ("other", "first")
    )
    year, month, day = (values[name] for name in ("year", *names))
    right = (year >= YEARS[0]) & (year <= YEARS[1]) & (month >= 1) & (month <= 12) & (day >= 1)
    months = np.where(right, (year - 1970) * 12 + month - 1, 0)
    first, after = (
        each.astype("M8[M]").astype("M8[D]").astype(np.int64) for each in (months, months + 1)
    )
    days = first + day - 1
    return np.where(right, days, 0), right & (days < after)
