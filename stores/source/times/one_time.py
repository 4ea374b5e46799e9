"""Files of a recording that have times of their own, brought to those of the fastest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, cast

import numpy as np

from headrace.stores.errors import SourceError, UserError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.derived.shaped import flat
from headrace.stores.source.formats.left_out import MixedTable
from headrace.stores.source.interface import Files, SourceArray, SourceNode
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.rows.several_rates import SeveralRates
from headrace.stores.source.signals import (
    NO_CHANNELS,
    USUAL_SIGNALS,
    USUAL_WINDOWS,
    has_data,
    names_of,
    signals_of,
)
from headrace.stores.source.times.moments import AtMoments, Moments, Part, moments_of
from headrace.stores.source.times.rate import plausible_unit, steps_of
from headrace.stores.source.times.stamps import (
    LOOKED_AT,
    SECONDS,
    Stamps,
    candidates,
    holds_times,
    row_apart,
    stamps_of,
    unit_of,
)

AS_FAST = 1.05
"""Of the fastest's step: the first file of those is the one whose times are kept."""
BRIDGED_S, BRIDGED_STEPS = 1.0, 3
"""Gaps that are bridged without `slow_max_gap_s`: the longer of the two."""


def on_one_time(files: Files, options: SourceOptions) -> Files | None:
    """The files of a recording at the times of the fastest; None: they are read as they stand.

    So they are where they have the same times, or where they are joined by their rates. The
    recording begins with the last of the files that begin, and ends with the first that ends.

    Raises:
        UserError: their times have no moment in common, go back, or say no unit.
    """
    two = isinstance(options.time, list)
    if (
        len(files) < 2
        or options.rates_hz
        or options.time == ""
        or two
        or _hold_windows(files, options)
    ):
        return None
    name = _time_name(files, options)
    if name is None:
        return None
    stamps = [stamps_of(flat(array)) for each in files if (array := each.array(name)) is not None]
    if len(stamps) < len(files) or _joined_as_they_are(files, stamps, name, options):
        return None
    steps = [_step(each) for each in stamps]
    kept = next(at for at, step in enumerate(steps) if step <= AS_FAST * min(steps))
    moments = [moments_of(each) for each in stamps]
    first, stop = _common(moments, kept)
    at = Stamps(Part(stamps[kept].array, first, stop), stamps[kept].texts, stamps[kept].month_first)
    tick = SECONDS[_unit(stamps[kept], name, options)]
    held = {name for name in _of_rows(options) if name}
    found: list[SourceNode] = []
    for number, (node, own) in enumerate(zip(files, moments, strict=True)):
        if number == kept:
            found.append(_Node(node, own, lambda array, _: Part(array, first, stop)))
            continue
        bridged = max(BRIDGED_S / tick, BRIDGED_STEPS * steps[number])
        gap = bridged if options.slow_max_gap_s is None else options.slow_max_gap_s / tick

        def read(
            array: SourceArray, leaf: str, own: Moments = own, gap: float = gap
        ) -> SourceArray:
            if leaf == name:
                return at.array
            hold = options.slow == "hold" or leaf in held or array.dtype.kind not in "iuf"
            return AtMoments(array, own, at, hold, gap)

        found.append(_Node(node, own, read))
    return found


class _Node:
    """A file whose arrays of a value a row are read at other times; see `SourceNode`."""

    def __init__(self, inner: SourceNode, own: Moments, read: Any) -> None:
        """`read(array, name)` gives the array at those times."""
        self._inner, self._rows, self._read = inner, own.rows, read
        self.name, self.where = inner.name, inner.where

    def array(self, name: str) -> SourceArray | None:
        """The array of that name."""
        found = self._inner.array(name)
        if found is None or not found.shape or found.shape[0] != self._rows:
            return found
        return cast(SourceArray, self._read(found, name))

    def group(self, name: str) -> SourceNode | None:
        """The group of that name."""
        return self._inner.group(name)

    def children(self) -> Iterable[str]:
        """What stands in the file."""
        return self._inner.children()

    def contents(self) -> str:
        """The arrays of the file."""
        return self._inner.contents()

    def names(self) -> Iterator[str]:
        """Names of the arrays of the file."""
        return self._inner.names()

    def check_left_out(self, used: Collection[str]) -> None:
        """See `MixedTable`."""
        if hasattr(self._inner, "check_left_out"):
            cast(MixedTable, self._inner).check_left_out(used)


