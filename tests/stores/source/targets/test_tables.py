"""Targets of tables of text and of many files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.stores.errors import SourceError
from headrace.stores.source.files.census import Census
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from tests.refusals import refused

ROWS = 60
CUT = {"window_samples": 10, "step_samples": 10, "rate_hz": 10.0}
PEOPLE = ("anna", "bert", "cleo", "dora")


def opened(
    path: Path, target: dict[str, Any] | None = None, census: Census | None = None, **options: Any
) -> Source:
    given = {**CUT, **options, "target": target or {}}
    return open_source(path, SourceOptions.model_validate(given), census)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table of each of four people: two channels, a pulse, two marks and a stage."""
    for number, person in enumerate(PEOPLE):
        draw = np.random.default_rng(number)
        row = np.arange(ROWS)
        columns = {
            "x": draw.normal(size=ROWS),
            "y": draw.normal(size=ROWS),
            "pulse": 60 + number + row / 8,
            "left": (row < 30).astype(int),
            "fast": (row % 20 < 12).astype(int),
            "stage": np.where(row < 5, -1, row // 15),
        }
        header = ",".join(columns)
        rows = np.stack([*columns.values()], axis=1)
        (tmp_path / "raw").mkdir(exist_ok=True)
        np.savetxt(
            tmp_path / "raw" / f"{person}.csv", rows, "%.6g", ",", header=header, comments=""
        )
    return tmp_path / "raw"


def test_a_column_of_numbers_is_a_value_and_no_channel(folder: Path) -> None:
    options = {"files": ["{subject}.csv"], "labels": "pulse", "use_channels": ["x", "y"]}
    with opened(folder, **options) as source:
        assert source.spec.channels == ("x", "y")
        assert (source.target.kind, source.target.names) == ("value", ("pulse",))
        label = source.read_labels(0, source.windows).label[:, 0]
        wanted = [60 + n + (10 * w + 9) / 8 for n in range(4) for w in range(6)]
        np.testing.assert_allclose(label, wanted, rtol=1e-5)
        census = source.census
    with opened(folder, {"kind": "value"}, census, **options) as again:
        np.testing.assert_array_equal(again.read_labels(0, 24).label[:, 0], label)


def test_several_columns_are_labels_or_values_by_their_own_names(folder: Path) -> None:
    options = {"files": ["{subject}.csv"], "use_channels": ["x", "y"]}
    with opened(folder, labels=["left", "fast"], **options) as source:
        assert (source.target.kind, source.classes) == ("labels", ("left", "fast"))
        assert source.read_labels(0, 3).label.tolist() == [[1, 1], [1, 0], [1, 1]]
    with opened(folder, labels=["pulse", "stage"], **options) as source:
        assert (source.target.kind, source.target.names) == ("value", ("pulse", "stage"))
    with opened(folder, labels=["left", "fast"], **(options | {"use_channels": []})) as source:
        assert {"left", "fast"}.isdisjoint(source.spec.channels)


def test_a_column_of_codes_is_a_sequence_where_it_is_said(folder: Path) -> None:
    options = {"files": ["{subject}.csv"], "labels": "stage", "use_channels": ["x", "y"]}
    with opened(folder, {"kind": "sequence", "every": 5}, **options) as source:
        assert source.classes == ("0", "1", "2", "3")
        assert source.read_labels(0, 3).label.tolist() == [[-1, 0], [0, 1], [1, 1]]


@pytest.mark.parametrize("written", ["31.5,40.25,55,61", "31,,55,61", "31,old,55,61"])
def test_a_column_of_the_table_of_files_is_a_value_of_each(folder: Path, written: str) -> None:
    rows = zip(PEOPLE, written.split(","), strict=True)
    lines = [f"{person},{age}" for person, age in rows]
    (folder.parent / "people.csv").write_text("\n".join(["subject,age", *lines]) + "\n")
    options: dict[str, Any] = {"files": ["{subject}.csv"], "table": "people.csv"}
    options |= {"label_column": "age", "use_channels": ["x", "y"], "labels": None}
    if "old" in written:
        with (
            refused(SourceError, "target.kind", "old"),
            opened(folder, {"kind": "value"}, **options),
        ):
            pass
        return
    with opened(folder, {"kind": "value", "units": ["years"]}, **options) as source:
        if ",," in written:
            with refused(SourceError, "source.non_finite", "6"):
                _ = source.target
            return
        label = source.read_labels(0, source.windows).label[:, 0]
        np.testing.assert_array_equal(label, np.repeat([31.5, 40.25, 55, 61], 6).astype("f4"))


def test_what_remains_of_each_file(folder: Path) -> None:
    options = {"files": ["{subject}.csv"], "use_channels": ["x", "y"], "labels": ""}
    with opened(folder, {"remaining": True}, **options) as source:
        label = source.read_labels(0, source.windows).label[:, 0]
        assert label.tolist() == [50, 40, 30, 20, 10, 0] * 4


def test_gaps_count_in_what_remains(tmp_path: Path) -> None:
    time = np.concatenate([np.arange(30), 100 + np.arange(30)]) / 10
    rows = np.stack([time, np.sin(time), np.cos(time)], axis=1)
    for person in PEOPLE[:3]:
        np.savetxt(tmp_path / f"{person}.csv", rows, "%.6g", ",", header="time,x,y", comments="")
    options = {"files": ["{subject}.csv"], "labels": "", "rate_hz": None}
    with opened(tmp_path, {"remaining": True}, **options) as source:
        label = source.read_labels(0, source.windows).label[:, 0]
        assert label.tolist() == [120, 110, 100, 20, 10, 0] * 3
