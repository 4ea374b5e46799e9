"""Several labels that are made of one name a row: those of `source.class_map` that it is among."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.derived.shaped import Shaped
from headrace.stores.source.labels.classes import LabelSelection
from headrace.stores.source.names import NameColumn, OneName, matches, slices
from headrace.stores.source.options import SourceOptions
from headrace.stores.target import Target


class MappedMarks(Shaped):
    """Names (n,) as (n, K) of 0 and 1; see `SourceArray`. A name may have several labels, or none.

    Attributes:
        target: the labels, as `source.class_map` lists them.
    """

    def __init__(self, column: NameColumn | OneName, options: SourceOptions) -> None:
        """Read all names once.

        Raises:
            UserError: a pattern matches no name.
        """
        if not isinstance(column, NameColumn):
            raise SourceError("source.class_map makes labels of names, and there are none.")
        for start, stop in slices(len(column)):
            column.read(start, stop)
        LabelSelection(options).check_patterns(column.names)
        self.target = Target("labels", tuple(options.class_map))
        super().__init__(column.array, (len(column), len(self.target.names)))
        self._column, self.dtype = column, np.dtype(np.uint8)
        marked = [
            [
                any(matches(name, each) for each in patterns)
                for patterns in options.class_map.values()
            ]
            for name in column.names
        ]
        self._marks = np.array(marked, np.uint8)
        self.cache_bytes += self._marks.nbytes

    def ready(self) -> MappedMarks:
        """Itself."""
        return self

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        return self._marks[self._column.read(start, stop)]

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """None: they are numbers now."""
        raise TypeError(f"{self.where} holds {self.dtype}")
