"""Opens an HDF5 file safely, finds its datasets by name, and checks them before they are read."""

from __future__ import annotations

import itertools
import math
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from unicodedata import category

import h5py
import numpy as np

from headrace.stores.errors import SourceError, UserError, first_line
from headrace.stores.io.object_file import ObjectFile
from headrace.stores.io.places import Place, storage_of

Given = ParamSpec("Given")
Result = TypeVar("Result")
SHOWN_DATASETS = 12
# One row of HDF5 chunks is kept decoded, so that a contiguous read decodes each chunk once.
MIN_CHUNK_CACHE = 1 << 20
MAX_CHUNK_CACHE = 64 << 20
MOST_SOURCE_CHUNK = 256 << 20
"""Bytes of one decoded HDF5 chunk: held before any plan of memory can be made."""
BIDIRECTIONAL = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HDF5_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError)
"""What h5py raises where a file is not as it says."""
OUTSIDE = (
    "outside of what the fingerprint covers. Copy the data into one file, for example with "
    "h5repack."
)
SLICE_BYTES = 4 << 20
"""Of windows or rows that are read at a time."""
GAP_BYTES = 64 << 10
"""Between two reads, that are read too rather than asked for apart."""
MOST_PACKED = 100_000
"""Times the bytes of its file that a dataset may have: Zstandard packs zeros 30,000 times."""


def open_file(path: Place, fetched: ObjectFile | None = None) -> Any:
    """Open `path` for reading.

    Args:
        path: a file, or an object.
        fetched: the object, if it is open already.

    Raises:
        UserError: there is no such file, or it is not HDF5.
    """
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise SourceError(f"The source {path} {what}. Name an HDF5 file.")
        return h5py.File(fetched or storage_of(path).for_hdf5() or path, "r")
    except OSError as error:
        raise SourceError(
            f"The source {path} cannot be read as HDF5 ({error}). Name an HDF5 file."
        ) from error


def explains_reads(read: Callable[Given, Result]) -> Callable[Given, Result]:
    """Decorator: what HDF5 cannot read is the user's to mend."""

    @wraps(read)
    def explained(*given: Given.args, **named: Given.kwargs) -> Result:
        try:
            return read(*given, **named)
        except UserError:
            raise
        except HDF5_ERRORS as error:
            if not _from_hdf5(error):
                raise
            raise SourceError(
                f"The source cannot be read ({first_line(error)}). Correct the file, install the "
                "filter that it was written with, or start again once it is there."
            ) from error

    return explained


def _from_hdf5(error: Exception) -> bool:
    """Whether HDF5 raised it, or the system; what our own code raises is a fault of ours."""
    if isinstance(error, (OSError, MemoryError)):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    # Frames of compiled code have names like h5py/h5d.pyx.
    package = (str(Path(h5py.__file__).parent), "h5py/")
    return any(frame.filename.startswith(package) for frame in frames)


def find_dataset(node: Any, option: str, named: str | None, usual: Sequence[str]) -> Any | None:
    """The dataset `named` under the file or group `node`, else the first of the `usual` names.

    Args:
        node: h5py file or group.
        option: the option that names the dataset, for the error.
        named: the option's value; "" finds nothing.
        usual: names tried when `named` is None.

    Returns:
        The h5py dataset, or None when no usual name is there.

    Raises:
        UserError: `named` is given and there is no such dataset.
    """
    if named == "":
        return None
    for name in usual if named is None else (named,):
        found = resolve(node, name)
        if isinstance(found, h5py.Dataset):
            check_own(node, found, name)
            return found
    if named is None:
        return None
    where = node.file.filename + ("" if node.name == "/" else f" {node.name}")
    raise SourceError(
        f"{where} has no dataset {named!r}, which source.{option} names. "
        f"It holds: {contents(node)}."
    )


def resolve(node: Any, name: str) -> Any | None:
    """The object `name` below a file or group; None when there is none.

    Raises:
        UserError: it cannot be opened, or stands in another file.
    """
    try:
        found = node.get(name)
    except HDF5_ERRORS as error:
        raise SourceError(
            f"{node.file.filename}: {name} cannot be opened ({first_line(error)}). Correct the "
            "file, or name another dataset."
        ) from error
    if found is not None and h5py.h5f.get_name(found.id) != h5py.h5f.get_name(node.id):
        raise SourceError(f"{node.file.filename}:{name} is a link to another file, {OUTSIDE}")
    return found


def check_own(node: Any, dataset: Any, name: str) -> None:
    """Refuse a dataset whose values are not in this file, or more than the file can hold.

    Raises:
        UserError: says which it is.
    """
    held = node.file.filename
    others = dataset.is_virtual and any(s.file_name != "." for s in dataset.virtual_sources())
    if dataset.external or others:
        raise SourceError(f"{held}:{name} takes its values from other files, {OUTSIDE}")
    chunk = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    if chunk > MOST_SOURCE_CHUNK:
        raise SourceError(
            f"{describe(dataset)} is stored in chunks of {chunk:,} bytes, and each is decoded "
            f"whole; {MOST_SOURCE_CHUNK:,} is the most. Write it in smaller ones: h5repack -l."
        )
    size = node.file.id.get_filesize()
    most = math.prod(dataset.shape or (0,)) * dataset.dtype.itemsize
    if most > (1 << 30) and most > MOST_PACKED * size:
        raise SourceError(
            f"{describe(dataset)} says that it holds {most:,} bytes, and its file has {size:,}: "
            "most of it was never written. Write the data, or name another dataset."
        )


