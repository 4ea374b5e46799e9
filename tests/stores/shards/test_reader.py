"""Rows come out of shards as they went in, and damage is named, never read."""

from __future__ import annotations

import contextlib
import copy
import errno
import os
import pickle
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from weakref import WeakSet

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import blosc
from numpy.typing import NDArray

from headrace.stores.errors import DamageError, ObjectStoreError
from headrace.stores.io import shard_files
from headrace.stores.shards.array_format import ArrayFormat
from headrace.stores.shards.reader import ShardReader
from tests.refusals import refused


def written(
    folder: Path, values: NDArray[Any], chunk: int, per_shard: int, compressor: str = "lz4"
) -> ArrayFormat:
    """The array in shards of `per_shard` chunks."""
    names = tuple(f"axis {number}" for number in range(values.ndim))
    shape, rows = values.shape[1:], chunk * per_shard
    format_ = ArrayFormat(
        "array", len(values), shape, values.dtype, names, chunk, rows, compressor, 1
    )
    for shard in range(format_.shards):
        own = values[shard * rows : (shard + 1) * rows]
        chunks = (own[start : start + chunk] for start in range(0, len(own), chunk))
        (folder / format_.key(shard)).write_bytes(b"".join(format_.encode(chunks)))
    return format_


@settings(max_examples=60)
@given(
    rows=st.integers(1, 90),
    chunk=st.integers(1, 9),
    per_shard=st.integers(1, 5),
    dtype=st.sampled_from(["i1", "<i2", "<f4", "<f8", "<i8"]),
    compressor=st.sampled_from(["lz4", "zstd"]),
    data=st.data(),
)
def test_any_range_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    chunk: int,
    per_shard: int,
    dtype: str,
    compressor: str,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("array")
    values = np.random.default_rng(rows).integers(-99, 99, size=(rows, 5, 2)).astype(dtype)
    reader = ShardReader(folder, written(folder, values, chunk, per_shard, compressor))
    start = data.draw(st.integers(0, rows - 1))
    stop = data.draw(st.integers(start, rows))
    target = np.empty((stop - start, 5, 2), dtype)
    reader.read_into(target, start)
    np.testing.assert_array_equal(target, values[start:stop])


def test_threads_read_side_by_side(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(4096, 32)).astype(np.float32)
    reader = ShardReader(tmp_path, written(tmp_path, values, 16, 8))

    def read(start: int) -> bool:
        target = np.empty((100, 32), np.float32)
        reader.read_into(target, start)
        return bool((target == values[start : start + 100]).all())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(0, 3996, 7)))


def checked(data: bytes) -> bytes:
    return data + int(google_crc32c.value(data)).to_bytes(4, "little")


def bomb(format_: ArrayFormat) -> bytes:
    """A shard whose first chunk is larger than a chunk may be; all checksums are right."""
    codec = blosc.Blosc(cname="lz4")
    chunk = checked(bytes(codec.encode(np.zeros(50_000_000, np.uint8))))
    index = np.full((4, 2), 2**64 - 1, "<u8")
    index[0] = 0, len(chunk)
    return chunk + checked(index.tobytes())


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 4]) + data[at:][1:]


def pointing(data: bytes, offset: int, length: int) -> bytes:
    """The shard with its first chunk said to be elsewhere; the index' checksum is right."""
    index = np.frombuffer(data[-68:-4], "<u8").reshape(4, 2).copy()
    index[0] = offset, length
    return data[:-68] + checked(index.tobytes())


def test_no_more_indexes_are_kept_than_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.arange(64 * 8, dtype=np.float32).reshape(64, 8)
    format_ = written(tmp_path, values, 4, 4)
    target, opened = np.empty((16, 8), np.float32), []
    pread = os.pread

    def counted(file: int, length: int, offset: int) -> bytes:
        opened.append(length)
        return pread(file, length, offset)

    monkeypatch.setattr(os, "pread", counted)
    for kept, indexes in ((4, 4), (1, 8)):
        reader = ShardReader(tmp_path, format_, kept)
        opened.clear()
        for start in (0, 16, 32, 48) * 2:
            reader.read_into(target, start)
            np.testing.assert_array_equal(target, values[start : start + 16])
        assert opened.count(16 * 4 + 4) == indexes


