"""What stands before a table of text: marks of its encoding, and of spreadsheets."""

from __future__ import annotations

import codecs
import re

from headrace.stores.errors import SourceContentError
from headrace.stores.source.formats.text_clean import BOM

LOOKED_AT = 512
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""In this order: that of UTF-16 begins as one of UTF-32 does."""
_SPREADSHEET = re.compile(rb"\"?sep=[^\r\n]\"?(\r\n|\n|\r)")


def table_begin(raw: bytes, where: str) -> int:
    """How many bytes of a file stand before its table: a mark of UTF-8, the line sep=; of Excel.

    Args:
        raw: the file's first bytes.
        where: the file.

    Raises:
        SourceContentError: it is of two or four bytes a letter; says how to convert it.
    """
    wide = next((name for mark, name in _WIDE if raw.startswith(mark)), None) or _unmarked(raw)
    if wide:
        raise SourceContentError(
            f"{where} is {wide.upper()}. Convert it: iconv -f {wide} -t utf-8."
        )
    begin = len(BOM) if raw.startswith(BOM) else 0
    spreadsheet = _SPREADSHEET.match(raw, begin)
    return spreadsheet.end() if spreadsheet else begin


def _unmarked(raw: bytes) -> str | None:
    """The encoding of plain letters that stand apart: every other byte is 0."""
    looked_at = raw[:LOOKED_AT]
    for first, name in ((0, "utf-16be"), (1, "utf-16le")):
        if len(looked_at) > 3 and not any(looked_at[first::2]) and all(looked_at[1 - first :: 2]):
            return name
    return None