def require_dataset(node: Any, option: str, named: str | None, usual: Sequence[str]) -> Any:
    """`find_dataset` where one must be there.

    Raises:
        UserError: none was found; says what was looked for, what is there, and the option.
    """
    found = find_dataset(node, option, named, usual)
    if found is None:
        raise SourceError(
            f"{node.file.filename} has no dataset {' or '.join(usual)} {_place(node)}. "
            f"It holds: {contents(node)}. Name one with source.{option}."
        )
    return found


def contents(node: Any) -> str:
    """The datasets under `node` with shape and type, at most 12, in one line."""
    shown: list[str] = []

    def visit(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Dataset):
            shown.append(f"{name} {item.shape} {item.dtype}")
        return True if len(shown) > SHOWN_DATASETS else None

    node.visititems(visit)
    if len(shown) > SHOWN_DATASETS:
        shown[-1] = "..."
    return ", ".join(shown) or "no dataset"


def check_signal_dtype(dataset: Any) -> np.dtype[Any]:
    """The type that values of `dataset` are read as: its own, in native byte order.

    Raises:
        UserError: not float16, float32, float64 or an integer of 8 to 64 bits.
    """
    dtype: np.dtype[Any] = dataset.dtype
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise SourceError(
            f"{describe(dataset)} holds {dtype}; a source holds float16, float32, float64 or "
            "integers. Convert it first."
        )
    return np.dtype(f"{dtype.kind}{dtype.itemsize}")


def check_shape(dataset: Any, dims: Sequence[str], hint: str) -> None:
    """Check that `dataset` has the dimensions `dims`, none of them empty.

    Raises:
        UserError: another number of dimensions, or one of length 0.
    """
    shape = dataset.shape
    if shape is None or len(shape) != len(dims):
        raise SourceError(
            f"{describe(dataset)} has shape {shape}; ({', '.join(dims)}) is needed. {hint}"
        )
    if 0 in shape:
        raise SourceError(
            f"{describe(dataset)} is empty: its shape is {shape}. Name another dataset or file."
        )


def with_chunk_cache(dataset: Any) -> Any:
    """The same dataset, opened anew with a cache that holds one row of its chunks.

    HDF5 shares the first opening's cache, so `dataset` must be the only handle to it, and is
    closed here.
    """
    if dataset.chunks is None:
        return dataset
    file, name = dataset.file, dataset.name
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    # A prime well above the chunks that fit, as HDF5 advises. Never 1.0: HDF5 1.14 then keeps
    # every chunk that was read in part, whatever `nbytes` says (229 MiB held at 1 MiB allowed).
    access.set_chunk_cache(10007, cache_bytes(dataset), 0.75)
    dataset.id.close()
    return h5py.Dataset(h5py.h5d.open(file.id, name.encode(), access))


def cache_bytes(dataset: Any) -> int:
    """Bytes of decoded chunks that HDF5 keeps of a dataset: one row of them, within bounds."""
    return min(max(chunk_row_bytes(dataset), MIN_CHUNK_CACHE), MAX_CHUNK_CACHE)


def chunk_row_bytes(dataset: Any) -> int:
    """Bytes of all HDF5 chunks that share their first index, decoded; of one row unchunked."""
    row = int(np.prod(dataset.shape[1:], dtype=np.int64))
    rows = 1
    if dataset.chunks is not None:
        rows, *inner = dataset.chunks
        row = 1
        for length, chunk in zip(dataset.shape[1:], inner, strict=True):
            row *= -(-length // chunk) * chunk
    return int(rows * row * dataset.dtype.itemsize)


def byte_spans(dataset: Any, low: int, high: int) -> Iterator[tuple[int, int]]:
    """Bytes (start, stop) of the file that hold the rows `low` to `high`; none of strings.

    Raises:
        RuntimeError: HDF5 cannot say where they are.
    """
    if dataset.dtype.hasobject or high <= low:
        return
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


def commands(letter: str) -> bool:
    """Whether a letter may command a terminal, or turn the text around it."""
    return category(letter) in ("Cc", "Cs") or letter in BIDIRECTIONAL


def check_text(text: str, where: str, option: str, also: str = "") -> None:
    """Refuse a name that a terminal or a page would take for a command.

    Args:
        text: the name.
        where: says where it stands.
        option: what to set instead.
        also: other characters that it may not hold.

    Raises:
        UserError: it holds control characters, or some of `also`.
    """
    if any(commands(letter) or letter in also for letter in text):
        what = "control characters" + (f" or one of {also}" if also else "")
        raise SourceError(f"{where} with {what}: {text!r}. Correct the file, or set {option}.")


def attribute(dataset: Any, name: str) -> Any | None:
    """The attribute `name` of the dataset, else of its file, else None."""
    for attrs in (dataset.attrs, dataset.file.attrs):
        if name in attrs:
            return attrs[name]
    return None


def describe(dataset: Any) -> str:
    """File and path of a dataset, as errors name it."""
    return f"{dataset.file.filename}:{dataset.name}"


def _place(node: Any) -> str:
    return "at its top" if node.name == "/" else f"in {node.name}"
