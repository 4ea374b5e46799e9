"""How a table of text is written: what separates its cells, its header, what is no row of it."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from headrace.stores.source.formats.columns import check_column_count, check_names
from headrace.stores.source.formats.text_clean import BLANK, NO_SEPARATOR, clean
from headrace.stores.source.formats.text_encoding import not_utf8

SAMPLE_LINES = 10
"""Lines that are looked at to tell separator and header."""
EMPTY_CELLS = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null",
)  # fmt: skip
"""Cells of a column of numbers that hold none."""
_EMPTY = frozenset(cell.encode() for cell in EMPTY_CELLS)
LINE = re.compile(rb"[^\r\n]+")
_DATE = re.compile(rb"\d{4}[-/]\d|\d\d?:\d\d|\d\d?[./-]\d\d?[./-]\d\d")
_NO_NUMBER = re.compile(rb"[_\v\f]")
"""What Python reads as part of a number, and nothing else does."""
_LETTER = re.compile(rb"[A-Za-z\x80-\xff]")
_DECIMALS = {
    (separator, mark.decode()): re.compile(
        rb'(?:\A|[\n%b])"?[-+]?\d*%b\d+(?:[eE][-+]?\d+)?"?(?=[\n%b])'
        % (separator, re.escape(mark), separator)
    )
    for separator in (b";", b"\t", b",")
    for mark in (b",", b".")
}
_QUOTED = re.compile(rb'"[-+]?(?:0?|\d+),(?:\d{1,2}|\d{4,})"|"[-+]?(?:0?|\d{4,}),\d{3}"')
"""Decimal commas between quotes; 1,234 may have a mark of thousands."""
_COMMENT_ABOVE = re.compile(rb"(?:\A|[\r\n])[ \t]*[#%]+([^\r\n]*)(?:\r\n|\n|\r)\Z")
_COMMA = re.compile(rb"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")


LVM_TIMES = "X_Value"
"""The first column of a file of LabVIEW's."""


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes:
        separator: one byte between cells; a blank stands for runs of blanks and tabs.
        names: of the columns; their numbers where there is no header.
        loose_end: the last column has no name: it may be no more than a separator at the end.
        row_end: what ends a row beside the end of its line; b"" in most tables.
        numbers: which columns hold numbers, where other lines are left out; None: none is.
        rate_hz: what stands above the rows, as Empatica E4 writes it; None: nothing.
        skipped: lines above the header that are no part of the table.
        units: of the columns, from a line below the header; (): there is none.
        said_hz: the rate that a text above the rows speaks of; None: none does.
        comments: whether lines that begin with # or % are no rows.
    """

    separator: bytes
    names: tuple[str, ...]
    loose_end: bool
    row_end: bytes = b""
    numbers: tuple[bool, ...] | None = None
    rate_hz: float | None = None
    skipped: int = 0
    units: tuple[str, ...] = ()
    said_hz: float | None = None
    comments: bool = True


def find_dialect(
    raw: bytes, where: str, drop: bool = False, comments: bool = True
) -> tuple[Dialect, int] | None:
    """The dialect of the table that begins with `raw`, and where its rows begin.

    The first line is the header if it has names and no value, and what stands below is not more
    of the same: a number, or texts of which none repeats its column's name. Numbers that count
    from 0 are names too (pandas writes them) beside a name of a column of numbers.

    Args:
        raw: the first bytes, whole lines.
        where: the file, for errors.
        drop: whether damaged lines are left out; then the first lines decide by their majority.
        comments: whether lines that begin with # or % are no rows.

    Returns:
        None where `raw` holds neither header nor row.

    Raises:
        SourceContentError: more than 10,000 columns, or names that cannot be used.
    """
    found = list(islice(lines_with_cells(raw, comments), SAMPLE_LINES))
    if not found:
        return None
    lines = [match.group().strip(BLANK) for match in found]
    row_end = row_end_of(lines)
    if row_end:
        parts = (part.strip() for line in lines for part in line.split(row_end))
        lines = [part for part in parts if part]
    separator = separator_of(lines)
    if drop:
        lines = _of_usual_length(lines, separator)
    check_column_count(lines[0].count(separator) + 1, where)
    first = cells_of(lines[0], separator)
    header = _is_header(first, lines[1:], separator)
    rows = lines[1:] if header else lines
    numbers = _numbers([cells_of(line, separator) for line in rows], separator) if drop else None
    if not header:
        names = (
            _names_in_comment(raw[: found[0].start()], len(first), separator) if comments else []
        )
        named = bool(names)
        names = names or [str(number) for number in range(len(first))]
        check_names(names, where)
        rate = None if row_end or drop else _rate_above(lines[:2], separator)
        starts = 0 if rate is None else found[1].end()
        return Dialect(separator, tuple(names), not named, row_end, numbers, rate), starts
    names = _names(first, raw, where)
    if names[0] == LVM_TIMES and names[-1] == "Comment":
        names[-1] = ""  # Most rows have none, and most files no row.
    row = cells_of(lines[1], separator) if len(lines) > 1 else first
    # One of the two ends in a separator.
    if len(row) == len(names) + 1 and row[-1] == b"":
        names.append("")
    elif len(row) == len(names) - 1 and names[-1] == "":
        names.pop()
    loose_end = names[-1] == ""
    names = [name or _unnamed(at, names) for at, name in enumerate(names)]
    check_names(names, where)
    return Dialect(separator, tuple(names), loose_end, row_end, numbers), found[0].end()


def _names_in_comment(above: bytes, columns: int, separator: bytes) -> list[str]:
    """Names of as many columns in a comment directly above the rows: np.savetxt writes them."""
    match = _COMMENT_ABOVE.search(above)
    if match is None:
        return []
    cells = cells_of(match[1].strip(), separator)
    texts = [cell.decode(errors="replace").strip() for cell in cells]
    words = [cell for cell in cells if _LETTER.search(cell) and not _DATE.match(cell)]
    plain = len(words) == columns == len(set(texts)) and not any(
        is_number(cell, separator) or is_empty(cell) for cell in cells
    )
    return texts if plain and (columns > 1 or b" " not in cells[0]) else []


def _rate_above(lines: Sequence[bytes], separator: bytes) -> float | None:
    """The rate in the second line of a table, below when it begins: both the same in all columns.

    Empatica E4: a time in seconds since 1970 in the first line, the samples a second in the next.
    """
    cells = [set(cells_of(line, separator)) for line in lines]
    if len(cells) < 2 or any(len(each) != 1 for each in cells):
        return None
    begin, rate = (each.pop() for each in cells)
    if not (is_number(begin, separator) and is_number(rate, separator)):
        return None
    since_1985_to_2128 = 5e8 <= float(begin) <= 5e9
    return float(rate) if since_1985_to_2128 and 0 < float(rate) <= 1000 else None


def undamaged(data: bytes, dialect: Dialect) -> bytes:
    """Of cleaned rows those with a cell for each column, and numbers where columns have them."""
    assert dialect.numbers is not None
    columns, number = len(dialect.names), dialect.numbers
    kept = []
    for line in data.splitlines(keepends=True):
        cells = cells_of(line, dialect.separator)
        if len(cells) == columns and all(
            is_empty(cell) or is_number(cell, dialect.separator)
            for cell, needed in zip(cells, number, strict=True)
            if needed
        ):
            kept.append(line)
    return b"".join(kept)


def decimal_mark(data: bytes, separator: bytes) -> str | None:
    """The decimal mark that cleaned rows show; None: they show none."""
    quoted = separator == b","
    if separator not in b";\t," or (quoted and b'"' not in data):
        return "."
    # Where commas may stand in texts too, a point tells more.
    for mark in ",." if separator == b";" else ".,":
        number = _QUOTED if quoted and mark == "," else _DECIMALS[separator, mark]
        if mark.encode() in data and number.search(data):
            return mark
    return None


def is_number(cell: bytes, separator: bytes) -> bool:
    """Whether a cell holds a number."""
    if separator == b";" or (b"," in cell and _COMMA.fullmatch(cell)):
        cell = cell.replace(b",", b".")
    try:
        float(cell)
    except ValueError:
        return False
    return _NO_NUMBER.search(cell) is None


def is_empty(cell: bytes) -> bool:
    """Whether a cell of a column of numbers holds none."""
    return cell in _EMPTY


def lines_with_cells(raw: bytes, comments: bool = True) -> Iterator[re.Match[bytes]]:
    """The lines that are neither blank nor, where there are such, comments."""
    for line in LINE.finditer(raw):
        text = line.group().lstrip(b" \t")
        if text and not (comments and text[0] in b"#%"):
            yield line


def row_end_of(lines: Sequence[bytes]) -> bytes:
    """A semicolon that ends rows whose cells other marks separate: 33,Jogging,0.5,1.2;

    Between semicolons that separate, no more than a decimal comma stands.
    """
    ends = [line for line in lines if line.rstrip().endswith(b";")]
    if 2 * len(ends) <= len(lines):
        return b""
    parts = [part for line in lines for part in line.split(b";") if part.strip()]
    counts = Counter(max(part.count(b","), part.count(b"\t")) for part in parts)
    commas, often = counts.most_common(1)[0] if counts else (0, 0)
    return b";" if commas > 1 and 2 * often > len(parts) and len(parts) < 2 * len(lines) else b""


def _of_usual_length(lines: Sequence[bytes], separator: bytes) -> list[bytes]:
    """Those with the most usual number of cells."""
    lengths = [len(cells_of(line, separator)) for line in lines]
    (usual, _), *_ = Counter(lengths).most_common(1)
    return [line for line, length in zip(lines, lengths, strict=True) if length == usual]


def _numbers(rows: Sequence[Sequence[bytes]], separator: bytes) -> tuple[bool, ...]:
    """Of which columns most cells that are not empty are numbers."""
    columns: list[bool] = []
    for cells in zip(*rows, strict=False):
        held = [is_number(cell, separator) for cell in cells if not is_empty(cell)]
        columns.append(2 * sum(held) > len(held))
    return tuple(columns)


def separator_of(lines: Sequence[bytes]) -> bytes:
    """Told by rows, not by the header: names may hold anything."""
    rows = [_unquoted(line) for line in lines[1:] or lines]
    usual = b""
    for separator in (b";", b"\t", b","):
        counts = [row.count(separator) for row in rows]
        # Tabs at the ends of all lines separate nothing.
        if 2 * counts.count(0) <= len(rows) and any(separator in line.strip() for line in lines):
            if len(set(counts)) == 1:
                return separator
            usual = usual or separator
    words = [row.split() for row in rows]
    (count, _), *others = Counter(map(len, words)).most_common(2)
    # Texts of two words in one column are more usual than two columns of texts.
    if count == 1 or not any(is_number(word, BLANK) for row in words for word in row):
        return usual or NO_SEPARATOR
    # Between others tabs and blanks may both stand.
    return BLANK if not usual or (usual == b"\t" and not others) else usual


def _unquoted(line: bytes) -> bytes:
    return b'""'.join(line.split(b'"')[::2]) if b'"' in line else line


def cells_of(line: bytes, separator: bytes) -> list[bytes]:
    """The cells of one line, without blanks around them, and without quotes."""
    line = clean(line, separator, comments=False)[:-1]
    if b'"' not in line:
        return line.split(separator)
    text = line.decode("latin-1")
    try:
        cells = next(csv.reader([text], delimiter=separator.decode()))
    except csv.Error:
        return line.split(separator)
    return [cell.encode("latin-1") for cell in cells]


def _is_header(first: Sequence[bytes], lines: Sequence[bytes], separator: bytes) -> bool:
    def is_value(cell: bytes) -> bool:
        return is_number(cell, separator) or _DATE.match(cell) is not None

    def is_name(cell: bytes) -> bool:
        return _LETTER.search(cell) is not None and not is_empty(cell) and not is_value(cell)

    values = [cell for cell in first if not is_empty(cell) and is_value(cell)]
    if values:
        if values != [b"%d" % number for number in range(len(values))]:
            return False
        below = [cells_of(line, separator) for line in lines]
        return any(
            _names_column(cell, [row[place : place + 1] for row in below], is_value)
            for place, cell in enumerate(first)
            if not cell or is_name(cell)
        )
    if not any(map(is_name, first)):
        return False
    columns: list[set[bytes]] = [set() for _ in first]
    for line in lines:
        row = cells_of(line, separator)
        if any(not is_empty(cell) and is_value(cell) for cell in row):
            return True
        for column, cell in zip(columns, row, strict=False):
            column.add(cell)
    return not any(cell and cell in column for cell, column in zip(first, columns, strict=True))


def _unnamed(place: int, names: Sequence[str]) -> str:
    """What a column without a name is called: pandas leaves out the name of its index."""
    return f"unnamed {place}" if str(place) in names else str(place)


def _names_column(
    cell: bytes, below: Sequence[Sequence[bytes]], is_value: Callable[[bytes], bool]
) -> bool:
    """Whether a text, or nothing, stands over values only."""
    return bool(below) and all(row and row[0] and is_value(row[0]) for row in below)


def _names(cells: Sequence[bytes], raw: bytes, where: str) -> list[str]:
    try:
        return [cell.decode().strip().strip("\ufeff").strip() for cell in cells]
    except UnicodeDecodeError as error:
        raise not_utf8(f"{where}: its header", raw, error) from error
