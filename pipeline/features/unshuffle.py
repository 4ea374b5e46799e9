"""Lays the windows of a store down in the order of its sources; see `Unshuffled`."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.features.unshuffled import ABOUT, SLICE, files_of
from headrace.stores.io.disk import explained, make_folder, remove_folder, write_bytes
from headrace.stores.io.places import storage_of
from headrace.stores.store import Store

Integers = NDArray[np.int64]
HELD_BYTES = 16 << 20
"""Of the rows that are read and written at a time, or a chunk of them."""


def description(store: Store, classes: Sequence[str], groups: Sequence[str]) -> bytes:
    """What says that windows are laid down: of which store, and what codes stand for."""
    places, counts = store.opened
    about = {
        "store": store.fingerprint,
        "stores": [storage_of(place.absolute()).packed() for place in places],
        "parts": list(counts),
        "groups": list(groups),
        "classes": list(classes),
    }
    return json.dumps(about).encode()


def is_laid_down(folder: Path, about: bytes) -> bool:
    """Whether those windows stand in `folder`, whole."""
    return (folder / ABOUT).is_file() and (folder / ABOUT).read_bytes() == about


def laid_down_bytes(store: Store) -> int:
    """What all windows in order take on the disk, with where they are in a source of all."""
    row = sum(dtype.itemsize * math.prod(shape) for dtype, shape in files_of(store).values())
    return _candidates(store) * (row + 16)


def unshuffle(store: Store, folder: Path, about: bytes, advance: Callable[[int], None]) -> None:
    """Lay the windows of a store down in the order of its sources.

    Args:
        store: of which; rows are read one after another, so that one index of a part will do.
        folder: where; what stands there goes.
        about: `description` of them.
        advance: told the windows that are done.

    Raises:
        UserError: the disk is full, or the store damaged.
    """
    remove_folder(folder)
    make_folder(folder)
    windows = _candidates(store)
    files = {
        name: _made(folder / name, dtype, (windows, *shape))
        for name, (dtype, shape) in files_of(store).items()
    }
    names, target = json.loads(about), store.target
    label = _codes(store.classes, names["classes"])
    group = _codes(store.groups, names["groups"])
    files["label"][:], files["group"][:] = target.missing, -1
    recoded = {"label": lambda own: target.recoded(own, label), "group": group.__getitem__}
    _write_columns(store, files, recoded, advance)
    if "series" in files:
        _write_series(store, files)
    for file in files.values():
        file.flush()
    write_bytes(folder / ABOUT, about)


def _candidates(store: Store) -> int:
    return sum(int(part.manifest.source["windows"]) for part in store.parts)


def _codes(names: Sequence[str], wanted: Sequence[str]) -> NDArray[np.int32]:
    place = {name: number for number, name in enumerate(wanted)}
    return np.array([place[name] for name in names], np.int32)


def _made(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """A file of zeros; the disk gives all of it now: one that fills up later ends the process."""
    with explained(path):
        if hasattr(os, "posix_fallocate"):
            with path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, dtype.itemsize * math.prod(shape))
        return np.memmap(path, dtype, "r+" if path.is_file() else "w+", shape=shape)


def _rows_at_once(store: Store, names: Sequence[str]) -> int:
    """Whole chunks: each is decoded once."""
    arrays = {each.name: each for each in store.manifest.arrays()}
    chunk = store.chunk_windows * sum(arrays[name].row_bytes for name in names)
    return store.chunk_windows * max(1, HELD_BYTES // chunk)


def _write_columns(
    store: Store,
    files: dict[str, Any],
    recoded: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]],
    advance: Callable[[int], None],
) -> None:
    stored = [each.name for each in store.manifest.arrays()]
    names = [name for name in stored if name in files]
    rows = _rows_at_once(store, [*names, "source_index"])
    last = 0
    edges = [*store.part_starts, store.windows]
    for first, end in pairwise(edges):
        recordings = last
        for start in range(first, end, rows):
            stop = min(start + rows, end)
            found = store.read_many([*names, "source_index"], [(start, stop)])
            number = found.pop("source_index")
            if "recording" in found:
                found["recording"] += recordings
                last = max(last, int(found["recording"].max()) + 1)
            for name, values in found.items():
                files[name][number] = recoded[name](values) if name in recoded else values
            if "row" in files:
                files["row"][number] = np.arange(start, stop)
            advance(stop - start)


def _write_series(store: Store, files: dict[str, Any]) -> None:
    """Number the signals: a window that does not follow the one before by a step begins another."""
    step, count, known = store.manifest.step, 0, set[int]()
    windows = len(files["row"])

    def differences(start: int, stop: int) -> dict[str, Integers]:
        low = max(start - 1, 0)
        names = ("recording", "start", "stretch", "offset")
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
