"""Dates and times of day that are written as texts, as whole nanoseconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
_TIME = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,:](?P<fraction>\d+))?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?"
)
_ZONE = r"(?:\s*(?:Z|UTC|GMT|(?P<zone>[+-]\d\d:?(?:\d\d)?)))?"
_DAYS = (
    r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
    r"(?P<first>\d{1,2})(?P<mark>[-/.])(?P<other>\d{1,2})[-/.](?P<year>\d{4})",
)
_FORMS = tuple(
    re.compile(text)
    for text in (*(rf"{day}(?:(?:T|[ _-]+|,\s*){_TIME}{_ZONE})?" for day in _DAYS), _TIME)
)
YEARS = (1678, 2261)
"""Of which every nanosecond has a number in int64."""
_TIME_OF_DAY, _DIGITS = 8, [*"0123456789", ""]
"""Letters of 07:08:09, and what they are beside the marks."""
_ISO_DAY = 10
"""Letters of 2024-05-06."""


def is_date(text: str) -> bool:
    """Whether a text is a date, with or without a time of day, or a time of day alone."""
    return _match(text) is not None


def is_time_of_day(text: str) -> bool:
    """Whether a text is a time of day without a date."""
    match = _match(text)
    return match is not None and "year" not in match.re.groupindex


def is_day(text: str) -> bool:
    """Whether a text is a date without a time of day."""
    match = _match(text)
    return match is not None and not match.groupdict().get("hour")


def month_is_first(texts: Sequence[str]) -> bool:
    """What 05/06/2024 means among these: of which one number is above 12, else by the mark.

    Points stand between day and month in this order, slashes and hyphens between month and day.
    """
    matches = [match for text in texts if (match := _match(text)) is not None]
    parts = [found for match in matches if (found := match.groupdict()).get("first")]
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
    of_day = _plain_time(texts)
    if of_day or _plain_iso(texts):
        try:
            plain = np.char.add("1970-01-01T", texts) if of_day else texts
            return plain.astype("datetime64[ns]").astype(np.int64)
        except ValueError:
            pass  # Said below, with its place.
    found = np.empty(len(texts), np.int64)
    for number, text in enumerate(texts.tolist()):
        try:
            found[number] = _one(text, month_first)
        except (ValueError, OverflowError) as error:
            raise ValueError(number) from error
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


def _plain_time(texts: NDArray[np.str_]) -> bool:
    """Whether all of them are as 07:08:09.1, which NumPy reads behind a date."""
    width = texts.dtype.itemsize // 4
    if len(texts) == 0 or width < _TIME_OF_DAY:
        return False
    width += 1  # For the point, where there is none.
    letters = texts.astype(f"U{width}").view("U1").reshape(len(texts), width)
    colons, seconds = letters[:, [2, 5]] == ":", letters[:, _TIME_OF_DAY - 1] != ""
    digits = np.delete(letters, [2, 5, _TIME_OF_DAY], axis=1)
    point = np.isin(letters[:, _TIME_OF_DAY : _TIME_OF_DAY + 1], (".", ""))
    plain = np.isin(digits, _DIGITS).all() and point.all()
    return bool(plain and colons.all() and seconds.all())


def _match(text: str) -> re.Match[str] | None:
    text = text.strip()
    return next((found for form in _FORMS if (found := form.fullmatch(text)) is not None), None)


def _one(text: str, month_first: bool) -> int:
    match = _match(text)
    if match is None:
        raise ValueError(text)
    part = match.groupdict()
    days = 0
    if part.get("year"):
        if part.get("first"):
            month, day = part["first"], part["other"]
            month, day = (month, day) if month_first else (day, month)
        else:
            month, day = part["month"], part["day"]
        if not YEARS[0] <= int(part["year"]) <= YEARS[1]:
            raise ValueError(text)
        days = _days(int(part["year"]), int(month), int(day))
    hour, minute, second = (int(part.get(name) or 0) for name in ("hour", "minute", "second"))
    if hour > (12 if part.get("half") else 24) or minute > 59 or second > 60:
        raise ValueError(text)
    if part.get("half"):
        hour = hour % 12 + (12 if part["half"] in "pP" else 0)
    fraction = int(((part.get("fraction") or "") + "0" * 9)[:9])
    seconds = hour * 3600 + minute * 60 + second - _zone_s(part.get("zone"))
    return days * DAY_NS + seconds * SECOND_NS + fraction


def _zone_s(zone: str | None) -> int:
    if not zone:
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


@lru_cache(maxsize=4096)
def _days(year: int, month: int, day: int) -> int:
    return date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
