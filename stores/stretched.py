"""Reads windows of a store of stretches: the stretches of some rows, and where windows begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import DamageError
from headrace.stores.manifest import Manifest
from headrace.stores.shards.cut import CutWindows, first_values

Read = Callable[[Sequence[str], Sequence[tuple[int, int]]], dict[str, NDArray[Any]]]
"""Function of names of arrays and ranges of their rows."""


def read_stretched(
    read: Read,
    manifest: Manifest,
    rows: int,
    where: str,
    names: Sequence[str],
    ranges: Sequence[tuple[int, int]],
) -> dict[str, Any]:
    """Rows of several ranges of several arrays, `raw` as `CutWindows`.

    Args:
        read: gives rows of arrays as they are stored.
        manifest: of the store.
        rows: stretches that it holds, in all parts.
        where: the store, for errors.
        names: arrays, `raw` among them.
        ranges: (start, stop) of windows, in the wanted order.

    Raises:
        DamageError: a chunk is damaged, or a window is said to be where there is none.
    """
    others = [name for name in names if name != "raw"]
    columns = read([*dict.fromkeys([*others, "stretch", "offset"])], ranges)
    number, offset = columns["stretch"], columns["offset"]
    used = np.unique(number)
    most = manifest.raw_time - manifest.time
    if len(used) and not (
        0 <= used[0] <= used[-1] < rows and 0 <= offset.min() <= offset.max() <= most
    ):
        raise DamageError(
            f"{where} names stretches that it does not hold. Find what else is wrong with "
            "headrace verify, and mend it with headrace features --repair."
        )
    ends = np.flatnonzero(np.diff(used) > 1) + 1
    spans = [(int(each[0]), int(each[-1]) + 1) for each in np.split(used, ends) if len(each)]
    stretches = read(["raw"], spans)["raw"]
    first = first_values(np.searchsorted(used, number), offset, *stretches.shape[1:])
    windows = CutWindows(stretches, first, manifest.time)
    return {name: windows if name == "raw" else columns[name] for name in names}
