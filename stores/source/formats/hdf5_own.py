"""Where the values of an HDF5 dataset are: in its own file, or in parts that stand beside it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from headrace.stores.errors import SourceError, first_line

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
MOST_PARTS = 500
"""Files of one virtual dataset: HDF5 keeps all of them open, and a cache of each."""


@dataclass(frozen=True)
class Parts:
    """Other files that a virtual dataset takes its values from.

    Attributes:
        files: each once, in the order in which the dataset names them.
        chunk_bytes: of the largest chunk in them, decoded.
    """

    files: tuple[Path, ...] = ()
    chunk_bytes: int = 0


NO_PARTS = Parts()


def check_own(node: Any, dataset: Any, name: str) -> Parts:
    """Find the files of a dataset; refuse values from outside, and more than the files can hold.

    A part of a virtual dataset must be there, with all that is taken from it: HDF5 would give
    fill values in its place. It must stand in the folder of the file, or below it.

    Raises:
        UserError: says which it is.
    """
    where = f"{node.file.filename}:{name}"
    if dataset.external:
        raise SourceError(f"{where} takes its values from other files, {OUTSIDE}")
    parts = NO_PARTS
    if dataset.is_virtual:
        # Of its own file too: HDF5 ends the process where a dataset is a part of itself.
        parts = _parts(node, dataset, where)
    _check_sizes(dataset, node.file.id.get_filesize() + sum(f.stat().st_size for f in parts.files))
    return parts


def _check_sizes(dataset: Any, size: int) -> None:
    """`size`: bytes of the files that hold the values."""
    where = f"{dataset.file.filename}:{dataset.name}"
    chunk = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    if chunk > MOST_SOURCE_CHUNK:
        raise SourceError(
            f"{where} is stored in chunks of {chunk:,} bytes, and each is decoded whole; "
            f"{MOST_SOURCE_CHUNK:,} is the most. Write it in smaller ones: h5repack -l."
        )
    most = math.prod(dataset.shape or (0,)) * dataset.dtype.itemsize
    if most > (1 << 30) and most > MOST_PACKED * size:
        raise SourceError(
            f"{where} says that it holds {most:,} bytes, and its file has {size:,}: most of it "
            "was never written. Write the data, or name another dataset."
        )


def _parts(node: Any, dataset: Any, where: str) -> Parts:
    """The parts of a virtual dataset, each opened and checked."""
    sources = dataset.virtual_sources()
    elsewhere = any(source.file_name != "." for source in sources)
    if elsewhere and node.file.driver == "fileobj":
        raise SourceError(f"{where} takes its values from other files, {OUTSIDE}")
    if elsewhere and os.environ.get("HDF5_VDS_PREFIX"):
        raise SourceError(
            f"{where} takes its values from other files, and HDF5_VDS_PREFIX says where HDF5 "
            "looks for them first. Unset it: parts are read from the folder of the file."
        )
    if len({s.file_name for s in sources}) > MOST_PARTS:
        raise SourceError(
            f"{where} takes its values from more than {MOST_PARTS} other files. Copy the data "
            "into one file, for example with h5repack."
        )
    try:
        given = sum(s.vspace.get_select_npoints() for s in sources)
    except HDF5_ERRORS as error:
        raise SourceError(
            f"{where} takes values from a series of files without an end ({first_line(error)}). "
            f"Write it again from the parts that there are, or {_COPY}"
        ) from error
    if given != math.prod(dataset.shape or (0,)):
        raise SourceError(
            f"{where} has shape {dataset.shape}, and its parts give {given:,} values: HDF5 would "
            f"fill in the rest. Write it again from all of its parts, or {_COPY}"
        )
    files: dict[Path, None] = {}
    chunk = 0
    for source in sources:
        if source.file_name == ".":
            chunk = max(chunk, _check_part(node.file, source, where))
            continue
        path = _inside(Path(node.file.filename), source.file_name, where)
        files[path] = None
        try:
            part = h5py.File(path, "r")
        except OSError as error:
            raise SourceError(
                f"{where} takes values from {path}, which cannot be read as HDF5 "
                f"({first_line(error)}). Restore that file, or {_COPY}"
            ) from error
        with part:
            chunk = max(chunk, _check_part(part, source, where))
    return Parts(tuple(files), chunk)


_COPY = "copy the data into one file while all parts are there, for example with h5repack."


def _inside(file: Path, name: str, where: str) -> Path:
    """The path of a part, below the folder of `file`, where HDF5 looks for it too."""
    folder = file.absolute().parent
    path = folder / name
    # "%b" stands for a number: a series of files that has no end.
    if (
        ".." in Path(name).parts
        or "%" in name
        or not path.resolve().is_relative_to(folder.resolve())
    ):
        raise SourceError(
            f"{where} takes its values from {name}, which is not a file in the folder of "
            f"{file.name}: {OUTSIDE}"
        )
    if not path.is_file():
        raise SourceError(
            f"{where} takes values from {path}, which does not exist: HDF5 would give fill values. "
            f"Restore that file, or {_COPY}"
        )
    return path


def _check_part(part: Any, source: Any, where: str) -> int:
    """Check the dataset that a part gives; bytes of one decoded chunk of it."""
    try:
        found = part[source.dset_name]
        there = isinstance(found, h5py.Dataset) and found.shape is not None
        own = there and not (found.external or found.is_virtual) and _same_file(found, part)
        fits = own and _fits(source, found.shape)
    except HDF5_ERRORS as error:
        raise SourceError(
            f"{where} takes values from {part.filename}:{source.dset_name}, which cannot be opened "
            f"({first_line(error)}): HDF5 would give fill values. Restore that file, or {_COPY}"
        ) from error
    if not own:
        raise SourceError(
            f"{where} takes values from {part.filename}:{source.dset_name}, which is no dataset "
            f"with values of its own: {OUTSIDE}"
        )
    if not fits:
        raise SourceError(
            f"{where} takes more values from {part.filename}:{source.dset_name} than its shape, "
            f"{found.shape}, has: HDF5 would give fill values. Restore that file, or {_COPY}"
        )
    _check_sizes(found, part.id.get_filesize())
    return int(math.prod(found.chunks or (0,)) * found.dtype.itemsize)


def _fits(source: Any, shape: tuple[int, ...]) -> bool:
    """Whether a part of that shape has all that is taken from it."""
    if source.src_space.get_select_type() == h5py.h5s.SEL_ALL:
        return bool(source.vspace.get_select_npoints() == math.prod(shape))
    last = source.src_space.get_select_bounds()[1]
    return len(last) == len(shape) and all(map(int.__lt__, last, shape))


def _same_file(found: Any, part: Any) -> bool:
    return bool(h5py.h5f.get_name(found.id) == h5py.h5f.get_name(part.id))
