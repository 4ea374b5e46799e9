"""The rows of a table of text alone: without comments, blank lines, or blanks around cells."""

from __future__ import annotations

import re
from itertools import islice

import numpy as np

BOM = b"\xef\xbb\xbf"
BLANK = b" "
NEWLINE = ord("\n")
NO_SEPARATOR = b"\x1f"
"""Stands in for the separator of a table of one column."""
_COMMENT = re.compile(rb"\n[#%][^\n]*")
_BLANKS_BESIDE = {
    beside: re.compile(pattern % re.escape(mark))
    for mark in (b",", b";", b"\t", NO_SEPARATOR, b"\n")
    # What begins within a run is not tried: a long run takes no square of its time.
    for beside, pattern in ((mark + BLANK, rb"%s +"), (BLANK + mark, rb"(?<! ) +%s"))
}


def clean(raw: bytes, separator: bytes, comments: bool = True) -> bytes:
    """Rows alone, each ended by a newline: no comments, blank lines, or blanks around cells.

    Without `comments`, lines that begin with # or % are rows.

    Blanks and separators within quotes stay.
    """
    data = b"\n" + raw if raw.endswith(b"\n") else b"\n" + raw + b"\n"
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data.isascii():
        # Where files were put one after another.
        data = data.replace(b"\n" + BOM, b"\n")
    data = _trimmed(data, separator)
    # One byte is found many times as fast as two.
    if comments and ((b"#" in data and b"\n#" in data) or (b"%" in data and b"\n%" in data)):
        data = _COMMENT.sub(b"", data)
    if _has_blank_line(data):
        data = _squeezed(data, b"\n\n", b"\n")
    return data[1:]


def line_of_row(raw: bytes, separator: bytes, row: int, comments: bool = True) -> int:
    """How many lines of `raw` stand before its row `row`."""
    blanks = b" \t" if separator == BLANK else BLANK
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    stripped = (line.lstrip(blanks) for line in lines)
    rows = (at for at, line in enumerate(stripped) if line and not (comments and line[0] in b"#%"))
    return next(islice(rows, row, None), len(lines))


def newlines(raw: bytes) -> int:
    """How many lines end in `raw`."""
    return rows_in(raw) + (raw.count(b"\r") - raw.count(b"\r\n") if b"\r" in raw else 0)


def rows_in(data: bytes) -> int:
    """How many newlines `data` holds."""
    # Lines are short: looking from each newline to the next takes ten times as long.
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == NEWLINE))


def _has_blank_line(data: bytes) -> bool:
    ends = np.frombuffer(data, np.uint8) == NEWLINE
    return bool((ends[1:] & ends[:-1]).any())


def _trimmed(data: bytes, separator: bytes) -> bytes:
    """`data` without blanks around cells; runs of blanks as one where they separate."""
    if BLANK not in data and (separator != BLANK or b"\t" not in data):
        return data
    if b'"' in data:
        return _trimmed_outside(data, separator)
    if separator == BLANK:
        data = _squeezed(data.replace(b"\t", BLANK), b"  ", BLANK)
        return data.replace(b"\n ", b"\n").replace(b" \n", b"\n")
    if BLANK in data:
        for mark in (separator, b"\n"):
            for beside in (mark + BLANK, BLANK + mark):
                # Nearly always one blank, and replacing is many times as fast as a pattern.
                data = data.replace(beside, mark)
                if beside in data:
                    data = _BLANKS_BESIDE[beside].sub(mark, data)
    return data


def _trimmed_outside(data: bytes, separator: bytes) -> bytes:
    """`_trimmed` outside of quotes; a quote that does not close holds the rest of its line."""
    lines = data.split(b"\n")
    odd = [at for at, line in enumerate(lines) if line.count(b'"') % 2]
    for at in odd:
        lines[at] += b'"'
    parts = b"\n".join(lines).split(b'"')
    # All of it at once: one call for each part would take most of the time.
    outside = _trimmed(b"\0".join(parts[::2]), separator).split(b"\0")
    if len(outside) != len(parts[::2]):
        return data
    parts[::2] = outside
    lines = b'"'.join(parts).split(b"\n")
    for at in odd:
        lines[at] = lines[at][:-1]
    return b"\n".join(lines)


def _squeezed(data: bytes, run: bytes, one: bytes) -> bytes:
    """Runs are halved each time."""
    while run in data:
        data = data.replace(run, one)
    return data
