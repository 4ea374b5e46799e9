"""What a reader of text does beside reading rows is said: of one file, and of many in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headrace.stores.source.notes.note import Note
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.probe.probe import open_stranger
from headrace.stores.source.source import open_source
from tests.refusals import assert_names


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
