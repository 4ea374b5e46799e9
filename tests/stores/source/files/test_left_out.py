"""Files that are left out, and columns that some files lack."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.files.located import files_of
from headrace.stores.source.options import SourceOptions
from tests.refusals import refused
from tests.stores.source.files.test_files import opened

FIXED = {"rate_hz": 10.0, "window_samples": 8, "groups": "file"}
CHOSEN = {"signals": None, "use_channels": ["y", "x"]}


def csv(path: Path, header: str, rows: int = 24, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = header.split(",")
    lines = [
        ",".join(text if name == "notes" else f"{row}.{at}" for at, name in enumerate(columns))
        for row in range(rows)
    ]
    path.write_text("\n".join([header, *lines]) + "\n")


def names_of(path: Path, *patterns: str) -> list[str]:
    found = files_of(path, SourceOptions(files=list(patterns)))
    assert found is not None
    return [name for each in found.names for name in each]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two recordings, a file of notes beside each, and an old one."""
    for name in ("100", "101", "old/102"):
        csv(tmp_path / f"data/{name}.csv", "x,y")
        csv(tmp_path / f"data/{name}_notes.csv", "sample,type", 3)
    return tmp_path / "data"


@pytest.mark.parametrize(
    "patterns",
    [
        ["**/*.csv", "!*_notes.csv", "!old/"],
        ["!old/", "!*_notes.csv", "**/*.csv"],
        ["{subject}.csv", "!{any}_notes.csv"],
        ["!*_notes.csv", "!old/*"],
        ["*.csv", "!10?_*"],
        ["*.csv", "!100_notes.csv", "!**/101_notes.csv"],
    ],
)
def test_what_a_pattern_with_a_mark_matches_is_left_out(patterns: list[str], folder: Path) -> None:
    assert names_of(folder, *patterns) == ["100.csv", "101.csv"]


def test_files_are_left_out_of_globs_and_of_tables_of_files(folder: Path) -> None:
    assert names_of(folder / "1*.csv", "!*_notes.csv") == ["100.csv", "101.csv"]
    table = folder / "table.csv"
    table.write_text("file,subject\n101.csv,b\n100_notes.csv,c\n100.csv,a\n")
    assert names_of(table, "!*_notes.csv") == ["101.csv", "100.csv"]
    found = files_of(table, SourceOptions(files=["!*_notes.csv"]))
    assert found is not None
    assert found.columns["subject"] == ["b", "a"]


def test_a_file_that_is_left_out_is_not_part_of_the_fingerprint(folder: Path) -> None:
    options = {**FIXED, "files": ["*.csv", "!*_notes.csv"], "labels": "", "groups": "file"}

    def fingerprint() -> str:
        with opened(folder, **options) as source:
            assert source.groups == ("100.csv", "101.csv")
            return source.fingerprint()

    before = fingerprint()
    csv(folder / "100_notes.csv", "sample,type", 5)
    csv(folder / "103_notes.csv", "sample,type", 5)
    assert fingerprint() == before
    csv(folder / "100.csv", "x,y", 30)
    assert fingerprint() != before


def test_a_pattern_that_leaves_nothing_out_is_noted(folder: Path) -> None:
    table = folder / "table.csv"
    table.write_text("file\n101.csv\n100_notes.csv\n")
    for place, files in ((folder, ["1*.csv"]), (table, [])):
        options = {**FIXED, "files": [*files, "!*_notes.csv", "!*_nots.csv"], "labels": ""}
        with opened(place, **options) as source:
            noted = [str(note) for note in source.notes if note.key == "source.files"]
        assert any("!*_nots.csv" in each for each in noted)
        assert not any("!*_notes.csv" in each for each in noted)


def test_leaving_out_everything_is_refused(folder: Path) -> None:
    with refused(SourceError, "source.files", "!"):
        names_of(folder, "!*.csv")
    (folder / "more.txt").write_text("1\n")
    with refused(SourceError, "*.csv", "more.txt"):
        names_of(folder, "*.csv", "!*.csv")


