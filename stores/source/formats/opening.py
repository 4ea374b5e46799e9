"""Which format a file is of, by its first bytes, and it opened."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.stores.errors import SourceError, first_line
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.formats.text_content import holds_table
from headrace.stores.source.formats.text_rules import USUAL, TextRules
from headrace.stores.source.interface import SourceFile

HDF5 = b"\x89HDF\r\n\x1a\n"
HDF5_PLACES = (0, 512, 1024, 2048, 4096)
"""Where a file of HDF5 may begin, behind what others put before it."""
LOOKED_AT = HDF5_PLACES[-1] + len(HDF5)
LFS = b"version https://git-lfs.github.com/spec/"
HTML = (b"<!doctype html", b"<html")
LOOKED_FOR_HTML = 200
ZARR_FILES = ("zarr.json", ".zgroup", ".zarray")
WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".ods")
TEXTS = (".csv", ".tsv", ".txt", ".dat", ".data", ".tab", ".lvm")
FORMATS = {
    "hdf5": ("hdf5_dialects", "open_dialect"),
    "npy": ("numpy_files", "open_npy"),
    "npz": ("numpy_files", "open_npz"),
    "zarr": ("zarr_tree", "open_zarr"),
    "parquet": ("parquet", "open_parquet"),
    "matlab": ("matlab", "open_matlab"),
    "text": ("text_table", "open_text_table"),
}
"""Modules of this folder, loaded when a file of their format is met, and what opens it."""
OPENED: list[Callable[[Place], None]] = []
"""Are told what is to be opened: a file may end the process that opens it."""


def open_alike(path: Place, rules: TextRules, like: Any, pieces: Any) -> SourceFile:
    """Open one of many files, which may be written like another; see `model_of`.

    Args:
        path: the file.
        rules: as in `open_file`.
        like: what `model_of` gave of the other.
        pieces: what is known of this one, if it is.

    Raises:
        UserError: as `open_file`.
    """
    called = path.name.lower().removesuffix(".gz").endswith(TEXTS)
    if like is None or not (called or format_of(path) == "text"):
        return open_file(path, rules)
    from headrace.stores.source.formats.text_table import open_text_table

    for told in OPENED:
        told(path)
    return open_text_table(path, rules, like, pieces)


def model_of(file: SourceFile) -> Any | None:
    """What files that are written alike share with this one; None: all is said in each of them.

    Raises:
        UserError: it cannot be read.
    """
    from headrace.stores.source.formats.text_table import TextTable

    return file.model() if isinstance(file, TextTable) else None


def pieces_of(file: SourceFile) -> Any | None:
    """What opening one of many files again may begin with, as (n, 4) int64; None: nothing."""
    known = getattr(file, "known_pieces", None)
    return None if known is None else known()


def open_file(path: Place, rules: TextRules = USUAL) -> SourceFile:
    """Open a file of any format that is known, or a folder that is one.

    Args:
        path: it.
        rules: of tables of text.

    Raises:
        UserError: it is not there, is of none of the formats, or is damaged.
    """
    for told in OPENED:
        told(path)
    kind = format_of(path)
    module, name = FORMATS[kind]
    found = importlib.import_module(f"headrace.stores.source.formats.{module}")
    opener: Callable[..., Any] = getattr(found, name)
    opened: SourceFile = opener(path, rules) if kind == "text" else opener(path)
    return opened


def format_of(path: Place) -> str:
    """A key of `FORMATS`; what is none of them is said to be HDF5, which then says what is wrong.

    Raises:
        UserError: it cannot be read.
    """
    if is_zarr(path):
        return "zarr"
    if not path.is_file():
        _require_regular(path)
        return "hdf5"
    name, begins = path.name.lower(), beginning(path)
    _require_data(path, begins)
    if any(begins[place:].startswith(HDF5) for place in HDF5_PLACES):
        return "hdf5"
    if begins.startswith(b"\x93NUMPY"):
        return "npy"
    if begins.startswith(b"PK\x03\x04"):
        _require_no_workbook(path)
        return "npz" if name.endswith(".npz") else "zarr"
    if begins.startswith(b"PAR1"):
        return "parquet"
    if begins.startswith(b"MATLAB 5.0 MAT-file") or name.endswith(".mat"):
        return "matlab"
    if name.removesuffix(".gz").endswith(TEXTS) or holds_table(begins):
        return "text"
    return "hdf5"


def _require_no_workbook(path: Place) -> None:
    """Raises SourceError: it is a zip of a workbook."""
    if path.name.lower().endswith(WORKBOOKS):
        raise SourceError(f"The source {path} is a workbook. Save its table as CSV, and name that.")


def _require_regular(path: Place) -> None:
    """Raises SourceError: it is a pipe, a socket or a device, which may never end."""
    if isinstance(path, Path) and path.exists() and not path.is_dir():
        raise SourceError(
            f"The source {path} is a pipe, a socket or a device. Write what it gives to a file, "
            "and name that."
        )


def _require_data(path: Place, begins: bytes) -> None:
    """Raises SourceError: it stands in for data that were not downloaded."""
    if begins.startswith(LFS):
        raise SourceError(
            f"The source {path} is a pointer of Git LFS, and not the data. Fetch them: git lfs "
            "pull."
        )
    if begins[:LOOKED_FOR_HTML].lstrip().lower().startswith(HTML):
        raise SourceError(
            f"The source {path} is a page of HTML, as servers answer in place of a file. Download "
            "it again."
        )


def is_zarr(path: Place) -> bool:
    """Whether a folder, or what stands below an address, is a Zarr group or array."""
    return path.is_dir() and any((path / name).is_file() for name in ZARR_FILES)


def beginning(path: Place) -> bytes:
    """The first bytes of a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with storage_of(path).open() as file:
            return file.read(LOOKED_AT) or b""
    except OSError as error:
        raise SourceError(
            f"The source {path} cannot be read ({first_line(error)}). Name another file."
        ) from error
