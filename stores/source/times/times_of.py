"""Which array or columns of a source are the times of its rows, by name or by a usual one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import require_array, rows_of
from headrace.stores.source.derived.cut import cut_to
from headrace.stores.source.derived.shaped import flat
from headrace.stores.source.interface import Files, SourceArray, SourceFile, SourceNode
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.signals import names_of, signals_of
from headrace.stores.source.times.dates import is_day, is_time_of_day
from headrace.stores.source.times.day_times import FIRST, DayTimes
from headrace.stores.source.times.stamps import (
    Stamps,
    TimeName,
    candidates,
    holds_times,
    row_apart,
    stamps_of,
)

MOST_COLUMNS = 100
"""That are looked through for days beside times of day."""


def time_name(file: SourceFile, options: SourceOptions) -> TimeName | None:
    """Of the array or columns of times: those asked for, or usual ones; None: there are none.

    Raises:
        UserError: as `signals_of`.
    """
    if options.time is not None:
        return options.time or None
    return file.example(lambda files: _usual_name(files, options))


def find_stamps(
    file: SourceFile, rows: int, name: TimeName, asked: bool, most_cut: int
) -> Stamps | None:
    """The times of that name; None: they are not one a row, and were not asked for.

    Up to `most_cut` more of them than rows are left out at the end.

    Raises:
        UserError: there is none of that name, or it holds no times; asked for, it has not one a
            row.
    """
    array = file.each(lambda files: array_of_recording(files, name))
    array = cut_to(array, rows, most_cut)
    if array.shape != (rows,):
        if not asked:
            return None
        raise SourceError(
            f"{array.where} has shape {array.shape} for the {rows} rows of the signals; one time "
            "per row is needed. Name another dataset with source.time."
        )
    if array.dtype.kind not in "MiufSOU":
        raise SourceError(
            f"{array.where} holds {array.dtype}; numbers or dates are needed. Name another dataset "
            "with source.time."
        )
    return stamps_of(array)


def array_of_recording(files: Files, name: TimeName) -> SourceArray:
    """The times of a recording, from the first of its files that has some.

    Raises:
        UserError: none has; another file of it has other times.
    """
    found = [array for each in files if (array := times_of(each, name)) is not None]
    if not found:
        for each in names_of(name):
            require_array(files[-1], "time", each, ())
    array = found[0]
    for other in found[1:]:
        _require_same_times(found[0], other)
    return array


def _require_same_times(first: SourceArray, other: SourceArray) -> None:
    """Raises UserError: rows of the same number are more than half a step apart."""
    if not all(array.dtype.kind in "MiufSOU" for array in (first, other)):
        return
    one, two = stamps_of(first), stamps_of(other)
    apart = row_apart(one, two)
    if apart is not None:
        row, away, step = apart
        unit = " ns" if one.dates else ""
        raise SourceError(
            f"{other.where} and {first.where} are side by side, and the times of their row "
            f"{row:,} are {away:.6g}{unit} apart, with steps of {step:.6g}{unit}: their rows "
            "are not of the same moments. Cut or resample them to the same times; or set "
            'source.time = "" and source.rate_hz to join them by the number of the row.'
        )


def times_of(node: SourceNode, name: TimeName) -> SourceArray | None:
    """The times of that name, (S,), or days and times of day together; None: there are none.

    Raises:
        UserError: one of two is not there, or they do not belong together.
    """
    found = [node.array(each) for each in names_of(name)]
    if all(array is None for array in found):
        return None
    arrays = [flat(require_array(node, "time", each, ())) for each in names_of(name)]
    if len(arrays) == 1:
        return arrays[0]
    if _all(arrays[0], is_time_of_day) and _all(arrays[1], is_day):
        arrays.reverse()
    return DayTimes(*arrays)


def _usual_name(files: Files, options: SourceOptions) -> TimeName | None:
    """In the first recording's files."""
    data = signals_of(files, options)
    rows = rows_of(data)
    taken = {*names_of(options.signals), *names_of(options.labels), options.groups, options.split}
    for node in files:
        for name in candidates(node, names_of(options.signals)):
            if name not in taken and holds_times(node, name, rows):
                return _with_day(node, name)
    return None


def _with_day(node: SourceNode, name: str) -> TimeName:
    """A column of times of day, or of days, with the one of the other beside it."""
    found = node.array(name)
    if found is None or not (_all(found, is_time_of_day) or _all(found, is_day)):
        return name
    wanted = is_day if _all(found, is_time_of_day) else is_time_of_day
    for other in islice(node.names(), MOST_COLUMNS):
        array = node.array(other)
        if array is not None and array.shape == found.shape and _all(array, wanted):
            return [other, name] if wanted is is_day else [name, other]
    return name


def _all(array: SourceArray, kind: Callable[[str], bool]) -> bool:
    """Whether its first texts are of that kind."""
    if array.dtype.kind not in "SOU" or len(array.shape or ()) != 1:
        return False
    try:
        texts = array.texts(0, min(rows_of(array), FIRST)).tolist()
    except (UnicodeDecodeError, TypeError):
        return False
    return bool(texts) and all(map(kind, texts))
