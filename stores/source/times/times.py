"""Recordings by the times of their rows: the rate, and cuts where samples are missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.beside import plain_number
from headrace.stores.source.channels import stated_by
from headrace.stores.source.derived.held import HeldArray
from headrace.stores.source.interface import SourceArray, SourceFile
from headrace.stores.source.notes.note import Note
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.recording_table import RecordingTable
from headrace.stores.source.times.day_times import past_midnight
from headrace.stores.source.times.interleaved import interleaved
from headrace.stores.source.times.notes import (
    coarse,
    contradiction,
    disorder,
    left_alone,
    notes_of_times,
)
from headrace.stores.source.times.order import pieces_of, sorted_rows
from headrace.stores.source.times.rate import (
    SAME_RATE,
    Steps,
    agree,
    agreeing_unit,
    meant_rate,
    plausible_unit,
)
from headrace.stores.source.times.row_order import Ordered, RowOrder
from headrace.stores.source.times.scan import Places, Scan, sample, scan
from headrace.stores.source.times.stamps import SECONDS, Stamps, TimeName, unit_of
from headrace.stores.source.times.times_of import find_stamps

COARSE = 0.2
"""Of steps that are 0: stamps that are rounded to more than a step say no time of a row."""
FEWEST_REGULAR = 0.5
"""Of a recording's steps: with fewer it has another rate."""
FEWEST_STEPS = 20


@dataclass(frozen=True)
class Times:
    """The recordings as they are cut, and what the times say.

    Attributes:
        table: a row for each piece.
        given: the table of recordings as it is, its rows in their order.
        owner: (P,) int64, the row in `given` of each piece.
        offset: (P,) seconds from the recording's first row to the piece's.
        begun: (P,) time of the piece's first row, in ticks.
        rate_hz: from the times; None: there are none.
        stamps: the times in their order; None: there are none.
        tick_s: seconds of one of their ticks.
        order: of the rows, where they were sorted.
        notes: what is to be told.
    """

    table: RecordingTable
    given: RecordingTable
    owner: NDArray[np.int64]
    offset: NDArray[np.float64]
    begun: NDArray[Any]
    rate_hz: float | None = None
    stamps: Stamps | None = None
    tick_s: float = 1.0
    order: RowOrder | None = None
    notes: tuple[Note, ...] = ()

    def rate_or(self, other: float) -> float:
        """The rate of the times; `other` where there are none, and no piece begins later."""
        return other if self.rate_hz is None else self.rate_hz

    def ordered(self, array: SourceArray) -> SourceArray:
        """An array of one value a row, or more, in the order of the times."""
        return array if self.order is None else Ordered(array, self.order)

    @property
    def made(self) -> list[SourceArray]:
        """What the fingerprint covers: the pieces, and the order, where the times made some."""
        if self.table is self.given and self.order is None:
            return []
        arrays = [self.table.start, self.table.length]
        if self.order is not None:
            arrays += [self.order.start, self.order.before]
        where = "times"
        return [HeldArray(f"piece {number}", where, each) for number, each in enumerate(arrays)]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        order = 0 if self.order is None else self.order.start.nbytes + self.order.before.nbytes
        return (
            order
            + self.offset.nbytes
            + self.owner.nbytes
            + self.begun.nbytes
            + self.table.start.nbytes
        )


def read_times(
    file: SourceFile,
    data: SourceArray,
    table: RecordingTable,
    options: SourceOptions,
    name: TimeName | None,
) -> Times:
    """Find the times of rows, and cut the recordings by them.

    Args:
        file: the source.
        data: the signals.
        table: the recordings.
        options: how it is read. Times that they do not name are left alone where they contradict
            the file's rate, or, where there is one, are too coarse to be of use.
        name: of the times, or of the days and the times of day; None: there are none.

    Raises:
        UserError: times are missing, go back or come twice; they contradict the rate; nothing
            says what they count; recordings have rates of their own.
    """
    none = _no_times(table)
    asked, known = options.time is not None, known_rate(data, options)
    cut = options.max_cut_rows
    stamps = None if name is None else find_stamps(file, rows_of(data), name, asked, cut)
    if stamps is None or name is None:
        return none
    places, where = _places(table), stamps.where
    stamps, passed = past_midnight(stamps, places)
    steps = sample(stamps, places)
    if steps is None or steps.repeated > COARSE:
        why = coarse(where, steps) + file.example(lambda files: interleaved(files, name))
        if asked or known is None:
            raise SourceContentError(why)
        return replace(none, notes=left_alone(why))
    unit = _unit(stamps, name, steps, known, options)
    if unit is None or (known is not None and not agree(1 / (steps.step * SECONDS[unit]), known)):
        why = contradiction(where, steps, known, unit)
        if asked or options.rate_hz is not None:
            raise SourceError(why)
        return replace(none, notes=left_alone(why))
    tick = SECONDS[unit]
    longest = steps.longest if options.max_gap_s is None else options.max_gap_s / tick
    # Nothing in the file says where recordings begin: times that begin afresh do.
    may_restart = table.node is None or isinstance(table.arrays[0], HeldArray)
    found, order, repeats = scan(stamps, places, steps, longest, may_restart), None, 0
    if found.disorder:
        if options.time_order == "error":
            raise disorder(stamps, file, places, found)
        order, places, repeats = sorted_rows(stamps, places, found)
        table = _in_order(table, places)
        stamps = replace(stamps, array=Ordered(stamps.array, order))
        found = scan(stamps, places, steps, longest, False)
    _check_rates(where, places, found, steps, tick)
    measured, uncertainty = _measured(found, steps, tick)
    rate = meant_rate(measured, uncertainty) if known is None else known
    pieces, owner, offset, begun = _cut(table, places, found, tick, steps.step + longest)
    gap = longest * tick
    said = notes_of_times(where, unit, steps, measured, rate, found, places, gap, repeats)
    return Times(pieces, table, owner, offset, begun, rate, stamps, tick, order, (*said, *passed))


