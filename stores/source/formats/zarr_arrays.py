"""An array of a Zarr: each piece is decoded once where reading goes on, and held while it fits."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import ARCHIVE_ERRORS, SourceError, UserError, first_line
from headrace.stores.source.derived.turned import HeldTurned
from headrace.stores.source.formats.hdf5 import MAX_CHUNK_CACHE, MIN_CHUNK_CACHE
from headrace.stores.source.formats.hdf5_own import MOST_PACKED, MOST_SOURCE_CHUNK
from headrace.stores.source.formats.npy_header import MOST_DIMENSIONS
from headrace.stores.source.formats.plain_texts import check_letters, plain_texts
from headrace.stores.source.formats.zarr_documents import ZarrDocument, ZarrDocuments
from headrace.stores.source.formats.zarr_turned import TurnedZarrArray
from headrace.stores.source.interface import SourceArray

TEXT_BYTES = 128
"""A text of any length is taken to hold this much."""
RUN_BYTES = 4 << 20
"""Of pieces that follow one another and are asked for together."""
MOST_WHOLE = 64 << 20
"""Bytes of an array that is read whole, such as a list of names."""
MOST_INNER = 1 << 20
"""Chunks of a shard: its index takes 16 bytes each, and is read again each time."""
SHOWN = 200
"""Letters of what a stranger wrote, in an error."""
UNPICKLES = re.compile(r"[\w.-]*(?:pickle|dill)[\w.-]*", re.IGNORECASE)


class ZarrArray:
    """An array; see `SourceArray`. A piece is a row of chunks, of shards a row of inner ones.

    Chunks that are not there are legal, and stand for the fill value: zarr-python itself leaves
    out each that holds nothing else, such as a sensor that was off or a label that is 0. So they
    are read as that, but for arrays whose fill value is null, where nothing says what they are.
    """

    def __init__(self, documents: ZarrDocuments, document: ZarrDocument) -> None:
        """Open the array.

        Raises:
            UserError: zarr-python cannot read it, it would be unpickled, or it cannot be as large
                as it says.
        """
        self.name = f"/{document.path or 'array'}"
        self.where = f"{documents.path}:{self.name}"
        self.files: tuple[Path, ...] = ()
        self._documents, self._document = documents, document
        self._attributes: list[dict[str, Any]] | None = None
        self._array = array = self._opened()
        # NumPy's own type of texts is one that no other code here knows.
        self.dtype = np.dtype(object) if array.dtype.kind == "T" else array.dtype
        self.shape: tuple[int, ...] | None = array.shape
        self._value = TEXT_BYTES if self.dtype.hasobject else self.dtype.itemsize
        self._chunk = self._checked_chunk()
        self._check_stored()
        self._across = [
            -(-length // chunk)
            for length, chunk in zip(array.shape[1:], self._chunk[1:], strict=True)
        ]
        chunk_bytes = math.prod(self._chunk) * self._value
        piece = chunk_bytes * math.prod(self._across)
        self.piece_rows: int | None = self._chunk[0] if piece and self._chunk else None
        self.row_bytes = piece // (self.piece_rows or 1)
        self.cache_bytes = min(max(piece, MIN_CHUNK_CACHE), MAX_CHUNK_CACHE)
        self._most = self.cache_bytes // max(1, piece)
        self._run = max(1, RUN_BYTES // max(1, piece))
        self._kept: OrderedDict[int, NDArray[Any]] = OrderedDict()
        # A run, and as stored if it is a shard; of each chunk in flight as stored and decoded.
        run = self._run * piece if self._most else RUN_BYTES
        in_flight = min(_zarr().requests(), self._run * math.prod(self._across))
        self.decode_bytes = 2 * run + 2 * in_flight * chunk_bytes
        _zarr().guard(array, math.prod(array.shards or self._chunk) * self._value, self._is_blosc())

    def turned(self, order: Sequence[int]) -> SourceArray:
        """The array with its axes in another order, read in slabs along the first of them."""
        content = self._document.content
        if self._document.version == 2 and content.get("fill_value") is None:
            return HeldTurned(self, order)  # Which looks whether all chunks are there.
        return TurnedZarrArray(self, self._array, self._chunk, self._explained, order)

    def ready(self) -> ZarrArray:
        """Itself: what is decoded is held from the first reading on."""
        return self

    def attribute(self, name: str) -> Any | None:
        """An attribute of the array, else of its groups, up to the Zarr itself."""
        return next((each[name] for each in self.attributes() if name in each), None)

    def attributes(self) -> list[Mapping[str, Any]]:
        """Those of the array, then of its groups, up to the Zarr itself."""
        if self._attributes is None:
            self._attributes = self._documents.attributes(self._document)
        return [*self._attributes]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`, as a slice of a NumPy array has them."""
        start, stop, _ = slice(start, stop).indices(self._array.shape[0])
        out = np.empty((max(0, stop - start), *self._array.shape[1:]), dtype=self.dtype)
        self.read_into(out, start)
        return out

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        rows = self._array.shape[0]
        if not 0 <= start <= start + len(out) <= rows:
            raise IndexError(f"rows {start} to {start + len(out)} of {rows}")
        if out.size:
            for row, values in self._stretches(start, start + len(out)):
                out[row - start : row - start + len(values)] = values

    def whole(self) -> Any:
        """All of it, texts as bytes or str.

        Raises:
            UserError: it is longer than 64 MiB, or cannot be read.
        """
        size = math.prod(self._array.shape) * self._value
        if size > MOST_WHOLE:
            raise SourceError(
                f"{self.where} holds {size:,} bytes; a list of names has {MOST_WHOLE:,} at most. "
                "Name another array."
            )
        if self._array.shape:
            found = self.read(0, self._array.shape[0])
        else:
            self._check_there(0, 1)
            with self._explained():
                found = np.asarray(self._array[()], dtype=self.dtype)
        check_letters(found, self.where)
        return found

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        if self.dtype.kind not in "SUO":
            raise TypeError(f"{self.where} holds {self.dtype}")
        start, stop, _ = slice(start, stop).indices(self._array.shape[0])
        found: list[str] = []
        if start < stop and math.prod(self._array.shape):
            for _, values in self._stretches(start, stop):
                found += plain_texts(values, self.where)
        return np.array(found, dtype=np.str_).reshape(max(0, stop - start), *self._array.shape[1:])

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """None: each chunk is a file or an object of its own."""
        return iter(())

    def _stretches(self, start: int, stop: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """First row and values of stretches that follow one another."""
        rows = self._chunk[0]
        piece, last = start // rows, -(-stop // rows)
        while piece < last:
            low, end = max(start, piece * rows), piece + 1
            values = self._kept.get(piece)
            if values is not None:
                self._kept.move_to_end(piece)
            elif not self._most:
                yield low, self._decoded(low, min(stop, end * rows))
                piece = end
                continue
            else:
                while end < last and end - piece < self._run and end not in self._kept:
                    end += 1
                values = self._decoded(piece * rows, end * rows)
                self._keep(values, piece, end)
            yield low, values[low - piece * rows : min(stop, end * rows) - piece * rows]
            piece = end

    def _keep(self, values: NDArray[Any], piece: int, end: int) -> None:
        """Hold the last of the pieces `piece` to `end` in place of those longest not read."""
        first, rows = max(piece, end - self._most), self._chunk[0]
        while len(self._kept) > self._most - (end - first):
            self._kept.popitem(last=False)
        for number in range(first, end):
            part = values[(number - piece) * rows : (number - piece + 1) * rows]
            # A view would hold all of its run.
            self._kept[number] = part if end == piece + 1 else part.copy()

    def _decoded(self, low: int, high: int) -> NDArray[Any]:
        self._check_there(low, high)
        with self._explained(UnicodeDecodeError):
            return np.asarray(self._array[low:high])

    def _check_there(self, low: int, high: int) -> None:
        """Refuse chunks that are not there, and of which nothing says what they stand for."""
        content = self._document.content
        if self._document.version == 3 or content.get("fill_value") is not None:
            return
        rows = [range(low // length, -(-high // length)) for length in self._chunk[:1]]
        for place in itertools.product(*rows, *map(range, self._across)):
            key = self._array.metadata.encode_chunk_key(place)
            below = f"{self._document.path}/" if self._document.path else ""
            with self._explained():
                there = self._documents.place.size(below + key) is not None
            if not there:
                raise SourceError(
                    f"{self.where} lacks the chunk {key}, and has no fill_value that it may stand "
                    "for. Copy the Zarr again, or set fill_value in its .zarray if none is meant."
                )

    def _opened(self) -> Any:
        document = self._document
        codecs = {
            each: document.content.get(each)
            for each in ("codecs", "compressor", "filters", "storage_transformers")
        }
        pickling = UNPICKLES.search(json.dumps(codecs))
        if pickling:
            raise SourceError(
                f"{self.where} is packed by {pickling.group()}, which can run any code when it is "
                "read. Write it with another codec."
            )
        try:
            return _zarr().open_array(
                self._documents.place, document.path, document.version, self.where
            )
        except UserError:
            raise
        except Exception as error:  # What zarr makes of a stranger's metadata, it does not say.
            raise SourceError(
                f"{self.where} cannot be opened ({first_line(error)[:SHOWN]}). Correct it, "
                "install what it was written with, or name another array."
            ) from error

    def _is_blosc(self) -> bool:
        """Whether the last codec, whose bytes are stored, is Blosc."""
        content = self._document.content
        last = content.get("compressor") or [None, *(content.get("filters") or [])][-1]
        if self._document.version == 3:
            last = content["codecs"][-1]
        name = last.get("id", last.get("name")) if isinstance(last, dict) else last
        return isinstance(name, str) and name.removeprefix("numcodecs.") == "blosc"

    def _checked_chunk(self) -> tuple[int, ...]:
        """The shape of what is decoded together."""
        array = self._array
        with self._explained():
            chunk, shard = tuple(array.chunks), tuple(array.shards or array.chunks)
            written = self._document.content.get("chunks")
            if self._document.version == 3:
                written = self._document.content["chunk_grid"]["configuration"]["chunk_shape"]
        lengths = (*array.shape, *chunk, *shard)
        counts = all(type(each) is int and 0 <= each < 1 << 63 for each in lengths)
        # Of chunks without rows zarr-python 3.4 makes some of one row.
        same = len(chunk) == len(array.shape) <= MOST_DIMENSIONS
        same = same and list(shard) == written and 0 not in chunk
        if not (counts and same and self._value):
            said = f"shape {array.shape} in chunks of {written} of {array.dtype}"[:SHOWN]
            raise SourceError(
                f"{self.where} says {said}: no array has. Correct it, or name another array."
            )
        size = math.prod(chunk) * self._value
        if size > MOST_SOURCE_CHUNK:
            raise SourceError(
                f"{self.where} is stored in chunks of {size:,} bytes, and each is decoded whole; "
                f"{MOST_SOURCE_CHUNK:,} is the most. Write it in smaller ones, or with shards."
            )
        inner = math.prod(shard) // math.prod(chunk)
        if inner > MOST_INNER:
            raise SourceError(
                f"{self.where} has {inner:,} chunks in a shard; {MOST_INNER:,} are the most. "
                "Write it with larger chunks."
            )
        return chunk

    def _check_stored(self) -> None:
        """Refuse an array of which most was never written, as of HDF5."""
        claimed = math.prod(self._array.shape) * self._value
        if claimed <= 1 << 30:
            return
        stored = 0
        with self._explained():
            for size in self._documents.place.sizes(self._document.path):
                stored += size
                if stored * MOST_PACKED >= claimed:
                    return
        raise SourceError(
            f"{self.where} says that it holds {claimed:,} bytes, and {stored:,} are there: most of "
            "it was never written. Write the data, or name another array."
        )

    @contextmanager
    def _explained(self, *passed: type[Exception]) -> Iterator[None]:
        """What cannot be read is the user's to mend; `passed` is not said to be that."""
        try:
            yield
        except (*ARCHIVE_ERRORS, ArithmeticError, AssertionError) as error:
            if isinstance(error, (UserError, *passed)):
                raise
            raise SourceError(
                f"{self.where} cannot be read ({first_line(error)}). Copy the Zarr again, install "
                "the codec that it was written with, or name another array."
            ) from error


def _zarr() -> Any:
    """What needs zarr-python, which takes its time to load."""
    from headrace.stores.source.formats import zarr_store

    return zarr_store
