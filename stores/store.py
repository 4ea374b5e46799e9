"""A finished store, opened for reading: rows of its arrays, its folds and their moments."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from headrace.stores.build.site import site_of
from headrace.stores.errors import StoreError
from headrace.stores.io.object_client import CLIENT_BYTES
from headrace.stores.io.object_options import DEFAULT_OBJECTS, ObjectOptions
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.places import Place, place_of, storage_of
from headrace.stores.layout.folds import Fold, named_folds
from headrace.stores.manifest import TABLE_ROWS, Manifest
from headrace.stores.manifest_file import read_manifest
from headrace.stores.moments import Moments, empty_moments, merge_all
from headrace.stores.shards.aligned import aligned_empty
from headrace.stores.shards.cut import CutWindows
from headrace.stores.shards.reader import KEPT_SHARDS, WHOLE_SHARD, ShardReader
from headrace.stores.stretched import read_stretched


@dataclass(frozen=True)
class FoldMoments:
    """Moments of some folds together.

    Attributes:
        count: windows.
        raw_mean, raw_std: (C,) float64, in units.
        feature_mean, feature_std: (F,) float64.
    """

    count: int
    raw_mean: NDArray[np.float64]
    raw_std: NDArray[np.float64]
    feature_mean: NDArray[np.float64]
    feature_std: NDArray[np.float64]


class Store:
    """Reads a finished store. Opening reads metadata only; data is decoded outside the GIL.

    Attributes:
        path: the store's folder, or the address of its objects.
        manifest: what it says of itself.
        spec: of a window of `raw`.
    """

    def __init__(self, path: Place, manifest: Manifest, index_cache: int | None = None) -> None:
        """A store in `path` that keeps at most `index_cache` bytes of shards' indexes."""
        self.path = path
        self.manifest = manifest
        self.spec = manifest.spec
        self._formats = {array.name: array for array in manifest.arrays()}
        self._requests = storage_of(path).requests
        self._pool: ThreadPoolExecutor | None = None
        self._readers = self._readers_of(KEPT_SHARDS)
        if index_cache is not None:
            kept = min(KEPT_SHARDS, max(1, index_cache // self.shard_index_bytes))
            self._readers = self._readers_of(kept)

    def _readers_of(self, kept: int) -> dict[str, ShardReader]:
        cache = storage_of(self.path).cache(self.fingerprint)
        return {
            name: ShardReader(self.path / name, each, kept, cache)
            for name, each in self._formats.items()
        }

    def with_index_cache(self, size: int | None) -> Self:
        """The same store, keeping at most so many bytes of shards' indexes; None: `index_bytes`."""
        return type(self)(self.path, self.manifest, size)

    @property
    def shard_index_bytes(self) -> int:
        """Bytes that keeping the indexes of one shard of every array takes."""
        return sum(reader.kept_bytes for reader in self._readers.values())

    @property
    def index_bytes(self) -> int:
        """Bytes that keeping the indexes of all shards takes, or of 1,000."""
        return self.shard_index_bytes * min(self.manifest.shards, KEPT_SHARDS)

    @property
    def request_buffers(self) -> dict[str, int]:
        """Bytes of what reading objects takes, by name; nothing of files.

        Each request in flight is a chunk, as it arrives and as it is checked.
        """
        if not storage_of(self.path).is_remote:
            return {}
        largest = max(each.chunk_rows * each.row_bytes for each in self._formats.values())
        return {
            "requests in flight": 2 * self._requests * max(largest, WHOLE_SHARD),
            "client of the object store": CLIENT_BYTES,
        }

    @property
    def windows(self) -> int:
        """Rows of every array."""
        return self.manifest.windows

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of `features`; empty when there are none."""
        return self.manifest.features

    @property
    def classes(self) -> tuple[str, ...]:
        """Names behind the numbers in `label`."""
        return self.manifest.classes

    @property
    def groups(self) -> tuple[str, ...]:
        """Names behind the numbers in `group`."""
        return self.manifest.groups

    @property
    def chunk_windows(self) -> int:
        """Rows of a chunk, the unit of reading."""
        return self.manifest.chunk

    @property
    def shard_windows(self) -> int:
        """Rows of a shard, the unit of writing."""
        return self.manifest.shard

    @property
    def folds(self) -> tuple[Fold, ...]:
        """The folds in row order."""
        return self.manifest.folds

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the manifest, which holds a digest of everything else."""
        return hashlib.sha256(self.manifest.to_bytes()).hexdigest()[:32]

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows [start, stop) of an array, (stop - start, ...), freshly allocated, C order.

        Raises:
            UserError: no such array, or a chunk is missing or damaged.
        """
        return self.read_many([name], [(start, stop)])[name]

    def read_many(
        self, names: Sequence[str], ranges: Iterable[tuple[int, int]]
    ) -> dict[str, NDArray[Any]]:
        """Rows of several ranges, one after another, of several arrays.

        Args:
            names: arrays.
            ranges: (start, stop) of rows, in the wanted order.

        Returns:
            name -> (rows, ...), freshly allocated, C order.

        Raises:
            UserError: no such array, or a chunk is missing or damaged.
        """
        found = self.read_buffer(names, ranges)
        raw = found.get("raw")
        return found | {"raw": raw[:]} if isinstance(raw, CutWindows) else found

    def read_stored(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows of an array as it is stored, as `read`: of `raw` stretches, if it holds those."""
        return self._read_rows([name], [(start, stop)])[name]

    def read_buffer(
        self, names: Sequence[str], ranges: Iterable[tuple[int, int]]
    ) -> dict[str, Any]:
        """`read_many`, but for `raw` of a store of stretches: `CutWindows`, not cut yet."""
        wanted = [(int(start), int(stop)) for start, stop in ranges]
        if "raw" in names and self.manifest.stretches:
            return read_stretched(self._read_rows, self.manifest, str(self.path), names, wanted)
        return dict(self._read_rows(names, wanted))

    def _read_rows(
        self, names: Sequence[str], wanted: Sequence[tuple[int, int]]
    ) -> dict[str, NDArray[Any]]:
        """Rows of arrays as they are stored."""
        result = {name: self._empty(name, sum(b - a for a, b in wanted)) for name in names}
        jobs = []
        for name, target in result.items():
            at = 0
            for start, stop in wanted:
                jobs.append((self._readers[name], target[at : at + stop - start], start))
                at += stop - start
        if self._requests == 1:
            for reader, part, start in jobs:
                reader.read_into(part, start)
        else:
            self._read_together(jobs)
        return result

    def _read_together(self, jobs: Iterable[tuple[ShardReader, NDArray[Any], int]]) -> None:
        """Read chunks side by side: most of the time a request waits for its answer."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._requests, "headrace-requests")
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
        if name not in self._formats:
            raise StoreError(
                f"{self.path} has no array {name!r}; it has {', '.join(self._formats)}."
            )
        return aligned_empty((rows, *self._formats[name].row_shape), self._formats[name].dtype)

    def moments(self, folds: Iterable[str]) -> FoldMoments:
        """Moments of the named folds, merged in row order: the same bits every time.

        Raises:
            UserError: as `named_folds`.
        """
        names = [fold.name for fold in named_folds(self.folds, folds)]
        raw = self._merged("raw_moments", names, self.spec.time)
        if self.feature_names:
            features = self._merged("feature_moments", names, 1)
        else:
            features = empty_moments(0)
        windows = sum(size for _, size in self._segment_rows(names))
        return FoldMoments(windows, raw.mean, raw.std, features.mean, features.std)

    def class_counts(self, folds: Iterable[str]) -> NDArray[np.int64]:
        """(K,) windows of each class in the named folds.

        Raises:
            UserError: as `named_folds`.
        """
        names = [fold.name for fold in named_folds(self.folds, folds)]
        counts, row_of = np.zeros(len(self.classes), np.int64), self.table_rows("class_counts")
        for row, _ in self._segment_rows(names):
            counts += row_of(row)
        return counts

    def __len__(self) -> int:
        """Windows, one a row."""
        return self.windows

    def fold(self, name: str | int) -> Fold:
        """The fold of that name, which is text: "0", "train/0"; a number stands for its digits.

        Raises:
            UserError: there is no such fold.
        """
        for fold in self.folds:
            if fold.name == str(name):
                return fold
        names = ", ".join(fold.name for fold in self.folds)
        raise StoreError(f"{self.path} has no fold {name!r}; it has {names}.")

    def __repr__(self) -> str:
        """What it is, in one line."""
        time, channels = self.spec.shape
        return (
            f"<Store {self.path}: {self.windows:,} windows of {time} x {channels}, "
            f"{len(self.feature_names)} features, {len(self.folds)} folds>"
        )

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

    def _segment_rows(self, names: Sequence[str]) -> Iterator[tuple[int, int]]:
        """(row in the manifest's tables, windows) of the segments of the named folds."""
        for row, segment in enumerate(self.manifest.segments()):
            if self.folds[segment.fold].name in names:
                yield row, segment.stop - segment.start

    def _merged(self, name: str, folds: Sequence[str], values: int) -> Moments:
        """Moments of the folds' columns, of which a window holds so many values."""
        row_of = self.table_rows(name)
        parts = (Moments(size * values, *row_of(row)) for row, size in self._segment_rows(folds))
        columns = len(self.spec.channels) if name == "raw_moments" else len(self.feature_names)
        return merge_all(parts, columns)


def open_store(path: Place | str, options: ObjectOptions = DEFAULT_OBJECTS) -> Store:
    """Open a finished store.

    Args:
        path: its folder, or the address of its objects: s3://, gs:// or az://.
        options: how an address is reached.

    Raises:
        UserError: there is none, it is not finished, of a newer format, or its manifest damaged.
    """
    if not isinstance(path, (str, Path, ObjectPath)):
        raise StoreError(f"A store is named by its path or address, not by {path!r}.")
    try:
        folder = place_of(path, options) if isinstance(path, str) else path
    except ValueError as error:
        raise StoreError(f"{path} names no store: {error}.") from error
    site = site_of(folder)
    exists = site.is_finished()
    if not exists and site.is_begun():
        raise StoreError(
            f"The store {folder} is half made: {site.folder}. Finish it with: "
            f"headrace features, with the options it was begun with."
        )
    if not exists:
        raise StoreError(
            f"There is no store {folder}. Make it: headrace features with the same --config or "
            f"--data, and --store {folder}"
        )
    return Store(folder, read_manifest(folder))
