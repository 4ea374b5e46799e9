"""How much of its source the making of a store reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.pipeline.commands.plan import run_plan
from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.pipeline.request import Request
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from tests.conftest import changed
from tests.in_process import store_here

WINDOWS, TIME, CHANNELS = 600, 16, 3


def source_of(folder: Path, groups: np.ndarray, chunks: Any) -> Path:
    path = folder / "source.h5"
    with h5py.File(path, "w") as file:
        values = np.zeros((WINDOWS, TIME, CHANNELS), np.float32)
        data = file.create_dataset(
            "X", data=values, chunks=chunks, compression="gzip" if chunks else None
        )
        data.attrs["sampling_rate_hz"] = 50.0
        file["y"], file["groups"] = np.arange(WINDOWS) % 2, groups
    return path


@pytest.fixture(autouse=True)
def in_this_process(probed_here: None) -> None:
    pass


def planned(config: Config, source: Path, folder: Path) -> float:
    request = Request(config, source, folder / "absent.zarr", None, Console(quiet=True))
    return float(run_plan(request)["read_amplification"])


@pytest.fixture
def raw_config(tiny_config: Config) -> Config:
    bare = {"select": [], "triads": {}, "accelerometers": []}
    return changed(tiny_config, features=bare, folds={"count": 4}, model={"inputs": "raw"})


STRETCHES, INTERLEAVED = np.arange(WINDOWS) // 75, np.arange(WINDOWS) % 8


@pytest.mark.parametrize("groups", [STRETCHES, INTERLEAVED], ids=["stretches", "interleaved"])
@pytest.mark.parametrize("chunks", [None, (1, TIME, CHANNELS), (1, TIME, 1)])
def test_rows_and_chunks_of_one_window_are_read_once(
    tmp_path: Path, raw_config: Config, groups: np.ndarray, chunks: Any
) -> None:
    source = source_of(tmp_path, groups, chunks)
    amplified = planned(raw_config, source, tmp_path)
    assert amplified == 1 if groups is STRETCHES else 1 <= amplified < 9


@pytest.mark.parametrize("rows", [50, WINDOWS])
def test_it_is_what_the_making_decodes(
    tmp_path: Path, raw_config: Config, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(
        "headrace.stores.source.formats.hdf5.MIN_CHUNK_CACHE", 1
    )  # One row is kept.
    source = source_of(tmp_path, STRETCHES, (rows, TIME, CHANNELS))
    config = changed(raw_config, store={"shard_windows": 128})
    read: list[tuple[int, int]] = []
    real = Source.read_windows

    def noted(self: Source, start: int, stop: int) -> np.ndarray:
        read.append((start // rows, (stop - 1) // rows))
        return real(self, start, stop)

    monkeypatch.setattr(Source, "read_windows", noted)
    store_here(Request(config, source, tmp_path / "made.zarr", None, Console(quiet=True)))
    decoded, kept = 0, -1
    for first, last in read:
        decoded += last - first + (first != kept)
        kept = last
    assert planned(config, source, tmp_path) == pytest.approx(decoded * rows / WINDOWS)


def test_larger_blocks_read_less(
    tmp_path: Path, raw_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.stores.source.formats.hdf5.MIN_CHUNK_CACHE", 1)
    source = source_of(tmp_path, STRETCHES, (64, TIME, CHANNELS))
    small, large = (
        planned(changed(raw_config, store={"block_windows": rows}), source, tmp_path)
        for rows in (2, 64)
    )
    assert small > large >= 1


def test_windows_that_overlap_are_read_in_one_piece(tmp_path: Path, raw_config: Config) -> None:
    path = tmp_path / "source.h5"
    rows = 8 * 3000
    with h5py.File(path, "w") as file:
        file["signals"] = np.zeros((rows, CHANNELS), np.float32)
        file["signals"].attrs["sampling_rate_hz"] = 50.0
        file["labels"] = np.arange(rows) // 500 % 2
        table = file.create_group("recordings")
        table["start"], table["length"] = np.arange(8) * 3000, np.full(8, 3000)
        table["subject"] = np.arange(8)
    source = {"window_samples": 32, "overlap": 0.75}
    config = changed(raw_config, source=source, store={"block_windows": 16})
    with open_source(path, SourceOptions.model_validate(source)) as opened:
        assert opened.windows > WINDOWS
    assert planned(config, path, tmp_path) < 1
