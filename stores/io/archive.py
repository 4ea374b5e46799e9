"""A table and numbered arrays in one file, whole or not at all; no pickle."""

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


def write_archive(path: Path, table: Any, arrays: Mapping[str, Sequence[Array]]) -> None:
    """Replace a file, whole or not at all.

    Args:
        path: the file; its folder is there.
        table: JSON-able.
        arrays: by name, each a list of arrays of any shape and dtype but objects.
    """
    held: dict[str, Array] = {"table": np.frombuffer(json.dumps(table).encode(), np.uint8)}
    for name, values in arrays.items():
        held |= {f"{name}_{number}": value for number, value in enumerate(values)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **held)
    disk.write_bytes(path, buffer.getbuffer())


def read_archive(path: Path, names: Sequence[str]) -> tuple[Any, dict[str, list[Array]]]:
    """The table and the arrays that were written.

    Raises:
        one of ARCHIVE_ERRORS: it is damaged.
    """
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        table = json.loads(archive["table"].tobytes())
        found = {}
        for name in names:
            count = sum(each.startswith(f"{name}_") for each in archive.files)
            found[name] = [archive[f"{name}_{number}"] for number in range(count)]
    return table, found
