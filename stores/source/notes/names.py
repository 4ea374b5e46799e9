"""Notes on names: those that are written in several ways, and numbers that may be no classes."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.stores.source.labels.classes import NameColumns
from headrace.stores.source.names import NameColumn
from headrace.stores.source.notes.note import SHOWN, Note
from headrace.stores.text import counted, listed


def name_notes(columns: NameColumns) -> Iterator[Note]:
    """Of labels, groups and parts."""
    for option, column in (
        ("labels", columns.label),
        ("groups", columns.group),
        ("split", columns.part),
    ):
        if isinstance(column, NameColumn) and column.spellings:
            yield _spellings(f"source.{option}", column)


def _spellings(key: str, column: NameColumn) -> Note:
    """That values are not quite the name that they are read as."""
    written: dict[int, list[str]] = {}
    for spelling, code in column.spellings.items():
        written.setdefault(code, []).append(spelling)
    met = set(column.as_written())
    several = [code for code, found in written.items() if len(found) + (code in met) > 1]
    if several:
        shown = listed(
            [
                f"{column.names[code]!a} for {listed([ascii(each) for each in written[code]], 2)}"
                for code in several
            ],
            SHOWN,
        )
        return Note(
            f"{counted(len(several), 'name')} of {column.array.where} stand there in several "
            f"spellings that look alike, and each is one: {shown}.",
            key,
        )
    shown = listed([ascii(spelling) for spelling in column.spellings], SHOWN)
    return Note(
        f"{counted(len(column.spellings), 'name')} of {column.array.where} are read without the "
        f"blanks and ends of lines around them: {shown}.",
        key,
    )
