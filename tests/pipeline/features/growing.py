"""Small sources of people, and stores of them that grow by parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.features.append import run_append
from headrace.stores.store import Store, open_store
from tests.conftest import request_for
from tests.in_process import store_here, tasks_here

LEAST: dict[str, Any] = {
    "store": {"chunk_windows": 8, "shard_windows": 32, "block_windows": 8},
    "features": {"select": ["ch?__mean"]},
    "folds": {"count": 3},
}
CUT: dict[str, Any] = {
    **LEAST,
    "source": {"window_samples": 16, "step_samples": 2},
    "store": {"chunk_windows": 16, "shard_windows": 64, "raw": "stretches"},
}
"""Of recordings, whose windows overlap."""


def config_of(table: dict[str, Any], **sections: dict[str, Any]) -> Config:
    """A configuration of `table`, and of more keys."""
    names = {*table, *sections}
    given = {name: {**table.get(name, {}), **sections.get(name, {})} for name in names}
    return config_from_table(given, "grown")


def write_people(
    path: Path,
    people: Sequence[str],
    classes: Sequence[str] = ("sit", "walk"),
    dtype: str = "f4",
    each: int = 30,
    shape: tuple[int, int] = (8, 2),
    **changes: Any,
) -> Path:
    """Windows of some people, `each` of them about 30, with every class; `changes` are attributes
    of the file, or datasets that are arrays.
    """
    rng = np.random.default_rng(sum(map(ord, path.stem)))
    count = [each + 5 * number for number in range(len(people))]
    with h5py.File(path, "w") as file:
        file["X"] = (100 * rng.normal(size=(sum(count), *shape))).astype(dtype)
        file["y"] = np.concatenate([np.arange(n) // 4 % len(classes) for n in count])
        file["classes"] = list(classes)
        file["groups"] = np.repeat(np.array(people, "S"), count)
        file.attrs["sampling_rate_hz"] = 20.0
        for name, value in changes.items():
            if isinstance(value, np.ndarray):
                if name in file:
                    del file[name]
                file[name] = value
            else:
                file.attrs[name] = value
    return path


def write_recorded(path: Path, people: Sequence[int], dtype: str = "i2", gap: bool = False) -> Path:
    """A recording of each of some people, whose labels change every 60 rows."""
    rng = np.random.default_rng(sum(map(ord, path.stem)))
    lengths = [200 + 24 * number for number in range(len(people))]
    values = rng.integers(-900, 900, (sum(lengths), 2)).astype(dtype)
    if gap:
        values[70:73, 1] = np.nan
    with h5py.File(path, "w") as file:
        file["signals"] = values
        file["signals"].attrs["sampling_rate_hz"] = 50.0
        file["labels"] = np.arange(len(values)) // 60 % 2
        file["classes"] = ["sit", "walk"]
        table = file.create_group("recordings")
        table["start"] = np.cumsum([0, *lengths[:-1]])
        table["length"] = lengths
        table["subject"] = list(people)
    return path


def append(store: Path, data: Path, config: Config | None = None) -> dict[str, Any]:
    """Add a part in this process, with no option but the budget if no configuration is given."""
    with tasks_here():
        return run_append(request_for(config or config_from_table({}, "grown"), data, store))


def grown(store: Path, config: Config, *sources: Path) -> Store:
    """A store of a part for each source."""
    store_here(request_for(config, sources[0], store))
    for source in sources[1:]:
        append(store, source)
    return open_store(store)


def fold_of_groups(store: Store) -> dict[str, str]:
    """Name of the fold of each group."""
    return {store.groups[group]: fold.name for fold in store.folds for group in fold.groups}


def seen(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Number, time and bytes of each file of a store, but for those of later parts."""
    return {
        name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and not (name := path.relative_to(folder).as_posix()).startswith("parts/")
    }
