"""Shards that our encoder writes, read by the readers that others use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
import zarr
from numpy.typing import NDArray

from headrace.stores.io.disk import write_bytes
from headrace.stores.shards.array_format import ArrayFormat

DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]


def write(folder: Path, array: ArrayFormat, values: NDArray[Any]) -> None:
    write_bytes(folder / "zarr.json", array.metadata({"names": ["a"]}))
    for shard in range(array.shards):
        rows = values[shard * array.shard_rows : (shard + 1) * array.shard_rows]
        chunks = (rows[at : at + array.chunk_rows] for at in range(0, len(rows), array.chunk_rows))
        write_bytes(folder / array.key(shard), array.encode(chunks))


def make(dtype: str, compressor: str = "lz4", rows: int = 53) -> tuple[ArrayFormat, NDArray[Any]]:
    names = ("window", "time", "channel")
    array = ArrayFormat("raw", rows, (7, 3), np.dtype(dtype), names, 4, 16, compressor, 1)
    values = np.random.default_rng(1).integers(0, 100, (rows, 7, 3)).astype(dtype)
    return array, values


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compressor", ["lz4", "zstd"])
def test_zarr_python_reads_every_type(tmp_path: Path, dtype: str, compressor: str) -> None:
    array, values = make(dtype, compressor)
    write(tmp_path, array, values)
    read = zarr.open_array(tmp_path, mode="r")
    assert read.dtype == values.dtype
    assert read.metadata.dimension_names == ("window", "time", "channel")
    assert np.array_equal(read[:], values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensorstore_reads_every_type(tmp_path: Path, dtype: str) -> None:
    array, values = make(dtype)
    write(tmp_path, array, values)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{tmp_path}/"}}
    assert np.array_equal(ts.open(spec).result().read().result(), values)


def test_encoding_twice_gives_the_same_bytes() -> None:
    array, values = make("f4", rows=16)
    once = b"".join(array.encode(iter(np.split(values, 4))))
    assert once == b"".join(array.encode(iter(np.split(values, 4))))


def test_a_flipped_bit_is_noticed_on_reading(tmp_path: Path) -> None:
    array, values = make("f4")
    write(tmp_path, array, values)
    path = tmp_path / array.key(1)
    damaged = bytearray(path.read_bytes())
    damaged[40] ^= 1
    path.write_bytes(damaged)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{tmp_path}/"}}
    with pytest.raises(ValueError, match="Digest mismatch"):
        ts.open(spec).result().read().result()


def test_types_without_a_portable_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\bcomplex64\b"):
        make("c8")[0].metadata()
