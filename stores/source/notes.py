"""What is seen in a source that its owner should look at: one line each, that decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from headrace.stores.source.classes import NameColumns
from headrace.stores.source.names import NameColumn
from headrace.stores.source.options import SourceOptions
from headrace.stores.text import counted, in_one_line, listed

SHOWN = 4


@dataclass(frozen=True)
class Note:
    """One line.

    Attributes:
        text: what was seen, and what would change it.
        key: the option that it speaks of.
        warning: whether windows, classes or groups are lost.
    """

    text: str
    key: str
    warning: bool = False

    def __str__(self) -> str:
        """The line, as a console has it."""
        return f"{'Warning' if self.warning else 'Note'}: {in_one_line(self.text)}"

    def as_table(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


class Layout(Protocol):
    """What notes are made of."""

    columns: NameColumns
    noted: tuple[Note, ...]

    def without_windows(self) -> tuple[int, list[str]]:
        """How many recordings give no window, and the groups that have no other."""
        ...


def notes_of(layout: Layout, options: SourceOptions) -> tuple[Note, ...]:
    """All notes of a source, warnings first."""
    found = [*_lost_recordings(layout), *layout.noted, *_names(layout.columns)]
    return tuple(sorted(found, key=lambda note: not note.warning))


def _lost_recordings(layout: Layout) -> Iterator[Note]:
    without, lost = layout.without_windows()
    if without:
        yield Note(
            f"{counted(without, 'recording')} of the source give no window: shorter than one, or "
            "no label of theirs is kept."
            + (f" That leaves out all of {listed(lost)}." if lost else ""),
            "source.window_s",
            warning=True,
        )


def _names(columns: NameColumns) -> Iterator[Note]:
    for key, column in (
        ("labels", columns.label),
        ("groups", columns.group),
        ("split", columns.part),
    ):
        if isinstance(column, NameColumn) and column.spellings:
            yield _spellings(f"source.{key}", column)


def _spellings(key: str, column: NameColumn) -> Note:
    """That names are written in several ways, of which each is one."""
    written: dict[int, list[str]] = {}
    for spelling, code in column.spellings.items():
        written.setdefault(code, []).append(spelling)
    met = set(column.as_written())
    several = [code for code, found in written.items() if len(found) + (code in met) > 1]
    if several:
        shown = listed(
            [
                f"{column.names[code]!r} for {listed([ascii(each) for each in written[code]], 2)}"
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
