"""What a reader of text does beside reading rows is said: of one file, and of many in one line."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.formats.text_table import open_text_table
from headrace.stores.source.notes.note import Note
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.probe.probe import open_stranger
from headrace.stores.source.source import open_source
from tests.refusals import assert_names, refused


def rows(seed: int, count: int = 60) -> list[str]:
    drawn = np.random.default_rng(seed).normal(size=(count, 3)).round(3)
    return [f"{n / 50},{x},{y},{z},walk" for n, (x, y, z) in enumerate(drawn.tolist())]


HEADER = "time,x,y,z,label"
ROWS = {"signals": "table", "labels": "label", "window_samples": 8, "split_by_window": True}


def notes(path: Path, key: str, opener=open_source, **options) -> list[Note]:
    with opener(path, SourceOptions.model_validate(ROWS | options)) as source:
        return [note for note in source.notes if note.key == f"source.{key}"]


def test_damaged_lines_of_a_file_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    lines = rows(0)
    lines[40:40] = ["0.1,2"]
    lines[20:20] = ["# a comment", "0.1,x,y,z,walk"]
    (tmp_path / "a.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    (said,) = notes(tmp_path / "a.csv", "damaged_lines", damaged_lines="drop")
    assert_names(said.text, "2", "a.csv, line 23")
    assert not notes_of_sound(tmp_path)


def notes_of_sound(folder: Path) -> list[Note]:
    path = folder / "sound.csv"
    path.write_text("\n".join([HEADER, *rows(1)]) + "\n")
    return notes(path, "damaged_lines", damaged_lines="drop")


@pytest.mark.parametrize("opener", [open_source, open_stranger])
def test_damaged_lines_of_many_files_are_said_in_one_line(tmp_path: Path, opener) -> None:
    (tmp_path / "data").mkdir()
    for each in range(5):
        lines = rows(each)
        if each in (1, 3):
            lines[each * 10 : each * 10] = ["cut", "0.1"]
        (tmp_path / f"data/s{each}.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    many = {"damaged_lines": "drop", "files": ["{subject}.csv"], "groups": "subject"}
    (said,) = notes(tmp_path / "data", "damaged_lines", opener, split_by_window=False, **many)
    assert_names(said.text, "4", "2 files", "s1.csv, line 12")


def numeric_rows(separator: str = ",", count: int = 40) -> list[str]:
    return [separator.join(f"{n / 50 + k * 0.25}" for k in range(4)) for n in range(count)]


PREAMBLES = {
    "actigraph": (
        "------------ Data File Created By ActiGraph GT3X+ ActiLife v6.13 -----------\n"
        "Serial Number: NEO1\nStart Time 12:00:00\nStart Date 1/2/2020\n"
        "Epoch Period (hh:mm:ss) 00:00:00\nCurrent Memory Address: 0\n"
        "-----------------------------------------------------\n",
        ",",
        7,
    ),
    "title": ("My walk in the park\n", ",", 1),
    "xsens": ("// Start Time: 0\n// Sample rate: 50.0Hz\n\n// Firmware: 1.2.3\n", "\t", 3),
    "keys": ("Subject;S01\nAge;30\nSampling rate;50\n\n", ";", 3),
    "padded": ("Subject,S01,,\nAge,30,,\n", ",", 2),
    "two columns of blanks": ("Logger of arms\nversion two\n", " ", 2),
}


@pytest.mark.parametrize("kind", PREAMBLES)
@pytest.mark.parametrize("header", [True, False])
def test_lines_of_a_logger_above_a_table_are_skipped_and_said(
    tmp_path: Path, kind: str, header: bool
) -> None:
    above, separator, count = PREAMBLES[kind]
    lines = [separator.join("txyz")] * header + numeric_rows(separator)
    (tmp_path / "a.txt").write_text(above + "\n".join(lines) + "\n")
    if not header and kind in ("padded", "title"):
        return
    with closing(open_text_table(tmp_path / "a.txt")) as table:
        array = table.array("table")
        assert array is not None
        assert array.shape == (40, 4)
        assert array.read(0, 1).tolist() == [[0, 0.25, 0.5, 0.75]]
        assert table.plan.names == (tuple("txyz") if header else tuple("0123"))
        (said,) = table.remarks()
        assert_names(str(said), str(count), "a.txt", "source.skip_lines")


@pytest.mark.parametrize(
    "units", ["ms,m/s^2,m/s^2,g", "[s],[g],[g],[g]", "s,deg/s,dps,°/s", "ms,mV,uV,no_units"]
)
@pytest.mark.parametrize("above", ["", "Device,Device,Device,Device\n", "a title\n"])
def test_a_line_of_units_below_the_header_is_of_the_channels(
    tmp_path: Path, units: str, above: str
) -> None:
    text = above + "t,x,y,z\n" + units + "\n" + "\n".join(numeric_rows()) + "\n"
    (tmp_path / "a.csv").write_text(text)
    with closing(open_text_table(tmp_path / "a.csv")) as table:
        array = table.array("table")
        assert array is not None
        assert array.shape == (40, 4)
        assert array.attribute("channels").tolist() == list("txyz")
        assert array.attribute("units").tolist() == [u.strip("[]") for u in units.split(",")]
        assert [each.key for each in table.remarks()][-1] == "source.units"


@pytest.mark.parametrize(
    "lines",
    [
        ["t,x,y,z", "0.1,0.2"],
        ["t,x,y,z", "cut"],
        ["t,x,y,z", "a,b,c,d"],
        ["0.1,0.2,0.3"],
        ["0.1,0.2", "1,2,3"],
        ["1,2,3,4", "t,x,y,z"],
        ["t,x,y,z", "1,2,3,4", "t,x,y,z"],
    ],
)
def test_what_may_be_a_damaged_row_is_no_preamble(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "a.csv").write_text("\n".join([*lines, *numeric_rows()]) + "\n")
    with closing(open_text_table(tmp_path / "a.csv")) as table:
        with pytest.raises(SourceContentError) as raised:
            table.check_left_out(()) if table.plan else None
        assert "a.csv, line" in str(raised.value)


def test_lines_to_skip_may_be_named_and_a_stated_rate_is_proposed(tmp_path: Path) -> None:
    text = "sampling rate: 50 Hz\n1,2,3,4\nt,x,y,z\n" + "\n".join(numeric_rows()) + "\n"
    (tmp_path / "a.csv").write_text(text)
    options = {"signals": "table", "window_samples": 8, "split_by_window": True, "time": ""}
    with refused(SourceError, "source.rate_hz", "50"):
        open_source(tmp_path / "a.csv", SourceOptions.model_validate(options | {"skip_lines": 2}))


def test_files_with_their_own_lines_above_are_read_alike_and_said_once(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for each in range(3):
        above = f"Recorded by {each}\nnotes\n" + "more\n" * each
        rows = "\n".join(f"{20 * n},{n},{n % 7},{-n}" for n in range(60))
        text = f"{above}t,x,y,z\nms,g,g,dps\n{rows}\n"
        (tmp_path / f"data/s{each}.csv").write_text(text)
    options = {"files": ["{subject}.csv"], "groups": "subject", "window_samples": 8, "time": "t"}
    options = {"signals": ["x", "y", "z"], **options, "labels": "subject"}
    with open_stranger(tmp_path / "data", SourceOptions.model_validate(options)) as source:
        assert source.spec.rate_hz == pytest.approx(50)
        assert source.spec.units == ("g", "g", "dps")
        assert source.read_windows(0, 1)[0, :3].tolist() == [[0, 0, 0], [1, 1, -1], [2, 2, -2]]
        said = {each.key: each.text for each in source.notes}
        assert_names(said["source.skip_lines"], "9", "3 files", "s0.csv")
        assert_names(said["source.units"], "2", "s0.csv", "dps")


@pytest.mark.parametrize(
    ("more", "named"), [(0, ("2 lines", "each of 3 files")), (1, ("9 lines",))]
)
def test_lines_above_the_headers_are_told_of_each_file_where_they_are_as_many(
    more: int, named: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    for each in range(3):
        above = f"Recorded by {each}\nnotes\n" + "more\n" * each * more
        text = "\n".join([f"{above}{HEADER}", *rows(each)])
        (tmp_path / f"data/s{each}.csv").write_text(text + "\n")
    (said,) = notes(tmp_path / "data", "skip_lines", files=["*.csv"])
    assert_names(said.text, *named, "s0.csv")
