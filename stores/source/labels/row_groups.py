"""Recordings cut where a column of one name a row changes: whose each row is, or which part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.names import Codes, NameColumn, slices

MOST_FEW = 1000
"""Pieces of a recording of any length."""
Pieces = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], list[Codes]]


def cut_by_names(
    start: NDArray[np.int64], length: NDArray[np.int64], columns: Sequence[NameColumn]
) -> Pieces:
    """The pieces of recordings within which all columns stay the same, in the recordings' order.

    Args:
        start, length: (R,) of each recording, rows of the signals.
        columns: names, one a row of the signals; read here, in slices.

    Returns:
        Start and length (P,) of the pieces, the recording of each, and the code of each column.
    """
    pieces = [
        (first, stop - first, np.full(len(first), recording), codes)
        for recording, (origin, rows) in enumerate(
            zip(start.tolist(), length.tolist(), strict=True)
        )
        for first, stop, codes in _cut(origin, rows, columns)
    ]
    none = np.empty(0, np.int64)
    return (
        np.concatenate([none, *(each[0] for each in pieces)]),
        np.concatenate([none, *(each[1] for each in pieces)]),
        np.concatenate([none, *(each[2] for each in pieces)]),
        [
            np.concatenate([np.empty(0, np.int32), *(each[3][n] for each in pieces)])
            for n in range(len(columns))
        ],
    )


def _cut(
    origin: int, rows: int, columns: Sequence[NameColumn]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], list[Codes]]]:
    """First rows of the pieces of one recording, the rows after each, and their codes."""
    heads: list[NDArray[np.int64]] = []
    codes: list[list[Codes]] = [[] for _ in columns]
    last = np.full((len(columns), 1), -1, np.int32)
    for low, high in slices(rows):
        read = np.stack([column.read(origin + low, origin + high) for column in columns])
        found = np.flatnonzero((np.diff(read, axis=1, prepend=last) != 0).any(axis=0))
        heads.append(origin + low + found)
        count = sum(map(len, heads))
        if count > max(high // 2, MOST_FEW):
            named = " and ".join(column.array.where for column in columns)
            raise SourceError(
                f"{named} changes {count:,} times in {high:,} rows: a recording is a run of rows "
                "with the same. Sort the rows, or name another column with source.groups."
            )
        for held, own in zip(codes, read, strict=True):
            held.append(own[found])
        last = read[:, -1:]
    if heads:
        first = np.concatenate(heads)
        yield first, np.append(first[1:], origin + rows), [np.concatenate(each) for each in codes]
