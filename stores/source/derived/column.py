"""One column of an array of several, named as NumPy has it: `A_dev[:, 0]`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.derived.shaped import Shaped
from headrace.stores.source.interface import SourceArray, SourceNode

COLUMN = re.compile(r"(?P<array>.+)\[:,\s*(?P<column>\d+)\]")


class Column(Shaped):
    """Column `column` of an array (N, K), as (N,); see `SourceArray`."""

    def __init__(self, array: SourceArray, column: int) -> None:
        """Whole rows are read."""
        super().__init__(array, (array.shape or (0,))[:1])
        self.name, self.where = (f"{each}[:, {column}]" for each in (array.name, array.where))
        self._column = column

    def ready(self) -> Column:
        """See `SourceArray`."""
        return Column(self._array.ready(), self._column)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        return np.ascontiguousarray(self._array.read(start, stop)[:, self._column])

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        return self._array.texts(start, stop)[:, self._column]


def column_array(node: SourceNode, name: str, option: str) -> SourceArray | None:
    """The column that `name` names; None: it names none, or there is no such array.

    Raises:
        UserError: the array has no such column.
    """
    named = COLUMN.fullmatch(name)
    array = None if named is None else node.array(named["array"])
    if named is None or array is None:
        return None
    shape, column = array.shape or (), int(named["column"])
    if len(shape) != 2 or column >= shape[1]:
        raise SourceError(
            f"source.{option} = {name!r} names a column of {array.where}, whose shape is {shape}. "
            "Columns are counted from 0; name one that is there."
        )
    return Column(array, column)
