from __future__ import annotations

import csv
import gzip
import io
import os
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.arrays import check_shape, check_signal_dtype, require_array
from headrace.stores.source.formats import text_bytes
from headrace.stores.source.formats.text_table import TextTable, open_text_table
from headrace.stores.source.interface import SourceFile
from headrace.stores.source.names import NameColumn
from tests.refusals import refused

WALK = b"t,acc_x,label\n0,1.5,walk\n1,-2.25,walk\n2,,run\n"


@pytest.fixture
def tiny_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a line or a few, as a large table has of many."""
    monkeypatch.setattr(text_bytes, "PIECE_BYTES", 48)


@contextmanager
def opened(folder: Path, content: bytes, name: str = "a.csv") -> Iterator[TextTable]:
    path = folder / name
    path.write_bytes(content)
    with closing(open_text_table(path)) as table:
        yield table


def column(table: TextTable, name: str) -> Any:
    array = table.array(name)
    assert array is not None, table.contents()
    return array.whole()


def test_columns_are_called_by_the_header_and_typed_by_their_cells(tmp_path):
    with opened(tmp_path, WALK) as table:
        assert column(table, "t").tolist() == [0, 1, 2]
        assert column(table, "t").dtype == np.int64
        np.testing.assert_array_equal(column(table, "acc_x"), [1.5, -2.25, np.nan])
        assert column(table, "label").tolist() == ["walk", "walk", "run"]
        assert table.array("label").texts(1, 3).tolist() == ["walk", "run"]
        assert table.array("acc_x").where == f"{tmp_path / 'a.csv'}:acc_x"
        np.testing.assert_array_equal(column(table, "table"), [[0, 1.5], [1, -2.25], [2, np.nan]])
        assert table.array("gyr") is None
        assert table.array("acc_x").attribute("units") is None
        assert table.group("acc") is None
        for name in ("t", "acc_x", "label", "table"):
            assert name in table.contents()


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2.5\n3,4.5\n",
        b"a;b\n1;2,5\n3;4,5\n",
        b"a;b\n1;2.5\n3;4.5",
        b"a\tb\r\n1\t2.5\r\n3\t4.5\r\n",
        b"a  b\n 1   2.5\n 3\t4.5  \n",
        b"\xef\xbb\xbfa, b\n1, 2.5\n\n3 ,4.5\n\n",
        b"# made by hand\na,b\n% units: s, g\n1,2.5\n# a gap\n3,4.5\n",
        b'"a","b"\n"1","2.5"\n"3","4.5"\n',
        b"a,b,\n1,2.5,\n3,4.5,\n",
        b"a,b\n1,2.5,\n3,4.5,\n",
        b"a,b\r1,2.5\r3,4.5\r",
        b"a,b\n+1e0,+25e-1\n3.,4.5E+0\n",
    ],
)
def test_however_it_is_written_the_same_values_come(tmp_path, content):
    with opened(tmp_path, content) as table:
        np.testing.assert_array_equal(column(table, "table"), [[1, 2.5], [3, 4.5]])
        np.testing.assert_array_equal(column(table, "a"), [1, 3])
        np.testing.assert_array_equal(column(table, "b"), [2.5, 4.5])


@pytest.mark.parametrize(
    ("content", "names", "rows"),
    [
        (b"1 2 3\n4 5 6\n", ["0", "1", "2"], 2),
        (b"nan 2\n1 2\n", ["0", "1"], 2),
        (b"?,1,2\nx,1,2\n", ["0", "1", "2"], 2),
        (b"s1,0,walk\ns1,1,walk\n", ["0", "1", "2"], 2),
        (b"2020-01-01 10:00:00,walk\n2020-01-01 10:00:01,run\n", ["0", "1"], 2),
        (b"walk\nwalk\nrun\n", ["0"], 3),
        (b"label\nwalk\nrun\n", ["label"], 2),
        (b"label\n1\n", ["label"], 1),
        (b"time,0,1\n0.5,1,2\n", ["time", "0", "1"], 1),
        (b",0,1\n5,1,2\n6,1,2\n", ["unnamed 0", "0", "1"], 2),
        (b",x\n5,1\n", ["0", "x"], 1),
        (b"a,b\n", ["a", "b"], 0),
        (b"7", ["0"], 1),
        (b"a\tb\n1\t\n2\t\n", ["a", "b"], 2),
        (b"1 2\t\n3 4\t\n", ["0", "1"], 2),
    ],
)
def test_a_header_is_told_from_a_row(tmp_path, content, names, rows):
    with opened(tmp_path, content) as table:
        shapes = {name: table.array(name).shape for name in names}
        assert shapes == dict.fromkeys(names, (rows,))
        assert table.array(str(len(names))) is None


def test_units_stand_below_a_header_whose_first_column_counts_rows(tmp_path):
    rows = "".join(f"{row},{20 * row},0.{row},walk\n" for row in range(9))
    content = f",Timestamp,Accel_X,Activity\n,ms,m/(s^2),no units\n{rows}"
    with opened(tmp_path, content.encode()) as table:
        np.testing.assert_array_equal(column(table, "Timestamp"), 20 * np.arange(9))
        assert column(table, "Accel_X").dtype == np.float64
        assert table.array("Accel_X").attribute("units") == ["m/(s^2)"]


@pytest.mark.usefixtures("tiny_pieces")
@pytest.mark.parametrize("late", ["0.5", "", "walk", "nan", "2020-01-01", "true", "0x1F"])
def test_a_column_is_of_one_type_whatever_comes_first(tmp_path, late):
    cells = [str(number) for number in range(100)]
    for place in (0, 50, 99):
        written = [*cells[:place], late, *cells[place + 1 :]]
        rows = "".join(f"{cell},1\n" for cell in written)
        with opened(tmp_path, f"a,b\n{rows}".encode()) as table:
            found = column(table, "a")
            if late in ("0.5", "", "nan"):
                assert found.dtype == np.float64
                expected = [float(cell or "nan") for cell in written]
                np.testing.assert_array_equal(found, expected)
                np.testing.assert_array_equal(table.array("a").read(7, 9), expected[7:9])
            else:
                assert found.tolist() == written
                with refused(SourceContentError, f"line {place + 2}", late, "source.signals"):
                    table.check_left_out(())


@pytest.mark.usefixtures("tiny_pieces")
def test_the_decimal_mark_is_found_wherever_it_is_first_seen(tmp_path):
    rows = "1;2\n" * 50 + "1;2,5\n" + "3;4\n" * 50
    with opened(tmp_path, b"a;b\n" + rows.encode()) as table:
        assert column(table, "b").tolist() == [2] * 50 + [2.5] + [4] * 50
        assert column(table, "a").dtype == np.int64


Rows = Sequence[Sequence[str]]
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)


@st.composite
def tables(draw: Any) -> tuple[list[str], Rows]:
    """Kinds of columns, and their cells as they are written."""
    kinds = draw(
        st.lists(st.sampled_from(["whole", "number", "sparse", "text"]), min_size=1, max_size=4)
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.integers(1, 40))
    texts = draw(st.lists(TEXTS, min_size=1, max_size=6))
    cells = {
        "whole": lambda: str(rng.integers(-(2**63), 2**63 - 1) >> rng.integers(63)),
        "number": lambda: repr(float(rng.integers(2**64, dtype=np.uint64).view(np.float64))),
        "sparse": lambda: rng.choice(["", "0", "-1.25", "NaN", "7e-3"]),
        "text": lambda: rng.choice(texts),
    }
    return kinds, [[str(cells[kind]()) for _ in range(rows)] for kind in kinds]


def written(kinds: Sequence[str], cells: Rows, separator: str, end: str) -> str:
    file = io.StringIO()
    quoting = csv.QUOTE_ALL if "text" in kinds else csv.QUOTE_MINIMAL
    writer = csv.writer(file, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerow([f"c{place}_{kind}" for place, kind in enumerate(kinds)])
    writer.writerows(zip(*cells, strict=True))
    return file.getvalue()


@pytest.mark.usefixtures("tiny_pieces")
@given(tables(), st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]), st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_slices_of_rows_are_those_of_the_table(tmp_path, table, separator, end, data):
    kinds, cells = table
    rows = len(cells[0])
    if kinds == ["sparse"]:
        cells = [[cell or "0" for cell in cells[0]]]
    text = written(kinds, cells, separator, end)
    with opened(tmp_path, text.encode()) as read:
        cuts = data.draw(st.lists(st.integers(0, rows), max_size=4).map(sorted))
        spans = list(zip([0, *cuts], [*cuts, rows], strict=True))
        spans = data.draw(st.permutations(spans))
        for place, (kind, expected) in enumerate(zip(kinds, cells, strict=True)):
            array = read.array(f"c{place}_{kind}")
            assert array.shape == (rows,)
            if kind == "text" and array.dtype.hasobject:
                for start, stop in spans:
                    assert array.texts(start, stop).tolist() == expected[start:stop]
                continue
            # Texts may be numbers all.
            numbers = np.array([float(cell or "nan") for cell in expected])
            for start, stop in spans:
                found = array.read(start, stop)
                assert found.flags.writeable
                np.testing.assert_array_equal(found.astype(float), numbers[start:stop])
                out = np.empty(stop - start, array.dtype)
                array.read_into(out, start)
                np.testing.assert_array_equal(out, found)
            if kind == "whole":
                assert column(read, array.name).tolist() == [int(cell) for cell in expected]


@pytest.mark.usefixtures("tiny_pieces")
@given(st.integers(1, 6), st.integers(1, 50), st.integers(0, 2**32), st.booleans(), st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_without_a_header_are_those_that_numpy_wrote(
    tmp_path, columns, rows, seed, packed, data
):
    values = np.random.default_rng(seed).normal(0, 10, (rows, columns))
    file = io.BytesIO()
    np.savetxt(file, values, fmt="%25.17e", comments="% ", header="by NumPy")
    content = gzip.compress(file.getvalue()) if packed else file.getvalue()
    with opened(tmp_path, content, "a.txt") as table:
        array = table.array("table")
        assert array.shape == (rows, columns)
        start = data.draw(st.integers(0, rows))
        stop = data.draw(st.integers(start, rows))
        np.testing.assert_array_equal(array.read(start, stop), values[start:stop])
        np.testing.assert_array_equal(array.whole(), values)
        spans = list(array.byte_spans(start, stop))
        assert bool(spans) == (stop > start and not packed)
        if spans:
            held = b"".join(content[low:high] for low, high in spans)
            lines = file.getvalue().splitlines()[1 + start : 1 + stop]
            assert all(line in held for line in lines)


def test_a_quote_that_does_not_close_within_a_cell_changes_no_other_line(tmp_path):
    content = b'a,b\n"x, y" , 2\n5" pipe, 3\n"x, y" , 4\n'
    for again in (0, 30):
        with opened(tmp_path, content + b'"x, y" , 4\n' * again) as table:
            assert column(table, "a").tolist() == ["x, y", '5" pipe', *["x, y"] * (again + 1)]
            assert column(table, "b").tolist() == [2, 3, *[4] * (again + 1)]


@pytest.mark.usefixtures("tiny_pieces")
def test_tables_put_one_after_another_have_marks_of_utf_8_within(tmp_path):
    content = b"\xef\xbb\xbf1,2\n3,4\n" * 20
    with opened(tmp_path, content) as table:
        assert column(table, "table").tolist() == [[1, 2], [3, 4]] * 20


def test_columns_read_one_after_another_are_parsed_once(tmp_path, monkeypatch, tiny_pieces):
    from headrace.stores.source.formats import text_table

    rows = "".join(f"{row},{row}.5,{row}.25\n" for row in range(200))
    with opened(tmp_path, f"a,b,c\n{rows}".encode()) as table:
        arrays = [table.array(name).ready() for name in "abc"]
        calls = []
        monkeypatch.setattr(
            text_table,
            "parsed",
            lambda *given, real=text_table.parsed: calls.append(1) or real(*given),
        )
        for start in range(0, 200, 2):
            for array, more in zip(arrays, (0, 0.5, 0.25), strict=True):
                assert array.read(start, start + 2).tolist() == [start + more, start + 1 + more]
        assert len(calls) == len(table.plan.starts)


def test_a_table_of_one_piece_is_parsed_once_and_a_last_line_needs_no_end(tmp_path, monkeypatch):
    from headrace.stores.source.formats import text_table

    monkeypatch.setattr(text_table, "parsed", None)
    with opened(tmp_path, WALK.rstrip()) as table:
        assert table.array("t").read(0, 3).tolist() == [0, 1, 2]


def test_names_and_signals_are_taken_from_it_as_from_any_source(tmp_path):
    with opened(tmp_path, WALK) as table:
        file: SourceFile = table
        labels = NameColumn(require_array(file, "labels", "label", ()), "labels")
        assert [labels.names[code] for code in labels.read(0, 3)] == ["walk", "walk", "run"]
        data = require_array(file, "data", "table", ())
        assert check_signal_dtype(data) == np.float64
        assert check_shape(data, ("time", "channel"), "") == (3, 2)


def test_a_name_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    with opened(tmp_path, WALK) as table, refused(SourceError, "source.data", "acc_x", "label"):
        require_array(table, "data", "gyr_x", ())


@pytest.mark.usefixtures("tiny_pieces")
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (b"1\n", ["1"]),
        (b"1,2,3\n", ["3"]),
        (b'1,"2\n', []),
        (b'1,"2\n3,4"\n', []),
        (b"1,caf\xe9\n", ["xe9"]),
        (b"1,\0\n", ["NUL"]),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 30])
@pytest.mark.parametrize("after", [0, 30])
def test_a_line_that_is_wrong_is_named(tmp_path, wrong, named, before, after):
    content = b"# made by hand\r\na,b\n\n" + b"1,2\r\n" * before + wrong + b"3,4\n" * after
    if before + after == 0:
        content += b"1,2\n1,2\n"
    line = 4 + before
    with (
        opened(tmp_path, content) as table,
        refused(SourceContentError, "a.csv", f"line {line}", *named),
    ):
        table.array("a")


@pytest.mark.usefixtures("tiny_pieces")
@pytest.mark.parametrize("place", [0, 40])
def test_a_text_among_numbers_is_named_when_numbers_are_asked_for(tmp_path, place):
    rows = [b"1.5,2\n"] * 60
    rows[place] = b"error,2\n"
    with opened(tmp_path, b"acc,b\n" + b"".join(rows)) as table:
        line = f"line {place + 2}"
        with refused(SourceContentError, "a.csv", line, "error", "acc", f"row {place}"):
            table.array("acc").read(0, 1)
        assert table.array("b").read(0, 60).sum() == 120


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", []),
        (b"\n\n# nothing\n", []),
        (b"\xff\xfea\0,\0b", ["utf-16-le"]),
        (b"a,b,a\n1,2,3\n", ["a"]),
        (b"a, a \n1,2\n", ["a"]),
        (b"a\x1b[31m,b\n1,2\n", []),
        (b"a\xe9,b\n1,2\n", ["xe9"]),
        (b"," * 10**6, ["10,000"]),
        (b"1,2\n3,4,5\n", ["line 2"]),
        (b"PK\x03\x04\0\0", []),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, named):
    with opened(tmp_path, content) as table, refused(SourceContentError, "a.csv", *named):
        table.contents()


def test_texts_are_no_numbers_and_numbers_no_texts(tmp_path):
    with opened(tmp_path, WALK) as table:
        with pytest.raises(TypeError):
            table.array("acc_x").texts(0, 1)
        with refused(SourceContentError, "line 2", "walk", "label"):
            table.array("label").read(0, 1)


def test_a_text_that_would_make_every_name_as_long_is_refused(tmp_path):
    content = b"a,b\n" + b"1,x\n" * 200 + b"1," + b"y" * 10**6 + b"\n"
    with opened(tmp_path, content) as table, refused(SourceContentError, "a.csv:b", "1,000,000"):
        table.array("b").texts(0, 201)


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_without_an_end_is_refused_before_it_is_held(tmp_path, packed):
    path = tmp_path / "a.csv"
    if packed:
        path.write_bytes(gzip.compress(b"1" * (20 << 20), 1))
    else:
        with path.open("wb") as file:
            os.truncate(file.fileno(), 1 << 30)
    tracemalloc.start()
    try:
        with closing(open_text_table(path)) as table, pytest.raises(SourceError):
            table.array("0")
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_what_is_packed_by_more_than_tables_are_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"0,0\n" * 10**5))
    with closing(open_text_table(path)) as table:
        assert table.array("0").shape == (10**5,)
        assert table.array("0").cache_bytes > 4 * 10**5
    monkeypatch.setattr(text_bytes, "SMALL_UNPACKED", 1 << 16)
    monkeypatch.setattr(text_bytes, "MAX_PACKED", 100)
    with closing(open_text_table(path)) as table, refused(SourceError, "a.csv.gz", "gunzip"):
        table.array("0")


@pytest.mark.parametrize("cut", [3, 15, -3])
def test_a_packed_table_that_ends_early_is_refused(tmp_path, cut):
    content = gzip.compress(WALK)[:cut]
    with opened(tmp_path, content, "a.csv.gz") as table, refused(SourceError, "a.csv.gz"):
        table.array("t")


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_what_is_no_file_is_refused(tmp_path, name):
    with refused(SourceError, str(tmp_path / name)):
        open_text_table(tmp_path / name)


@pytest.mark.usefixtures("tiny_pieces")
def test_a_file_that_was_changed_is_refused(tmp_path):
    rows = b"1,2\n" * 100
    with opened(tmp_path, b"a,b\n" + rows) as table:
        array = table.array("a")
        (tmp_path / "a.csv").write_bytes(b"a,b\n" + b"1,x\n" * 100)
        with refused(SourceError, "a.csv"):
            table.array("b").read(0, 100)
        (tmp_path / "a.csv").write_bytes(b"a,b\n")
        with refused(SourceError, "a.csv"):
            array.read(0, 100)


def test_long_runs_of_blanks_take_no_square_of_their_time(tmp_path):
    content = b"a,b\n1," + b" " * (1 << 20) + b"2\n3" + b" " * (1 << 20) + b",4\n"
    with opened(tmp_path, content) as table:
        assert column(table, "b").tolist() == [2, 4]


def test_what_is_held_is_what_is_said(tmp_path):
    values = np.random.default_rng(0).normal(size=(60_000, 6))
    file = io.BytesIO()
    np.savetxt(file, values, fmt="%.5f", delimiter=",")
    pool = pa.system_memory_pool()
    with opened(tmp_path, file.getvalue()) as table:
        array = table.array("table")
        assert 1 << 20 < array.cache_bytes < 8 << 20
        tracemalloc.start()
        before = pool.bytes_allocated()
        try:
            for start in range(0, 60_000, 10_000):
                assert array.read(start, start + 10_000).shape == (10_000, 6)
            held = tracemalloc.get_traced_memory()[1] - 10_000 * 6 * 8
        finally:
            tracemalloc.stop()
        assert pool.bytes_allocated() - before <= array.cache_bytes
        assert held <= array.decode_bytes
