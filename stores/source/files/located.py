"""What `paths.data` names: a file, a folder, a pattern of files, or a table that lists them."""

from __future__ import annotations

import os
from pathlib import Path

from headrace.stores.errors import SourceError
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.places import Place
from headrace.stores.source.file_patterns import check_pattern, split_pattern
from headrace.stores.source.files.files import SourceFiles, files_in
from headrace.stores.source.files.tables import is_table_of_files, read_table_of_files, with_table
from headrace.stores.source.formats.opening import is_zarr
from headrace.stores.source.options import SourceOptions


def files_of(path: Place, options: SourceOptions) -> SourceFiles | None:
    """The files that `path` names; None: it is one file, which may not be there.

    Raises:
        UserError: what it names cannot be used.
    """
    found = _named(path, options)
    if options.table is None:
        return found
    if found is None:
        raise SourceError(
            f"source.table says more of the files of a folder, and {path} is one file. Name the "
            "folder, or leave source.table out."
        )
    return with_table(found, options.table, options.encoding)


def folder_of(path: Place) -> Place:
    """What names of the files are relative to, where a path names many."""
    pattern = _pattern_of(path)
    if pattern is not None:
        return pattern[0]
    return path if path.is_dir() else path.parent


def source_exists(path: Place) -> bool:
    """Whether there is a file, a folder, or the folder that a pattern is of."""
    pattern = _pattern_of(path)
    return path.exists() or path.is_dir() if pattern is None else pattern[0].is_dir()


def _named(path: Place, options: SourceOptions) -> SourceFiles | None:
    tables = [] if options.table is None else [options.table]
    tables += [] if options.intervals is None else [options.intervals.file]
    pattern = _pattern_of(path)
    if pattern is not None:
        folder, within = pattern
        if not folder.is_dir():
            raise SourceError(f"There is no folder {folder}, of which {path} names files.")
        return files_in(folder, options.files, within, tables)
    if path.is_dir() and not is_zarr(path):
        return files_in(path, options.files, but=tables)
    if path.is_file() and is_table_of_files(path, options):
        return read_table_of_files(path, options.files, options.encoding)
    if options.files:
        raise SourceError(
            f"source.files names files of a folder, and {path} is a file. Name the folder, or "
            "leave source.files out."
        )
    return None


def _pattern_of(path: Place) -> tuple[Place, str] | None:
    """The folder and the pattern of a path that is one: `raw/*.csv`; None: it is none.

    Raises:
        UserError: it cannot be used.
    """
    text = path.key if isinstance(path, ObjectPath) else str(path)
    _, pattern = split_pattern(text)
    # A file may have such a name.
    if not pattern or (isinstance(path, Path) and os.path.lexists(path)):
        return None
    try:
        check_pattern(pattern)
    except ValueError as error:
        raise SourceError(f"paths.data = {str(path)!r}: {error}.") from error
    folder = path
    for _ in pattern.split("/"):
        folder = folder.parent
    return folder, pattern
