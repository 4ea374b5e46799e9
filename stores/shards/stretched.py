"""Reads windows of a store of stretches: the stretches of some rows, and where windows begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import DamageError
from headrace.stores.shards.cut import CutWindows, first_values

Read = Callable[[Sequence[str], Sequence[tuple[int, int]]], dict[str, NDArray[Any]]]
"""Function of names of arrays and ranges of their rows."""


def read_stretched(
    read: Read,
    where: str,
    rows: int,
    time: int,
    names: Sequence[str],
    ranges: Sequence[tuple[int, int]],
) -> dict[str, Any]:
    """Rows of several ranges of several arrays, `raw` as `CutWindows`.

    Args:
        read: gives rows of arrays as they are stored.
        where: the store, for errors.
        rows: stretches that it has room for, in all parts.
        time: samples of a window.
        names: arrays, `raw` among them.
        ranges: (start, stop) of windows, in the wanted order.

    Raises:
        DamageError: a chunk is damaged, or a window is said to be where there is none.
    """
    others = [name for name in names if name != "raw"]
    columns = read([*dict.fromkeys([*others, "stretch", "offset"])], ranges)
    number, offset = columns["stretch"], columns["offset"]
    used = np.unique(number)
    if len(used) and not 0 <= used[0] <= used[-1] < rows:
        raise _damage(where)
    ends = np.flatnonzero(np.diff(used) > 1) + 1
    spans = [(int(each[0]), int(each[-1]) + 1) for each in np.split(used, ends) if len(each)]
    stretches = read(["raw"], spans)["raw"]
    if len(offset) and not 0 <= offset.min() <= offset.max() <= stretches.shape[1] - time:
        raise _damage(where)
    first = first_values(np.searchsorted(used, number), offset, *stretches.shape[1:])
    windows = CutWindows(stretches, first, time)
    return {name: windows if name == "raw" else columns[name] for name in names}


def _damage(where: str) -> DamageError:
    return DamageError(
        f"{where} names stretches that it does not hold. Find what else is wrong with "
        "headrace verify, and mend it with headrace features --repair."
    )
