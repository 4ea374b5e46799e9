"""What stands around the header of a table of text: lines of loggers above it, units below it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from headrace.stores.errors import SourceContentError
from headrace.stores.source.formats.text_clean import BLANK, newlines
from headrace.stores.source.formats.text_dialect import (
    cells_of,
    is_empty,
    is_number,
    lines_with_cells,
    row_end_of,
    separator_of,
)

LOOKED_AT, WIDE_BYTES, WIDE_LOOKED_AT = 200, 4096, 40
"""Lines that are looked at, and of lines longer than so many bytes."""
TAIL, LEAST_ROWS = 10, 2
STATED_BYTES = 64 << 10
ABOVE = "sample rate above the rows"
"""Name of the attribute that says it."""
_UNIT = re.compile(
    r"\[.*\]|\(.*\)|[munkµμ]?(s|sec|v|a|g|t|hz|m|w|pa|bar|ohms?|n|nm|j|lx|lux)"
    r"|[mck]?m/(s|h|\(?s(ec)?\^?[2²]\)?|s\*\*2|s/s)|(deg|rad|°|degrees?)(/s(ec)?)?|dps|gauss|hpa"
    r"|°?c|celsius|degc|bpm|%|db|counts?|adc|a\.u\.|au|no[_ ]units|unitless|none|-|milliseconds"
    r"|seconds|local_flux",
    re.IGNORECASE,
)
_LVM, _END_OF_HEADER = b"LabVIEW Measurement", re.compile(rb"\*\*\*End_of_Header\*\*\*[^\r\n]*")
_STEP = re.compile(rb"\nDelta_X[\t,; ]+(\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?)")
_RATE = re.compile(
    rb"(?:sampl\w*[ _-]*(?:rate|freq\w*)|\bfs|\bsfreq|\bfrequency)[ _]*(?:[(\[]?hz[)\]]?)?"
    rb"[ \t]*[:=,;\t ][ \t\"]*(\d+(?:\.\d+)?)[ \t]*(k?hz)?",
    re.IGNORECASE,
)

_SAMPLING = (
    rb"(?:sampl|rate|fre[qck]|fr.{1,2}quen|cz.{1,2}stotl|abtast|takt|campion|muestr|amostr|chantil"
    rb"|bemonster|hertz|\bf_?s\b|\bhz\b)"
)
_IN_HZ = re.compile(
    _SAMPLING + rb"(?:[^\r\n]*?[^\w.,+-])?(\d+(?:[.,]\d+)?)[ \t\"]*[(\[]?(k?)hz\b", re.IGNORECASE
)
_HZ_BEFORE = re.compile(
    _SAMPLING
    + rb"[^\d\r\n]*[(\[ \t](k?)hz[)\]]?[ \t\"]*[:=,;\t ][ \t\"]*(\d+(?:[.,]\d+)?)[ \t\"]*$",
    re.IGNORECASE | re.MULTILINE,
)
"""The rate in other words and languages: a unit tells that it is one."""
_OTHER_HZ = re.compile(
    rb"filt|cut|pass|notch|band|grenz|eckf|coupure|corte|taglio|display|screen|refresh|power|line"
    rb"|mains|netz|stim|tone|carrier|clock|nyquist|cpu|heart|puls",
    re.IGNORECASE,
)
"""In lines that name a frequency of something else."""


@dataclass(frozen=True)
class Above:
    """Where a table begins.

    Attributes:
        skipped: lines above the header that have text.
        header: first byte of the header, or of the rows where there is none.
        stop: the byte after the header.
        rows: the byte that ends the line before the rows.
        units: one a column; (): there are none.
    """

    skipped: int
    header: int
    stop: int
    rows: int
    units: tuple[str, ...] = ()


def find_above(raw: bytes, drop: bool = False, comments: bool = True) -> Above | None:
    """What stands above the rows of numbers at the beginning of a file; None: a header at most.

    It is found where that is plain: rows of as many cells each, with numbers in the same columns,
    below one line of names; no line above is a row, or what may be left of one.

    Args:
        raw: the first bytes, whole lines.
        drop: whether damaged lines are left out: then a first line of names is the header.
        comments: whether lines that begin with # or % are no rows.
    """
    found = list(islice(lines_with_cells(raw, comments), LOOKED_AT))
    if found and max(len(each.group()) for each in found[:TAIL]) > WIDE_BYTES:
        found = found[:WIDE_LOOKED_AT]
    lines = [each.group().strip(BLANK) for each in found]
    tail = lines[-min(TAIL, max(1, len(lines) // 2)) :]
    if len(lines) < 2 + LEAST_ROWS or row_end_of(lines[-TAIL:]):
        return None
    separator = separator_of(tail)
    if _plainly_none(lines[:TAIL], separator):
        return None
    rows = [cells_of(line, separator) for line in lines]
    table = _Rows(rows, len(tail), separator)
    first = len(rows)
    while first and table.is_row(rows[first - 1]):
        first -= 1
    if first < 2 or len(rows) - first < LEAST_ROWS or any(map(table.is_row, rows[:first])):
        return None
    names = first
    while names and table.may_be_names(rows[names - 1]):
        names -= 1
    units = first - 1 if first - names > 1 and table.are_units(rows[first - 1]) else None
    headers = [at for at in range(names, first) if at != units and _all_differ(rows[at])]
    end = found[first - 1].end()
    if not headers and names == first:
        plain = not any(map(table.may_be_left_of_row, rows[:first]))
        return Above(first, end, end, end) if plain else None
    if len(headers) != 1 or (drop and names == 0 and units is None):
        return None
    (header,) = headers
    texts = () if units is None else tuple(map(_unit, rows[units]))
    return Above(header, found[header].start(), found[header].end(), end, texts)


def lines_in(raw: bytes, count: int) -> int:
    """Bytes of the first lines."""
    ends = islice(re.finditer(rb"\r\n|\n|\r", raw), count)
    return max((each.end() for each in ends), default=0) if count else 0


def lvm_lines(raw: bytes, where: str) -> int | None:
    """How many lines stand above the columns of a file of LabVIEW's; None: it is none.

    They are two headers, of the file and of its measurement, each with a line that ends it.

    Raises:
        SourceContentError: there are not two.
    """
    if not raw.lstrip(b"\xef\xbb\xbf").startswith(_LVM):
        return None
    ends = [found.end() for found in islice(_END_OF_HEADER.finditer(raw), 2)]
    if len(ends) < 2:
        raise SourceContentError(
            f"{where} begins as a measurement of LabVIEW does, and has {len(ends)} of the two "
            "lines ***End_of_Header***. Copy the file again, or set source.skip_lines."
        )
    return newlines(raw[: ends[1]]) + 1


def stated_rate(above: bytes) -> float | None:
    """The sampling rate in Hz that stands above the rows; None: none, or several."""
    above = above[:STATED_BYTES]
    found = [(number, unit.lower() == b"khz") for number, unit in _RATE.findall(above)]
    for line in re.split(rb"[\r\n]+", above) if not found else ():
        if not _OTHER_HZ.search(line):
            found += [(number, bool(kilo)) for number, kilo in _IN_HZ.findall(line)]
            found += [(number, bool(kilo)) for kilo, number in _HZ_BEFORE.findall(line)]
    rates = {float(number.replace(b",", b".")) * (1000 if kilo else 1) for number, kilo in found}
    if above[:STATED_BYTES].lstrip(b"\xef\xbb\xbf").startswith(_LVM):
        steps = {float(each.replace(b",", b".")) for each in _STEP.findall(above[:STATED_BYTES])}
        rates = {float(f"{1 / step:.9g}") for step in steps if step > 0}
    return rates.pop() if len(rates) == 1 else None


class _Rows:
    """The last lines of those that are looked at, which are rows."""

    def __init__(self, rows: Sequence[list[bytes]], tail: int, separator: bytes) -> None:
        self.separator = separator
        self.width = len(rows[-1])
        alike = [row for row in rows[-tail:] if len(row) == self.width]
        columns = list(zip(*alike, strict=True))
        self.numbers = [at for at, cells in enumerate(columns) if self._of_numbers(cells)]
        self.loose = len(columns) > 1 and not any(columns[-1])

    def _of_numbers(self, cells: Sequence[bytes]) -> bool:
        held = [cell for cell in cells if not is_empty(cell)]
        return bool(held) and all(is_number(cell, self.separator) for cell in held)

    def is_row(self, row: Sequence[bytes]) -> bool:
        return (
            bool(self.numbers)
            and len(row) == self.width
            and all(is_empty(row[at]) or is_number(row[at], self.separator) for at in self.numbers)
        )

    def may_be_names(self, row: Sequence[bytes]) -> bool:
        """Whether each column of numbers has a text."""
        longer = len(row) == self.width + 1 and row[-1] == b""
        shorter = len(row) == self.width - 1 and self.loose
        if not (len(row) == self.width or longer or shorter):
            return False
        cells = [row[at] for at in self.numbers if at < len(row)]
        # A column that counts rows may have no name, first of several.
        named = cells[1:] if cells[:1] == [b""] and self.numbers[0] == 0 else cells
        return bool(named) and all(named) and not any(is_number(c, self.separator) for c in named)

    def are_units(self, row: Sequence[bytes]) -> bool:
        cells = [row[at].decode(errors="replace") for at in self.numbers if 0 < at < len(row)]
        if 0 in self.numbers and (row[0] or not cells):
            cells.append(row[0].decode(errors="replace"))
        return all(_UNIT.fullmatch(cell.strip()) for cell in cells)

    def may_be_left_of_row(self, row: Sequence[bytes]) -> bool:
        """Whether a line may be a damaged row, and not a text: it has numbers where rows have."""
        if len(row) == self.width or is_number(row[0], self.separator):
            return True
        numbers = any(is_number(cell, self.separator) for cell in row)
        return numbers and 0 not in self.numbers


def _plainly_none(lines: Sequence[bytes], separator: bytes) -> bool:
    """Told by few lines: all are as wide, and the second is mostly numbers."""
    if len({line.count(separator) for line in lines}) > 1:
        return False
    cells = cells_of(lines[1], separator)[:64]
    return len(cells) > 2 and 2 * sum(is_number(cell, separator) for cell in cells) >= len(cells)


def _all_differ(names: Sequence[bytes]) -> bool:
    named = [name for name in names if name]
    return len(set(named)) == len(named)


def _unit(cell: bytes) -> str:
    text = cell.decode(errors="replace").strip()
    return text[1:-1].strip() if text[:1] + text[-1:] in ("[]", "()") else text
