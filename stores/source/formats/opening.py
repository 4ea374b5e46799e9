"""Which format a file is of, by its first bytes, and it opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from headrace.stores.errors import SourceError, first_line
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.formats.hdf5 import open_hdf5
from headrace.stores.source.formats.interface import SourceFile

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HDF5_PLACES = (0, 512, 1024, 2048, 4096)
"""Where a file of HDF5 may begin, behind what others put before it."""
LOOKED_AT = HDF5_PLACES[-1] + len(HDF5_SIGNATURE)

Opener = Callable[[Place], SourceFile]


def open_file(path: Place) -> SourceFile:
    """Open a file of any format that is known.

    Raises:
        UserError: it is not there, is of none of the formats, or is damaged.
    """
    if isinstance(path, Path) and path.is_dir():
        raise SourceError(f"The source {path} is a folder. Name an HDF5 file.")
    return open_hdf5(path)


def beginning(path: Place) -> bytes:
    """The first bytes of a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with storage_of(path).open() as file:
            return file.read(LOOKED_AT) or b""
    except OSError as error:
        raise SourceError(f"The source {path} cannot be read ({first_line(error)}).") from error