def _no_times(table: RecordingTable) -> Times:
    zeros = np.zeros(len(table.start))
    return Times(table, table, np.arange(len(zeros)), zeros, zeros.copy())


def known_rate(data: SourceArray, options: SourceOptions) -> float | None:
    """The rate that is given, else that of an attribute; None: none is usable."""
    if options.rate_hz is not None:
        return options.rate_hz
    value = np.asarray(plain_number(stated_by(data)["sampling_rate_hz"]))
    if value.size != 1 or value.dtype.kind not in "fiu":
        return None
    rate = float(str(value.reshape(-1)[0]))
    return rate if np.isfinite(rate) and rate > 0 else None


def _places(table: RecordingTable) -> Places:
    filled = np.flatnonzero(table.length > 0)
    owner = filled[np.argsort(table.start[filled], kind="stable")]
    return Places(table.start[owner], (table.start + table.length)[owner], owner)


def _unit(
    stamps: Stamps, name: TimeName, steps: Steps, known: float | None, options: SourceOptions
) -> str | None:
    """What the times count; None: nothing by which they have the known rate."""
    said = unit_of(stamps, name, options.time_unit)
    if said is not None:
        return said
    if known is not None:
        return agreeing_unit(steps, known)
    return plausible_unit(steps, options, stamps.where)


def _in_order(table: RecordingTable, places: Places) -> RecordingTable:
    """The table, its recordings where their sorted rows are."""
    start, length = np.zeros_like(table.start), np.zeros_like(table.length)
    np.add.at(length, places.owner, places.stop - places.start)
    start[places.owner[::-1]] = places.start[::-1]
    return replace(table, start=start, length=length)


def _check_rates(where: str, places: Places, found: Scan, steps: Steps, tick: float) -> None:
    """Raises UserError: a recording has a step of its own."""
    enough = found.steps >= FEWEST_STEPS
    other = np.flatnonzero(enough & (found.regular < FEWEST_REGULAR * found.steps))
    if len(other):
        at = int(other[0])
        raise SourceError(
            f"In {where}, {found.steps[at] - found.regular[at]:,} of the {found.steps[at]:,} steps "
            f"of recording {places.owner[at]} are far from {steps.step * tick:.4g} s, the usual "
            "step. It has another rate than the others, or gaps everywhere: leave it out, or set "
            'source.time = "" and source.rate_hz to leave the times alone.'
        )
    rates = 1 / (found.mean * tick)
    own = np.where(enough & (found.regular >= FEWEST_STEPS), rates, np.nan)
    if np.isnan(own).all():
        return
    middle = float(np.nanmedian(own))
    others = np.flatnonzero(np.abs(own / middle - 1) > SAME_RATE)
    if len(others):
        at = int(others[0])
        raise SourceError(
            f"By {where}, recording {places.owner[at]} has {own[at]:.6g} Hz, and most have "
            f"{middle:.6g} Hz. A source has one rate: leave out what has another."
        )


def _measured(found: Scan, steps: Steps, tick: float) -> tuple[float, float]:
    """The rate in Hz by the mean of all regular steps, and how uncertain it is, relative."""
    count = int(found.regular.sum())
    if count == 0:
        return 1 / (steps.step * tick), SAME_RATE
    mean = float(np.nansum(found.mean * found.regular) / count)
    return 1 / (mean * tick), float(found.deviation / np.sqrt(count) / mean)


def _cut(
    table: RecordingTable, places: Places, found: Scan, tick: float, pause: float
) -> tuple[RecordingTable, NDArray[np.int64], NDArray[np.float64], NDArray[Any]]:
    """Pieces in the order of the table, the recording of each, seconds since its beginning, time.

    Where times begin afresh they go on after a pause, in ticks.
    """
    cuts = found.cuts
    pieces, place = pieces_of(places, cuts)
    heads = np.isin(pieces.start, places.start)
    begun = np.zeros(len(heads), found.first.dtype)
    begun[heads], begun[~heads] = found.first[place[heads]], cuts.at
    ahead = np.zeros(len(heads))
    jump = np.where(cuts.restart, pause, (cuts.at - cuts.before).astype(np.float64))
    inner = np.flatnonzero(~heads)
    ahead[inner] = (cuts.before - begun[inner - 1]).astype(np.float64) + jump
    # Parts of a recording that was cut before it was sorted go on too.
    later = np.flatnonzero(heads[1:] & (np.diff(pieces.owner) == 0)) + 1
    ahead[later] = (found.last[place[later - 1]] - begun[later - 1]).astype(np.float64) + pause
    offset = np.cumsum(ahead) * tick
    head = np.flatnonzero(np.diff(pieces.owner, prepend=-1) != 0)
    offset -= np.repeat(offset[head], np.diff(head, append=len(heads)))
    if len(cuts.row) == 0 and len(np.unique(pieces.owner)) == len(pieces.owner):
        count = len(table.start)
        every = np.zeros(count, begun.dtype)
        every[pieces.owner] = begun
        return table, np.arange(count), np.zeros(count), every
    order = np.lexsort((pieces.start, pieces.owner))
    start, owner = pieces.start[order], pieces.owner[order]
    cut = replace(
        table,
        start=start,
        length=pieces.stop[order] - start,
        group_code=table.group_code[owner],
        part_code=table.part_code[owner],
        owner=table.owner[owner],
    )
    return cut, owner, offset[order], begun[order]
