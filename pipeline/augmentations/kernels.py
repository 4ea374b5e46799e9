"""Augmentations as compiled loops over float32 arrays, in place; each operation is rounded once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.compiled.kernels import exact_kernel

Floats = NDArray[np.float32]


@exact_kernel
def multiply(raw: Floats, factor: Floats) -> None:
    """Multiply each window of `raw` (n, m) by its factor (n,)."""
    # A window is one row: a loop over channels alone is too short to be vectorised.
    for row in range(raw.shape[0]):
        for column in range(raw.shape[1]):
            raw[row, column] *= factor[row]


@exact_kernel
def add_rows(raw: Floats, table: Floats, chosen: NDArray[np.int32], size: Floats) -> None:
    """Add rows of a table (rows, m), each times its size (n,), to windows (n, m)."""
    for row in range(raw.shape[0]):
        if size[row] == 0:
            continue
        added = table[chosen[row]]
        for column in range(raw.shape[1]):
            raw[row, column] += added[column] * size[row]


@exact_kernel
def hide(raw: Floats, start: NDArray[np.int32], stop: NDArray[np.int32]) -> None:
    """Multiply values [start, stop) of each window of `raw` (n, m) by 0."""
    for row in range(raw.shape[0]):
        for column in range(start[row], stop[row]):
            raw[row, column] *= np.float32(0)


@exact_kernel
def blend(values: Floats, share: Floats) -> None:
    """Move row r of `values` (n + 1, m) towards row r + 1 by its share (n,)."""
    for row in range(share.size):
        for column in range(values.shape[1]):
            own = values[row, column]
            values[row, column] = own + share[row] * (values[row + 1, column] - own)


def as_rows(values: NDArray[Any]) -> NDArray[Any]:
    """The same memory as (n, m)."""
    return values.reshape(len(values), math.prod(values.shape[1:]))
