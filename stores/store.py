"""Finished stores, opened for reading as one: rows, folds and their moments."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, chain
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import StoreError
from headrace.stores.io.object_client import CLIENT_BYTES
from headrace.stores.io.object_options import DEFAULT_OBJECTS, ObjectOptions
from headrace.stores.io.places import Place, storage_of
from headrace.stores.layout.folds import Fold, named_folds
from headrace.stores.moments import FoldMoments, Moments, empty_moments, merge_all
from headrace.stores.parts.join import Joined, require_one
from headrace.stores.parts.opening import open_parts
from headrace.stores.parts.part import StorePart, fingerprint_of
from headrace.stores.parts.places import part_place, store_of_part
from headrace.stores.parts.rows import PartRows
from headrace.stores.shards.array_format import ArrayFormat
from headrace.stores.shards.cut import CutWindows
from headrace.stores.shards.reader import KEPT_SHARDS, WHOLE_SHARD
from headrace.stores.shards.stretched import read_stretched
from headrace.stores.target import Target


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
        self._rows = PartRows(parts)

    @property
    def _names(self) -> Joined:
        return self._rows.names

    def with_index_cache(self, size: int | None) -> Self:
        """The same store, keeping at most so many bytes of shards' indexes; None: `index_bytes`.

        As many shards of each part, or all that a small one has, and one at least.
        """
        kept = KEPT_SHARDS
        if size is not None:
            kept = max(1, bisect_right(range(1, KEPT_SHARDS + 1), size, key=self._index_bytes_of))
        return type(self)(*(part.keeping(kept) for part in self.parts))

    def _index_bytes_of(self, shards: int) -> int:
        """Bytes that keeping the indexes of so many shards of each part takes."""
        return sum(
            part.shard_index_bytes * min(shards, part.manifest.shards) for part in self.parts
        )

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
        return tuple(self._rows.starts[:-1].tolist())

    @property
    def shard_index_bytes(self) -> int:
        """Bytes that keeping the indexes of one shard of every array takes, in each part."""
        return sum(part.shard_index_bytes for part in self.parts)

    @property
    def index_bytes(self) -> int:
        """Bytes that keeping the indexes of all shards takes, or of 1,000 of a part."""
        return self._index_bytes_of(KEPT_SHARDS)

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
        largest = max(each.chunk_rows * each.row_bytes for each in self.manifest.arrays())
        return {
            "requests in flight": 2 * self._rows.requests * max(largest, WHOLE_SHARD),
            "client of the object store": CLIENT_BYTES,
        }

    @property
    def windows(self) -> int:
        """Rows of every array."""
        return int(self._rows.starts[-1])

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of `features`; empty when there are none."""
        return self.manifest.features

    @property
    def target(self) -> Target:
        """What `label` holds; of several parts with the classes of all."""
        return self._names.target

    @property
    def classes(self) -> tuple[str, ...]:
        """Names behind the numbers in `label`; () of values."""
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
        return self._rows.read([name], [(start, stop)])[name]

    def read_buffer(
        self, names: Sequence[str], ranges: Iterable[tuple[int, int]]
    ) -> dict[str, Any]:
        """`read_many`, but for `raw` of a store of stretches: `CutWindows`, not cut yet."""
        wanted = [(int(start), int(stop)) for start, stop in ranges]
        if "raw" in names and self.manifest.stretches:
            rows, time = int(self._rows.raw_starts[-1]), self.manifest.time
            return read_stretched(self._rows.read, str(self.path), rows, time, names, wanted)
        return dict(self._rows.read(names, wanted))

    def array(self, name: str) -> ArrayFormat:
        """How an array is stored in the first part.

        Raises:
            UserError: there is no such array.
        """
        return self._rows.array(name)

    def moments(self, folds: Iterable[str]) -> FoldMoments:
        """Moments of the named folds, merged in row order: the same bits every time.

        Raises:
            UserError: as `named_folds`.
        """
        names = {fold.name for fold in named_folds(self.folds, folds)}
        raw = self._merged("raw_moments", names, self.spec.time, len(self.spec.channels))
        features = self._merged("feature_moments", names, 1, len(self.feature_names))
        label = self._merged("label_moments", names, 1, len(self.target.moment_names))
        windows = sum(size for part in self.parts for _, size in part.segment_rows(names))
        return FoldMoments(
            windows, raw.mean, raw.std, features.mean, features.std, label.mean, label.std
        )

    @cached_property
    def tally_table(self) -> NDArray[np.int64]:
        """(F, B) what `Target.tally` counts in each fold: of classes, windows of each."""
        names = self.target.tally_names
        counts = np.zeros((len(self.folds), len(names)), np.int64)
        row_of = {fold.name: number for number, fold in enumerate(self.folds)}
        column_of = {name: number for number, name in enumerate(names)}
        for part in self.parts:
            rows = [row_of[fold.name] for fold in part.manifest.folds]
            columns = [column_of[name] for name in part.manifest.target.tally_names]
            counts[np.ix_(rows, columns)] += part.tally_table()
        return counts

    @property
    def class_table(self) -> NDArray[np.int64]:
        """`tally_table`, as it is called of classes: (F, K) windows of each in each fold."""
        return self.tally_table

    def class_counts(self, folds: Iterable[str]) -> NDArray[np.int64]:
        """(B,) the sum of `tally_table` over the named folds; of classes, windows of each.

        Raises:
            UserError: as `named_folds`.
        """
        names = {fold.name for fold in named_folds(self.folds, folds)}
        wanted = [fold.name in names for fold in self.folds]
        return np.asarray(self.tally_table[wanted].sum(axis=0))

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

    def _merged(self, name: str, folds: Collection[str], values: int, columns: int) -> Moments:
        """Moments of the folds' columns, of which a window holds so many values."""
        if not columns:
            return empty_moments(0)
        every = (part.moments(name, folds, values) for part in self.parts)
        return merge_all(chain.from_iterable(every), columns)


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
    found = [open_parts(each, options, count) for each, count in zip(paths, counts, strict=True)]
    require_one(found, new_classes)
    store = Store(*chain.from_iterable(found))
    _ = store.folds  # Refused where a group stands in two.
    return store
