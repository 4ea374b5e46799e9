"""Tables of text whose rows end in semicolons, and damaged lines in them."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from headrace.stores.errors import SourceContentError
from headrace.stores.source.formats.text_rules import TextRules
from headrace.stores.source.formats.text_table import TextTable, open_text_table
from tests.refusals import refused

ROWS = [f"{n % 3},walk,{10 * n},{n / 8},{-n / 4},{n}" for n in range(60)]


def table_of(path: Path, text: str, drop: bool = False) -> TextTable:
    path.write_text(text)
    return open_text_table(path, TextRules(drop))


def numbers(table: TextTable) -> list[list[float]]:
    array = table.array("table")
    assert array is not None
    values: list[list[float]] = array.whole().tolist()
    return values


def expected(rows: list[str]) -> list[list[float]]:
    cells = [row.split(",") for row in rows]
    return [[float(cell) for n, cell in enumerate(row) if n != 1] for row in cells]


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"{row};\n" for row in ROWS),
        "".join(f"{row};\n\n" for row in ROWS),
        "".join(f"{row} ;\r\n" for row in ROWS),
        "".join(f"{row};" + "\n" * (n != 20) for n, row in enumerate(ROWS)),
        "user,activity,time,x,y,z;\n" + "".join(f"{row};\n" for row in ROWS),
    ],
)
def test_a_semicolon_may_end_rows(tmp_path: Path, text: str) -> None:
    with closing(table_of(tmp_path / "a.txt", text)) as table:
        assert numbers(table) == expected(ROWS)


@pytest.mark.parametrize(
    ("text", "columns"),
    [("1,5;2,5;\n3,5;4,5;\n", [[1.5, 2.5], [3.5, 4.5]]), ("1;2;\n3;4;\n", [[1, 2], [3, 4]])],
)
def test_semicolons_between_cells_separate_as_before(
    tmp_path: Path, text: str, columns: list[list[float]]
) -> None:
    with closing(table_of(tmp_path / "a.csv", text)) as table:
        assert numbers(table) == columns


DAMAGE = {
    "short": "1,walk,900,0.5;",
    "long": "1,walk,900,0.5,0.25,7,7;",
    "comma": "1,walk,900,0.5,0.25,7,;",
    "text": "1,walk,900,x,0.25,7;",
    "header": "user,activity,time,x,y,z;",
    "cut": "1,wa",
}


@pytest.mark.parametrize("place", [0, 3, 40])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_lines_are_named_or_left_out(tmp_path: Path, damage: str, place: int) -> None:
    lines = [f"{row};\n" for row in ROWS]
    lines.insert(place, damage + "\n")
    text = "".join(lines)
    with closing(table_of(tmp_path / "a.txt", text, drop=True)) as table:
        assert numbers(table) == expected(ROWS)
        header = damage.startswith("user") and place == 0
        assert table.plan.damaged == 1 - header
    if place == 40 and damage.count(",") != 5:
        with (
            closing(table_of(tmp_path / "b.txt", text)) as table,
            refused(SourceContentError, "line 41"),
        ):
            numbers(table)


def test_what_is_left_out_is_left_out_of_later_pieces_too(tmp_path: Path) -> None:
    rows = [f"{n},{n / 2}" for n in range(60_000)]
    lines = [row + ("\n" if n % 1000 else "\nbroken\n") for n, row in enumerate(rows)]
    with closing(table_of(tmp_path / "a.csv", "".join(lines), drop=True)) as table:
        assert table.plan.damaged == 60
        array = table.array("table")
        assert array is not None
        for start in (0, 30_000, 59_000):
            found = array.read(start, start + 1000)
            np.testing.assert_array_equal(found[:, 0], np.arange(start, start + 1000))


def test_a_table_of_damage_is_refused(tmp_path: Path) -> None:
    text = "".join("1,2,3\n" for _ in range(10)) + "".join("1,2\n" for _ in range(11))
    with (
        closing(table_of(tmp_path / "a.csv", text, drop=True)) as table,
        refused(SourceContentError, "damaged_lines", "11"),
    ):
        numbers(table)
