"""Which column says when each row was recorded: by its name, in any language by its values."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from headrace.pipeline.commands.guess.words import TIME_WORDS, word
from headrace.stores.source.probe.found import FoundArray
from headrace.stores.source.times.dates import is_date, is_day, is_time_of_day

SUFFIX = re.compile(
    r"[\W_](s|sec|secs|seconds|ms|msec|millis|milliseconds|us|µs|micros|ns|nanos)\W*$",
    re.IGNORECASE,
)
PARTS = ("time", "date", "zeit", "datum", "temps", "tiempo", "fecha", "heure", "hora", "tempo",
         "tijd", "horodatage", "xvalue")  # fmt: skip
"""Of names of times, also in other languages; their values have to rise, or be dates."""


def times_among(columns: Sequence[FoundArray]) -> FoundArray | None:
    """The column of times: by its name, and values that rise or are dates; else by values alone."""
    named = {word(each.name): each for each in reversed(columns)}
    for each in TIME_WORDS:
        found = named.get(each)
        # Times that go back in places, or come twice, are times all the same.
        if found is not None and ((found.is_number and (found.step or 0) > 0) or are_dates(found)):
            return found
    for column in columns:
        is_time = any(each in word(column.name) for each in PARTS)
        if is_time and (column.rises or are_dates(column)):
            return column
    dates = [c for c in columns if c.kind in "SOU" and _all(c, is_date) and _differ(c)]
    if dates:
        return dates[0]
    # In other languages too: "Zeit (s)".
    counting = [c for c in columns if c.is_number and c.rises and c.even]
    named_so = next((c for c in counting if SUFFIX.search(c.name)), None)
    if named_so is not None or not counting or counting[0] is not columns[0]:
        return named_so
    # Numbers of rows go on evenly too, by 1.
    first = counting[0]
    return first if first.values is None and not first.whole else None


def says_time(name: str) -> bool:
    """Whether a name says that its column holds times."""
    bare = word(name)
    return bare in TIME_WORDS or any(each in bare for each in PARTS) or bool(SUFFIX.search(name))


def are_dates(column: FoundArray) -> bool:
    """Whether its first texts look like dates or times of day."""
    return column.kind in "SOU" and any(
        re.search(r"\d{1,4}[-/.:]\d{1,2}[-/.:]\d{1,4}", str(each)) for each in column.first
    )


def with_day(times: FoundArray, columns: Sequence[FoundArray]) -> str | list[str]:
    """The name of a column of times; of times of day, or of days, those of both columns."""
    texts = [c for c in columns if c.kind in "SOU" and c.shape == times.shape]
    if times.kind in "SOU" and _all(times, is_time_of_day):
        return next(([c.name, times.name] for c in texts if _all(c, is_day)), times.name)
    if times.kind in "SOU" and _all(times, is_day):
        return next(([times.name, c.name] for c in texts if _all(c, is_time_of_day)), times.name)
    return times.name


def _all(column: FoundArray, kind: Callable[[str], bool]) -> bool:
    return bool(column.first) and all(kind(str(each)) for each in column.first)


def _differ(column: FoundArray) -> bool:
    """Whether most rows have a value of their own, as times have."""
    return column.values is None or 2 * len(column.values) > column.rows
