"""Times of day: with the day in a column of its own, and those that go on past midnight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.derived.shaped import Shaped
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.notes.note import Note
from headrace.stores.source.times.dates import DAY_NS, is_time_of_day
from headrace.stores.source.times.scan import Places, slices_of
from headrace.stores.source.times.stamps import Stamps
from headrace.stores.text import counted

FIRST = 16
"""Rows that tell whether times have a day."""


class PastMidnight(Shaped):
    """Times of day, as moments since the first midnight before each recording."""

    def __init__(self, stamps: Stamps, row: NDArray[np.int64], day: NDArray[np.int64]) -> None:
        """From the rows `row` on, ascending, times are of the days `day`."""
        super().__init__(stamps.array, stamps.array.shape or (0,))
        self._stamps, self._row, self._day = stamps, row, day
        self.dtype = np.dtype("M8[ns]")
        self.cache_bytes += row.nbytes + day.nbytes

    def ready(self) -> PastMidnight:
        """See `SourceArray`."""
        stamps = replace(self._stamps, array=self._array.ready())
        return PastMidnight(stamps, self._row, self._day)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        ticks = self._stamps.read(start, stop)
        at = np.searchsorted(self._row, np.arange(start, start + len(ticks)), side="right") - 1
        day = np.where(at < 0, 0, self._day[at])
        moments: NDArray[Any] = (ticks + day * DAY_NS).view("M8[ns]")
        return moments


def past_midnight(stamps: Stamps, places: Places) -> tuple[Stamps, tuple[Note, ...]]:
    """Times of day that go on past midnight, and what is to be said of it.

    A step back of more than 12 hours within a recording is to the next day. Times of one day, and
    those that have a date, are left as they are.

    Raises:
        UserError: one is no time; says in which row.
    """
    if not stamps.texts or len(places.start) == 0:
        return stamps, ()
    first = int(places.start[0])
    texts = stamps.array.texts(first, min(first + FIRST, rows_of(stamps.array)))
    if not all(map(is_time_of_day, texts.tolist())):
        return stamps, ()
    rows, owners = [], []
    for low, place, ticks in slices_of(stamps, places):
        inside = (place[1:] == place[:-1]) & (place[1:] >= 0)
        passed = np.flatnonzero(inside & (np.diff(ticks) < -DAY_NS // 2)) + 1
        rows.append(low + passed)
        owners.append(place[passed])
    row, owner = np.concatenate(rows), np.concatenate(owners)
    if len(row) == 0:
        return stamps, ()
    before = np.searchsorted(owner, owner)
    day = np.arange(len(owner)) - before + 1
    # Each recording begins with a day of its own.
    ends = places.stop[np.unique(owner)]
    order = np.argsort(np.concatenate((row, ends)), kind="stable")
    every = np.concatenate((row, ends))[order]
    days = np.concatenate((day, np.zeros(len(ends), np.int64)))[order]
    said = Note(
        f"The times of day in {stamps.where} pass midnight {counted(len(row), 'time')}: a step "
        "back of more than 12 hours is to the next day.",
        "source.time",
    )
    return Stamps(PastMidnight(stamps, every, days)), (said,)


class DayTimes(Shaped):
    """Days of one column and times of day of another, as texts of both."""

    def __init__(self, day: SourceArray, time: SourceArray) -> None:
        """Of as many rows.

        Raises:
            SourceError: they are not, or are neither texts nor whole numbers.
        """
        for array in (day, time):
            if array.dtype.kind not in "SOUMiu" or array.shape != day.shape:
                raise SourceError(
                    f"{array.where} {array.shape} holds {array.dtype}; source.time names two "
                    f"columns, the day and the time of day of each row, and {day.where} has shape "
                    f"{day.shape}. Name one column of times, or two of such texts."
                )
        super().__init__(day, day.shape or (0,))
        self._time = time
        leaf = time.name.rpartition("/")[2]
        self.name, self.where = f"{day.name} and {leaf}", f"{day.where} and {leaf}"
        self.dtype = np.dtype(object)
        self.files = tuple(dict.fromkeys((*day.files, *time.files)))
        self.cache_bytes += time.cache_bytes
        self.decode_bytes += time.decode_bytes
        self.row_bytes += time.row_bytes

    def ready(self) -> DayTimes:
        """See `SourceArray`."""
        return DayTimes(self._array.ready(), self._time.ready())

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`; empty where one of the two is."""
        day = np.char.strip(_texts(self._array, start, stop))
        time = np.char.strip(_texts(self._time, start, stop))
        # Each alone would be a moment too: of 1970, or of midnight.
        return np.where((day == "") | (time == ""), "", np.char.add(np.char.add(day, " "), time))


def _texts(array: SourceArray, start: int, stop: int) -> NDArray[np.str_]:
    if array.dtype.kind in "SOU":
        return array.texts(start, stop)
    values = array.read(start, stop)
    if values.dtype.kind == "M":
        return np.datetime_as_string(values, unit="D")
    return values.astype(np.str_)
