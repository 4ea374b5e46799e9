"""Finished stores, opened for reading as one: rows, folds and their moments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain
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
from headrace.stores.manifest_file import read_manifest
from headrace.stores.moments import Moments, empty_moments, merge_all
from headrace.stores.parts.join import Joined, join_names, require_one
from headrace.stores.parts.part import StorePart, fingerprint_of
from headrace.stores.parts.places import later_parts, part_place, store_of_part
from headrace.stores.shards.aligned import aligned_empty
from headrace.stores.shards.array_format import ArrayFormat
from headrace.stores.shards.cut import CutWindows
from headrace.stores.shards.reader import WHOLE_SHARD, ShardReader
from headrace.stores.shards.stretched import read_stretched
from headrace.stores.text import counted


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
    """Reads a finished store, or several as one. Opening reads metadata only; data is decoded
    outside the GIL.

    Rows of the parts follow one another, so those of the first are its own; codes of `label` and
    `group` are those of `classes` and `groups`, and `source_index` goes on from part to part.

    Attributes:
        parts: what it is made of: one, unless it grew or several were opened as one.
        path: the first part's folder, or the address of its objects.
        manifest: of the first part: what parts agree in, such as the options of features.
        spec: of a window of `raw`.
    """

    def __init__(self, *parts: StorePart) -> None:
        """A store of these parts, in this order; they are taken to agree: see `require_one`."""
        self.parts = parts
        self.path = parts[0].path
        self.manifest = parts[0].manifest
        self.spec = self.manifest.spec
        self._formats = {array.name: array for array in self.manifest.arrays()}
        self._starts = _starts(part.manifest.windows for part in parts)
        self._raw_starts = (
            _starts(part.stretches for part in parts) if self.manifest.stretches else self._starts
        )
        self._requests = storage_of(self.path).requests
        self._pool: ThreadPoolExecutor | None = None

    @cached_property
    def _names(self) -> Joined:
        return join_names(self.parts)

    @cached_property
    def _shifts(self) -> dict[str, NDArray[np.int64]]:
        """What is added to a column's values in each part."""
        candidates = (int(part.manifest.source["windows"]) for part in self.parts)
        return {"source_index": _starts(candidates), "stretch": self._raw_starts}

    def with_index_cache(self, size: int | None) -> Self:
        """The same store, keeping at most so many bytes of shards' indexes; None: `index_bytes`."""
        if size is None:
            return type(self)(*(StorePart(part.path, part.manifest) for part in self.parts))
        return type(self)(*(part.keeping(size // len(self.parts)) for part in self.parts))

    def of_parts(self, *counts: int) -> Self:
        """The store of the first parts, so many of each store that was opened."""
        starts = accumulate(self.opened[1], initial=0)
        kept = (self.parts[at : at + n] for at, n in zip(starts, counts, strict=False))
        return type(self)(*chain.from_iterable(kept))

    @cached_property
    def opened(self) -> tuple[tuple[Place, ...], tuple[int, ...]]:
        """The stores that were opened as this one, and how many parts of each."""
        places: dict[Place, int] = {}
        for part in self.parts:
            own = store_of_part(part.path)
            goes_on = part.path == part_place(own, places.get(own, 0))
            own = own if goes_on else part.path
            places[own] = places.get(own, 0) + 1
        return tuple(places), tuple(places.values())

    def each_part(self) -> Iterator[Self]:
        """Each part as a store of its own."""
        for part in self.parts:
            yield type(self)(part)

    @property
    def part_starts(self) -> tuple[int, ...]:
        """First row of each part: its chunks are counted from there."""
        return tuple(self._starts[:-1].tolist())

    @property
    def shard_index_bytes(self) -> int:
        """Bytes that keeping the indexes of one shard of every array takes, in each part."""
        return sum(part.shard_index_bytes for part in self.parts)

    @property
    def index_bytes(self) -> int:
        """Bytes that keeping the indexes of all shards takes, or of 1,000 of a part."""
        return sum(part.index_bytes for part in self.parts)

    @property
    def table_bytes(self) -> int:
        """Bytes held while the tables of moments are read, a part at a time."""
        return max(part.manifest.table_bytes for part in self.parts)

    @property
    def stretch_share_bytes(self) -> int:
        """Bytes of stretches for each window, in the shard that has most; 0: there are none."""
        return max(part.manifest.stretch_share_bytes for part in self.parts)

    @property
    def shards(self) -> int:
        """Shards of every array, in all parts."""
        return sum(part.manifest.shards for part in self.parts)

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
        return int(self._starts[-1])

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of `features`; empty when there are none."""
        return self.manifest.features

    @property
    def classes(self) -> tuple[str, ...]:
        """Names behind the numbers in `label`."""
        return self._names.classes

    @property
    def groups(self) -> tuple[str, ...]:
        """Names behind the numbers in `group`."""
        return self._names.groups

    @property
    def chunk_windows(self) -> int:
        """Rows of a chunk, the unit of reading."""
        return self.manifest.chunk

    @property
    def shard_windows(self) -> int:
        """Rows of a shard of the first part, the unit of writing."""
        return self.manifest.shard

    @property
    def folds(self) -> tuple[Fold, ...]:
        """The folds in row order; of several parts see `GrownFold`."""
        return self._names.folds

    @property
    def part_folds(self) -> tuple[Fold, ...]:
        """The folds of each part, one part after another: ascending rows, and only their groups."""
        return self._names.part_folds

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of all that the store holds."""
        return fingerprint_of(self.parts)

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
            rows, time = int(self._raw_starts[-1]), self.manifest.time
            return read_stretched(self._read_rows, str(self.path), rows, time, names, wanted)
        return dict(self._read_rows(names, wanted))

    def _read_rows(
        self, names: Sequence[str], wanted: Sequence[tuple[int, int]]
    ) -> dict[str, NDArray[Any]]:
        """Rows of arrays as they are stored."""
        result = {name: self._empty(name, sum(b - a for a, b in wanted)) for name in names}
        jobs, pieces = [], []
        for name, target in result.items():
            for number, start, part in self._pieces(name, target, wanted):
                jobs.append((self.parts[number].readers[name], part, start))
                pieces.append((name, number, part))
        if self._requests == 1:
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
                f"{self.path} has no array {name!r}; it has {', '.join(self._formats)}."
            )
        return self._formats[name]

    def _pieces(
        self, name: str, target: NDArray[Any], wanted: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[int, int, NDArray[Any]]]:
        """(number of the part, first of its rows, where they go) of the ranges of an array."""
        starts, at = (self._raw_starts if name == "raw" else self._starts), 0
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
        tables = {"label": self._names.labels, "group": self._names.members}
        codes = tables[name][number] if name in tables else None
        if codes is not None:
            values[...] = codes[values]

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
        array = self.array(name)
        return aligned_empty((rows, *array.row_shape), array.dtype)

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
        windows = sum(size for part in self.parts for _, size in part.segment_rows(names))
        return FoldMoments(windows, raw.mean, raw.std, features.mean, features.std)

    @cached_property
    def class_table(self) -> NDArray[np.int64]:
        """(F, K) windows of each class in each fold."""
        counts = np.zeros((len(self.folds), len(self.classes)), np.int64)
        row_of = {fold.name: number for number, fold in enumerate(self.folds)}
        for part, codes in zip(self.parts, self._names.labels, strict=True):
            rows = [row_of[fold.name] for fold in part.manifest.folds]
            columns = range(len(part.manifest.classes)) if codes is None else codes
            counts[np.ix_(rows, list(columns))] += part.class_table()
        return counts

    def class_counts(self, folds: Iterable[str]) -> NDArray[np.int64]:
        """(K,) windows of each class in the named folds.

        Raises:
            UserError: as `named_folds`.
        """
        names = {fold.name for fold in named_folds(self.folds, folds)}
        wanted = [fold.name in names for fold in self.folds]
        return np.asarray(self.class_table[wanted].sum(axis=0))

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
            f"{len(self.feature_names)} features, {len(self.folds)} folds"
            f"{f', {len(self.parts)} parts' if len(self.parts) > 1 else ''}>"
        )

    def _merged(self, name: str, folds: Sequence[str], values: int) -> Moments:
        """Moments of the folds' columns, of which a window holds so many values."""
        columns = len(self.spec.channels) if name == "raw_moments" else len(self.feature_names)
        every = (part.moments(name, folds, values) for part in self.parts)
        return merge_all(chain.from_iterable(every), columns)


def _starts(sizes: Iterable[int]) -> NDArray[np.int64]:
    """Where each of several begins that follow one another, and the end."""
    return np.array([0, *accumulate(sizes)], np.int64)


def open_store(
    path: Place | str | Sequence[Place | str],
    options: ObjectOptions = DEFAULT_OBJECTS,
    *,
    parts: int | Sequence[int] | None = None,
    new_classes: bool = False,
) -> Store:
    """Open a finished store with all its parts, or several as one.

    Args:
        path: its folder, or the address of its objects: s3://, gs:// or az://; or several.
        options: how an address is reached.
        parts: how many of its parts are read, from the first on; of several stores one number
            each. None: all that stand there.
        new_classes: of several stores: whether the later ones may have classes that the first
            has not.

    Raises:
        UserError: there is none, it is not finished, of a newer format, or its manifest damaged;
            several differ in what a window or a feature is, or in the fold of a group, or are the
            same.
    """
    paths = [path] if isinstance(path, str) or not isinstance(path, Sequence) else path
    counts = [parts] * len(paths) if parts is None or isinstance(parts, int) else [*parts]
    if not paths or len(counts) != len(paths):
        raise StoreError(
            f"{len(paths)} stores are named, and how many parts are read of {len(counts)}. Name "
            "a number for each store."
        )
    found = [_open_parts(each, options, count) for each, count in zip(paths, counts, strict=True)]
    require_one(found, new_classes)
    store = Store(*chain.from_iterable(found))
    _ = store.folds  # Refused where a group stands in two.
    return store


def _open_parts(
    path: Place | str, options: ObjectOptions, count: int | None
) -> tuple[StorePart, ...]:
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
    first = StorePart(folder, read_manifest(folder))
    if count == 1:
        return (first,)
    later = later_parts(folder)
    if count is not None and not 1 <= count <= len(later) + 1:
        raise StoreError(
            f"{folder} has {counted(len(later) + 1, 'part')}, and {count} are to be read."
        )
    with ThreadPoolExecutor(storage_of(folder).requests) as pool:
        manifests = list(pool.map(read_manifest, later[: None if count is None else count - 1]))
    return (first, *map(StorePart, later, manifests))
