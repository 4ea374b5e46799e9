"""What is said of times: why they cannot be used, and what was made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace.stores.errors import SourceContentError
from headrace.stores.source.files.files import FILE
from headrace.stores.source.interface import SourceFile
from headrace.stores.source.notes.note import Note
from headrace.stores.source.times.rate import Steps
from headrace.stores.source.times.scan import Places, Scan
from headrace.stores.source.times.stamps import SECONDS, Stamps
from headrace.stores.text import counted, format_seconds

EVEN = 1e-6
"""Of a step: a smaller spread is that of rounding."""


def coarse(where: str, steps: Steps | None) -> str:
    """That times do not tell rows apart."""
    what = (
        "None of its steps goes forward"
        if steps is None
        else (f"{steps.repeated:.0%} of its steps are 0: it is rounded to more than a step")
    )
    return (
        f"{where} does not say when its rows were recorded. {what}. Name another column with "
        'source.time, or set source.time = "" and source.rate_hz.'
    )


def contradiction(where: str, steps: Steps, known: float | None, unit: str | None) -> str:
    """That times and the known rate do not agree."""
    tried = [unit] if unit is not None else ["s", "ms", "us", "ns"]
    rates = ", ".join(f"{1 / (steps.step * SECONDS[each]):.6g} Hz in {each}" for each in tried)
    return (
        f"{where} contradicts the rate of {known:g} Hz: its times ascend by {steps.step:.6g} a "
        f"row, which is {rates}. Correct source.rate_hz or source.time_unit, or set "
        'source.time = "" to leave the times alone.'
    )


def disorder(stamps: Stamps, file: SourceFile, places: Places, found: Scan) -> SourceContentError:
    """Names the first rows."""
    shown = []
    for row, before, at in found.shown:
        place = int(np.searchsorted(places.start, row, side="right")) - 1
        owner, first = int(places.owner[place]), int(places.start[place])
        names = file.columns.get(FILE)
        named = f"recording {owner}" if names is None else f"recording {owner} ({names[owner]})"
        does = "goes back" if at < before else "is repeated"
        shown.append(
            f"in {named} row {row - first:,} (row {row:,} of all) is {_shown(stamps, at)} after "
            f"{_shown(stamps, before)}: it {does}"
        )
    more = found.disorder - len(shown)
    rest = f"; and {more:,} more" if more else ""
    return SourceContentError(
        f"The times in {stamps.where} do not ascend: {'; '.join(shown)}{rest}. Correct them, "
        'or set source.time_order = "sort" (repeats are then left out), or source.time = "" and '
        "source.rate_hz to leave the times alone."
    )


def _shown(stamps: Stamps, tick: Any) -> str:
    dates = stamps.texts or stamps.array.dtype.kind == "M"
    # Without the noughts behind.
    return str(np.datetime64(int(tick), "ns")).rstrip("0").rstrip(".") if dates else str(tick)


def notes_of_times(
    where: str,
    unit: str,
    steps: Steps,
    measured: float,
    rate: float,
    found: Scan,
    places: Places,
    max_gap_s: float,
    repeats: int,
) -> tuple[Note, ...]:
    """What was seen, and what was made of it."""
    count = int(found.regular.sum())
    uneven = found.deviation / steps.step
    restarts = int(found.cuts.restart.sum())
    gaps = len(found.cuts.row) - restarts
    others = int(found.steps.sum()) - count - len(found.cuts.row)
    joined = f" {counted(others, 'step')} are far from it, and cut nothing." if others else ""
    spread = f"uneven by {uneven:.2g} of a step (standard deviation)"
    notes = [
        Note(
            f"{where} counts {unit}: {measured:.6g} Hz, steps {spread if uneven > EVEN else 'even'}"
            f", over {count:,} steps.{joined} The rate is {rate:g} Hz.",
            "source.time",
        )
    ]
    if gaps:
        away = (found.cuts.at - found.cuts.before)[~found.cuts.restart].astype(np.float64)
        longest = float(away.max()) * SECONDS[unit]
        shown = format_seconds(longest) if longest >= 60 else f"{longest:.4g} s"
        cut = len(np.unique(np.searchsorted(places.start, found.cuts.row, side="right")))
        notes.append(
            Note(
                f"Cut at {counted(gaps, 'gap')} of more than {max_gap_s:.4g} s in "
                f"{counted(cut, 'recording')}, the longest of {shown}: no window joins the sides.",
                "source.max_gap_s",
                warning=True,
            )
        )
    if restarts:
        notes.append(
            Note(
                f"Cut at {counted(restarts, 'row')} where times begin again from the beginning.",
                "source.time",
            )
        )
    if repeats:
        notes.append(
            Note(
                f"{counted(repeats, 'row')} with the time of another are left out.",
                "source.time_order",
                warning=True,
            )
        )
    return tuple(notes)


def left_alone(why: str) -> tuple[Note, ...]:
    """That times which nobody asked for are not used."""
    return (Note(f"{why} They were left alone.", "source.time", warning=True),)
