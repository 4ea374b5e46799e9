"""Compiles every kernel once, so that no feature worker waits for the compiler."""

from __future__ import annotations

import numpy as np

from pipeline.catalogue.catalogue import build_catalogue
from pipeline.catalogue.columns import Triad


def warm_up() -> None:
    """Compile and cache all kernels for float32 and float64 rows; fast when already cached."""
    triad = Triad("acc", (0, 1, 2), accelerometer=True)
    catalogue = build_catalogue(("x", "y", "z"), 50.0, 32, (triad,))
    windows = np.random.default_rng(0).normal(size=(2, 32, 3))
    for dtype in (np.float32, np.float64):
        catalogue.extract(windows.astype(dtype))
