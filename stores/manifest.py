"""The manifest: what a store is, where it came from, and how every array of it is laid out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import xxhash
from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.stores.layout.folds import Fold
from headrace.stores.layout.layout import Geometry, Segment, shard_segments
from headrace.stores.layout.stretches import raw_chunk_rows, stretch_rows
from headrace.stores.shards.array_format import (
    COMPRESSORS,
    MOST_CHUNK_BYTES,
    ZARR_TYPES,
    ArrayFormat,
    group_metadata,
)
from headrace.stores.spec import WindowSpec
from headrace.stores.target import Target, class_target

FORMAT_VERSION = 4
"""The newest, of stores whose target is another than a class."""
STRETCHED_FORMAT = 3
"""Of stores of classes whose blocks stand whole."""
OLDER_FORMAT = 2
"""Of other stores of classes; 1 has no checksum of the manifest."""
ADDED = {"step": 3, "stretch": 3, "stretches": 3, "other_target": 4}
"""What manifests say from a format on."""
TABLE_ROWS = 1024
"""Rows in a chunk of the manifest's own tables."""


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
        other_target: what `label` holds, if it is no class; it is written as `target`.
        grouped: False when windows were split without groups, which leaks.
        located: whether `recording` and `start` are stored.
        folds, chunk, shard, block: the layout.
        stretch: windows of a stretch; blocks are then as large, and their windows stand one after
            another. 0: windows are shuffled within a shard.
        step: samples from a window of a stretch to the next.
        stretches: rows of `raw` in each shard, each a stretch; 0: they are windows.
        compressor, level: the codec.
        dropped: ranges [start, stop) of candidates that the non-finite policy dropped.
        filled: ranges of candidates in which it filled values; known when the store is complete.
        table_digests: xxh3-128 of each file of the manifest's tables; empty while being built.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: int = OLDER_FORMAT
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
    folds: tuple[Fold, ...]
    chunk: int
    shard: int
    block: int
    compressor: str
    level: int
    stretch: int = 0
    step: int = 0
    stretches: int = 0
    dropped: tuple[tuple[int, int], ...] = ()
    filled: tuple[tuple[int, int], ...] = ()
    table_digests: dict[str, str] = {}
    other_target: Target | None = Field(default=None, alias="target")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Refuse sizes that no store has: they decide what is read, and into how much memory."""
        sizes = (self.windows, self.time, len(self.channels), self.chunk, self.shard, self.block)
        if min(sizes) < 1 or self.shard % self.chunk:
            raise ValueError(f"sizes {sizes} make no store")
        blocks = self.stretch, self.step, self.stretches
        if self.format_version != format_of(self.stretch, self.target) and (
            self.format_version != 1 or self.stretch or not self.target.is_class
        ):
            raise ValueError(f"stretches {blocks} are not those of format {self.format_version}")
        if min(blocks) < 0:
            raise ValueError(f"stretches {blocks} are none")
        if self.classes != self.target.classes or self.target.every > self.time:
            raise ValueError(f"{self.target} does not fit the classes {self.classes}")
        if self.stretch and (
            self.block != self.stretch
            or not 1 <= self.step <= self.time
            or self.stretches % self.raw_chunk
        ):
            raise ValueError(f"stretches {blocks} do not fit the sizes {sizes}")
        if len(self.units) != len(self.channels) or len(self.channel_scale) != len(self.channels):
            raise ValueError("units, scales and channels differ in number")
        if self.compressor not in COMPRESSORS or self.raw_dtype not in ZARR_TYPES:
            raise ValueError(f"no array is stored as {self.raw_dtype} with {self.compressor}")
        edges = [0, *(fold.stop for fold in self.folds)]
        if self.folds and (
            [fold.start for fold in self.folds] != edges[:-1]
            or edges != sorted(set(edges))
            or edges[-1] != self.windows
        ):
            raise ValueError("the folds do not follow one another")
        members = sorted(group for fold in self.folds for group in fold.groups)
        if members != sorted(set(members) & set(range(len(self.groups)))):
            raise ValueError("a group is in two folds, or in none that there is")
        if max(array.chunk_rows * array.row_bytes for array in self.arrays()) > MOST_CHUNK_BYTES:
            raise ValueError("a chunk is larger than its codec can hold")
        return self

    @property
    def spec(self) -> WindowSpec:
        """What a window of `raw` is."""
        return WindowSpec(
            time=self.time,
            rate_hz=self.rate_hz,
            channels=self.channels,
            units=self.units,
            dtype=np.dtype(self.raw_dtype),
            scale=self.channel_scale,
        )

    @property
    def target(self) -> Target:
        """What `label` holds."""
        return self.other_target or class_target(self.classes)

    def of_target(self, target: Target) -> Self:
        """The same with another target."""
        other = None if target.is_class else target
        return self.model_copy(update={"classes": target.classes, "other_target": other})

    @property
    def geometry(self) -> Geometry:
        """Units of reading, writing and shuffling."""
        return Geometry(self.chunk, self.shard, self.block, self.stretch > 0)

    @property
    def raw_chunk(self) -> int:
        """Rows of a chunk of `raw`."""
        return raw_chunk_rows(self.chunk, self.stretch) if self.stretches else self.chunk

    @property
    def raw_time(self) -> int:
        """Samples of a row of `raw`."""
        return stretch_rows(self.time, self.step, self.stretch) if self.stretches else self.time

    @property
    def shards(self) -> int:
        """Shards of every array."""
        return -(-self.windows // self.shard)

    def segments(self) -> Iterator[Segment]:
        """Every (shard, fold) segment, in row order: the rows of the tables of moments."""
        for shard in range(self.shards):
            yield from shard_segments(self.folds, self.shard, shard)

    def shard_rows(self, shard: int) -> Iterator[tuple[int, Segment]]:
        """The segments of a shard, each with its row in the tables of moments."""
        first = shard * self.shard
        # Each shard begins a segment, and so does each fold inside one.
        before = shard + sum(
            fold.stop < first and fold.stop % self.shard > 0 for fold in self.folds
        )
        yield from enumerate(shard_segments(self.folds, self.shard, shard), before)

    def arrays(self) -> tuple[ArrayFormat, ...]:
        """The arrays of the store."""
        spec, target = self.spec, self.target
        found = [self._raw(spec)]
        if self.features:
            shape = (len(self.features),)
            found.append(self._array("features", shape, np.dtype("f4"), ("window", "feature")))
        found += [
            self._array("label", target.shape, target.dtype, target.dimensions),
            self._array("group", (), np.dtype("i4"), ("window",)),
            self._array("source_index", (), np.dtype("i8"), ("window",)),
        ]
        if self.located:
            found.append(self._array("recording", (), np.dtype("i4"), ("window",)))
            found.append(self._array("start", (), np.dtype("i8"), ("window",)))
        if self.stretches:
            found.append(self._array("stretch", (), np.dtype("i8"), ("window",)))
            found.append(self._array("offset", (), np.dtype("i4"), ("window",)))
        return tuple(found)

    def _raw(self, spec: WindowSpec) -> ArrayFormat:
        if not self.stretches:
            return self._array("raw", spec.shape, spec.dtype, ("window", "time", "channel"))
        return ArrayFormat(
            "raw", self.shards * self.stretches, (self.raw_time, len(self.channels)), spec.dtype,
            ("stretch", "time", "channel"), self.raw_chunk, self.stretches,
            self.compressor, self.level,
        )  # fmt: skip

    @property
    def raw_row_bytes(self) -> int:
        """Bytes of a row of `raw`."""
        return self.raw_time * len(self.channels) * np.dtype(self.raw_dtype).itemsize

    @property
    def stretch_share_bytes(self) -> int:
        """Bytes of stretches for each window, in the shard that has most; 0: there are none."""
        return -(-self.stretches * self.raw_row_bytes // min(self.shard, self.windows))

    @property
    def window_bytes(self) -> int:
        """Bytes of a window in all arrays, not compressed; of stretches its part."""
        return sum(-(-each.rows * each.row_bytes // self.windows) for each in self.arrays())

    def tables(self) -> tuple[ArrayFormat, ...]:
        """The arrays of the subgroup: checksums by shard, moments and tallies by segment.

        `class_counts` holds the tallies of the target, which of classes are their counts.
        """
        target = self.target
        touched = (-(-fold.stop // self.shard) - fold.start // self.shard for fold in self.folds)
        segments = sum(touched)
        names = len(self.arrays())
        found = [
            self._table("shard_digest", self.shards, (names, 16), "u1", ("shard", "array", "byte")),
            self._table(
                "class_counts",
                segments,
                (len(target.tally_names),),
                "i8",
                ("segment", target.words[0]),
            ),
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
        if target.moment_names:
            shape = (2, len(target.moment_names))
            found.append(
                self._table("label_moments", segments, shape, "f8", ("segment", "moment", "value"))
            )
        return tuple(found)

    @property
    def table_bytes(self) -> int:
        """Bytes held while the tables are read, TABLE_ROWS rows of each at a time."""
        return sum(min(table.rows, TABLE_ROWS) * table.row_bytes for table in self.tables())

    def described_rows(self, name: str, chunk: int) -> tuple[int, int]:
        """Rows of the store that one chunk of a table of the manifest describes."""
        first, last = chunk * TABLE_ROWS, (chunk + 1) * TABLE_ROWS
        if name == "shard_digest":
            return first * self.shard, min(last * self.shard, self.windows)
        described = [s for n, s in enumerate(self.segments()) if first <= n < last]
        return described[0].start, described[-1].stop

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
            "label": self.target.attributes,
            "group": {"names": list(self.groups)},
        }
        return known.get(array, {})

    def to_bytes(self) -> bytes:
        """The subgroup's `zarr.json`; equal manifests give equal bytes."""
        return group_metadata(self.as_table())

    def as_table(self) -> dict[str, Any]:
        """What is written of it: older formats say nothing of what came later."""
        left_out = {key for key, since in ADDED.items() if self.format_version < since}
        return self.model_dump(mode="json", exclude=left_out, by_alias=True)

    def root_bytes(self) -> bytes:
        """The group's `zarr.json`, which holds the checksum of the manifest's."""
        attributes: dict[str, Any] = {"headrace": self.format_version}
        if self.format_version > 1:
            attributes["manifest"] = xxhash.xxh3_128_hexdigest(self.to_bytes())
        return group_metadata(attributes)

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


def format_of(stretch: int, target: Target) -> int:
    """The format of a store of such stretches and such a target: the oldest that can say it."""
    if not target.is_class:
        return FORMAT_VERSION
    return STRETCHED_FORMAT if stretch else OLDER_FORMAT