def test_columns_that_are_not_read_may_be_missing(tmp_path: Path) -> None:
    for name, header in (
        ("a", "x,y,label,temp,notes"),
        ("b", "notes,y,label,x"),
        ("c", "more,x,y,label"),
    ):
        csv(tmp_path / f"{name}.csv", header)
    read = {"signals": ["x", "y"], "labels": "", "split_by_window": True, "window_samples": 8}
    with opened(tmp_path, rate_hz=10.0, **read) as source:
        assert source.spec.channels == ("x", "y")
        first = [source.read_windows(at, at + 1)[0, 0] for at in (0, 5, 10)]
        np.testing.assert_array_equal(first, [[0.0, 0.1], [0.3, 0.1], [0.1, 0.2]])
    with opened(
        tmp_path, rate_hz=10.0, **read | {"signals": None, "use_channels": ["y", "x"]}
    ) as s:
        np.testing.assert_array_equal(s.read_windows(5, 6)[0, 0], [0.1, 0.3])
    with refused(SourceError, "b.csv", "temp"):
        opened(tmp_path, rate_hz=10.0, **read | {"signals": ["x", "temp"]})
    with refused(SourceContentError, "b.csv", "temp", "source.signals"):
        opened(tmp_path, rate_hz=10.0, **read | {"signals": None})


def test_a_column_of_rates_is_the_rate_of_each_recording(tmp_path: Path) -> None:
    for name in "ab":
        csv(tmp_path / f"{name}.csv", "x,y")
    table, options = tmp_path / "table.csv", {"window_samples": 8, "labels": "", "groups": "file"}
    for column in ("fs", "rate", "Sampling_Rate", "sample rate (Hz)"):
        table.write_text(f"file,{column}\na.csv,25\nb.csv,25 Hz\n")
        with opened(table, **options) as source:
            assert source.spec.rate_hz == 25.0
    table.write_text("file,fs\na.csv,25\nb.csv,50\n")
    with refused(SourceError, "column fs", "25 in a.csv", "50 in b.csv", "source.rate_hz"):
        opened(table, **options)
    with opened(table, **options, rate_hz=25.0) as source:
        assert any("column fs" in note.text for note in source.notes)
    (tmp_path / "table.csv").unlink()
    csv(tmp_path / "a_25.csv", "x,y")
    with opened(tmp_path, files=["{subject}_{fs}.csv"], **options) as source:
        assert source.spec.rate_hz == 25.0


def test_a_column_that_is_only_called_rate_says_less_than_the_files(tmp_path: Path) -> None:
    for name in "ab":
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["signals"] = np.zeros((24, 2))
            file["signals"].attrs["sampling_rate_hz"] = 25.0
    table, options = tmp_path / "table.csv", {**FIXED, "signals": "signals", "labels": ""}
    for column in ("rate", "fs"):
        table.write_text(f"file,{column}\na.h5,100\nb.h5,100\n")
        given = {**options, "rate_hz": None}
        if column == "fs":
            with refused(SourceError, "column fs", "100", "25"):
                opened(table, **given)
        else:
            with opened(table, **given) as source:
                assert source.spec.rate_hz == 25.0


@pytest.mark.parametrize("column", ["filename", "Path", "file_path", "NAME", "File Name"])
def test_a_table_may_call_its_files_otherwise(column: str, tmp_path: Path) -> None:
    for name in "ab":
        csv(tmp_path / f"wavs/{name}.csv", "x,y")
    table, options = tmp_path / "index.csv", {**FIXED, "labels": "", "groups": "file"}
    table.write_text(f"subject,{column}\n1,wavs/b.csv\n2,wavs/a.csv\n")
    with opened(table, **options) as source:
        assert source.groups == ("wavs/a.csv", "wavs/b.csv")
        assert any(f"column {column} " in note.text for note in source.notes)
    table.write_text(f"subject,{column}\n1,wavs/b.csv\n2,wavs/c.csv\n")
    with refused(SourceError, "line 3", "wavs/c.csv"):
        opened(table, **options)


def test_two_columns_of_names_of_files_are_refused_and_names_of_people_are_none(
    tmp_path: Path,
) -> None:
    csv(tmp_path / "a.csv", "x,y")
    table = tmp_path / "index.csv"
    table.write_text("path,filename\na.csv,a.csv\n")
    with refused(SourceError, "path, filename", "file"):
        files_of(table, SourceOptions())
    table.write_text("name,x\nann,1\n")
    assert files_of(table, SourceOptions()) is None
