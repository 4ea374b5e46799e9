"""Arrays of the store in Zarr v3: their metadata, and whole shards encoded to bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

COMPRESSORS = ("lz4", "zstd")
MOST_CHUNK_BYTES = 2**31 - 1 - 32
"""Blosc's limit."""
MISSING_CHUNK = 2**64 - 1
"""Offset and length, in a shard's index, of a chunk that was not written."""
ZARR_TYPES = {
    "float16",
    "float32",
    "float64",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}

# With threads, c-blosc appends blocks in the order they finish: the bytes would depend on luck.
blosc.use_threads = False


@dataclass(frozen=True)
class ArrayFormat:
    """Shape, type and codecs of one array; rows are cut into chunks, chunks gathered in shards.

    Attributes:
        name: the array's name in the group.
        rows: length of the first axis.
        row_shape: lengths of the other axes, never cut.
        dtype: native-endian NumPy type; stored little-endian.
        dimensions: one name an axis.
        chunk_rows: unit of reading.
        shard_rows: unit of writing, a multiple of `chunk_rows`; equal: no sharding.
        compressor, level: blosc's `lz4` or `zstd`, with byte shuffle.
    """

    name: str
    rows: int
    row_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    dimensions: tuple[str, ...]
    chunk_rows: int
    shard_rows: int
    compressor: str
    level: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, not compressed."""
        return int(np.prod(self.row_shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def by_window(self) -> bool:
        """Whether a row is a window's; else it is a stretch that windows are cut from."""
        return self.dimensions[0] == "window"

    @property
    def shards(self) -> int:
        """How many shards the array has."""
        return -(-self.rows // self.shard_rows)

    def key(self, shard: int) -> str:
        """Path of a shard's file below the array's folder."""
        return ".".join(["c", str(shard), *("0" for _ in self.row_shape)])

    def metadata(self, attributes: Mapping[str, Any] | None = None) -> bytes:
        """The array's `zarr.json`."""
        inner: list[dict[str, Any]] = [
            {"name": "bytes", "configuration": {"endian": "little"}}
            if self.dtype.itemsize > 1
            else {"name": "bytes"},
            {
                "name": "blosc",
                "configuration": {
                    "cname": self.compressor,
                    "clevel": self.level,
                    "shuffle": "shuffle" if self.dtype.itemsize > 1 else "noshuffle",
                    "typesize": self.dtype.itemsize,
                    "blocksize": 0,
                },
            },
            {"name": "crc32c"},
        ]
        sharded = {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [self.chunk_rows, *self.row_shape],
                "codecs": inner,
                "index_codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": "crc32c"},
                ],
                "index_location": "end",
            },
        }
        return canonical_json(
            {
                "zarr_format": 3,
                "node_type": "array",
                "shape": [self.rows, *self.row_shape],
                "data_type": zarr_type(self.dtype),
                "chunk_grid": {
                    "name": "regular",
                    "configuration": {"chunk_shape": [self.shard_rows, *self.row_shape]},
                },
                "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
                "fill_value": 0,
                "codecs": [sharded],
                "dimension_names": list(self.dimensions),
                "attributes": dict(attributes or {}),
            }
        )

    def encode(self, chunks: Iterator[NDArray[Any]]) -> Iterator[bytes]:
        """The bytes of one shard, part by part: its chunks in order, then their index.

        Args:
            chunks: consecutive arrays of `chunk_rows` rows, (chunk_rows, *row_shape); the last
                may be shorter and is filled up with zeros, as the format wants whole chunks.
        """
        codec = blosc.Blosc(
            cname=self.compressor,
            clevel=self.level,
            shuffle=blosc.SHUFFLE if self.dtype.itemsize > 1 else blosc.NOSHUFFLE,
        )
        stored = self.dtype.newbyteorder("<")
        index = np.full((self.shard_rows // self.chunk_rows, 2), MISSING_CHUNK, dtype="<u8")
        offset = 0
        for number, chunk in enumerate(chunks):
            whole = np.ascontiguousarray(_filled_up(chunk, self.chunk_rows), dtype=stored)
            encoded = bytes(codec.encode(whole))
            yield encoded
            yield _checksum(encoded)
            index[number] = offset, len(encoded) + 4
            offset += len(encoded) + 4
        yield index.tobytes()
        yield _checksum(index.tobytes())


def group_metadata(attributes: Mapping[str, Any]) -> bytes:
    """The `zarr.json` of a group."""
    return canonical_json({"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)})


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """JSON that is the same for equal values: UTF-8, sorted keys, floats as `repr`."""
    text = json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
    return text.encode() + b"\n"


def zarr_type(dtype: np.dtype[Any]) -> str:
    """Zarr v3's name of a NumPy type.

    Raises:
        ValueError: the format has no portable name for it.
    """
    if dtype.name not in ZARR_TYPES:
        raise ValueError(f"{dtype} has no portable Zarr v3 type.")
    return str(dtype.name)


def _filled_up(chunk: NDArray[Any], rows: int) -> NDArray[Any]:
    if len(chunk) == rows:
        return chunk
    filled = np.zeros((rows, *chunk.shape[1:]), dtype=chunk.dtype)
    filled[: len(chunk)] = chunk
    return filled


def _checksum(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(4, "little")
