"""How the letters of a table of text are written, and what stands before the table."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from headrace.stores.errors import SourceContentError
from headrace.stores.source.formats.text_clean import BOM, newlines

LOOKED_AT = 512
_LETTERS = bytes(range(32, 127)) + b"\t\r\n"
TRIED = ("cp1252", "cp850")
"""What a table may be that is not UTF-8: as Windows writes it, and as DOS did."""
SHOWN = 12
"""Letters around a wrong one."""
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""In this order: that of UTF-16 begins as one of UTF-32 does."""
_STATEFUL = re.compile("utf-7|iso2022.*|hz|idna|punycode|.*escape|mbcs|oem")
"""What a part of a file cannot be read by, and what writes no tables."""
_SPREADSHEET = re.compile(rb"\"?sep=[^\r\n]\"?(\r\n|\n|\r)")


@dataclass(frozen=True)
class Encoding:
    """An encoding that is not UTF-8, as Python calls it, without a mark of its own."""

    name: str

    @property
    def unit(self) -> int:
        """Bytes that a letter has at least."""
        return len("\n".encode(self.name))

    def last_end(self, block: bytes) -> int:
        """The byte after the last whole line of `block`, which begins with a letter; 0: none."""
        unit = self.unit
        for mark, stop in (("\n", len(block)), ("\r", len(block) - unit)):
            letter = mark.encode(self.name)
            at = block.rfind(letter, 0, max(0, stop))
            while at > 0 and at % unit:
                at = block.rfind(letter, 0, at + unit - 1)
            if at >= 0 and at % unit == 0:
                return at + unit
        return 0

    def utf8(self, raw: bytes, where: str, line: int) -> bytes:
        """Whole lines in UTF-8.

        Args:
            raw: their bytes.
            where: the file, for errors.
            line: lines of the file before them.

        Raises:
            SourceContentError: they are not of this encoding; says in which line.
        """
        if self.unit == 1 and raw.isascii():
            return raw
        try:
            text = raw.decode(self.name)
        except UnicodeDecodeError as error:
            before = raw[: error.start].decode(self.name, errors="replace").encode()
            raise SourceContentError(
                f"{where}, line {line + newlines(before) + 1:,} holds the bytes "
                f"{raw[error.start : error.end][:8]!r}, which are not {self.name}. Correct the "
                "line, or name the file's encoding with source.encoding."
            ) from error
        if self.unit == 1 and _is_utf8(raw):
            first = next(at for at, byte in enumerate(raw) if byte > 127)
            raise SourceContentError(
                f"{where}, line {line + newlines(raw[:first]) + 1:,} is UTF-8, and "
                f"source.encoding is {self.name}. Leave source.encoding out, or convert the file: "
                f"iconv -f utf-8 -t {self.name}."
            )
        return text.encode()

    def size(self, text: bytes) -> int:
        """Bytes of the file that hold some of its text, which is given in UTF-8."""
        return len(text.decode().encode(self.name))


def encoding_of(raw: bytes, given: str | None) -> Encoding | None:
    """How a file is written that begins with `raw`; None: in UTF-8.

    Args:
        raw: its first bytes. A mark of an encoding among them wins.
        given: what its owner says; None: nothing.
    """
    found = next((name for mark, name in _MARKS if raw.startswith(mark)), None) or _unmarked(raw)
    if found is None and given is not None and not raw.startswith(BOM):
        found = plain_name(given)
        if found in ("utf-16", "utf-32"):
            found += "-le"
        found = None if found == "utf-8" else found
    return None if found is None else Encoding(found)


def plain_name(given: str) -> str:
    """The name of an encoding of tables as Python has it.

    Raises:
        ValueError: it is not known, or does not write plain letters as ASCII, UTF-16 or UTF-32 do.
    """
    try:
        name = codecs.lookup(given).name.replace("_", "-").removesuffix("-sig")
        known = name.startswith(("utf-16", "utf-32")) or _LETTERS.decode(name).isascii()
    except (LookupError, ValueError):
        known = False
    if not known or _STATEFUL.fullmatch(name):
        raise ValueError(
            f"encoding = {given!r} is no encoding of a table. Usual are utf-8, utf-16, cp1252 "
            "(Windows) and latin-1."
        )
    return name


def table_begin(raw: bytes) -> int:
    """How many bytes of a text stand before its table: a mark of UTF-8, the line sep=; of Excel."""
    begin = len(BOM) if raw.startswith(BOM) else 0
    spreadsheet = _SPREADSHEET.match(raw, begin)
    return spreadsheet.end() if spreadsheet else begin


def not_utf8(where: str, raw: bytes, error: UnicodeDecodeError) -> SourceContentError:
    """Names the bytes, and the encoding that was tried and fits.

    Args:
        where: the file, and the line.
        raw: what stands around them.
        error: of decoding it, or a cell of it.
    """
    wrong = error.object[error.start : error.end]
    said = f"{where} holds the bytes {wrong[:8]!r}, which are not UTF-8"
    others = [each for each in re.findall(rb"[^\r\n]+", raw) if not each.isascii()]
    if any(map(_is_utf8, others)):
        return SourceContentError(
            f"{said}, and other lines are: it mixes encodings. Correct the line, or leave it out."
        )
    for name in TRIED if b"\0" not in raw else ():
        try:
            raw.decode(name)
        except UnicodeDecodeError:
            continue
        found = SourceContentError(
            f'{said}. Set source.encoding = "{name}", by which they are '
            f"{_shown(error, name)!r}, or name another encoding."
        )
        found.encoding = name
        return found
    return SourceContentError(
        f"{said}. Name the file's encoding with source.encoding, or another file."
    )


def _shown(error: UnicodeDecodeError, name: str) -> str:
    """What a few letters around the wrong bytes are by another encoding."""
    before, behind = error.object[: error.start], error.object[error.start :]
    begin = re.split(rb"[\r\n]", before[-SHOWN:])[-1]
    return (begin + re.split(rb"[\r\n]", behind[:SHOWN])[0]).decode(name)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return not raw.isascii()


def _unmarked(raw: bytes) -> str | None:
    """The encoding of plain letters that stand apart: every other byte is 0."""
    looked_at = raw[:LOOKED_AT]
    for first, name in ((0, "utf-16-be"), (1, "utf-16-le")):
        if len(looked_at) > 3 and not any(looked_at[first::2]) and all(looked_at[1 - first :: 2]):
            return name
    return None
