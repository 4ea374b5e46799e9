"""Signals of several rates side by side: which last as long as each other, and their rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from headrace.pipeline.commands.guess.facts import Guess, few
from headrace.pipeline.commands.guess.rate import nearest_rate
from headrace.stores.source.probe.found import FoundArray

MOST_TERM = 256
"""Of the ratio of two lengths that may be that of two rates, as 64 Hz to 4 Hz is."""


@dataclass(frozen=True)
class Lasting:
    """Arrays of one recording that last equally long.

    Attributes:
        places: of these among all that were asked about.
        rates_hz: of each; (): they are of one rate. None where it is not known.
        said: whether attributes say all of them.
    """

    places: tuple[int, ...]
    rates_hz: tuple[float | None, ...] = ()
    said: bool = False

    @property
    def highest(self) -> float | None:
        """The rate that all are brought to."""
        known = [rate for rate in self.rates_hz if rate is not None]
        return max(known) if known and len(known) == len(self.rates_hz) else None


def lasting_alike(arrays: Sequence[FoundArray], rows: Sequence[int]) -> Lasting:
    """Which arrays last as long as most others, and at which rates.

    Args:
        arrays: the first of a recording's, of each kind.
        rows: of each.
    """
    said = [nearest_rate(each) for each in arrays]
    everything = range(len(arrays))
    best: list[int] = []
    for reference in sorted(everything, key=lambda n: -rows[n]):
        alike = [n for n in everything if _as_long(rows, said, reference, n)]
        best = max(best, alike, key=len)
    if len({rows[n] for n in best}) == 1:
        return Lasting(tuple(best))
    if all(said[n] is not None for n in best):
        return Lasting(tuple(best), tuple(said[n] for n in best), True)
    # In proportion to the lengths, where one is known.
    known = next((n for n in best if said[n] is not None), None)
    rates: list[float | None] = []
    for n in best:
        ratio = None if known is None else _ratio(rows[n], rows[known])
        rate = None if known is None or ratio is None else (said[known] or 0.0) * float(ratio)
        rates.append(None if rate is None else float(f"{rate:.9g}"))
    return Lasting(tuple(best), tuple(rates))


def tell_rates(guess: Guess, lasting: Lasting, names: Sequence[str]) -> None:
    """Write down the rates of arrays that have several."""
    if lasting.highest is None:
        guess.source["rates_hz"] = (None, f"Hz, one for each of {few(list(names))}")
        guess.unsure.append("the sampling rates: the file does not say them.")
        return
    rates = [rate for rate in lasting.rates_hz if rate is not None]
    if lasting.said:
        guess.source["rates_hz"] = (rates, "Hz, as attributes say")
        return
    guess.source["rates_hz"] = (rates, "??? Hz, in proportion to the lengths")
    shown = ", ".join(f"{rate:g}" for rate in rates)
    guess.unsure.append(f"that the sampling rates are {shown} Hz: not all of them are stated.")


def tell_rate_column(guess: Guess, name: str, rates: Sequence[float]) -> float | None:
    """Say that a column of the table of files says the rate; returns it where it is one."""
    different = sorted(set(rates))
    shown = few([f"{rate:g}" for rate in different])
    guess.notes.append(f"The rate is the column {name} of the table: {shown} Hz.")
    if len(different) > 1:
        guess.unsure.append(f"recordings have different rates by their column {name}: {shown} Hz.")
        return None
    return different[0]


def _as_long(rows: Sequence[int], said: Sequence[float | None], reference: int, other: int) -> bool:
    """Whether two arrays may last as long: by their rates, else by a ratio of small numbers."""
    if rows[reference] == rows[other]:
        return said[reference] == said[other] or None in (said[reference], said[other])
    one, two = said[reference], said[other]
    if one is not None and two is not None:
        return abs(rows[reference] / one - rows[other] / two) < 1 / min(one, two)
    return _ratio(rows[other], rows[reference]) is not None


def _ratio(rows: int, reference: int) -> Fraction | None:
    """The ratio of two rates whose signals have so many rows; None: they hardly last as long."""
    if min(rows, reference) < 2:
        return None
    larger, smaller = max(rows, reference), min(rows, reference)
    ratio = Fraction(larger, smaller).limit_denominator(8)
    if ratio > MOST_TERM or abs(larger - float(ratio) * smaller) > ratio:
        return None
    return ratio if rows == larger else 1 / ratio
