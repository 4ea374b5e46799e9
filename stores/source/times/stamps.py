"""The array or column that says when each row was recorded, and the unit that it counts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.derived.joined import JoinedArray
from headrace.stores.source.derived.shaped import flat
from headrace.stores.source.interface import SourceArray, SourceNode
from headrace.stores.source.times.dates import YEARS, is_date, month_is_first, nanoseconds

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "days": 86_400.0}
DATE = "date"
_WORDS = {
    "s": r"s|secs?|seconds?",
    "ms": r"ms|msecs?|millis|milliseconds?",
    "us": r"us|µs|μs|usecs?|micros|microseconds?",
    "ns": r"ns|nsecs?|nanos|nanoseconds?",
    "days": r"days?",
}
_UNITS = {unit: re.compile(rf"({words})(\s+since\b.*)?") for unit, words in _WORDS.items()}
_UNIT_BEHIND = rf"(?:(?:[ _-]+|[ _-]*[(\[])(?P<unit>{'|'.join(_WORDS.values())})[)\]]?)?"
_OWNER = r"(?:(?:unix|epoch|sensor|sample|utc|local|system|gps|device|host|elapsed)[ _-]?)?"
_SURE = re.compile(
    rf"{_OWNER}(?:times?|time[ _-]?stamps?|date[ _-]?times?)(?:[ _-]?(?:utc|local|elapsed))?"
    rf"{_UNIT_BEHIND}|(?P<elapsed>seconds[ _-]?elapsed)"
)
_UNSURE = re.compile(
    rf"(?:t|date|epoch|elapsed|x_value){_UNIT_BEHIND}|(?P<word>secs?|seconds|millis)"
)
"""Names of times, and of much else: their values have to ascend."""
LOOKED_AT = 1024
"""First rows that tell whether an array is one of times."""
COMPARED = 9
"""Rows of files side by side whose times are compared."""


TimeName = str | list[str]
"""Of an array or column of times, or of two: of days, and of times of day."""


@dataclass(frozen=True)
class Stamps:
    """Times of rows, as they are stored: in ticks.

    Attributes:
        array: (S,), one a row of the signals.
        texts: whether it holds dates as texts.
        month_first: what 05/06/2024 means in them.
    """

    array: SourceArray
    texts: bool = False
    month_first: bool = True

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Ticks of the rows `start` to `stop`, int64 or float64; of dates nanoseconds.

        Raises:
            UserError: one is missing, or is no time; says in which row.
        """
        if self.texts:
            texts = self.array.texts(start, stop)
            try:
                return nanoseconds(texts, self.month_first)
            except ValueError as error:
                (number,) = error.args
                raise self._wrong(start + number, repr(str(texts[number])[:40])) from error
        values = self.array.read(start, stop)
        if values.dtype.kind == "M":
            years = values.astype("datetime64[Y]").astype(np.int64) + 1970
            wrong = np.isnat(values) | (years < YEARS[0]) | (years > YEARS[1])
            ticks = values.astype("datetime64[ns]").astype(np.int64)
        elif values.dtype.kind == "f":
            wrong, ticks = ~np.isfinite(values), values.astype(np.float64)
        else:
            wrong, ticks = np.zeros(len(values), bool), values.astype(np.int64)
        if wrong.any():
            number = int(np.argmax(wrong))
            raise self._wrong(start + number, str(values[number]))
        return ticks

    @property
    def where(self) -> str:
        """What they are called, for errors: the file, or all files, and the array."""
        leaf = self.array.name.rpartition("/")[2]
        return self.array.where if leaf in self.array.where else f"{self.array.where}:{leaf}"

    @property
    def dates(self) -> bool:
        """Whether they are dates, of whatever type."""
        return self.array.dtype.kind in "SOUM"

    @property
    def whole(self) -> bool:
        """Whether ticks are whole numbers."""
        return self.texts or self.array.dtype.kind in "Miu"

    def resolution(self, ticks: NDArray[Any]) -> float:
        """The smallest step that its type has room for at these ticks."""
        if self.array.dtype.kind != "f" or len(ticks) == 0:
            return 0.0
        return float(np.spacing(np.abs(ticks).max().astype(self.array.dtype)))

    def _wrong(self, row: int, value: str) -> SourceContentError:
        where = self.array.where
        if isinstance(self.array, JoinedArray):
            file, row = self.array.part(row)
            where = file.where
        return SourceContentError(
            f"{where} holds {value} in row {row:,}, which is no time. Correct it, name "
            'another column with source.time, or set source.time = "" and source.rate_hz.'
        )


def stamps_of(array: SourceArray) -> Stamps:
    """An array (S,) of numbers or dates as times."""
    if array.dtype.kind not in "SOU":
        return Stamps(array)
    first = array.texts(0, min(rows_of(array), LOOKED_AT)).tolist()
    return Stamps(array, texts=True, month_first=month_is_first(first))