def _hold_windows(files: Files, options: SourceOptions) -> bool:
    if options.layout != "auto" or options.windows or options.signals:
        return options.layout == "windows" or bool(options.windows)
    return has_data(files, USUAL_WINDOWS) and not has_data(files, USUAL_SIGNALS)


def _time_name(files: Files, options: SourceOptions) -> str | None:
    """Of the times that all files have."""
    if isinstance(options.time, str):
        return options.time if all(each.array(options.time) for each in files) else None
    taken = {*names_of(options.signals), *_of_rows(options)}
    shared = (
        name
        for name in candidates(files[0], names_of(options.signals))
        if name not in taken and all(_holds(each, name) for each in files)
    )
    return next(shared, None)


def _holds(node: SourceNode, name: str) -> bool:
    array = node.array(name)
    return array is not None and rows_of(array) > 1 and holds_times(node, name, rows_of(array))


def _of_rows(options: SourceOptions) -> list[str | None]:
    """Names of columns that say something of rows: no value stands between two of them."""
    given = [options.groups, options.split, options.label_column]
    return [*given, *names_of(options.labels), *names_of(options.recordings), *NO_CHANNELS]


def _joined_as_they_are(
    files: Files, stamps: Sequence[Stamps], name: str, options: SourceOptions
) -> bool:
    """Whether rows of the same number are of the same moment, or rates say of which they are."""
    as_many = len({rows_of(each.array) for each in stamps}) == 1
    if as_many and all(row_apart(stamps[0], other) is None for other in stamps[1:]):
        return True
    with suppress(UserError):
        data = signals_of(files, options.model_copy(update={"time": name}))
        if isinstance(data, SeveralRates):
            begun = [float(each.read(0, 1)[0] - stamps[0].read(0, 1)[0]) for each in stamps]
            return max(begun) - min(begun) <= max(map(_step, stamps)) / 2
    return False


def _step(stamps: Stamps) -> float:
    """The usual one, in ticks; infinity where there is none."""
    steps = np.diff(stamps.read(0, min(rows_of(stamps.array), LOOKED_AT)))
    return float(np.median(steps[steps > 0])) if (steps > 0).any() else float("inf")


def _common(moments: Sequence[Moments], kept: int) -> tuple[int, int]:
    """Rows of one file that lie within the times of all.

    Raises:
        UserError: there are none.
    """
    start, end = max(each.heads[0] for each in moments), min(each.last for each in moments)
    first, stop = moments[kept].place(start, "left"), moments[kept].place(end, "right")
    if stop - first < 2:
        shown = "; ".join(f"{m.stamps.where} from {m.heads[0]} to {m.last}" for m in moments)
        raise SourceError(
            f"Files side by side have no moment in common: {shown}. Correct source.files, or the "
            'times; or set source.time = "" and source.rates_hz to join them by their rates.'
        )
    return first, stop


def _unit(stamps: Stamps, name: str, options: SourceOptions) -> str:
    """What times count; as `read_times` will find it."""
    ticks = stamps.read(0, min(rows_of(stamps.array), LOOKED_AT))
    said = unit_of(stamps, name, options.time_unit)
    steps = steps_of([(ticks - ticks[0]).astype(np.float64)], 0.0, float(ticks[0]))
    if said is None and steps is not None:
        return plausible_unit(steps, options, stamps.where)
    return said or "s"
