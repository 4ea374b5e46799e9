"""What windows must hold to be stored, or predicted: finite values, within the stored type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError
from headrace.stores.layout.layout import Recipe
from headrace.stores.layout.non_finite import count_non_finite, described, remedies
from headrace.stores.shards.cut import CutWindows
from headrace.stores.source.source import Source


def require_finite(
    raw: NDArray[Any] | CutWindows, numbers: NDArray[np.int64] | Recipe, source: Source
) -> None:
    """Check that windows (n, T, C) of the source hold neither NaN nor infinity.

    Args:
        raw: the windows.
        numbers: (n,) theirs in the source, or the recipe that they were gathered by.
        source: named in the error.

    Raises:
        SourceContentError: they do; with count, first numbers, and the channels.
    """
    values = raw.stretches if isinstance(raw, CutWindows) else raw
    if values.dtype.kind != "f" or np.isfinite(values.sum(dtype=np.float64)):
        return
    if isinstance(raw, CutWindows):
        bad = np.flatnonzero(raw.marked(~np.isfinite(values).all(axis=2)))
    else:
        bad = np.flatnonzero(~np.isfinite(raw).all(axis=(1, 2)))
    if len(bad):
        if isinstance(numbers, Recipe):
            numbers = numbers.numbers
        first = ", ".join(str(number) for number in np.sort(numbers[bad])[:5])
        shares = count_non_finite(raw, bad) / (len(raw) * raw.shape[1])
        ways = remedies(source, shares)
        raise SourceContentError(
            f"{len(bad)} of {len(raw)} windows looked at in {source.path} hold NaN or infinity, "
            f"the first are windows {first}: it is in {described(source, shares)}. "
            f"{f'{ways[0].upper()}{ways[1:]}, or set' if ways else 'Set'} "
            'source.non_finite = "drop" or "fill", or correct the file.'
        )


def require_storable(raw: NDArray[Any], stored: np.dtype[Any]) -> None:
    """Check that the values of windows are within the range of the type that they are stored as.

    Raises:
        SourceContentError: they are not; with the largest.
    """
    if stored.kind != "f" or stored == raw.dtype or not raw.size:
        return
    largest = max(abs(float(raw.max())), abs(float(raw.min())))
    limit = float(np.finfo(stored).max)
    if largest > limit:
        raise SourceContentError(
            f"store.raw_dtype = {stored} holds values up to {limit:g}, and the "
            f'source has {largest:g}. Set store.raw_dtype = "source" or a wider one.'
        )
