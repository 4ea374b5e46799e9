"""Whether a file is a table of text by what it holds, whatever it is called."""

from __future__ import annotations

import re

LEAST_ROWS = 3
NUMBER = re.compile(rb"\s*[\"']?[-+]?(\d[\d.,]*([eE][-+]?\d+)?|nan)[\"']?\s*", re.IGNORECASE)
SEPARATORS = (rb";", rb"\t", rb",", rb"[ \t]+")
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")


def holds_table(begins: bytes) -> bool:
    """Whether lines of several numbers follow one another: the latter half of the whole ones.

    Args:
        begins: the first bytes of a file.
    """
    if CONTROL.search(begins):
        return False
    lines = [line for line in begins.splitlines()[:-1] if line.strip()]
    rows = lines[len(lines) // 2 :]
    return len(rows) >= LEAST_ROWS and any(_are_numbers(rows, each) for each in SEPARATORS)


def _are_numbers(rows: list[bytes], separator: bytes) -> bool:
    cells = [re.split(separator, row.strip()) for row in rows]
    width = len(cells[0])
    return width > 1 and all(
        len(row) == width and sum(map(bool, map(NUMBER.fullmatch, row))) > width / 2
        for row in cells
    )