def row_apart(one: Stamps, two: Stamps) -> tuple[int, float, float] | None:
    """A row whose times are more than half a step apart, by how much, and the step, in ticks.

    None: there is none among the ends, and some rows between; or they are not as many, or are no
    times of one kind. Signals of several rates have numbers of rows of their own.
    """
    rows = rows_of(one.array)
    if rows < 2 or rows_of(two.array) != rows or one.dates != two.dates:
        return None
    steps = np.diff(one.read(0, min(rows, LOOKED_AT)))
    if not (steps > 0).any():
        return None
    step = float(np.median(steps[steps > 0]))
    for row in np.unique(np.linspace(0, rows - 1, COMPARED).astype(np.int64)).tolist():
        (at,), (beside,) = one.read(row, row + 1), two.read(row, row + 1)
        away = abs(float(beside - at))
        if away > step / 2:
            return row, away, step
    return None


def unit_of(stamps: Stamps, name: TimeName, given: str | None) -> str | None:
    """A key of `SECONDS`, by the option, the type, an attribute or the name; None: none says it.

    Raises:
        UserError: the option contradicts the type.
    """
    if stamps.texts or stamps.array.dtype.kind == "M":
        if given not in (None, DATE):
            raise SourceError(
                f"{stamps.array.where} holds dates, and source.time_unit is {given}. Set "
                'source.time_unit = "date", or leave it out.'
            )
        return "ns"
    if given is not None:
        return _numbers_of_dates(stamps) if given == DATE else given
    for attribute in ("units", "unit", "kind"):
        found = _unit_said(stamps.array.attribute(attribute))
        if found:
            return found
    match = _matched(name) if isinstance(name, str) else None
    if match is None:
        return None
    said = match.groupdict()
    word = said.get("unit") or said.get("word") or ("s" if said.get("elapsed") else None)
    return _unit_said(word)


def _numbers_of_dates(stamps: Stamps) -> str:
    """Numbers that are dates: times of Parquet or pandas, else days, as MATLAB and Excel count."""
    said = [_unit_said(stamps.array.attribute(each)) for each in ("unit", "kind")]
    return next((unit for unit in said if unit), "days")


def _unit_said(value: Any) -> str | None:
    """The unit that an attribute says: seconds, ms, "s since 1970-01-01", datetime64[ns]."""
    if value is None or np.size(value) != 1:
        return None
    plain = np.asarray(value).reshape(-1)[0]
    text = plain.decode(errors="replace") if isinstance(plain, bytes) else str(plain)
    text = re.sub(r"^(?:datetime|timedelta)64\[(\w+)\]$", r"\1", text.strip().casefold())
    return next((unit for unit, word in _UNITS.items() if word.fullmatch(text)), None)


def candidates(node: SourceNode, signals: Sequence[str]) -> Iterator[str]:
    """Names of times beside the signals, and at the top; those that are sure come first."""
    above = {name.strip("/").rpartition("/")[0] for name in signals} | {""}
    names = [name for name in node.names() if name.strip("/").rpartition("/")[0] in above]
    yield from (name for name in names if _sure(name))
    yield from (name for name in names if _UNSURE.fullmatch(_plain(name)))
    for prefix in sorted(above, reverse=True):
        index = f"{prefix}/index".strip("/")
        if (found := node.array(index)) is not None and str(found.attribute("kind")).startswith(
            "datetime"
        ):
            yield index


def holds_times(node: SourceNode, name: str, rows: int) -> bool:
    """Whether there is one value a row, of a type that may be a time; unless sure, it ascends."""
    array = node.array(name)
    if (
        array is None
        or array.shape not in ((rows,), (rows, 1))
        or array.dtype.kind not in "MiufSOU"
    ):
        return False
    array = flat(array)
    if array.dtype.kind in "SOU":
        try:
            texts = array.texts(0, min(rows, LOOKED_AT)).tolist()
        except (UnicodeDecodeError, TypeError):
            return False
        return all(map(is_date, texts[:16]))
    if _sure(name):
        return True
    values = array.read(0, min(rows, LOOKED_AT))
    steps = np.diff(values.astype(np.int64 if values.dtype.kind == "M" else np.float64))
    return bool((steps > 0).any() and (steps < 0).mean() < 0.1)


def _sure(name: str) -> bool:
    return _SURE.fullmatch(_plain(name)) is not None


def _matched(name: str) -> re.Match[str] | None:
    return _SURE.fullmatch(_plain(name)) or _UNSURE.fullmatch(_plain(name))


def _plain(name: str) -> str:
    """Without the groups above it, in small letters, of words that stand apart."""
    leaf = name.rpartition("/")[2].strip()
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", leaf).casefold()
