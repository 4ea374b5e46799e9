"""One part of a store: a folder of arrays that is written once; most stores have one alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from copy import copy
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from headrace.stores.io.places import Place, storage_of
from headrace.stores.manifest import TABLE_ROWS, Manifest
from headrace.stores.moments import Moments
from headrace.stores.shards.reader import KEPT_SHARDS, ShardReader

COMPACTED = "parts"
"""Of a manifest's `source`: fingerprints of the sources that a compacted store was made of."""


class StorePart:
    """Reads the arrays of one folder by its own rows, and its own codes of classes and groups.

    Attributes:
        path: the folder, or the address of its objects.
        manifest: what it says of itself.
        readers: of its arrays, by name.
    """

    def __init__(self, path: Place, manifest: Manifest, kept: int = KEPT_SHARDS) -> None:
        """A part in `path` of which the indexes of at most `kept` shards of an array are kept."""
        self.path = path
        self.manifest = manifest
        self.readers = self._readers(kept)

    def keeping(self, shards: int) -> Self:
        """The same part with readers of its own, which keep the indexes of so many shards."""
        part = copy(self)  # Its fingerprint is that of a manifest, which may be long.
        part.readers = part._readers(shards)
        return part

    def _readers(self, kept: int) -> dict[str, ShardReader]:
        cache = storage_of(self.path).cache(self.fingerprint)
        return {
            each.name: ShardReader(self.path / each.name, each, kept, cache)
            for each in self.manifest.arrays()
        }

    @property
    def shard_index_bytes(self) -> int:
        """Bytes that keeping the indexes of one shard of every array takes."""
        return sum(reader.kept_bytes for reader in self.readers.values())

    @property
    def stretches(self) -> int:
        """Rows of `raw` that are stretches; 0: they are windows."""
        return self.manifest.shards * self.manifest.stretches

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the manifest, which holds a digest of everything else."""
        return hashlib.sha256(self.manifest.to_bytes()).hexdigest()[:32]

    def table_rows(self, name: str) -> Callable[[int], NDArray[Any]]:
        """A function of a row's number in a table of the manifest (a shard's or a segment's).

        It holds TABLE_ROWS rows at a time: ask in ascending order.
        """
        formats = {table.name: table for table in self.manifest.tables()}
        table = formats[name]
        reader = ShardReader(self.path / "manifest" / name, table)
        held, first = np.empty(0), -1

        def row(number: int) -> NDArray[Any]:
            nonlocal held, first
            if number // TABLE_ROWS != first:
                first = number // TABLE_ROWS
                start = first * TABLE_ROWS
                rows = min(TABLE_ROWS, table.rows - start)
                held = np.empty((rows, *table.row_shape), table.dtype)
                reader.read_into(held, start)
            return np.asarray(held[number % TABLE_ROWS])

        return row

    def moments(self, name: str, folds: Collection[str], values: int) -> Iterator[Moments]:
        """Moments of a table's columns by segment of the named folds, in row order.

        Args:
            name: of the table: raw_moments, feature_moments or label_moments.
            folds: names.
            values: of a column that a window holds.
        """
        row_of = self.table_rows(name)
        for row, size in self.segment_rows(folds):
            yield Moments(size * values, *row_of(row))

    def tally_table(self) -> NDArray[np.int64]:
        """(F, B) sums of `Target.tally` over the windows of each fold."""
        manifest = self.manifest
        counts = np.zeros((len(manifest.folds), len(manifest.target.tally_names)), np.int64)
        row_of = self.table_rows("class_counts")
        for row, segment in enumerate(manifest.segments()):
            counts[segment.fold] += row_of(row)
        return counts

    def segment_rows(self, folds: Collection[str]) -> Iterator[tuple[int, int]]:
        """(row in the manifest's tables, windows) of the segments of the named folds."""
        for row, segment in enumerate(self.manifest.segments()):
            if self.manifest.folds[segment.fold].name in folds:
                yield row, segment.stop - segment.start


def sources_of(manifest: Manifest) -> list[str]:
    """Fingerprints of the source of a store; of one that was compacted those of its parts too."""
    source = manifest.source
    return [str(source["fingerprint"]), *str(source.get(COMPACTED, "")).split()]


def fingerprint_of(parts: Sequence[StorePart]) -> str:
    """Of a store that is made of these: of one alone its own."""
    if len(parts) == 1:
        return parts[0].fingerprint
    together = "\n".join(part.fingerprint for part in parts)
    return hashlib.sha256(together.encode()).hexdigest()[:32]
