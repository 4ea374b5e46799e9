"""What gives the labels of candidates that are no classes."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.interface import SourceArray
from headrace.stores.target import Target

Integers = NDArray[np.int64]


class TargetReader(Protocol):
    """Labels of candidates.

    Attributes:
        target: what they are; of values without the bins that they are counted in.
        arrays: whose whole content belongs to the fingerprint.
        held_bytes: while it is open.
    """

    target: Target
    arrays: list[SourceArray]
    held_bytes: int

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Of the candidates `start` to `stop`: (n, *shape); values may be NaN.

        Raises:
            UserError: something else stands there than such labels.
        """
        ...


class Places(Protocol):
    """Where windows of recordings are, at the rate that they are delivered in."""

    def places_within(self, start: int, stop: int) -> tuple[NDArray[np.int32], Integers]:
        """Piece of a recording, and first row in it, of the candidates, (n,) each."""
        ...
