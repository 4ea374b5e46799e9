"""One pass over the labels of candidates: bins of values, and which have none."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.io.places import Place
from headrace.stores.source.names import slices
from headrace.stores.source.targets.interface import TargetReader
from headrace.stores.target import Target

LOOKED = 1 << 16
"""Candidates whose values bins are made of, evenly spread; and labels that are read at a time."""


@dataclass(frozen=True)
class LookedAt:
    """What was found.

    Attributes:
        target: with bins.
        without: (m,) numbers of candidates that have no label to learn from.
    """

    target: Target
    without: NDArray[np.int64]

    def refusal(self, path: Place) -> SourceError:
        """The error for candidates without a label."""
        names = ", ".join(self.target.names)
        return SourceError(
            f"NaN or infinity is among the values ({names}) of {len(self.without):,} windows of "
            f"{path}, the first is window {int(self.without[0])}. Correct the file, or leave these "
            'windows out: source.non_finite = "drop".'
        )


def look_at(reader: TargetReader, windows: int) -> LookedAt:
    """Read all labels once, in slices.

    Raises:
        UserError: something else stands there than such labels.
    """
    target, every = reader.target, -(-windows // LOOKED)
    without, sample = [np.zeros(0, np.int64)], []
    for low, high in slices(windows, slice_of(target, LOOKED)):
        label = reader.read(low, high)
        missing = target.is_missing(label)
        without.append(low + np.flatnonzero(missing))
        if target.moment_names:
            kept = ((low + np.arange(high - low)) % every == 0) & ~missing
            sample.append(label[kept])
    if sample:
        target = target.with_edges(np.concatenate(sample))
    return LookedAt(target, np.concatenate(without))


def slice_of(target: Target, entries: int) -> int:
    """Windows that have so many labels together."""
    return max(1, entries // max(1, prod(target.shape)))
