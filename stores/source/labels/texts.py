"""Short columns as texts: every value, as people write it."""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace.stores.errors import SourceError, first_line
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.interface import SourceArray


def column_texts(array: SourceArray) -> list[str]:
    """Every value of a short column, as text; whole numbers without a point, "" where none is.

    Raises:
        UserError: it holds neither texts in UTF-8 nor numbers.
    """
    if array.dtype.kind in "SOU":
        try:
            return [str(text) for text in array.texts(0, rows_of(array)).tolist()]
        except (UnicodeDecodeError, TypeError) as error:
            raise SourceError(
                f"{array.where} holds what is no text in UTF-8 ({first_line(error)}). Correct it, "
                "or name another column."
            ) from error
    values = array.read(0, rows_of(array))
    if values.dtype.kind != "f":
        return [str(value) for value in values.tolist()]
    # Each by itself: the same number in another file, among others, is the same text.
    return [_number_text(value) for value in values]


def _number_text(value: np.floating[Any]) -> str:
    """As short as its type tells it apart."""
    if not np.isfinite(value):
        return ""
    return str(int(value)) if value == np.trunc(value) and abs(value) < 2**63 else str(value)


def label_texts(array: SourceArray) -> list[str]:
    """`column_texts` of which each row has one.

    Raises:
        UserError: one has none; as `column_texts`.
    """
    texts = column_texts(array)
    empty = next((row for row, text in enumerate(texts) if not text.strip()), None)
    if empty is not None:
        raise SourceError(
            f"Row {empty + 1} of {array.where} has no label. Write one, such as unlabelled, and "
            "leave it out with source.exclude_labels."
        )
    return texts
