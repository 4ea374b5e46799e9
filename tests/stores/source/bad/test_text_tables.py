"""Tables of text that are wrong or hostile."""

from __future__ import annotations

import gzip
import zlib

import numpy as np
import pytest

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.formats import text_bytes
from tests.stores.source.bad.cases import assert_file_refused, read
from tests.stores.source.bad.memory import assert_bounded

H = "t,x\n"
NOT_READ: dict[str, tuple[str, tuple[str, ...]]] = {
    "thousands between quotes": (H + '0,"1,234.5"\n1,"2,345.5"\n', ("line 2", "1,234.5", "x")),
    "thousands and decimal commas": ("t;x\n0;1.234,5\n1;2.345,5\n", ("line 2", "1.234,5", "x")),
    "thousands between blanks": ("t;x\n0;1 234\n1;2 345\n", ("line 2", "1 234", "x")),
    "thousands between hard blanks": (H + "0,1\xa0234\n1,2\n", ("line 2", "x")),
    "thousands between underscores": (H + "0,1_000\n1,2\n", ("line 2", "1_000", "x")),
    "commas of thousands or decimals": (H + '0,"1,234"\n1,"2,345"\n', ("line 2", "1,234", "x")),
    "decimal commas between blanks": ("0,5 1,5\n1,5 2,5\n", ("line 1", "5 1")),
    "decimal commas and points": ("t;x;y\n0;1,5;2.5\n1;2,5;3.5\n", ("line 2", "2.5", "y")),
    "a dash": (H + "0,1\n1,-\n2,3\n", ("line 3", "row 1", "-", "x")),
    "a question mark": (H + "0,1\n1,?\n", ("line 3", "?", "x")),
    "None": (H + "0,1\n1,None\n", ("line 3", "None", "x")),
    "a word": (H + "0,1\n1,error\n2,3\n", ("line 3", "error", "x")),
    "percents": (H + "0,5%\n1,7%\n", ("line 2", "5%", "x")),
    "money": (H + "0,$5\n1,$7\n", ("line 2", "$5", "x")),
    "hexadecimal": (H + "0,0x10\n1,0x11\n", ("line 2", "0x10", "x")),
    "exponents of Fortran": (H + "0,1.5D+03\n1,2.5D+03\n", ("line 2", "1.5D+03", "x")),
    "a minus that is none": (H + "0,\u22121\n1,2\n", ("line 2", "\u22121", "x")),
    "a blank of no width": (H + "0,\u200b1\n1,2\n", ("line 2", "x")),
    "a form feed": (H + "0,1\n\f1,2\n", ("line 3", r"\x0c1", "t")),
    "a header twice": (H + "0,1\n" + H + "1,2\n", ("line 3", "t")),
    "two files, each with its header": ((H + "0,1\n") * 2, ("line 3", "t")),
    "a line of texts": (H + "first,second\n0,1\n1,2\n", ("line 2", "first", "t")),
}
"""Tables with a column of numbers of which some are not read: it would be left out."""


@pytest.mark.parametrize("name", NOT_READ)
def test_a_column_of_numbers_is_never_left_out_for_a_cell(name, tmp_path):
    content, named = NOT_READ[name]
    (tmp_path / "a.csv").write_text(content)
    assert_file_refused(tmp_path / "a.csv", "table", SourceContentError, "source.signals", *named)


