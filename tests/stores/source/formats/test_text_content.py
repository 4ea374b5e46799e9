"""Tables of text are known by what they hold, whatever they are called."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from headrace.stores.errors import SourceError
from headrace.stores.source.formats.opening import format_of, open_file
from tests.refusals import refused

ROWS = b"0.1\t2\t-3e-2\n1\t2\t3\n1\t2\t3\n4\t5\t6\n" * 2


@pytest.mark.parametrize("name", ["subject1.log", "2004.02.12.10.32.39", "ecg", "rec.asc"])
@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        ROWS.replace(b"\t", b"  "),
        ROWS.replace(b"\t", b";").replace(b".", b","),
        b"x,y,z\n" + ROWS.replace(b"\t", b","),
    ],
)
def test_rows_of_numbers_are_a_table_whatever_the_file_is_called(
    name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with closing(open_file(tmp_path / name)) as file:
        table = file.array("table")
        assert table is not None
        assert table.shape == (8, 3)
        assert table.read(0, 1).tolist() == [[0.1, 2, -0.03]]


@pytest.mark.parametrize(
    "content",
    [
        b"Sensors, of people.\nIt has 3 columns, of numbers.\nSee 1.\nSee 2.\n",
        b"1\n2\n3\n4\n5\n6\n",
        b"1 2\n",
        b"\x00\x01" + ROWS,
        b"a/1.csv,b/1.csv\n" * 6,
    ],
)
def test_other_texts_are_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(content)
    assert format_of(tmp_path / "notes") != "text"
    with refused(SourceError, "notes"):
        open_file(tmp_path / "notes")
