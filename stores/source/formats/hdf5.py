"""HDF5 files: what is not in the file itself, or cannot be as it says, is refused."""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError, UserError, first_line
from headrace.stores.io.object_file import HELD_BYTES, ObjectFile
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.arrays import shown_arrays
from headrace.stores.source.formats.hdf5_attributes import attribute_above, attributes_above
from headrace.stores.source.formats.hdf5_filters import lacking_filters
from headrace.stores.source.formats.hdf5_own import HDF5_ERRORS, NO_PARTS, OUTSIDE, Parts, check_own
from headrace.stores.source.formats.one_file import OneFile
from headrace.stores.source.formats.opening import beginning
from headrace.stores.source.formats.unknown import unknown_format

MOST_NAMES = 100_000
"""Of the datasets of a file that are listed."""
MIN_CHUNK_CACHE = 1 << 20
MAX_CHUNK_CACHE = 64 << 20
"""Bytes of one row of chunks that are kept decoded, so that reading on decodes each chunk once."""


class Hdf5Array:
    """A dataset; see `SourceArray`."""

    def __init__(self, dataset: Any, parts: Parts = NO_PARTS) -> None:
        """Take over an h5py dataset, and what `check_own` says of its parts."""
        self.dataset = dataset
        self.files = parts.files
        self.parts = parts
        self._lacking = lacking_filters(dataset)
        self.name: str = dataset.name
        self.where = f"{dataset.file.filename}:{dataset.name}"
        self.shape: tuple[int, ...] | None = dataset.shape
        self.dtype: np.dtype[Any] = dataset.dtype
        chunks = dataset.chunks
        self.piece_rows: int | None = None if chunks is None else int(chunks[0])
        piece = piece_bytes(dataset.shape, chunks, dataset.dtype.itemsize)
        self.row_bytes = piece // (self.piece_rows or 1)
        whole = 0 if chunks is None else math.prod(chunks) * dataset.dtype.itemsize
        # A filtered chunk is decoded into memory of its own, beside its stored bytes.
        self.decode_bytes = 2 * whole
        kept = min(max(piece, MIN_CHUNK_CACHE), MAX_CHUNK_CACHE)
        self.cache_bytes = MIN_CHUNK_CACHE if chunks is None else kept
        if parts.files:
            self.decode_bytes = 2 * parts.chunk_bytes
            self.cache_bytes += len(parts.files) * MIN_CHUNK_CACHE

    def ready(self) -> Self:
        """The same dataset, with a cache that holds one row of its chunks.

        HDF5 shares the first opening's cache.
        """
        if self.dataset.chunks is None:
            return self
        file, name = self.dataset.file.id, self.dataset.name.encode()
        access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
        # A prime well above the chunks that fit, as HDF5 advises. Never 1.0: HDF5 1.14 then keeps
        # every chunk that was read in part, whatever `nbytes` says (229 MiB held at 1 MiB allowed).
        access.set_chunk_cache(10007, self.cache_bytes, 0.75)
        self.dataset.id.close()
        found = self._again(h5py.Dataset(h5py.h5d.open(file, name, access)))
        found.name, found.where = self.name, self.where
        return found

    def _again(self, dataset: Any) -> Self:
        """The same of a dataset that was opened again."""
        return type(self)(dataset, self.parts)

    def turned(self, order: Sequence[int]) -> Hdf5Array:
        """The dataset with its axes in another order, read in slabs along the first of them."""
        from headrace.stores.source.formats.hdf5_turned import TurnedArray

        found = TurnedArray(self.dataset, self.parts, order)
        found.name, found.where = self.name, self.where
        return found

    def attribute(self, name: str) -> Any | None:
        """An attribute of the dataset, else of the nearest of its groups, up to the file."""
        with explained():
            return attribute_above(self.dataset, name)

    def attributes(self) -> list[Mapping[str, Any]]:
        """Those of the dataset, then of its groups up to the file."""
        with explained():
            return attributes_above(self.dataset)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        with explained(self._lacking):
            rows: NDArray[Any] = self.dataset[start:stop]
        return rows

    def read_fields(self, names: str | list[str], start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop` of one field of a compound dataset, or of several."""
        with explained(self._lacking):
            rows: NDArray[Any] = self.dataset.fields(names)[start:stop]
        return rows

    def whole(self) -> Any:
        """All of it, texts as bytes or str."""
        with explained(self._lacking):
            return self.dataset[()]

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        with explained(self._lacking):
            self.dataset.read_direct(out, np.s_[start : start + len(out)])

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        with explained(self._lacking, UnicodeDecodeError, TypeError):
            # Texts that are marked as ASCII may be UTF-8, as NumPy writes them.
            return np.asarray(self.dataset.asstr("utf-8")[start:stop]).astype(np.str_)

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Bytes of the file that hold the rows; none of strings."""
        if self.dtype.hasobject or high <= low:
            return
        with explained():
            yield from _spans(self.dataset, low, high)


class Hdf5Node:
    """A file or a group; see `SourceNode`."""

    def __init__(self, node: Any) -> None:
        """Take over an h5py file or group."""
        self.node = node
        self.name: str = node.name
        self.where: str = node.file.filename + ("" if node.name == "/" else f" {node.name}")

    def array(self, name: str) -> Hdf5Array | None:
        """The dataset of that name."""
        found = self.resolved(name)
        if not isinstance(found, h5py.Dataset):
            return None
        return Hdf5Array(found, check_own(self.node, found, name))

    def group(self, name: str) -> Hdf5Node | None:
        """The group of that name."""
        found = self.resolved(name)
        return Hdf5Node(found) if isinstance(found, h5py.Group) else None

    def children(self) -> list[str]:
        """Of datasets, groups and links."""
        with explained():
            return [name for name in self.node if isinstance(name, str)]

    def contents(self) -> str:
        """The datasets below with shape and type."""
        with explained():
            return shown_arrays(self.below())

    def names(self) -> Iterator[str]:
        """Names of the datasets below."""
        with explained():
            return iter([name for name, _, _ in self.below(MOST_NAMES)])

    def below(self, most: int = 20) -> list[tuple[str, tuple[int, ...] | None, np.dtype[Any]]]:
        """Name, shape and type of the first datasets below."""
        found: list[tuple[str, tuple[int, ...] | None, np.dtype[Any]]] = []

        def visit(name: str | bytes, item: Any) -> bool | None:
            # Bytes are no UTF-8: no configuration could name them.
            if isinstance(name, str) and isinstance(item, h5py.Dataset):
                found.append((name, item.shape, item.dtype))
            return True if len(found) > most else None

        self.node.visititems(visit)
        return found

    def resolved(self, name: str) -> Any | None:
        """What h5py finds under that name.

        Raises:
            UserError: it cannot be opened, or stands in another file.
        """
        file = self.node.file.filename
        try:
            found = self.node.get(name)
        except HDF5_ERRORS as error:
            raise SourceError(
                f"{file}: {name} cannot be opened ({first_line(error)}). Correct the file, or "
                "name another dataset."
            ) from error
        if found is not None and h5py.h5f.get_name(found.id) != h5py.h5f.get_name(self.node.id):
            raise SourceError(f"{file}:{name} is a link to another file, {OUTSIDE}")
        return found


class Hdf5File(OneFile, Hdf5Node):
    """An open file; see `SourceFile`."""

    def __init__(self, path: Place, file: Any, fetched: ObjectFile | None = None) -> None:
        """Take over the h5py file at `path`, and the object that it reads."""
        OneFile.__init__(self, path)
        Hdf5Node.__init__(self, file)
        self._fetched = fetched
        if fetched is not None:
            # HDF5 closes what is left open when no Python is there any more to read it with.
            weakref.finalize(self, file.close)
            self.fetched_bytes = HELD_BYTES

    def fetch(self, spans: set[tuple[int, int]]) -> bool:
        """Fetch bytes of an object side by side."""
        if self._fetched is None:
            return False
        with explained():
            self._fetched.fetch(spans)
        return True

    def close(self) -> None:
        """Close the file."""
        self.node.close()


def open_hdf5(path: Place) -> Hdf5File:
    """Open `path` for reading.

    Raises:
        UserError: there is no such file, or it is not HDF5.
    """
    file, fetched = _open(path)
    return Hdf5File(path, file, fetched)


def _open(path: Place) -> tuple[Any, ObjectFile | None]:
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise SourceError(f"The source {path} {what}. Name a file.")
        fetched = storage_of(path).for_hdf5()
        return h5py.File(fetched or path, "r"), fetched
    except OSError as error:
        if "signature not found" in str(error):
            raise unknown_format(path, beginning(path)) from error
        raise SourceError(
            f"The source {path} cannot be read as HDF5 ({first_line(error)}). It may be cut short: "
            "copy it again, or name another."
        ) from error


@contextmanager
def explained(lacking: str = "", *passed: type[Exception]) -> Iterator[None]:
    """What HDF5 cannot read is the user's to mend; `passed` is not said to be that.

    Args:
        lacking: filters that HDF5 lacks for it; see `lacking_filters`.
        passed: left to the caller.
    """
    try:
        yield
    except HDF5_ERRORS as error:
        if isinstance(error, (UserError, *passed)):
            raise
        if lacking:
            raise SourceError(
                f"The source cannot be read: it was written with {lacking}, a filter that neither "
                "HDF5 nor an installed hdf5plugin has. Install it (pip install hdf5plugin), or "
                "write the file without it: h5repack -f NONE."
            ) from error
        raise SourceError(
            f"The source cannot be read ({first_line(error)}). Correct the file, install the "
            "filter that it was written with, or start again once it is there."
        ) from error


def piece_bytes(
    shape: tuple[int, ...] | None, chunks: tuple[int, ...] | None, itemsize: int
) -> int:
    """Bytes of all HDF5 chunks that share their first index, decoded; of one row unchunked."""
    if shape is None:
        return 0
    row = int(np.prod(shape[1:], dtype=np.int64))
    rows = 1
    if chunks is not None:
        rows, *inner = chunks
        row = 1
        for length, chunk in zip(shape[1:], inner, strict=True):
            row *= -(-length // chunk) * chunk
    return int(rows * row * itemsize)


def _spans(dataset: Any, low: int, high: int) -> Iterator[tuple[int, int]]:
    """Raises RuntimeError: HDF5 cannot say where they are."""
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        row = math.prod(dataset.shape[1:]) * dataset.dtype.itemsize
        if offset is not None:
            yield offset + low * row, offset + high * row
        return
    rows, *inner = dataset.chunks
    others = [range(0, length, size) for length, size in zip(dataset.shape[1:], inner, strict=True)]
    for first in range(low // rows * rows, high, rows):
        for place in itertools.product(*others):
            chunk = dataset.id.get_chunk_info_by_coord((first, *place))
            if chunk.byte_offset is not None:
                yield chunk.byte_offset, chunk.byte_offset + chunk.size
