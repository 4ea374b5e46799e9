"""How long labels last in the recordings of a source."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headrace.stores.io.places import Place
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.probe.found import Stretches
from headrace.stores.source.source import open_source

SHORTEST = 2
"""Rows of a stretch that is counted: of the shortest window."""


def stretches_of(path: Place, options: SourceOptions) -> Stretches:
    """The stretches of one label in the recordings of a source, by class.

    Raises:
        UserError: as `open_source`.
    """
    windows = {"window_s": None, "step_s": None, "overlap": None, "window_samples": SHORTEST}
    with open_source(
        path, options.model_copy(update={**windows, "step_samples": 1, "label_rule": "pure"})
    ) as source:
        labels, rows = _joined(source.stretches())
        by_class = {name: rows[labels == n] for n, name in enumerate(source.classes)}
        return Stretches(
            {
                name: np.percentile(found, [25, 50, 75]).tolist()
                for name, found in by_class.items()
                if len(found)
            },
            {name: len(found) for name, found in by_class.items()},
            source.spec.rate_hz,
        )


def _joined(
    found: list[tuple[NDArray[np.int32], NDArray[np.int64]]],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    labels = [label for label, _ in found] or [np.empty(0, np.int32)]
    rows = [count for _, count in found] or [np.empty(0, np.int64)]
    return np.concatenate(labels), np.concatenate(rows)
