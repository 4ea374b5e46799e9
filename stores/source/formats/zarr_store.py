"""A Zarr as zarr-python reads it. Imported where one is opened: zarr takes its time to load."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import AsyncIterator, Iterable
from typing import Any, Literal

import zarr
from zarr.abc.buffer import Buffer, BufferPrototype
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)

from headrace.stores.errors import SourceError
from headrace.stores.source.formats.zarr_places import DOCUMENTS, MOST_DOCUMENT, ZarrPlace

MORE_STORED = 64 << 10
"""Bytes that a chunk may take beside twice those of its values: headers, checksums, indexes."""


def open_array(place: ZarrPlace, path: str, format_: Literal[2, 3], where: str) -> zarr.Array[Any]:
    """The array at `path`, which errors call `where`; call `guard` before its values are read.

    Raises:
        Exception: what zarr-python makes of a stranger's metadata.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That this type or codec is not in the specification.
        return zarr.open_array(_ReadStore(place, where), path=path, mode="r", zarr_format=format_)


def guard(array: zarr.Array[Any], most_bytes: int, is_blosc: bool) -> None:
    """Refuse what no chunk of the array can be, before it is decoded.

    Args:
        array: of `open_array`.
        most_bytes: of a chunk, or a shard of them, decoded.
        is_blosc: whether a chunk is a frame of Blosc, which says how long it is. Blosc does not
            look: of one that was cut off it decodes the memory that happens to follow.
    """
    store = array.store
    assert isinstance(store, _ReadStore)
    store.most = 2 * most_bytes + MORE_STORED
    store.is_blosc = is_blosc


def requests() -> int:
    """Chunks that zarr-python reads and decodes at a time, at most."""
    return zarr.config.get("async.concurrency") or sys.maxsize


class _ReadStore(Store):
    """Reads a `ZarrPlace`, and no more of it at a time than it may."""

    supports_writes = supports_deletes = supports_listing = False

    def __init__(self, place: ZarrPlace, where: str) -> None:
        super().__init__(read_only=True)
        self._place, self._where = place, where
        self.most, self.is_blosc = MOST_DOCUMENT, False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ReadStore) and other._place is self._place

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        content = await asyncio.to_thread(self._read, key, byte_range)
        return None if content is None else prototype.buffer.from_bytes(content)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(self._place.size, key) is not None

    async def set(self, key: str, value: Buffer) -> None:
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        raise NotImplementedError

    def list(self) -> AsyncIterator[str]:
        raise NotImplementedError

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        raise NotImplementedError

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        raise NotImplementedError

    def _read(self, key: str, asked: ByteRequest | None) -> bytes | None:
        document = key.rpartition("/")[2] in DOCUMENTS
        most = MOST_DOCUMENT if document else self.most
        start, count = 0, most + 1
        if isinstance(asked, RangeByteRequest):
            start, count = asked.start, asked.end - asked.start
        elif isinstance(asked, OffsetByteRequest):
            start = asked.offset
        elif isinstance(asked, SuffixByteRequest):
            start, count = max(0, (self._place.size(key) or 0) - asked.suffix), asked.suffix
        content = self._place.read(key, start, min(count, most + 1))
        if content is None:
            return None
        if len(content) > most:
            raise self._damaged(key, f"takes more than {most:,} bytes, which it cannot hold")
        wanted = count if isinstance(asked, RangeByteRequest) else 0
        if self.is_blosc and asked is None and not document:
            wanted = max(16, int.from_bytes(content[12:16], "little"))
        if len(content) < wanted:
            raise self._damaged(key, f"has {len(content):,} bytes of {wanted:,}: it was cut off")
        return content

    def _damaged(self, key: str, what: str) -> SourceError:
        return SourceError(f"{self._where}: {key} {what}. Copy it again.")
