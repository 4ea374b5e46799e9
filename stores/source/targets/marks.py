"""Columns of 0 and 1, which say of each label whether it is there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.interface import SourceArray


def marks_of(array: SourceArray, start: int, stop: int) -> NDArray[Any]:
    """Rows of an array of 0 and 1, uint8.

    Raises:
        UserError: other values stand there.
    """
    if array.dtype.kind not in "biuf":
        raise SourceError(
            f'{array.where} holds {array.dtype}, and target.kind is "labels": columns of 0 and 1 '
            "are needed, one a label. Name them with source.labels."
        )
    values = array.read(start, stop)
    wrong = ~np.isin(values, (0, 1))
    if wrong.any():
        place = np.argwhere(wrong.reshape(len(values), -1))[0]
        value = values.reshape(len(values), -1)[tuple(place)]
        raise SourceError(
            f"{array.where} holds {value} in row {start + int(place[0])}, column {int(place[1])}; "
            "of several labels each is 0 or 1. Correct the file, or name another dataset with "
            "source.labels."
        )
    return values.astype(np.uint8)
