"""Recordings of a source that has no table of them: runs of rows with equal values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.formats.interface import SourceNode
from headrace.stores.source.names import NameColumn, slices
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.signals import find_flat, names_of

MOST_RECORDINGS = 1 << 20


def row_columns(file: SourceNode, options: SourceOptions) -> list[NameColumn]:
    """The columns that `source.recordings` names, one value a row of the signals.

    Raises:
        UserError: one is missing.
    """
    found = [find_flat(file, "recordings", name, ()) for name in names_of(options.recordings)]
    return [NameColumn(array, "recordings") for array in found if array is not None]


def runs_of(
    columns: Sequence[NameColumn], rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """First rows of the runs in which no column changes, and the codes in each.

    Args:
        columns: one value a row; read here, in slices.
        rows: of the signals.

    Returns:
        (R,) int64 and (R, columns) int32; one run where there is no column.

    Raises:
        UserError: a column is of another length, or changes in nearly every row.
    """
    for column in columns:
        if len(column) != rows:
            raise SourceError(
                f"{column.array.where} has {len(column):,} entries for the {rows:,} rows of the "
                "signals; without a table of recordings one a row is needed. Name another with "
                "source.groups, source.split or source.recordings."
            )
    starts, codes = [np.zeros(0, np.int64)], [np.zeros((0, len(columns)), np.int32)]
    last: NDArray[np.int32] | None = None
    count = 0
    for start, stop in slices(rows):
        found = np.zeros((stop - start, len(columns)), np.int32)
        for place, column in enumerate(columns):
            found[:, place] = column.read(start, stop)
        before = found[:1] if last is None else last[None]
        changed = (np.diff(np.concatenate([before, found]), axis=0) != 0).any(axis=1)
        heads = np.flatnonzero(changed if last is not None else np.append(True, changed[1:]))
        starts.append(start + heads)
        codes.append(found[heads])
        last, count = found[-1], count + len(heads)
        if count > min(MOST_RECORDINGS, max(stop // 2, 1000)):
            named = " and ".join(column.array.where for column in columns)
            raise SourceError(
                f"{named} has another value in nearly every row ({count:,} times in {stop:,} "
                "rows): a recording is a run of rows with the same. Sort the rows, or name "
                "another column."
            )
    return np.concatenate(starts), np.concatenate(codes)


def comes_back(columns: Sequence[NameColumn], codes: NDArray[np.int32]) -> Iterator[str]:
    """Names of which a column has more than one run, by their first."""
    if len(columns) == 1 and len(codes):
        numbers, counts = np.unique(codes[:, 0], return_counts=True)
        yield from (columns[0].names[number] for number in numbers[counts > 1].tolist())
