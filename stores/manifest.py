"""The manifest: what a store is, where it came from, and how every array of it is laid out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from pydantic import BaseModel, ConfigDict, ValidationError

from stores.array_format import ArrayFormat, group_metadata
from stores.errors import UserError
from stores.folds import Fold
from stores.layout import Geometry, Segment, shard_segments

FORMAT_VERSION = 1
TABLE_ROWS = 1024
"""Rows in a chunk of the manifest's own tables."""


class FoldRecord(BaseModel):
    """A fold as the manifest keeps it; see `stores.folds.Fold`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    start: int
    stop: int
    groups: tuple[int, ...]


class Manifest(BaseModel):
    """Attributes of the store's subgroup `manifest`; no time, path or host, ever.

    Attributes:
        format_version: of the store; a newer one is refused.
        source: fingerprint and layout of the source, and its number of candidate windows.
        config: the configuration keys that decide the store's bytes.
        writers: versions of the packages that computed or encoded bytes.
        windows, time, channels, units, rate_hz: of `raw`; rows, samples, names, units, Hz.
        raw_dtype, channel_scale: raw * scale = units.
        features: names of the columns of `features`; empty: no such array.
        classes, groups: names behind the numbers in `label` and `group`.
        grouped: False when windows were split without groups, which leaks.
        located: whether `recording` and `start` are stored.
        folds, chunk, shard, block: the layout.
        compressor, level: the codec.
        dropped: ranges [start, stop) of candidates that the non-finite policy dropped.
        filled: ranges of candidates in which it filled values; known when the store is complete.
        table_digests: xxh3-128 of each file of the manifest's tables; empty while being built.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    source: dict[str, str | int]
    config: dict[str, Any]
    writers: dict[str, str]
    windows: int
    time: int
    channels: tuple[str, ...]
    units: tuple[str, ...]
    rate_hz: float
    raw_dtype: str
    channel_scale: tuple[float, ...]
    features: tuple[str, ...]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    grouped: bool
    located: bool
    folds: tuple[FoldRecord, ...]
    chunk: int
    shard: int
    block: int
    compressor: str
    level: int
    dropped: tuple[tuple[int, int], ...] = ()
    filled: tuple[tuple[int, int], ...] = ()
    table_digests: dict[str, str] = {}

    @property
    def geometry(self) -> Geometry:
        """Units of reading, writing and shuffling."""
        return Geometry(self.chunk, self.shard, self.block)

    @property
    def shards(self) -> int:
        """Shards of every array."""
        return -(-self.windows // self.shard)

    def fold_ranges(self) -> tuple[Fold, ...]:
        """The folds in row order."""
        return tuple(Fold(fold.name, fold.start, fold.stop, fold.groups) for fold in self.folds)

    def segments(self) -> Iterator[Segment]:
        """Every (shard, fold) segment, in row order: the rows of the tables of moments."""
        folds = self.fold_ranges()
        for shard in range(self.shards):
            yield from shard_segments(folds, self.shard, shard)

    def arrays(self) -> tuple[ArrayFormat, ...]:
        """The arrays of the store."""
        found = [
            self._array(
                "raw",
                (self.time, len(self.channels)),
                np.dtype(self.raw_dtype),
                ("window", "time", "channel"),
            )
        ]
        if self.features:
            shape = (len(self.features),)
            found.append(self._array("features", shape, np.dtype("f4"), ("window", "feature")))
        found += [
            self._array("label", (), np.dtype("i4"), ("window",)),
            self._array("group", (), np.dtype("i4"), ("window",)),
            self._array("source_index", (), np.dtype("i8"), ("window",)),
        ]
        if self.located:
            found.append(self._array("recording", (), np.dtype("i4"), ("window",)))
            found.append(self._array("start", (), np.dtype("i8"), ("window",)))
        return tuple(found)

    def tables(self) -> tuple[ArrayFormat, ...]:
        """The arrays of the subgroup: checksums by shard, moments and class counts by segment."""
        touched = (-(-fold.stop // self.shard) - fold.start // self.shard for fold in self.folds)
        segments = sum(touched)
        names = len(self.arrays())
        found = [
            self._table("shard_digest", self.shards, (names, 16), "u1", ("shard", "array", "byte")),
            self._table("class_counts", segments, (len(self.classes),), "i8", ("segment", "class")),
            self._table(
                "raw_moments",
                segments,
                (2, len(self.channels)),
                "f8",
                ("segment", "moment", "channel"),
            ),
        ]
        if self.features:
            shape = (2, len(self.features))
            found.append(
                self._table(
                    "feature_moments", segments, shape, "f8", ("segment", "moment", "feature")
                )
            )
        return tuple(found)

    @property
    def table_bytes(self) -> int:
        """Bytes held while the tables are read, TABLE_ROWS rows of each at a time."""
        return sum(min(table.rows, TABLE_ROWS) * table.row_bytes for table in self.tables())

    def attributes_of(self, array: str) -> dict[str, Any]:
        """What an outsider needs to read an array: names, units, rate, scale."""
        known: dict[str, dict[str, Any]] = {
            "raw": {
                "channels": list(self.channels),
                "units": list(self.units),
                "sampling_rate_hz": self.rate_hz,
                "channel_scale": list(self.channel_scale),
            },
            "features": {"names": list(self.features)},
            "label": {"names": list(self.classes)},
            "group": {"names": list(self.groups)},
        }
        return known.get(array, {})

    def to_bytes(self) -> bytes:
        """The subgroup's `zarr.json`; equal manifests give equal bytes."""
        return group_metadata(self.model_dump(mode="json"))

    def _array(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], dimensions: tuple[str, ...]
    ) -> ArrayFormat:
        return ArrayFormat(
            name, self.windows, shape, dtype, dimensions,
            self.chunk, self.shard, self.compressor, self.level,
        )  # fmt: skip

    def _table(
        self, name: str, rows: int, shape: tuple[int, ...], dtype: str, dimensions: tuple[str, ...]
    ) -> ArrayFormat:
        return ArrayFormat(
            name, rows, shape, np.dtype(dtype), dimensions, TABLE_ROWS, TABLE_ROWS, "zstd", 1
        )


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the store in `folder`.

    Raises:
        UserError: there is no store, it is of a newer format, or its manifest is damaged.
    """
    path = folder / "manifest" / "zarr.json"
    try:
        attributes = json.loads(path.read_bytes())["attributes"]
        version = int(attributes["format_version"])
    except NotADirectoryError as error:
        raise UserError(
            f"{folder} is a file, and a store is a folder. An HDF5 source is named with --data."
        ) from error
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} is no store: it has no manifest. Name another folder, or an empty one to "
            f"make it: headrace features --data SOURCE.h5 --store {folder}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"The manifest of {folder} is damaged ({error}). Delete the store and make it anew."
        ) from error
    if version > FORMAT_VERSION:
        raise UserError(
            f"{folder} has store format {version}; this version reads up to {FORMAT_VERSION}. "
            "Upgrade headrace."
        )
    try:
        return Manifest.model_validate(attributes)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UserError(
            f"The manifest of {folder} is damaged ({where}: {problem['msg']}). "
            "Delete the store and make it anew."
        ) from error


def file_digest(path: Path) -> bytes:
    """xxh3-128 of a file, read in slices of 4 MiB."""
    state = xxhash.xxh3_128()
    with path.open("rb") as stream:
        while part := stream.read(1 << 22):
            state.update(part)
    return state.digest()
