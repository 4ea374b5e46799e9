"""Several labels as names in one cell, `AF;ST`, seen as columns of 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.derived.shaped import Shaped
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.labels.cells import parts_of_cell
from headrace.stores.source.names import NameColumn, natural_order, slices
from headrace.stores.text import shown


class NamedMarks(Shaped):
    """Texts (n,) of names as (n, K) of 0 and 1; see `SourceArray`. Empty texts have no label.

    Attributes:
        names: K, in natural order, or as they are declared.
    """

    def __init__(self, array: SourceArray, declared: Sequence[str] | None) -> None:
        """Read all texts once, to know their names.

        Raises:
            UserError: a name is not among those that are declared, or there is none.
        """
        self._column = NameColumn(array, "labels")
        for start, stop in slices(len(self._column)):
            self._column.read(start, stop)
        cells = [parts_of_cell(cell) for cell in self._column.names]
        found = sorted({name for cell in cells for name in cell})
        unknown = [name for name in found if declared is not None and name not in declared]
        if unknown or not found:
            why = f"has the labels {shown(unknown)}, which target.names lacks. Add them"
            none = "has no label at all. Name another dataset with source.labels"
            raise SourceError(f"{array.where} {why if unknown else none}.")
        self.names = tuple(declared or (found[at] for at in natural_order(found)))
        super().__init__(array, (len(self._column), len(self.names)))
        self.dtype = np.dtype(np.uint8)
        self._marks = np.array([[name in cell for name in self.names] for cell in cells], np.uint8)
        self.cache_bytes += self._marks.nbytes

    def ready(self) -> NamedMarks:
        """Itself."""
        return self

    def attribute(self, name: str) -> Any | None:
        """The names, and else the array's."""
        return list(self.names) if name == "names" else super().attribute(name)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        return self._marks[self._column.read(start, stop)]

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """None: they are numbers now."""
        raise TypeError(f"{self.where} holds {self.dtype}")


def as_marks(array: SourceArray, declared: Sequence[str] | None) -> SourceArray:
    """An array of several labels as columns of 0 and 1; numbers are that already."""
    texts = array.dtype.kind in "SOU" and len(array.shape or ()) == 1
    return NamedMarks(array, declared) if texts else array
