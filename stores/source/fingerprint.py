"""The fingerprint of a source: changes when what would be read from it changes."""

from __future__ import annotations

import hashlib

import numpy as np

from headrace.stores.source.arrays import rows_of
from headrace.stores.source.channels import ChannelInfo
from headrace.stores.source.derived.repeated import RepeatedTexts
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.names import slices

SAMPLED_SLICES = 64
SLICE_BYTES = 64 << 10


def fingerprint(
    size: int, data: SourceArray, tables: list[SourceArray], classes: list[str], info: ChannelInfo
) -> str:
    """A hex digest of 32 characters.

    Covers the size of the file, and of other files that hold values of its arrays; name, shape
    and type of the arrays read; rate, channels, units, scale and list of classes; the whole of
    `tables` (labels, groups, recordings); and 64 evenly spaced slices of `data`, of up to 64 KiB
    each. Never a time stamp or a path outside the file.
    """
    digest = hashlib.blake2b(digest_size=16)
    described = [
        size,
        info.rate_hz,
        info.channels,
        info.units,
        info.scale.tolist(),
        *([info.offset.tolist()] if info.offset.any() else ()),
    ]
    described += [classes, *((d.name, d.shape, str(d.dtype)) for d in (data, *tables))]
    described += [other.stat().st_size for array in (data, *tables) for other in array.files]
    digest.update(repr(described).encode())
    for table in tables:
        if isinstance(table, RepeatedTexts):
            digest.update(table.content())
            continue
        for start, stop in slices(rows_of(table)):
            digest.update(_bytes(table, start, stop))
    rows, inner = rows_of(data), (data.shape or ())[1:]
    row_bytes = max(1, int(np.prod(inner)) * data.dtype.itemsize)
    length = min(rows, max(1, SLICE_BYTES // row_bytes))
    first, held = 0, data.read(0, 0)
    for number in range(SAMPLED_SLICES):
        start = (rows - length) * number // (SAMPLED_SLICES - 1)
        # Slices of a small source overlap: its rows, of many files perhaps, are read once.
        held = held[start - first :]
        more = data.read(start + len(held), start + length)
        first, held = start, np.concatenate([held, more]) if len(held) else more
        digest.update(np.ascontiguousarray(held).tobytes())
    return digest.hexdigest()


def _bytes(array: SourceArray, start: int, stop: int) -> bytes:
    if array.dtype.kind in "SOU":
        texts = array.texts(start, stop).reshape(-1).tolist()
        return "\0".join(texts).encode(errors="surrogatepass")
    content: bytes = np.ascontiguousarray(array.read(start, stop)).tobytes()
    return content
