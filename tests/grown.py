"""Real stores that grew: sources in which classes and groups are named in other orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.features.append import run_append
from headrace.pipeline.features.stage import run_features
from tests.conftest import SMALL, request_for
from tests.in_process import tasks_here

FORMS = ("windows", "stretches")
OPTIONS: dict[str, dict[str, Any]] = {
    **{key: value for key, value in SMALL.items() if isinstance(value, dict)},
    "source": {"window_samples": 32, "step_samples": 8},
    "store": {"chunk_windows": 16, "shard_windows": 64},
    "features": {"select": ["ch0__mean", "ch1__std"]},
    "folds": {"count": 4},
}
"""Small windows that overlap, of a few recordings."""


def write_people(
    path: Path, people: Sequence[str], classes: Sequence[str], seed: int, **attributes: Any
) -> Path:
    """Two recordings of each person, in which every class lasts 120 rows a time."""
    rng, lengths = np.random.default_rng(seed), []
    for number in range(2 * len(people)):
        lengths.append(260 + 40 * ((number + seed) % 4))
    rows = sum(lengths)
    with h5py.File(path, "w") as file:
        file["signals"] = rng.integers(-900, 900, (rows, attributes.pop("channels", 2)), np.int16)
        file["signals"].attrs["sampling_rate_hz"] = attributes.pop("rate", 50.0)
        for name, value in attributes.items():
            file["signals"].attrs[{"names": "channels"}.get(name, name)] = value
        file["labels"] = np.arange(rows) // 120 % len(classes)
        file["classes"] = np.array(classes, h5py.string_dtype())
        table = file.create_group("recordings")
        table["start"] = np.cumsum([0, *lengths[:-1]])
        table["length"] = lengths
        table["subject"] = np.repeat(np.array(people, h5py.string_dtype()), 2)
    return path


def config_of(form: str, **sections: dict[str, Any]) -> Config:
    """The configuration of a small store of that form."""
    names = {*OPTIONS, *sections}
    table: dict[str, Any] = {
        name: {**OPTIONS.get(name, {}), **sections.get(name, {})} for name in names
    }
    table["store"] = {"raw": form, **table["store"]}
    return config_from_table({"name": "grown", **table}, "grown")


def make(store: Path, data: Path, config: Config) -> Path:
    """The store of one source."""
    with tasks_here():
        run_features(request_for(config, data, store))
    return store


def append(store: Path, data: Path, config: Config) -> Path:
    """The store with one more part, of another source."""
    request = request_for(config, data, store)
    with tasks_here():
        run_append(replace(request, config=config))
    return store


def write_three(folder: Path) -> list[Path]:
    """Sources of three parts: a person comes again, and classes are named in other orders."""
    return [
        write_people(folder / "a.h5", [f"s{n}" for n in range(6)], ["walk", "sit", "run"], 0),
        write_people(folder / "b.h5", ["s7", "s6", "s0"], ["run", "walk"], 1),
        write_people(folder / "c.h5", ["s8"], ["sit", "run", "walk"], 2),
    ]


def grown_store(folder: Path, form: str, **sections: dict[str, Any]) -> Path:
    """A store of three parts below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    first, *others = write_three(folder)
    store = make(folder / "grown.zarr", first, config_of(form, **sections))
    for data in others:
        append(store, data, config_of(form, **sections))
    return store
