"""NumPy's .npy and .npz files, read by rows; what would have to be unpickled is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import ARCHIVE_ERRORS, SourceError, UserError, first_line
from headrace.stores.io.object_file import HELD_BYTES, ObjectFile
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.arrays import shown_arrays
from headrace.stores.source.derived.shaped import Grouped, Transposed
from headrace.stores.source.derived.turned import HeldTurned
from headrace.stores.source.formats.npy_bytes import NpyBytes, PackedNpy, StoredNpy
from headrace.stores.source.formats.npy_header import NpyLayout, along, read_layouts
from headrace.stores.source.formats.one_file import OneFile
from headrace.stores.source.formats.plain_texts import check_letters, plain_texts
from headrace.stores.source.formats.zip_members import ZipMembers
from headrace.stores.source.interface import SourceArray

MOST_MEMBERS = 10_000
MOST_WHOLE = 64 << 20
"""Bytes of an array that is read whole, such as a list of names."""
RUN_BYTES = 256 << 10
"""Read at a time of what is not laid down as it is wanted."""
PAGE_BYTES = 4096
"""That the system reads at least, for each value of a row in Fortran's order."""


class NumpyArray:
    """An array of a .npy file, or of one in an .npz file; see `SourceArray`.

    Rows are read by seek and never mapped: what is mapped counts as memory of the process, and a
    file that is cut off meanwhile ends it with a signal in place of an error.
    """

    def __init__(self, name: str, path: Place, content: NpyBytes, layout: NpyLayout) -> None:
        """Take over where the values are."""
        self.name = f"/{name}"
        self.where = f"{path}:{self.name}"
        self.files: tuple[Path, ...] = ()
        self.shape: tuple[int, ...] | None = layout.shape
        self.dtype = layout.dtype
        self._path, self._content, self._layout = path, content, layout
        self._rows = layout.shape[0] if layout.shape else 1
        self._inner = layout.shape[1:]
        self.row_bytes = layout.stride
        # Any row can be read alone, but of Fortran's order the system reads a page a value.
        page = max(1, PAGE_BYTES // layout.dtype.itemsize)
        self.piece_rows = page if layout.fortran else None
        self.cache_bytes = content.held_bytes
        self.decode_bytes = max(RUN_BYTES, layout.stride)

    def turned(self, order: Sequence[int]) -> SourceArray:
        """The array with its axes in another order, read in runs along the first of them."""
        if self._layout.field or self._layout.offset:
            return HeldTurned(self, order)
        layout, grouped, axes = along(self._layout, order)
        found: SourceArray = NumpyArray(self.name.strip("/"), self._path, self._content, layout)
        found = found if grouped is None else Grouped(found, grouped)
        return Transposed(found, axes)

    def ready(self) -> NumpyArray:
        """Itself: nothing has to be set up."""
        return self

    def attribute(self, name: str) -> None:
        """None: NumPy's files have no attributes."""

    def attributes(self) -> list[Mapping[str, Any]]:
        """None."""
        return []

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`, as a slice of a NumPy array has them."""
        start, stop, _ = slice(start, stop).indices(self._rows)
        out = np.empty((max(0, stop - start), *self._inner), dtype=self.dtype)
        self.read_into(out, start)
        return out

    def whole(self) -> Any:
        """All of it, texts as bytes or str.

        Raises:
            UserError: it is longer than 64 MiB, or cannot be read.
        """
        size = self._rows * math.prod(self._inner) * self.dtype.itemsize
        if size > MOST_WHOLE:
            raise SourceError(
                f"{self.where} holds {size:,} bytes; a list of names has {MOST_WHOLE:,} at most. "
                "Name another array."
            )
        found = self.read(0, self._rows)
        check_letters(found, self.where)
        return found.reshape(self._layout.shape)

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        if not 0 <= start <= start + len(out) <= self._rows:
            raise IndexError(f"rows {start} to {start + len(out)} of {self._rows}")
        if not out.size:
            return
        layout = self._layout
        plain = layout.stride == out[:1].nbytes and out.dtype == self.dtype
        with _explained(self.where):
            if layout.fortran:
                self._fill_by_columns(out, start)
            elif plain and out.flags.c_contiguous:
                at = layout.start + start * layout.stride
                self._content.fill(out.reshape(-1).view(np.uint8), at)
            else:
                self._fill_by_runs(out, start)

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts."""
        if self.dtype.kind not in "SU":
            raise TypeError(f"{self.where} holds {self.dtype}")
        start, stop, _ = slice(start, stop).indices(self._rows)
        step = max(1, RUN_BYTES // max(1, self._layout.stride))
        found: list[str] = []
        for low in range(start, stop, step):
            values = self.read(low, min(low + step, stop))
            found += plain_texts(values, self.where)
        return np.array(found, dtype=np.str_).reshape(max(0, stop - start), *self._inner)

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Bytes of the file that hold the rows; none of what is packed."""
        layout, begin = self._layout, self._content.begin
        if begin is None or high <= low:
            return
        begin += layout.start
        if not layout.fortran:
            yield begin + low * layout.stride, begin + high * layout.stride
            return
        size = self.dtype.itemsize
        for column in range(math.prod(self._inner)):
            at = begin + column * self._rows * size
            yield at + low * size, at + high * size

    def _fill_by_runs(self, out: NDArray[Any], start: int) -> None:
        """Of fields of records, of another byte order: what is read holds more or other bytes."""
        layout, size = self._layout, self.dtype.itemsize
        step = max(1, RUN_BYTES // layout.stride)
        held = np.empty(min(step, len(out)) * layout.stride, dtype=np.uint8)
        inner = [size * math.prod(self._inner[axis + 1 :]) for axis in range(len(self._inner))]
        for low in range(0, len(out), step):
            part = out[low : low + step]
            self._content.fill(
                held[: len(part) * layout.stride], layout.start + (start + low) * layout.stride
            )
            strides = (layout.stride, *inner)
            part[...] = np.ndarray(part.shape, self.dtype, held, layout.offset, strides)

    def _fill_by_columns(self, out: NDArray[Any], start: int) -> None:
        """Of Fortran's order: the values of a row stand `rows` apart, the first axis fastest."""
        size = self.dtype.itemsize
        step = max(1, RUN_BYTES // size)
        held = np.empty(min(step, len(out)), dtype=self.dtype)
        for column, place in enumerate(np.ndindex(*self._inner[::-1])):
            at = self._layout.start + (column * self._rows + start) * size
            target = out[(slice(None), *place[::-1])]
            for low in range(0, len(out), step):
                part = held[: len(out) - low]
                self._content.fill(part.view(np.uint8), at + low * size)
                target[low : low + step] = part


class NumpyNode:
    """A .npy or .npz file, or those arrays of it whose names begin alike; see `SourceNode`."""

    def __init__(self, file: NumpyFile, name: str) -> None:
        """What stands below `name` in `file`; "" is the file itself."""
        self.name = f"/{name}"
        self.where = f"{file.path} {self.name}" if name else str(file.path)
        self._file, self._prefix = file, f"{name}/" if name else ""

    def array(self, name: str) -> NumpyArray | None:
        """The array of that name."""
        full = self._prefix + name.strip("/")
        for member in _holders(full):
            found = self._file.arrays(member).get(full)
            if found is not None:
                return found
        return None

    def group(self, name: str) -> NumpyNode | None:
        """What stands below that name."""
        full = self._prefix + name.strip("/")
        fields = (each for member in _holders(full) for each in self._file.arrays(member))
        if full in self._file.below or any(each.startswith(f"{full}/") for each in fields):
            return NumpyNode(self._file, full)
        return None

    def children(self) -> list[str]:
        """Of arrays, and of what stands before a slash in names of several."""
        own = self._prefix.rstrip("/")
        fields = (each for member in _holders(own) for each in self._file.arrays(member))
        inside = (each[len(self._prefix) :] for each in fields if each.startswith(self._prefix))
        listed = dict.fromkeys(self._file.below.get(own, ()))
        return list(listed | dict.fromkeys(each.partition("/")[0] for each in inside))

    def contents(self) -> str:
        """The arrays below with shape and type."""
        return shown_arrays(itertools.islice(self._below(), 20))

    def names(self) -> Iterator[str]:
        """Names of the arrays below."""
        return (name for name, _, _ in self._below())

    def _below(self) -> Iterator[tuple[str, tuple[int, ...] | None, np.dtype[Any]]]:
        for member in self._file.members:
            with suppress(SourceError):
                for name, array in self._file.arrays(member).items():
                    if name.startswith(self._prefix):
                        yield name.removeprefix(self._prefix), array.shape, array.dtype


class NumpyFile(OneFile, NumpyNode):
    """An open file; see `SourceFile`."""

    def __init__(self, path: Place, stream: Any, members: _Members) -> None:
        """Take over the stream of the file, and the .npy files in it by name; "" is it itself."""
        OneFile.__init__(self, path)
        self.members, self._stream = members, stream
        self._arrays: dict[str, dict[str, NumpyArray]] = {}
        NumpyNode.__init__(self, self, "")
        self.fetched_bytes = HELD_BYTES if isinstance(stream, ObjectFile) else 0

    @cached_property
    def below(self) -> dict[str, list[str]]:
        """What names hold before and behind each of their slashes, once each."""
        found: dict[str, dict[str, None]] = {}
        for member in self.members:
            parts = member.split("/") if member else []
            for depth, part in enumerate(parts):
                found.setdefault("/".join(parts[:depth]), {})[part] = None
        return {name: list(inside) for name, inside in found.items()}

    def arrays(self, member: str) -> dict[str, NumpyArray]:
        """The arrays of one .npy file by their names; empty if there is none of that name.

        Raises:
            UserError: it cannot be read.
        """
        if member in self.members and member not in self._arrays:
            where = f"{self.path}:/{member}" if member else f"The source {self.path}"
            with _explained(where):
                content = self.members[member]()
                layouts = read_layouts(content.head, content.size, where)
            found = {}
            for layout in layouts:
                name = "/".join(filter(None, (member, layout.field))) or "array"
                found[name] = NumpyArray(name, self.path, content, layout)
            self._arrays[member] = found
        return self._arrays.get(member, {})

    def fetch(self, spans: set[tuple[int, int]]) -> bool:
        """Fetch bytes of an object side by side."""
        if not isinstance(self._stream, ObjectFile):
            return False
        self._stream.fetch(spans)
        return True

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def open_npy(path: Place) -> NumpyFile:
    """Open a .npy file: one array called `array`, or, of a structured array, one for each field.

    Raises:
        UserError: there is no such file, it is no .npy file, holds objects, or was cut off.
    """
    _check_file(path, "a .npy file")
    storage = storage_of(path)
    with _explained(f"The source {path}"):
        stream, size = storage.open(), storage.size()
    file = NumpyFile(path, stream, {"": lambda: StoredNpy(stream, 0, size)})
    try:
        file.arrays("")
    except UserError:
        file.close()
        raise
    return file


def open_npz(path: Place) -> NumpyFile:
    """Open an .npz file: its arrays by name; a structured one is a group of its fields.

    What numpy.savez wrote is read where it lies, without looking at its checksums. What
    numpy.savez_compressed wrote is decoded when it is first read, and held.

    Raises:
        UserError: there is no such file, or it is not a sound zip file.
    """
    _check_file(path, "an .npz file")
    zipped = ZipMembers(path, MOST_MEMBERS)
    held: dict[str, NDArray[np.uint8]] = {}

    def member(name: str) -> NpyBytes:
        begin = zipped.stored_at(name)
        if begin is not None:
            return StoredNpy(zipped.stream, begin, zipped.infos[name].file_size)
        return PackedNpy(zipped, name, held)

    names = [name for name in zipped.infos if name.endswith(".npy")]
    members = {name.removesuffix(".npy"): partial(member, name) for name in names}
    return NumpyFile(path, zipped.stream, members)


_Members = Mapping[str, Callable[[], NpyBytes]]


def _holders(full: str) -> Iterator[str]:
    """The .npy files that may hold the array `full`: of itself, or a structured one above."""
    return itertools.chain([""], itertools.accumulate(full.split("/"), "{}/{}".format))


def _check_file(path: Place, what: str) -> None:
    if not path.is_file():
        wrong = "is a folder" if path.is_dir() else "does not exist"
        raise SourceError(f"The source {path} {wrong}. Name {what}.")


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """What cannot be read is the user's to mend."""
    try:
        yield
    except ARCHIVE_ERRORS as error:
        if isinstance(error, (UserError, IndexError)):
            raise
        raise SourceError(
            f"{where} cannot be read ({first_line(error)}). It is damaged, or was changed "
            "meanwhile: copy it again."
        ) from error
