"""Rows of several parts, one after another, in the codes and numbers of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import StoreError
from headrace.stores.io.places import storage_of
from headrace.stores.parts.join import Joined, join_names
from headrace.stores.parts.part import StorePart
from headrace.stores.shards.aligned import aligned_empty
from headrace.stores.shards.array_format import ArrayFormat
from headrace.stores.shards.reader import ShardReader


class PartRows:
    """Reads the arrays of parts by the rows of all.

    Attributes:
        parts: in their order.
        starts: (P + 1,) first row of each part, and rows of all.
        raw_starts: (P + 1,) the same of `raw`, which may hold stretches.
        requests: how many are in flight at most.
    """

    def __init__(self, parts: Sequence[StorePart]) -> None:
        """Of these parts, which agree."""
        self.parts = parts
        self._formats = {array.name: array for array in parts[0].manifest.arrays()}
        self.starts = self.raw_starts = _starts(part.manifest.windows for part in parts)
        if parts[0].stretches:
            self.raw_starts = _starts(part.stretches for part in parts)
        self.requests = storage_of(parts[0].path).requests
        self._pool: ThreadPoolExecutor | None = None

    @cached_property
    def names(self) -> Joined:
        """Classes, groups and folds of all parts."""
        return join_names(self.parts)

    @cached_property
    def _shifts(self) -> dict[str, NDArray[np.int64]]:
        """What is added to a column's values in each part."""
        candidates = (int(part.manifest.source["windows"]) for part in self.parts)
        return {"source_index": _starts(candidates), "stretch": self.raw_starts}

    def read(
        self, names: Sequence[str], wanted: Sequence[tuple[int, int]]
    ) -> dict[str, NDArray[Any]]:
        """Rows of arrays as they are stored."""
        result = {name: self._empty(name, sum(b - a for a, b in wanted)) for name in names}
        jobs, pieces = [], []
        for name, target in result.items():
            for number, start, part in self._pieces(name, target, wanted):
                jobs.append((self.parts[number].readers[name], part, start))
                pieces.append((name, number, part))
        if self.requests == 1:
            for reader, part, start in jobs:
                reader.read_into(part, start)
        else:
            self._read_together(jobs)
        if len(self.parts) > 1:
            for name, number, part in pieces:
                self._translate(name, number, part)
        return result

    def array(self, name: str) -> ArrayFormat:
        """How an array is stored in the first part.

        Raises:
            UserError: there is no such array.
        """
        if name not in self._formats:
            raise StoreError(
                f"{self.parts[0].path} has no array {name!r}; it has {', '.join(self._formats)}."
            )
        return self._formats[name]

    def _pieces(
        self, name: str, target: NDArray[Any], wanted: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[int, int, NDArray[Any]]]:
        """(number of the part, first of its rows, where they go) of the ranges of an array."""
        starts, at = (self.raw_starts if name == "raw" else self.starts), 0
        for start, stop in wanted:
            number = int(np.searchsorted(starts, start, side="right")) - 1
            while start < stop:
                end = min(stop, int(starts[number + 1]))
                yield number, start - int(starts[number]), target[at : at + end - start]
                at += end - start
                start, number = end, number + 1

    def _translate(self, name: str, number: int, values: NDArray[Any]) -> None:
        """Turn what a part says into what the store of all says, in its place."""
        if name in self._shifts:
            values += self._shifts[name][number].astype(values.dtype)
            return
        tables = {"label": self.names.labels, "group": self.names.members}
        codes = tables[name][number] if name in tables else None
        if codes is not None:
            own = self.names.target.recoded(values, codes) if name == "label" else codes[values]
            values[...] = own

    def _read_together(self, jobs: Iterable[tuple[ShardReader, NDArray[Any], int]]) -> None:
        """Read chunks side by side: most of the time a request waits for its answer."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.requests, "headrace-requests")
        pieces = [
            (reader, part[max(low, start) - start : low + chunk - start], max(low, start))
            for reader, part, start in jobs
            for chunk in (reader.chunk_rows,)
            for low in range(start // chunk * chunk, start + len(part), chunk)
        ]
        running = [
            self._pool.submit(reader.read_into, part, start) for reader, part, start in pieces
        ]
        try:
            for each in running:
                each.result()
        finally:
            for each in running:
                each.cancel()

    def _empty(self, name: str, rows: int) -> NDArray[Any]:
        array = self.array(name)
        return aligned_empty((rows, *array.row_shape), array.dtype)


def _starts(sizes: Iterable[int]) -> NDArray[np.int64]:
    """Where each of several begins that follow one another, and the end."""
    return np.array([0, *accumulate(sizes)], np.int64)
