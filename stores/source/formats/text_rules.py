"""What the options say of tables of text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TextRules:
    """How tables of text are read.

    Attributes:
        drop: leave damaged lines out, in place of an error.
        skip_lines: lines above the header; None: they are found.
        comments: what lines are that begin with # or %: "drop" or "rows"; None: they are left out,
            unless they look like rows.
        encoding: of their letters; None: UTF-8, or what a mark says.
    """

    drop: bool = False
    skip_lines: int | None = None
    encoding: str | None = None
    comments: str | None = None


USUAL = TextRules()
