"""Sensors of one recording that end some rows apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.stores.errors import SourceError
from tests.refusals import refused
from tests.stores.source.files.test_files import opened

PATTERNS = ["acc_{subject}.csv", "gyro_{subject}.csv"]
FIXED: dict[str, Any] = {"window_samples": 10, "files": PATTERNS}
ONE: dict[str, Any] = {"rate_hz": 10.0}


def table(path: Path, rows: int, first: float = 0.0) -> None:
    """A channel that counts rows, and a label of each half."""
    lines = [f"{first + row},{'ab'[row >= 50]}" for row in range(rows)]
    path.write_text("\n".join([f"{path.stem.partition('_')[0]},label", *lines]) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for subject, (acc, gyro) in enumerate(((100, 98), (97, 100), (100, 100))):
        table(tmp_path / f"acc_{subject}.csv", acc)
        table(tmp_path / f"gyro_{subject}.csv", gyro, 1000)
    return tmp_path


def test_files_of_other_lengths_are_refused_with_the_key_that_cuts_them(folder: Path) -> None:
    with refused(SourceError, "acc_0.csv", "gyro_0.csv", "100", "98", "source.max_cut_rows = 2"):
        opened(folder, **FIXED, **ONE)
    with refused(SourceError, "acc_1.csv", "97", "source.max_cut_rows = 3"):
        opened(folder, max_cut_rows=2, **FIXED, **ONE)


@pytest.mark.parametrize("rates", [ONE, {"rates_hz": [10.0, 10.0]}])
def test_files_are_cut_to_the_shortest_with_their_times_and_labels(
    rates: dict[str, Any], folder: Path
) -> None:
    with opened(folder, max_cut_rows=3, **FIXED, **rates) as source:
        assert source.spec.rate_hz == 10.0
        assert source.groups == ("0", "1", "2")
        windows = source.read_windows(0, source.windows)
        np.testing.assert_array_equal(windows[..., 1] - windows[..., 0], 1000)
        labels = source.read_labels(0, source.windows).label
        first = windows[:, 0, 0] - np.where(windows[:, 0, 0] >= 1000, 1000, 0)
        np.testing.assert_array_equal(np.array(["a", "b"])[labels], np.where(first < 50, "a", "b"))
        lengths = [int((source.read_labels(0, source.windows).group == n).sum()) for n in range(3)]
        assert lengths == [17, 17, 18]


def test_arrays_of_one_file_are_cut_with_what_is_said_of_their_rows(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file["acc"] = np.arange(100.0)
        file["gyro"] = np.arange(98.0) + 1000
        file["labels"] = np.repeat([0, 1], 50)
        file["subject"] = np.repeat([3, 4], 50)
        file.attrs["sampling_rate_hz"] = 10.0
    options = {"signals": ["acc", "gyro"], "window_samples": 10}
    with refused(SourceError, "acc", "gyro", "source.max_cut_rows = 2"):
        opened(tmp_path / "one.h5", **options)
    with opened(tmp_path / "one.h5", max_cut_rows=2, **options) as source:
        assert source.groups == ("3", "4")
        windows = source.read_windows(0, source.windows)
        np.testing.assert_array_equal(windows[..., 1] - windows[..., 0], 1000)
        assert windows.max() < 1098


def test_signals_of_several_rates_may_be_cut_by_rows_of_the_slowest(folder: Path) -> None:
    table(folder / "gyro_0.csv", 47, 1000)
    table(folder / "gyro_1.csv", 50, 1000)
    table(folder / "gyro_2.csv", 50, 1000)
    options = FIXED | {"rates_hz": [10.0, 5.0], "labels": "", "groups": "subject"}
    with refused(SourceError, "47", "source.max_cut_rows = 3"):
        opened(folder, max_cut_rows=2, **options)
    with opened(folder, max_cut_rows=3, **options) as source:
        windows = source.read_windows(0, source.windows)
        assert windows.shape[2] == 2
        np.testing.assert_array_equal(windows[:17, ::2, 1] - 1000, windows[:17, ::2, 0] / 2)


def test_labels_are_cut_by_no_more_rows_than_may_be(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file["signals"] = np.arange(196.0).reshape(98, 2)
        file["labels"] = np.repeat([0, 1], 50)
        file.attrs["sampling_rate_hz"] = 10.0
    options: dict[str, Any] = {"signals": "signals", "window_samples": 10, "split_by_window": True}
    with refused(SourceError, "labels", "100", "98"):
        opened(tmp_path / "one.h5", max_cut_rows=1, **options)
    with opened(tmp_path / "one.h5", max_cut_rows=2, **options) as source:
        assert source.read_labels(0, source.windows).label[-1] == 1
