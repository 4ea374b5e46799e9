"""Tables and numbered arrays in one file, whole or not at all; no pickle."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.io import disk

Array = NDArray[Any]


def write_archive(
    path: Path, tables: Mapping[str, Any], arrays: Mapping[str, Sequence[Array]]
) -> None:
    """Replace a file, whole or not at all.

    Args:
        path: the file; its folder is there.
        tables: by name, each JSON-able.
        arrays: by name, each a list of arrays of any shape and dtype but objects.
    """
    held: dict[str, Array] = {
        name: np.frombuffer(json.dumps(table).encode(), np.uint8) for name, table in tables.items()
    }
    for name, values in arrays.items():
        held |= {f"{name}_{number}": value for number, value in enumerate(values)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **held)
    disk.write_bytes(path, buffer.getbuffer())


def read_archive(
    path: Path, tables: Sequence[str], arrays: Sequence[str]
) -> tuple[dict[str, Any], dict[str, list[Array]]]:
    """The tables of these names that are there, and the arrays; a list is empty if none is there.

    Raises:
        one of ARCHIVE_ERRORS: the file is damaged.
    """
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        found = {
            name: json.loads(archive[name].tobytes()) for name in tables if name in archive.files
        }
        listed = {}
        for name in arrays:
            count = sum(each.startswith(f"{name}_") for each in archive.files)
            listed[name] = [archive[f"{name}_{number}"] for number in range(count)]
    return found, listed
