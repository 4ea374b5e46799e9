"""A piece of a table of text whose cells are plain numbers, read by rows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.formats.text_clean import NEWLINE
from headrace.stores.source.formats.text_parse import INTEGER, TEXT, Lines
from headrace.stores.source.formats.text_plan import TextPlan

COMPILER = "numba"
RETURN = ord("\r")


class PlainPiece:
    """The bytes of a piece and where its rows begin.

    Attributes:
        piece: its number.
    """

    def __init__(self, lines: Lines, plan: TextPlan, piece: int) -> None:
        """Find the rows. What is written in them is not looked at."""
        self.piece, self._raw = piece, np.frombuffer(lines.raw, np.uint8)
        starts = np.concatenate(([0], np.flatnonzero(self._raw[:-1] == NEWLINE) + 1))
        first = self._raw[starts]
        # Lines that are blank are no rows. Comments and others make another number of them.
        self._starts = starts[(first != NEWLINE) & (first != RETURN)]
        self._is_plain = len(self._starts) == plan.rows_in(piece)
        self._marks = lines.dialect.separator[0], ord(plan.decimal or ".")
        self._kinds = np.array(plan.kinds)

    def read_into(self, out: NDArray[Any], low: int, columns: Sequence[int]) -> bool:
        """Fill `out` with columns of numbers, from row `low` on.

        Args:
            out: (rows, columns) float64.
            low: the first row, of those of the piece.
            columns: their numbers.

        Returns:
            False: what is written there is not plain; `out` then holds nothing.
        """
        from headrace.compiled.decimals import CHECKED, SKIPPED, read_decimals

        if not self._is_plain:
            return False
        wanted = list(columns)
        places = np.where(self._kinds == TEXT, SKIPPED, CHECKED)
        places[wanted] = np.arange(len(wanted))
        # Compiled for arrays in one piece.
        whole = out if out.flags.c_contiguous else np.empty(out.shape)
        rows = read_decimals(self._raw, int(self._starts[low]), *self._marks, places, whole)
        if whole is not out:
            out[:] = whole
        # As a whole number -0 is 0.
        out[:, self._kinds[wanted] == INTEGER] += 0.0
        return bool(rows == len(out))


def may_be_plain(plan: TextPlan) -> bool:
    """Whether pieces of a table may be read so, in this process.

    The compiler takes 60 MB and half a second: a process that computes features has loaded it.
    """
    dialect = plan.dialect
    quoted = plan.decimal is not None and plan.decimal.encode() == dialect.separator
    plain = not dialect.row_end and dialect.numbers is None and not quoted
    return plain and COMPILER in sys.modules
