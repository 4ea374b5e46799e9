"""Lines that begin with # or %: comments that are counted, rows, or the names of columns."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from headrace.stores.errors import SourceContentError
from headrace.stores.source.formats.text_rules import TextRules
from headrace.stores.source.formats.text_table import open_text_table
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import assert_names, refused


def held(path: Path, comments: str | None = None) -> tuple[list, list, list[str]]:
    with closing(open_text_table(path, TextRules(comments=comments))) as table:
        numbers = table.array("table")
        assert numbers is not None
        return (
            numbers.whole().tolist(),
            list(table.names()),
            [str(each) for each in table.remarks()],
        )


@pytest.mark.parametrize("separator", [" ", ",", ";", "\t"])
def test_a_header_of_savetxt_names_the_columns(separator, tmp_path):
    values = np.arange(30.0).reshape(10, 3)
    header = separator.join(["t", "acc x" if separator != " " else "acc_x", "y"])
    np.savetxt(tmp_path / "a.txt", values, "%.2f", separator, header=f"made by hand\n{header}")
    cells, names, _ = held(tmp_path / "a.txt")
    assert cells == values.tolist()
    assert names == ["table", *header.split(separator)]


@pytest.mark.parametrize(
    "above", ["# t x", "# a b a", "# 1 2 3", "# 2024-05-06 a b", "# a b c\n\n"]
)
def test_other_comments_above_the_rows_name_nothing(above, tmp_path):
    (tmp_path / "a.txt").write_text(f"{above}\n1.5 2 3\n4 5 6\n")
    with closing(open_text_table(tmp_path / "a.txt", TextRules(comments="drop"))) as table:
        assert list(table.names()) == ["table", "0", "1", "2"]


ROWS = "l,x,y\n#walk,1,2\nsit,3,4\n#walk,5,6\n"


def test_rows_that_begin_as_comments_do_are_refused_until_it_is_said_what_they_are(tmp_path):
    (tmp_path / "a.csv").write_text(ROWS)
    with refused(SourceContentError, "a.csv", "line 2", "source.comments"):
        held(tmp_path / "a.csv")
    assert held(tmp_path / "a.csv", "rows")[0] == [[1, 2], [3, 4], [5, 6]]
    cells, _, (said,) = held(tmp_path / "a.csv", "drop")
    assert cells == [[3, 4]]
    assert_names(said, "2 lines", "a.csv, line 2", "source.comments")


def test_rows_that_all_begin_so_are_refused_with_the_way_out(tmp_path):
    (tmp_path / "a.csv").write_text("#walk,1,2\n#sit,3,4\n")
    with refused(SourceContentError, "a.csv", "source.comments"):
        held(tmp_path / "a.csv")
    assert held(tmp_path / "a.csv", "rows")[0] == [[1, 2], [3, 4]]


def test_comments_are_counted_and_wrong_lines_are_named_behind_them(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n# a gap, here\n3,4\n% the end\n")
    cells, _, (said,) = held(tmp_path / "a.csv")
    assert cells == [[1, 2], [3, 4]]
    assert_names(said, "2 lines", "a.csv, line 3")
    (tmp_path / "a.csv").write_text("x,y\n#a,2\n#b\n3,4\n")
    with refused(SourceContentError, "a.csv", "line 3"):
        held(tmp_path / "a.csv", "rows")


def test_rows_that_begin_so_are_refused_in_later_files_too(tmp_path):
    rows = [f"{n / 50},{n % 7}" for n in range(300)]
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("\n".join(["t,x", *rows]) + "\n")
    options = {"signals": ["x"], "labels": "", "groups": "name", "files": ["{name}.csv"]}
    with open_source(tmp_path, SourceOptions.model_validate(options)) as source:
        before = source.windows
    rows[100:100] = ["#0.5,1"]
    (tmp_path / "b.csv").write_text("\n".join(["t,x", *rows]) + "\n")
    with refused(SourceContentError, "b.csv, line 102", "source.comments"):
        open_source(tmp_path, SourceOptions.model_validate(options))
    with open_source(
        tmp_path, SourceOptions.model_validate(options | {"comments": "drop"})
    ) as source:
        assert source.windows == before
