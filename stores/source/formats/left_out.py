"""Columns that hold numbers by their cells and not by their type: never left out without a word."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Protocol, runtime_checkable

from headrace.stores.errors import SourceContentError
from headrace.stores.text import shortened

LOOKED_AT = 1000
"""Different cells of a column that are looked at."""
_NUMBER = re.compile(
    r"[-+\u2212]?[$\u20ac\u00a3]?\s?(?:\d[\d.,'_\s]*|\.\d+)(?:[eEdD][-+]?\d+)?\s?%?|0[xX][\da-fA-F]+"
)
"""A number as somebody writes it: 1.234,5, 1 234, 1,5, 1.5D+03, 5 %."""
_DATE = re.compile(r"\d{4}[-/]\d|\d\d?:\d\d|\d\d?[./-]\d\d?[./-]\d\d|\d{4}\.\d\d\.\d\d")


@runtime_checkable
class MixedTable(Protocol):
    """A table of columns of numbers and others."""

    def check_left_out(self, used: Collection[str]) -> None:
        """Refuse to take all columns of numbers where another looks like one, but for `used`.

        Raises:
            UserError: names the column, and where it can the cell that makes it none of numbers.
        """
        ...


def mostly_numbers(cells: Iterable[str | None], fractions: bool = False) -> bool:
    """Whether half of a column's different texts, or more, look like numbers.

    Args:
        cells: different texts; None and empty ones do not count.
        fractions: whether one of them has to have more than digits: whole numbers that are stored
            as texts are names.
    """
    held = [text for cell in cells if (text := (cell or "").strip())]
    numbers = [text for text in held if _NUMBER.fullmatch(text) and not _DATE.match(text)]
    whole = fractions and all(text.isdecimal() for text in numbers)
    return bool(numbers) and 2 * len(numbers) >= len(held) and not whole


def left_out(where: str, column: str, cell: str | None) -> SourceContentError:
    """The error for a column that looks like a channel, and would be none."""
    holds = f"holds {shortened(repr(cell))}" if cell else "holds texts"
    if cell and "," in cell and "." not in cell:
        holds += " (a comma of decimals or of thousands: the table does not say which)"
    return SourceContentError(
        f"{where} {holds} in column {column}, whose other cells look like numbers: it would be no "
        "channel. Correct the file, or say which columns are channels with source.signals."
    )