def test_few_files_are_kept_open_and_none_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened() -> int:
        links = [os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.exists()]
        return sum(link.startswith(str(tmp_path)) for link in links)

    monkeypatch.setattr("headrace.stores.io.shard_files.KEPT_FILES", 3)
    values = np.arange(64 * 8, dtype=np.float32).reshape(64, 8)
    reader = ShardReader(tmp_path, written(tmp_path, values, 4, 2))
    target = np.empty((1, 8), np.float32)
    for row in (*range(0, 64, 5), *range(63, 0, -7)):
        reader.read_into(target, row)
        np.testing.assert_array_equal(target[0], values[row])
        assert 1 <= opened() <= 3
    del reader
    assert opened() == 0


def test_too_many_open_files_are_not_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Files that earlier tests keep open would give way.
    monkeypatch.setattr(shard_files, "_KEEPERS", WeakSet())
    values = np.arange(64 * 8, dtype=np.float32).reshape(64, 8)
    format_ = written(tmp_path, values, 4, 2)
    target, hogs = np.empty_like(values), []
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, before[1]))

    def open_all() -> None:
        with contextlib.suppress(OSError):
            while True:
                hogs.append(os.open(os.devnull, os.O_RDONLY))

    try:
        open_all()
        # Fewer are left than the array has files: those that are kept open give way.
        for each in (hogs.pop(), hogs.pop(), hogs.pop()):
            os.close(each)
        reader = ShardReader(tmp_path, format_)
        reader.read_into(target, 0)
        np.testing.assert_array_equal(target, values)
        del reader
        open_all()
        with refused(ObjectStoreError, "c.0.0", "ulimit -n"):
            ShardReader(tmp_path, format_).read_into(target, 0)
    finally:
        for each in hogs:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_copy_opens_its_own_files(tmp_path: Path) -> None:
    values = np.arange(64 * 8, dtype=np.float32).reshape(64, 8)
    reader, target = ShardReader(tmp_path, written(tmp_path, values, 4, 4)), np.empty_like(values)
    reader.read_into(target, 0)
    for copied in (copy.deepcopy(reader), pickle.loads(pickle.dumps(reader))):
        copied.read_into(target, 0)
        np.testing.assert_array_equal(target, values)
    del copied
    reader.read_into(target, 0)
    np.testing.assert_array_equal(target, values)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda data, _: None, os.strerror(errno.ENOENT)),
        (lambda data, _: b"", ""),
        (lambda data, _: data[:40], ""),
        (lambda data, _: data[:-1], ""),
        (lambda data, _: flip(data, len(data) - 20), ""),
        (lambda data, _: flip(data, 30), "0"),
        (lambda data, _: pointing(data, 2**64 - 1, 2**64 - 1), "0"),
        (lambda data, _: pointing(data, 0, 2**40), "0"),
        (lambda data, _: pointing(data, 2**62, 100), ""),
        (lambda data, _: pointing(data, 0, 0), "0"),
        (lambda data, format_: bomb(format_), "0"),
    ],
)
def test_damage_is_named_and_not_read(tmp_path: Path, damage: Any, named: str) -> None:
    values = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    format_ = written(tmp_path, values, 16, 4)
    path = tmp_path / format_.key(0)
    damaged = damage(path.read_bytes(), format_)
    path.unlink()
    if damaged is not None:
        path.write_bytes(damaged)
    with refused(DamageError, "c.0.0", named, "headrace verify"):
        ShardReader(tmp_path, format_).read_into(np.empty((64, 8), np.float32), 0)


def test_a_chunk_that_cannot_be_decoded_is_damage(tmp_path: Path) -> None:
    values = np.zeros((64, 8), np.float32)
    format_ = written(tmp_path, values, 16, 4)
    path = tmp_path / format_.key(0)
    data = path.read_bytes()
    length = int(np.frombuffer(data[-68:-60], "<u8")[0] or np.frombuffer(data[-60:-52], "<u8")[0])
    body = data[:16] + b"\xff" * (length - 20)
    path.write_bytes(checked(body) + data[length:])
    with refused(DamageError, "c.0.0", "headrace verify"):
        ShardReader(tmp_path, format_).read_into(np.empty((16, 8), np.float32), 0)
