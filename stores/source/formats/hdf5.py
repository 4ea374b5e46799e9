"""HDF5 files: what is not in the file itself, or cannot be as it says, is refused."""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError, UserError, first_line
from headrace.stores.io.object_file import HELD_BYTES, ObjectFile
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.arrays import shown_arrays
from headrace.stores.source.formats.interface import SourceNode
from headrace.stores.source.formats.one_file import OneFile

MIN_CHUNK_CACHE = 1 << 20
MAX_CHUNK_CACHE = 64 << 20
"""Bytes of one row of chunks that are kept decoded, so that reading on decodes each chunk once."""
MOST_SOURCE_CHUNK = 256 << 20
"""Bytes of one decoded HDF5 chunk: held before any plan of memory can be made."""
HDF5_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError)
"""What h5py raises where a file is not as it says."""
OUTSIDE = (
    "outside of what the fingerprint covers. Copy the data into one file, for example with "
    "h5repack."
)
MOST_PACKED = 100_000
"""Times the bytes of its file that a dataset may have: Zstandard packs zeros 30,000 times."""


class Hdf5Array:
    """A dataset; see `SourceArray`."""

    def __init__(self, dataset: Any) -> None:
        """Take over an h5py dataset."""
        self.dataset = dataset
        self.name: str = dataset.name
        self.where = f"{dataset.file.filename}:{dataset.name}"
        self.shape: tuple[int, ...] | None = dataset.shape
        self.dtype: np.dtype[Any] = dataset.dtype
        chunks = dataset.chunks
        self.piece_rows: int | None = None if chunks is None else int(chunks[0])
        self.row_bytes = chunk_row_bytes(dataset) // (self.piece_rows or 1)
        whole = 0 if chunks is None else math.prod(chunks) * dataset.dtype.itemsize
        # A filtered chunk is decoded into memory of its own, beside its stored bytes.
        self.decode_bytes = 2 * whole
        kept = min(max(chunk_row_bytes(dataset), MIN_CHUNK_CACHE), MAX_CHUNK_CACHE)
        self.cache_bytes = MIN_CHUNK_CACHE if chunks is None else kept

    def ready(self) -> Hdf5Array:
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
        return Hdf5Array(h5py.Dataset(h5py.h5d.open(file, name, access)))

    def attribute(self, name: str) -> Any | None:
        """An attribute of the dataset, else of its file."""
        with _explained():
            for attrs in (self.dataset.attrs, self.dataset.file.attrs):
                if name in attrs:
                    return attrs[name]
        return None

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        with _explained():
            rows: NDArray[Any] = self.dataset[start:stop]
        return rows

    def whole(self) -> Any:
        """All of it, texts as bytes or str."""
        with _explained():
            return self.dataset[()]

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        with _explained():
            self.dataset.read_direct(out, np.s_[start : start + len(out)])

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        with _explained(UnicodeDecodeError, TypeError):
            return np.asarray(self.dataset.asstr()[start:stop]).astype(np.str_)

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Bytes of the file that hold the rows; none of strings."""
        if self.dtype.hasobject or high <= low:
            return
        with _explained():
            yield from _spans(self.dataset, low, high)


class Hdf5Node:
    """A file or a group; see `SourceNode`."""

    def __init__(self, node: Any) -> None:
        """Take over an h5py file or group."""
        self.node = node
        self.name: str = node.name
        self.where: str = node.file.filename + ("" if node.name == "/" else f" {node.name}")

    def parts(self) -> Sequence[SourceNode]:
        """Itself."""
        return (self,)

    def array(self, name: str) -> Hdf5Array | None:
        """The dataset of that name."""
        found = self._resolved(name)
        if not isinstance(found, h5py.Dataset):
            return None
        check_own(self.node, found, name)
        return Hdf5Array(found)

    def group(self, name: str) -> Hdf5Node | None:
        """The group of that name."""
        found = self._resolved(name)
        return Hdf5Node(found) if isinstance(found, h5py.Group) else None

    def names(self) -> list[str]:
        """Names of the datasets right below."""
        with _explained():
            return [name for name, item in self.node.items() if isinstance(item, h5py.Dataset)]

    def contents(self) -> str:
        """The datasets below with shape and type."""
        with _explained():
            return shown_arrays(self._below())

    def _below(self) -> list[tuple[str, tuple[int, ...] | None, np.dtype[Any]]]:
        found: list[tuple[str, tuple[int, ...] | None, np.dtype[Any]]] = []

        def visit(name: str, item: Any) -> bool | None:
            if isinstance(item, h5py.Dataset):
                found.append((name, item.shape, item.dtype))
            return True if len(found) > 20 else None

        self.node.visititems(visit)
        return found

    def _resolved(self, name: str) -> Any | None:
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
        with _explained():
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
            raise SourceError(f"The source {path} {what}. Name an HDF5 file.")
        fetched = storage_of(path).for_hdf5()
        return h5py.File(fetched or path, "r"), fetched
    except OSError as error:
        raise SourceError(
            f"The source {path} cannot be read as HDF5 ({error}). Name an HDF5 file."
        ) from error


@contextmanager
def _explained(*passed: type[Exception]) -> Iterator[None]:
    """What HDF5 cannot read is the user's to mend; `passed` is not said to be that."""
    try:
        yield
    except HDF5_ERRORS as error:
        if isinstance(error, (UserError, *passed)):
            raise
        raise SourceError(
            f"The source cannot be read ({first_line(error)}). Correct the file, install the "
            "filter that it was written with, or start again once it is there."
        ) from error


def check_own(node: Any, dataset: Any, name: str) -> None:
    """Refuse a dataset whose values are not in this file, or more than the file can hold.

    Raises:
        UserError: says which it is.
    """
    where = f"{node.file.filename}:{name}"
    others = dataset.is_virtual and any(s.file_name != "." for s in dataset.virtual_sources())
    if dataset.external or others:
        raise SourceError(f"{where} takes its values from other files, {OUTSIDE}")
    where = f"{dataset.file.filename}:{dataset.name}"
    chunk = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    if chunk > MOST_SOURCE_CHUNK:
        raise SourceError(
            f"{where} is stored in chunks of {chunk:,} bytes, and each is decoded whole; "
            f"{MOST_SOURCE_CHUNK:,} is the most. Write it in smaller ones: h5repack -l."
        )
    size = node.file.id.get_filesize()
    most = math.prod(dataset.shape or (0,)) * dataset.dtype.itemsize
    if most > (1 << 30) and most > MOST_PACKED * size:
        raise SourceError(
            f"{where} says that it holds {most:,} bytes, and its file has {size:,}: most of it "
            "was never written. Write the data, or name another dataset."
        )


def chunk_row_bytes(dataset: Any) -> int:
    """Bytes of all HDF5 chunks that share their first index, decoded; of one row unchunked."""
    if dataset.shape is None:
        return 0
    row = int(np.prod(dataset.shape[1:], dtype=np.int64))
    rows = 1
    if dataset.chunks is not None:
        rows, *inner = dataset.chunks
        row = 1
        for length, chunk in zip(dataset.shape[1:], inner, strict=True):
            row *= -(-length // chunk) * chunk
    return int(rows * row * dataset.dtype.itemsize)


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
