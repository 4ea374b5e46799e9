"""Segments of a sequence: runs of one class, and how many are found, as Lea et al. 2017 count."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

OVERLAPS = (0.1, 0.25, 0.5)
"""Least intersection over union with which a segment counts as found."""


def segment_counts(
    label: NDArray[np.integer], predicted: NDArray[np.integer], of: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Count segments that were found, made up and missed.

    A predicted segment is found when its intersection over union with the segment of its class
    that it fits best reaches the overlap; of several that fit one segment, the first counts, and
    the others are made up (arXiv 1611.05267, section 4.2). Samples without a label are neither
    labelled nor predicted.

    Args:
        label: (n,) codes in the order of time, -1 where unlabelled.
        predicted: (n,) codes.
        of: (n,) number of the sequence that a sample belongs to, ascending: segments end where it
            changes. None: one sequence.

    Returns:
        (sequences, 3, 3) by sequence, by overlap of OVERLAPS, found, made up and missed; sequences
        are 0 to the largest of `of`.
    """
    sequence = np.zeros(len(label), np.int64) if of is None else np.asarray(of, np.int64)
    counts = np.zeros((int(sequence.max(initial=-1)) + 1 if of is not None else 1, 3, 3), np.int64)
    found = np.where(label >= 0, predicted, -1)
    true_at, true_first, true_size = _runs(label, sequence)
    run_at, run_first, run_size = _runs(found, sequence)
    if not len(label):
        return counts
    pieces = np.flatnonzero(np.diff(true_at, prepend=-1) | np.diff(run_at, prepend=-1))
    shared = np.diff(pieces, append=len(label))
    true, run = true_at[pieces], run_at[pieces]
    same = (label[pieces] == found[pieces]) & (label[pieces] >= 0)
    overlap = np.where(same, shared / (true_size[true] + run_size[run] - shared), 0.0)
    # Of each predicted segment the piece that fits best, the first of those that fit alike.
    order = np.lexsort((pieces, -overlap, run))
    best = order[np.diff(run[order], prepend=-1) > 0]
    predictions = _of_sequences(found, run_first, sequence, len(counts))
    labels = _of_sequences(label, true_first, sequence, len(counts))
    for number, least in enumerate(OVERLAPS):
        fits = best[overlap[best] >= least]
        _, first = np.unique(true[fits], return_index=True)
        right = np.bincount(sequence[pieces[fits[first]]], minlength=len(counts))
        counts[:, number] = np.stack([right, predictions - right, labels - right], axis=1)
    return counts


def segment_f1(counts: ArrayLike) -> NDArray[np.float64]:
    """F1 (...,) of counts (..., 3): found, made up and missed; 0 where there is nothing."""
    found, more, less = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    return 2 * found / np.maximum(2 * found + more + less, 1)


def _runs(
    codes: NDArray[np.integer], sequence: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Run of each sample (n,), and of each run its first sample and its samples."""
    begins = np.ones(len(codes), bool)
    begins[1:] = (np.diff(codes) != 0) | (np.diff(sequence) != 0)
    first = np.flatnonzero(begins)
    return np.cumsum(begins) - 1, first, np.diff(first, append=len(codes))


def _of_sequences(
    codes: NDArray[np.integer],
    first: NDArray[np.int64],
    sequence: NDArray[np.int64],
    count: int,
) -> NDArray[np.int64]:
    """Segments of each sequence; runs without a label are none."""
    return np.bincount(sequence[first[codes[first] >= 0]], minlength=count)
