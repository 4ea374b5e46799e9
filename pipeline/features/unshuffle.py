"""Lays the windows of a store down in the order of its sources; see `Unshuffled`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.features.unshuffled import ABOUT, SLICE, files_of
from headrace.stores.io.disk import make_folder, remove_folder, write_bytes
from headrace.stores.io.places import storage_of
from headrace.stores.store import Store

Integers = NDArray[np.int64]
ROWS = 1024
"""Rows that are read and written at a time."""


def unshuffle(
    store: Store,
    folder: Path,
    classes: Sequence[str],
    groups: Sequence[str],
    advance: Callable[[int], None],
) -> None:
    """Lay the windows of a store down in the order of its sources; nothing is done twice.

    Args:
        store: of which.
        folder: where; what stands there of another store goes.
        classes, groups: what the codes are to stand for.
        advance: told the windows that are done.
    """
    places, counts = store.opened
    about = {
        "store": store.fingerprint,
        "stores": [storage_of(place.absolute()).packed() for place in places],
        "parts": list(counts),
        "groups": list(groups),
        "classes": list(classes),
    }
    content = json.dumps(about).encode()
    if (folder / ABOUT).is_file() and (folder / ABOUT).read_bytes() == content:
        return advance(store.windows)
    remove_folder(folder)
    make_folder(folder)
    windows = sum(int(part.manifest.source["windows"]) for part in store.parts)
    files = {
        name: np.memmap(folder / name, dtype, "w+", shape=(windows, *shape))
        for name, (dtype, shape) in files_of(store).items()
    }
    files["label"][:], files["group"][:] = -1, -1
    codes = {
        "label": np.array([classes.index(name) for name in store.classes], np.int32),
        "group": np.array([groups.index(name) for name in store.groups], np.int32),
    }
    _write_columns(store, files, codes, advance)
    if "series" in files:
        _write_series(store, files)
    for file in files.values():
        file.flush()
    write_bytes(folder / ABOUT, content)


def _write_columns(
    store: Store,
    files: dict[str, Any],
    codes: dict[str, NDArray[np.int32]],
    advance: Callable[[int], None],
) -> None:
    stored = [each.name for each in store.manifest.arrays()]
    names = [name for name in stored if name in files]
    last = 0
    edges = [*store.part_starts, store.windows]
    for first, end in pairwise(edges):
        recordings = last
        for start in range(first, end, ROWS):
            stop = min(start + ROWS, end)
            found = store.read_many([*names, "source_index"], [(start, stop)])
            number = found.pop("source_index")
            if "recording" in found:
                found["recording"] += recordings
                last = max(last, int(found["recording"].max()) + 1)
            for name, values in found.items():
                files[name][number] = codes[name][values] if name in codes else values
            if "row" in files:
                files["row"][number] = np.arange(start, stop)
            advance(stop - start)


def _write_series(store: Store, files: dict[str, Any]) -> None:
    """Number the signals: a window that does not follow the one before by a step begins another."""
    step, count, known = store.manifest.step, 0, set[int]()
    windows = len(files["row"])

    def differences(start: int, stop: int) -> dict[str, Integers]:
        low = max(start - 1, 0)
        names = ("recording", "start", "stretch", "offset", "label")
        return {name: np.diff(files[name][low:stop].astype(np.int64)) for name in names}

    for start in range(0, windows, SLICE):
        found = differences(start, min(start + SLICE, windows))
        together = (found["stretch"] == 0) & (found["offset"] == step)
        known |= set(np.unique(found["start"][together]).tolist())
    for start in range(0, windows, SLICE):
        stop = min(start + SLICE, windows)
        found = differences(start, stop)
        together = (found["stretch"] == 0) & (found["offset"] == step)
        may = (found["recording"] == 0) & np.isin(found["start"], list(known)) & ~together
        for at in np.flatnonzero(may) if len(known) > 1 or min(known, default=0) < step else ():
            may[at] = _overlap(store, files["row"], max(start - 1, 0) + int(at), step)
        begins = ~(together | may)
        if start == 0:
            begins = np.concatenate([[True], begins])
        files["series"][start:stop] = count + np.cumsum(begins)
        count = int(files["series"][stop - 1])


def _overlap(store: Store, rows: NDArray[np.int64], before: int, step: int) -> bool:
    """Whether a candidate and the next are the same where they would overlap."""
    one, next_ = (store.read("raw", int(row), int(row) + 1)[0] for row in rows[before : before + 2])
    return bool(np.array_equal(one[step:], next_[: len(next_) - step]))
