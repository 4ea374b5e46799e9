"""Where windows that are cut from stretches begin in an epoch: moved a little, by chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.augmentations.levels import array_chances, whole
from headrace.stores.shards.cut import CutWindows

STREAM = 15
"""Its own, so that it shares no chance with an augmentation."""

Integers = NDArray[np.int64]


def room(windows: CutWindows, label: NDArray[np.int32], step: int) -> tuple[Integers, Integers]:
    """Samples by which windows may begin earlier and later: up to half a step to each side.

    Only where the window that begins a step before, or after, is of the same stretch and label:
    what lies between the two is of that label, too.

    Args:
        windows: of a buffer, (n, T, C).
        label: (n,) theirs.
        step: samples from one window to the next.

    Returns:
        Two (n,) of samples, at least 0.
    """
    _, rows, channels = windows.stretches.shape
    begin = windows.first // channels
    order = np.argsort(begin, kind="stable")
    goes_on = (np.diff(begin[order]) == step) & (np.diff(begin[order] // rows) == 0)
    goes_on &= np.diff(label[order]) == 0
    before, after = (np.zeros(len(begin), np.int64) for _ in range(2))
    before[order[1:]] = np.where(goes_on, step // 2, 0)
    after[order[:-1]] = np.where(goes_on, (step - 1) // 2, 0)
    return before, after


def moved(
    first: Integers,
    room: tuple[Integers, Integers],
    index: Integers,
    seed: int,
    epoch: int,
    channels: int,
) -> Integers:
    """Where windows begin in an epoch: a function of (seed, epoch, source index) alone.

    Args:
        first: (n,) see `CutWindows`.
        room: samples by which each may begin earlier and later.
        index: (n,) source index.
        seed: of the training.
        epoch: number of the epoch.
        channels: C.
    """
    before, after = room
    count = (before + after + 1).astype(np.int32)
    shift = whole(array_chances(index, epoch, seed, STREAM, 1)[0], count) - before
    return first + shift * channels