AS_THEY_ARE: dict[str, tuple[bytes, dict[str, list[object]]]] = {
    "infinity and NaN": (b"x\ninf\n-Infinity\nnan\n", {"x": [np.inf, -np.inf, np.nan]}),
    "beyond float64": (b"x\n1e999\n-1e999\n" + b"1" * 400, {"x": [np.inf, -np.inf, np.inf]}),
    "nearly nothing": (b"x\n1e-999\n5e-324\n", {"x": [0.0, 5e-324]}),
    "above 2**53": (b"x\n9007199254740993\n-9007199254740993\n", {"x": [2**53 + 1, -(2**53) - 1]}),
    "the ends of int64": (
        b"x\n9223372036854775807\n-9223372036854775808\n", {"x": [2**63 - 1, -(2**63)]},
    ),
    "beyond int64": (b"x\n9223372036854775808\n1\n", {"x": [float(2**63), 1.0]}),
    "zeros in front": (b"x\n007\n010\n", {"x": [7, 10]}),
    "NA as a name": (b"x,y\nNA,1\nwalk,2\nnull,3\n", {"x": ["NA", "walk", "null"]}),
    "truth values are texts": (
        b"x,y\ntrue,1\nFALSE,2\n", {"x": ["true", "FALSE"], "table": [[1], [2]]},
    ),
    "dates are texts": (b"t,x\n2020-01-02,1\n2020-01-03,2\n", {"t": ["2020-01-02", "2020-01-03"]}),
    "dates with points": (b"t,x\n02.01.2020,1\n03.01.2020,2\n", {"table": [[1], [2]]}),
    "times are texts": (b"t,x\n10:00:01,1\n10:00:02,2\n", {"table": [[1], [2]]}),
    "decimal commas between quotes": (b't,x\n0,"1,5"\n1,"2,5"\n', {"x": [1.5, 2.5]}),
    "decimal commas between tabs": (b"t\tx\n0\t1,5\n1\t2,5\n", {"x": [1.5, 2.5]}),
    "empty cells": (b"x,y\n1,\n,2\n", {"table": [[1, np.nan], [np.nan, 2]]}),
    "empty cells between tabs": (b"1\t2\t3\n4\t\t6\n", {"table": [[1, 2, 3], [4, np.nan, 6]]}),
    "empty lines": (b"x,y\n\n1,2\n\r\n  \n3,4\n\n", {"table": [[1, 2], [3, 4]]}),
    "three ends of lines": (b"x,y\r\n1,2\r3,4\n5,6", {"table": [[1, 2], [3, 4], [5, 6]]}),
    "Excel's separator": (b"\xef\xbb\xbfsep=;\r\nx;y\r\n1;2,5\r\n", {"table": [[1, 2.5]]}),
    "named as packed, and is not": (b"x,y\n1,2\n3,4\n", {"table": [[1, 2], [3, 4]]}),
    "a column that ends all lines": (b"x,y\n1,2,\n3,4,\n", {"table": [[1, 2], [3, 4]]}),
    "quotes within quotes": (b'l,x\n"wa""lk",1\nrun,2\n', {"l": ['wa"lk', "run"]}),
    "a header alone": (b"x,y\n", {"x": [], "y": []}),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_cells_are_what_they_say(name, tmp_path):
    content, columns = AS_THEY_ARE[name]
    path = tmp_path / ("a.csv.gz" if "packed" in name else "a.csv")
    path.write_bytes(content)
    for column, expected in columns.items():
        found = read(path, column)
        if expected and not isinstance(expected[0], str):
            np.testing.assert_array_equal(found, expected)
            assert {type(cell) for cell in np.ravel(found).tolist()} <= {int, float}
        assert len(found) == len(expected)
        if column != "table" and all(cell == cell for cell in expected):
            assert list(map(repr, found)) == list(map(repr, expected))


NO_TABLE: dict[str, tuple[str, bytes, tuple[str, ...]]] = {
    "nothing": ("a.csv", b"", ()),
    "blanks": ("a.csv", b" \n\t\n\r\n", ()),
    "notes alone": ("a.csv", b"# a\n% b\n", ()),
    "half a letter of UTF-16": (
        "a.csv",
        "t,x\n0,1\n1,2".encode("utf-16")[:-1],
        ("line 3", "utf-16"),
    ),
    "half a pair of UTF-16": (
        "a.csv",
        "t,x\n0,1\n".encode("utf-16") + b"\x00\xd8,\0",
        ("line 3", "utf-16"),
    ),
    "UTF-16 that goes on in ASCII": (
        "a.csv",
        "t,x\n0,1\n".encode("utf-16") + b"1,2\n" * 20,
        ("line 3", "a.csv"),
    ),
    "Latin-1 in a name": (
        "a.csv",
        b"t,Z\xe4hler\n0,1\n",
        ('source.encoding = "cp1252"', "Z\xe4hler"),
    ),
    "Latin-1 in a cell": (
        "a.csv",
        b"t,l\n0,a\n1,caf\xe9\n",
        ("line 3", 'source.encoding = "cp1252"', "1,caf\xe9"),
    ),
    "neither of Windows": ("a.csv", b"t,l\n0,a\n1,\x81\n", ("line 3", 'source.encoding = "cp850"')),
    "two encodings": ("a.csv", "t,l\n0,\xe9\n".encode() + b"1,\xe9\n", ("line 3", "mixes")),
    "a letter cut in two": ("a.csv", "t,l\n0,\u20ac".encode()[:-1], ("line 2",)),
    "a NUL": ("a.csv", b"t,x\n0,1\n1,\x002\n", ("line 3",)),
    "a row too short": ("a.csv", b"t,x\n0,1\n1\n", ("line 3", "1", "2")),
    "a row too long": ("a.csv", b"t,x\n0,1\n1,2,3\n", ("line 3", "3", "2")),
    "a last row cut off": ("a.csv", b"t,x,y\n0,1,2\n1,2", ("line 3", "2", "3")),
    "two separators": ("a.csv", b"t,x\n0,1\n1;2\n", ("line 3",)),
    "a missing cell between blanks": ("a.dat", b"1 2 3\n4   6\n7 8 9\n", ("line 2", "2", "3")),
    "a title": ("a.csv", b"Device: X\nt,x\n0,1\n", ()),
    "a quote that never closes": ("a.csv", b't,l\n0,"a\n1,b\n2,c\n', ("line 2", "quote")),
    "a quote over two lines": ("a.csv", b't,l\n0,"a\nb"\n1,c\n', ("line 2", "quote")),
    "one mark of an old end of file": ("a.csv", b"t,x\n0,1\n\x1a", ("line 3",)),
    "a name twice": ("a.csv", b"x,x\n0,1\n", ("x",)),
    "a name that commands": ("a.csv", b"x\x1b[2J,y\n0,1\n", (r"x\x1b[2J",)),
    "a name from right to left": ("a.csv", "x\u202e,y\n0,1\n".encode(), ()),
    "10,001 columns": ("a.csv", b",".join([b"1"] * 10_001) + b"\n", ("10,001", "10,000")),
    "a million columns": ("a.csv", b"1," * 1_000_000 + b"1\n", ("1,000,001", "10,000")),
}


@pytest.mark.parametrize("name", NO_TABLE)
def test_what_is_no_table_is_refused_with_its_line(name, tmp_path):
    file, content, named = NO_TABLE[name]
    (tmp_path / file).write_bytes(content)
    column = "l" if b",l\n" in content else "table"
    assert_file_refused(tmp_path / file, column, SourceContentError, *named)


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


TABLE = b"t,x\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(500))
PACKED: dict[str, bytes] = {
    "no end": gzipped(TABLE)[:-8],
    "half": gzipped(TABLE)[: len(gzipped(TABLE)) // 2],
    "ten bytes": gzipped(TABLE)[:10],
    "another checksum": gzipped(TABLE)[:-8] + b"\0\0\0\0" + gzipped(TABLE)[-4:],
    "another length": gzipped(TABLE)[:-4] + b"\1\0\0\0",
    "rubbish behind it": gzipped(TABLE) + b"rubbish",
    "another way to pack": b"\x1f\x8b\x07" + gzipped(TABLE)[3:],
    "damage": gzipped(TABLE)[:60] + b"\xff" * 9 + gzipped(TABLE)[69:],
}


@pytest.mark.parametrize("name", PACKED)
def test_a_packed_table_that_is_damaged_is_refused(name, tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(PACKED[name])
    assert_file_refused(tmp_path / "a.csv.gz", "table", SourceError)


def test_parts_packed_one_after_another_are_one_table(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzipped(TABLE[:1000]) + gzipped(TABLE[1000:]) + b"\0" * 9)
    assert len(read(tmp_path / "a.csv.gz", "x")) == 500


@pytest.mark.parametrize("packed", [True, False])
def test_a_line_of_100_mb_is_refused_before_it_is_held(packed, tmp_path, monkeypatch):
    path, size = tmp_path / "a.csv", 100 << 20
    if packed:
        pack = zlib.compressobj(1, wbits=31)
        content = b"".join(pack.compress(b"1" * (1 << 20)) for _ in range(64)) + pack.flush()
        path.write_bytes(content)
    else:
        with open(path, "wb") as file:
            file.truncate(size)  # NULs, which take no room.
    monkeypatch.setattr(text_bytes, "MAX_LINE", 2 << 20)
    with assert_bounded(16 << 20):
        assert_file_refused(path, "table", SourceContentError)


def test_what_unpacks_to_a_thousand_times_its_bytes_is_refused_before_it_is_held(
    tmp_path, monkeypatch
):
    row = b"1,2,3,4,5\n" * 100_000
    pack = zlib.compressobj(9, wbits=31)
    (tmp_path / "a.csv.gz").write_bytes(
        b"".join(pack.compress(row) for _ in range(20)) + pack.flush()
    )
    monkeypatch.setattr(text_bytes, "SMALL_UNPACKED", 1 << 20)
    monkeypatch.setattr(text_bytes, "MAX_PACKED", 100)
    with assert_bounded(96 << 20):
        assert_file_refused(tmp_path / "a.csv.gz", "table", SourceError, "gunzip")


STANDS_IN = {
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12345\n",
    "a page": b"\n<!DOCTYPE html>\n<html><body>Please log in</body></html>\n",
}


@pytest.mark.parametrize("name", STANDS_IN)
@pytest.mark.parametrize("file", ["a.csv", "a.h5", "a.mat", "a.npz", "a.parquet"])
def test_what_stands_in_for_data_is_said_to_be(name, file, tmp_path):
    (tmp_path / file).write_bytes(STANDS_IN[name])
    advice = "git lfs pull" if name == "a pointer" else "HTML"
    assert_file_refused(tmp_path / file, "table", SourceError, advice)
