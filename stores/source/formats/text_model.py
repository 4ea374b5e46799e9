"""What tables of text share that are written alike, one file a recording."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError
from headrace.stores.source.formats.text_bytes import TextBytes
from headrace.stores.source.formats.text_clean import rows_in
from headrace.stores.source.formats.text_dialect import Dialect, decimal_mark
from headrace.stores.source.formats.text_parse import NUMBER, TEXT
from headrace.stores.source.formats.text_plan import TextPlan, count_comments, table_lines
from headrace.stores.source.formats.text_rules import TextRules

MOST_HEAD = 64 << 10


@dataclass(frozen=True)
class TextModel:
    """What a table shares with others that are written alike, one file a recording.

    Attributes:
        head: what stands above its rows, header and its end included; empty where that may differ.
        dialect: how it is written.
        kinds: NUMBER or TEXT of the columns by their names: whole numbers may be others elsewhere.
        decimal: the decimal mark; None: no cell shows it.
        doubtful: why columns of texts may not be left out: they look like numbers.
    """

    head: bytes
    dialect: Dialect
    kinds: Mapping[str, int]
    decimal: str | None
    doubtful: Mapping[str, SourceContentError]

    def begins(self, raw: bytes) -> bool:
        """Whether a file begins with the same header."""
        return self.head[-1:] in (b"\n", b"\r") and raw.startswith(self.head)

    def begun(self, raw: bytes) -> tuple[Dialect, int] | None:
        """The dialect and where rows begin, if a file begins with the same header."""
        return (self.dialect, len(self.head)) if self.begins(raw) else None

    def plan(self, dialect: Dialect) -> TextPlan:
        """The plan of a table like this one, without its pieces: other columns are texts."""
        kinds = [self.kinds.get(name, TEXT) for name in dialect.names]
        known = [name in self.kinds for name in dialect.names]
        numbers = [name for name, kind in self.kinds.items() if kind == NUMBER]
        there = set(dialect.names)
        order = tuple(name for name in numbers if name in there)
        lacking = tuple(name for name in numbers if name not in there)
        return TextPlan(dialect, kinds, known, known, self.decimal, order=order, lacking=lacking)


def model_of(
    source: TextBytes, plan: TextPlan, doubtful: Mapping[str, SourceContentError]
) -> TextModel:
    """What other tables may share with one that was planned."""
    has_header = plan.dialect.names != tuple(map(str, range(len(plan.dialect.names))))
    head = source.part(0, plan.starts[0]) if has_header and len(plan.starts) else b""
    kinds = {name: TEXT if plan.kinds[at] == TEXT else NUMBER for at, name in enumerate(plan.names)}
    head = head if len(head) <= MOST_HEAD else b""
    return TextModel(head, plan.dialect, kinds, plan.decimal, doubtful)


def count_table(source: TextBytes, like: TextModel, rules: TextRules) -> TextPlan:
    """Where the rows of a table stand that is written like another; no cell is read.

    Raises:
        UserError: it cannot be read, or its header cannot be used.
    """
    plan: TextPlan | None = None
    for lines in table_lines(source, rules, like.begun):
        if plan is None:
            plan = like.plan(lines.dialect)
            plan.comments_dropped = rules.comments == "drop"
        data = lines.rows()
        if data:
            plan.decimal = plan.decimal or decimal_mark(data, lines.dialect.separator)
            count_comments(plan, lines)
            plan.add_piece(lines, rows_in(data))
    if plan is None:
        raise SourceContentError(f"{source.where} has no row and no header. Name another file.")
    return plan


def known_pieces(plan: TextPlan) -> NDArray[np.int64]:
    """(pieces, 4): first byte, the byte after the last, lines before, and rows up to its end."""
    return np.array([plan.starts, plan.stops, plan.lines, plan.rows[1:]], np.int64).T


def plan_of_known(like: TextModel, pieces: NDArray[np.int64]) -> TextPlan:
    """The plan that `count_table` found of a table with the model's header."""
    plan = like.plan(like.dialect)
    for name, column in zip(("starts", "stops", "lines"), pieces.T.tolist(), strict=False):
        setattr(plan, name, array("q", column))
    plan.rows = array("q", [0, *pieces[:, 3].tolist()])
    plan.piece_bytes = int((pieces[:, 1] - pieces[:, 0]).max(initial=0))
    plan.piece_rows = int(np.diff(pieces[:, 3], prepend=0).max(initial=1))
    return plan
