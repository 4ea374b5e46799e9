"""What is known of candidates: label, group and part, one by one or in runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Labels:
    """What is known of n candidates.

    Attributes:
        label: (n, *shape) of the target: of classes (n,) int32, index into `Source.classes`.
        group: (n,) int32, index into `Source.groups`.
        part: (n,) int8, index into `Source.parts`; -1 without an official split.
    """

    label: NDArray[Any]
    group: NDArray[np.int32]
    part: NDArray[np.int8]

    def take(self, which: NDArray[np.int64]) -> Labels:
        """Those of the entries `which`."""
        return Labels(self.label[which], self.group[which], self.part[which])


@dataclass(frozen=True)
class LabelRuns:
    """Consecutive candidates that share label, group and part.

    Attributes:
        start: (R,) int64, first candidate of each run, ascending.
        stop: (R,) int64, the candidate after its last: the next run's first.
        labels: of each run.
    """

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    labels: Labels
