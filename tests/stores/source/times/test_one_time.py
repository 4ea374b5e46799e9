"""Files of a recording that have times of their own are read at those of the fastest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from headrace.stores.source.times import moments
from tests.refusals import refused

FILES = ["{subject}_acc.csv", "{subject}_temp.csv", "{subject}_gyro.csv"]
Columns = dict[str, np.ndarray]


def opened(path: Path, **options: Any) -> Source:
    given = {"files": FILES, "window_samples": 16, "step_samples": 16, "labels": ""}
    return open_source(path, SourceOptions.model_validate(given | options))


def sensors(seed: int) -> dict[str, Columns]:
    """Of three rates, that begin and end apart; the clock of the second jitters."""
    random = np.random.default_rng(seed)
    found = {}
    for name, rate, begin, rows in (
        ("acc", 50.0, 0.1, 700),
        ("temp", 4.0, 0.7, 45),
        ("gyro", 30.0, 0.013, 450),
    ):
        times = begin + np.arange(rows) / rate
        if name == "temp":
            times += random.uniform(-0.05, 0.05, rows)
        found[name] = {"time": times, name: random.normal(size=rows)}
        if name == "acc":
            found[name]["y2"] = random.normal(size=rows)
    return found


def write(folder: Path, subjects: dict[str, dict[str, Columns]], ending: str = "csv") -> None:
    for subject, each in subjects.items():
        for name, columns in each.items():
            table, path = pa.table(columns), folder / f"{subject}_{name}.{ending}"
            if ending == "csv":
                csv.write_csv(table, path)
            else:
                parquet.write_table(table, path, row_group_size=37)


def by_hand(each: dict[str, Columns]) -> np.ndarray:
    """One table, at the times of the accelerometer that all have."""
    start = max(columns["time"][0] for columns in each.values())
    end = min(columns["time"][-1] for columns in each.values())
    at = each["acc"]["time"]
    at = at[(at >= start) & (at <= end)]
    return np.stack(
        [
            np.interp(at, columns["time"], values)
            for columns in each.values()
            for name, values in columns.items()
            if name != "time"
        ],
        axis=1,
    )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_with_times_of_their_own_are_what_interp_makes_of_them(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments, "INDEX_ROWS", 8)
    subjects = {"a": sensors(1), "b": sensors(2)}
    write(tmp_path, subjects, ending)
    files = [name.replace("csv", ending) for name in FILES]
    with opened(tmp_path, files=files) as source:
        assert source.spec.rate_hz == 50.0
        assert source.spec.channels == ("acc", "y2", "temp", "gyro")
        found = source.read_windows(0, source.windows)
        expected = [
            whole[row : row + 16]
            for whole in map(by_hand, subjects.values())
            for row in range(0, len(whole) - 15, 16)
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        one_by_one = [source.read_windows(n, n + 1)[0] for n in range(source.windows)]
        np.testing.assert_array_equal(found, one_by_one)
        (said,) = [note.text for note in source.notes if "of the fastest" in note.text]
        assert f"a_acc.{ending}" in said


def test_what_is_held_and_what_no_value_stands_between(tmp_path: Path) -> None:
    each = sensors(1)
    temp = each["temp"]
    temp["label"] = np.array(["still", "walk"])[(np.arange(45) // 20) % 2]
    write(tmp_path, {"a": each})
    at, whole = each["acc"]["time"], by_hand({k: dict(v) for k, v in each.items() if k != "temp"})
    with opened(tmp_path, labels="label", slow="hold", split_by_window=True) as source:
        assert source.classes == ("still", "walk")
        found = source.read_windows(0, source.windows)
        _, start = source.locate(0, source.windows) or (None, np.zeros(0))
        label = source.read_labels(0, source.windows).label
    begin = max(columns["time"][0] for columns in each.values())
    at = at[at >= begin]
    for window, row, code in zip(found, start.tolist(), label.tolist(), strict=True):
        known = np.searchsorted(temp["time"], at[row : row + 16], "right") - 1
        np.testing.assert_array_equal(window[:, 2], temp["temp"][known])
        assert set(temp["label"][known]) == {source.classes[code]}
    assert len(whole)


def test_gaps_wider_than_are_bridged_stay_nan(tmp_path: Path) -> None:
    each = sensors(1)
    kept = (each["gyro"]["time"] < 5) | (each["gyro"]["time"] > 8)
    each["gyro"] = {name: values[kept] for name, values in each["gyro"].items()}
    write(tmp_path, {"a": each})
    with opened(tmp_path, non_finite="drop") as source:
        marked = np.isnan(source.read_windows(0, source.windows)[:, :, 3])
        assert 0 < marked.sum() / 50 < 3.1
    with opened(tmp_path, slow_max_gap_s=4.0) as source:
        assert np.isfinite(source.read_windows(0, source.windows)).all()


def test_files_with_the_same_times_are_joined_by_their_rows(tmp_path: Path) -> None:
    each = sensors(1)
    rows = each["acc"]["time"] + 0.004
    each = {"acc": each["acc"], "gyro": {"time": rows, "gyro": np.arange(700.0)}}
    write(tmp_path, {"a": each})
    with opened(tmp_path, files=[FILES[0], FILES[2]]) as source:
        found = source.read_windows(0, source.windows)
    np.testing.assert_array_equal(found[:, :, 2].reshape(-1), np.arange(found[:, :, 2].size))


def test_times_that_cannot_be_joined_are_refused(tmp_path: Path) -> None:
    each = sensors(1)
    each["temp"]["time"] += 1000
    write(tmp_path, {"a": each})
    with refused(SourceError, "a_temp.csv", "a_acc.csv", "source.files"):
        opened(tmp_path)
    each["temp"]["time"] -= 1000
    each["temp"]["time"][7] -= 2
    write(tmp_path, {"a": each})
    with refused(SourceContentError, "a_temp.csv", "row 7", "source.rates_hz"):
        opened(tmp_path)


def test_a_pause_of_the_fastest_reads_few_rows_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = sensors(1)
    kept = (each["acc"]["time"] < 2) | (each["acc"]["time"] > 11)
    each["acc"] = {name: values[kept] for name, values in each["acc"].items()}
    each["gyro"]["label"] = np.where(each["gyro"]["time"] < 6, "still", "walk")
    write(tmp_path, {"a": each})
    options = {"labels": "label", "split_by_window": True}
    found, read = [], []
    rows_of_slice = moments.AtMoments._rows

    def counted(
        self: moments.AtMoments, start: int, stop: int, first: int, last: int
    ) -> tuple[np.ndarray, np.ndarray]:
        read.append(last - first)
        return rows_of_slice(self, start, stop, first, last)

    monkeypatch.setattr(moments.AtMoments, "_rows", counted)
    for most in (moments.MOST_ROWS, 100):
        monkeypatch.setattr(moments, "MOST_ROWS", most)
        read.clear()
        with opened(tmp_path, **options) as source:
            data = source._layout.data
            part = data.read(0, data.shape[0])
            found.append((part.tobytes(), source.read_labels(0, source.windows).label.tolist()))
        assert (max(read) > 100) == (most > 100)
    assert found[0] == found[1]
