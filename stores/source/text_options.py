"""Types of the keys of `[source]` that say how tables of text are written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from headrace.stores.marks import AddedLater
from headrace.stores.source.formats.text_encoding import plain_name


def _known(given: str | None) -> str | None:
    if given is not None:
        plain_name(given)
    return given


TwoColumns = Annotated[list[str], Field(min_length=2, max_length=2)]
DamagedLines = Annotated[
    Literal["error", "drop"],
    AddedLater,
    Field(
        description="Tables of text: what to do with lines that have another number of cells than "
        "the table has columns, or a text where nearly all lines have a number: stop, or leave "
        "the line out."
    ),
]
SkipLines = Annotated[
    int | None,
    AddedLater,
    Field(
        ge=0,
        description="Tables of text: lines above the header that are no part of the table, as "
        "loggers write them. Usual: they are found where that is plain, and a note says so.",
    ),
]
Comments = Annotated[
    Literal["drop", "rows"] | None,
    AddedLater,
    Field(
        description="Tables of text: what lines are that begin with # or %. Usual: comments, which "
        "are left out and counted in a note; one among the rows that looks like a row is an error. "
        "drop: comments in any case. rows: rows."
    ),
]
Encoding = Annotated[
    str | None,
    AddedLater,
    AfterValidator(_known),
    Field(
        description="Tables of text: how letters are written, such as cp1252 (Windows), latin-1 or "
        "utf-16. Usual: UTF-8, or UTF-16 where the file begins as it does. A mark at the beginning "
        "of a file (BOM) wins."
    ),
]
