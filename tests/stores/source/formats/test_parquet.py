from __future__ import annotations

import datetime
import decimal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.arrays import check_signal_dtype, require_array
from headrace.stores.source.formats import parquet as reader
from headrace.stores.source.formats.parquet import ParquetTable, open_parquet
from headrace.stores.source.interface import SourceFile
from headrace.stores.source.names import NameColumn
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import refused


@contextmanager
def opened(folder: Path, columns: dict[str, Any] | pa.Table, **options: Any) -> Iterator[Any]:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    parquet.write_table(table, folder / "a.parquet", **options)
    with closing(open_parquet(folder / "a.parquet")) as file:
        yield file


def column(file: ParquetTable, name: str) -> Any:
    array = file.array(name)
    assert array is not None, file.contents()
    return array.whole()


def test_large_row_groups_are_named_with_a_way_out_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "LARGE_GROUP_BYTES", 2 << 20)
    monkeypatch.chdir(tmp_path)
    rows = np.arange(200_000.0)
    parquet.write_table(pa.table({"x": rows, "y": rows}), "old.parquet")
    options = SourceOptions(rate_hz=50.0, labels="", split_by_window=True)
    with open_source(tmp_path / "old.parquet", options) as source:
        (said,) = [each.text for each in source.notes if "row groups" in each.text]
        expected = source.read_windows(0, 9)
    assert "old.parquet" in said
    command = said[said.index("python -c ") :].replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, check=True)
    with open_source(tmp_path / "new.parquet", options) as source:
        assert not [each for each in source.notes if "row groups" in each.text]
        np.testing.assert_array_equal(source.read_windows(0, 9), expected)


TYPES = ["float16", "float32", "float64", "int8", "uint16", "int64", "uint64", "bool"]


@given(
    st.lists(st.sampled_from(TYPES), min_size=1, max_size=4),
    st.integers(1, 60),
    st.integers(1, 30),
    st.integers(0, 2**32),
    st.data(),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_slices_of_rows_are_those_of_the_table(tmp_path, types, rows, group, seed, data):
    rng = np.random.default_rng(seed)
    values = {
        f"c{place}": (rng.normal(0, 50, rows) if kind[0] == "f" else rng.integers(0, 2, rows))
        .astype(kind) for place, kind in enumerate(types)
    }  # fmt: skip
    names = rng.choice(["walk", "run", "größer", ""], rows)
    with opened(tmp_path, values | {"label": names}, row_group_size=group) as file:
        cuts = data.draw(st.lists(st.integers(0, rows), max_size=4).map(sorted))
        spans = data.draw(st.permutations(list(zip([0, *cuts], [*cuts, rows], strict=True))))
        numbers = [column for column in values.values() if column.dtype != bool]
        if numbers:
            values["table"] = np.stack(
                [column.astype(np.result_type(*numbers)) for column in numbers], axis=1
            )
        for name, expected in values.items():
            array = file.array(name).ready()
            assert array.dtype == expected.dtype
            assert array.shape == expected.shape
            assert array.piece_rows == min(rows, group)
            for start, stop in spans:
                found = array.read(start, stop)
                np.testing.assert_array_equal(found, expected[start:stop])
                out = np.empty_like(found)
                array.read_into(out, start)
                np.testing.assert_array_equal(out, found)
        for start, stop in spans:
            assert file.array("label").texts(start, stop).tolist() == names[start:stop].tolist()
        assert list(array.byte_spans(0, rows)) == []


def test_empty_cells_are_nan_and_whole_numbers_become_float64(tmp_path):
    columns = {
        "i": pa.array([1, 2, None], pa.int16()),
        "f": pa.array([None, 1.5, 2], pa.float32()),
        "h": pa.array([None, 1.5, 2], pa.float16()),
        "b": pa.array([True, None, False]),
        "none": pa.nulls(3),
        "s": ["a", None, "b"],
        "whole": pa.array([1, 2, 3], pa.int16()),
    }
    for options in ({}, {"write_statistics": False}):
        with opened(tmp_path, columns, row_group_size=2, **options) as file:
            np.testing.assert_array_equal(column(file, "i"), [1, 2, np.nan])
            np.testing.assert_array_equal(column(file, "b"), [1, np.nan, 0])
            np.testing.assert_array_equal(column(file, "none"), [np.nan] * 3)
            assert column(file, "s").tolist() == ["a", "", "b"]
            for name, dtype in {"f": np.float32, "h": np.float16, "whole": np.int16}.items():
                assert column(file, name).dtype == dtype
            for name in "fh":
                np.testing.assert_array_equal(column(file, name), [np.nan, 1.5, 2])
            assert column(file, "table").shape == (3, 5)


def test_times_are_nanoseconds_and_decimals_float64(tmp_path):
    moment = datetime.datetime(2020, 1, 1, 12)
    since = 1_577_880_000 * 10**9
    day = 43_200 * 10**9
    columns = {
        "ms": pa.array([moment], pa.timestamp("ms")),
        "us": pa.array([moment], pa.timestamp("us", "Europe/Berlin")),
        "ns": pa.array([since + 1], pa.timestamp("ns")),
        "day": [moment.date()],
        "time": [moment.time()],
        "lasts": [datetime.timedelta(hours=12)],
        "price": [decimal.Decimal("1.25")],
    }
    with opened(tmp_path, columns) as file:
        expected = dict(
            zip(columns, [since, since, since + 1, since - day, day, day], strict=False)
        )
        for name, value in expected.items():
            array = file.array(name)
            assert array.dtype == np.int64
            assert array.attribute("unit") == "ns"
            assert array.read(0, 1).tolist() == [value]
        assert file.array("price").attribute("unit") is None
        assert column(file, "table").tolist() == [[1.25]]


def test_a_time_that_is_missing_or_out_of_range_is_refused_with_its_place(tmp_path):
    columns = {
        "gap": pa.array([1, 2, 3, None, 5], pa.timestamp("us")),
        "far": pa.array([2**62] * 5, pa.timestamp("us")),
    }
    with opened(tmp_path, columns, row_group_size=2) as file:
        assert file.array("gap").read(0, 2).tolist() == [1000, 2000]
        with refused(SourceContentError, "a.parquet:gap", "row 3"):
            file.array("gap").read(2, 3)
        with refused(SourceError, "a.parquet:far"):
            file.array("far").read(0, 1)


def test_nested_columns_are_named_and_never_left_out_without_a_word(tmp_path):
    columns = {
        "window": [[1.0, 2.0], [3.0]],
        "at": [{"x": 1, "y": 2}] * 2,
        "pairs": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
        "at.x": [7, 8],
        "acc": [1.5, 2.5],
    }
    with opened(tmp_path, columns) as file:
        with refused(SourceError, f"{tmp_path}/a.parquet:window", "source.signals"):
            file.check_left_out(())
        file.check_left_out({"window", "at", "pairs"})
        assert column(file, "at.x").tolist() == [7, 8]
        for name in ("window", "at", "pairs"):
            assert name in file.contents()
            with refused(SourceError, f"a.parquet:{name}"):
                file.array(name)
        assert file.array("gyr") is None
        with refused(SourceError, "source.data", "acc", "pairs"):
            require_array(file, "data", "gyr", ())


def test_what_pandas_writes_is_read_without_its_index(tmp_path):
    import pandas as pd

    frame = pd.DataFrame(
        {"acc": [1.5, 2.5], "label": pd.Categorical(["run", "walk"])}, index=[7, 3]
    )
    frame.to_parquet(tmp_path / "a.parquet")
    with closing(open_parquet(tmp_path / "a.parquet")) as file:
        protocol: SourceFile = file
        data = require_array(protocol, "data", "table", ())
        assert data.read(0, 2).tolist() == [[1.5], [2.5]]
        assert check_signal_dtype(data) == np.float64
        labels = NameColumn(require_array(protocol, "labels", "label", ()), "labels")
        assert [labels.names[code] for code in labels.read(0, 2)] == ["run", "walk"]


def test_metadata_of_the_column_comes_before_that_of_the_file(tmp_path):
    field = pa.field("acc", pa.float64(), metadata={"units": "g"})
    schema = pa.schema(
        [field, ("b", pa.float64())], metadata={"units": "m", "sampling_rate_hz": "50"}
    )
    with opened(tmp_path, pa.table([[1.0], [2.0]], schema)) as file:
        assert file.array("acc").attribute("units") == "g"
        assert file.array("b").attribute("units") == "m"
        assert file.array("table").attribute("sampling_rate_hz") == "50"
        assert file.array("acc").attribute("scale") is None


def test_reading_on_decodes_each_row_group_once(tmp_path, monkeypatch):
    with opened(tmp_path, {"a": np.arange(60)}, row_group_size=20) as file:
        array = file.array("a")
        calls: list[int] = []
        decoded = file.decoded
        monkeypatch.setattr(
            file, "decoded", lambda *given: calls.append(given[0]) or decoded(*given)
        )
        for start in range(55):
            assert array.read(start, start + 5).tolist() == list(range(start, start + 5))
        assert calls == [0, 1, 2]


def test_a_row_group_that_is_too_large_to_decode_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MOST_GROUP_BYTES", 8 * 100)
    with opened(tmp_path, {"a": np.arange(101), "b": np.arange(101)}, row_group_size=100) as file:
        assert file.array("a").read(100, 101).tolist() == [100]
        with refused(SourceError, "a.parquet:table", "1,600"):
            file.array("table")


def test_few_bytes_that_stand_for_long_texts_are_refused_before_they_are_held(tmp_path):
    texts = pa.DictionaryArray.from_arrays(np.zeros(10**6, np.int32), ["x" * 10**6])
    with opened(tmp_path, {"a": texts}) as file:
        assert (tmp_path / "a.parquet").stat().st_size < 1 << 20
        with refused(SourceContentError, "a.parquet:a", "1,000,000"):
            file.array("a").texts(0, 65_536)


def test_texts_are_no_numbers_and_numbers_no_texts(tmp_path):
    with opened(tmp_path, {"s": ["walk"], "n": [1], "wrong": [b"\xff"]}) as file:
        with refused(SourceContentError, "a.parquet:s"):
            file.array("s").read(0, 1)
        with pytest.raises(TypeError):
            file.array("n").texts(0, 1)
        with pytest.raises(UnicodeDecodeError):
            file.array("wrong").texts(0, 1)


def test_names_that_are_equal_or_command_a_terminal_are_refused(tmp_path):
    for names in (["a", "b", "a"], ["a", "b", "c\x1b[31m"]):
        table = pa.Table.from_arrays([pa.array([1])] * 3, names)
        with refused(SourceContentError, "a.parquet"), opened(tmp_path, table):
            pass


def test_an_empty_table_has_columns_without_rows(tmp_path):
    with opened(tmp_path, {"a": np.zeros(0), "s": pa.array([], pa.string())}) as file:
        assert column(file, "table").shape == (0, 1)
        assert column(file, "s").tolist() == []


def test_more_columns_than_a_table_has_are_refused(tmp_path):
    table = pa.table({str(place): [0.5] for place in range(10_001)})
    with refused(SourceContentError, "10,001", "10,000"), opened(tmp_path, table):
        pass


def test_a_file_that_ends_early_or_is_something_else_is_refused(tmp_path):
    parquet.write_table(pa.table({"a": np.arange(1000)}), tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    path = tmp_path / "a.parquet"
    for wrong in (b"", b"PAR1", b"a,b\n1,2\n", content[:-1], content[: len(content) // 2]):
        path.write_bytes(wrong)
        with refused(SourceError, "a.parquet"):
            open_parquet(path)
    # Its footer is there, and its rows are not.
    path.write_bytes(content[:4] + bytes(len(content) // 2) + content[4 + len(content) // 2 :])
    with closing(open_parquet(path)) as file, refused(SourceError, "a.parquet"):
        file.array("a").read(0, 1000)


def test_row_groups_that_are_not_as_the_file_says_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"a": np.arange(600)}), path)
    content = path.read_bytes()
    # 600 in the footer: rows of the file, values of the column, rows of the group.
    written, said = b"\xb0\x09", b"\xb2\x09"
    file = content.index(written, content.index(b"schema"))
    group = content.rindex(written, 0, content.rindex(b"ARROW:schema"))
    assert file < group
    lying = content[:group] + said + content[group + 2 :]
    path.write_bytes(lying)
    with refused(SourceContentError, "a.parquet", "600", "601"):
        open_parquet(path)
    path.write_bytes(lying[:file] + said + lying[file + 2 :])
    with closing(open_parquet(path)) as table:
        assert table.array("a").shape == (601,)
        with pytest.raises(SourceError):
            table.array("a").read(0, 601)


@pytest.mark.parametrize("name", ["missing.parquet", "."])
def test_what_is_no_file_is_refused(tmp_path, name):
    with refused(SourceError, str(tmp_path / name)):
        open_parquet(tmp_path / name)


def test_reading_imports_no_pandas(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"t,acc_x,label\n0,,walk\n1,2.5,run\n")
    parquet.write_table(
        pa.table({"a": [1, None], "s": ["x", None], "b": [True, None]}), tmp_path / "a.parquet"
    )
    program = """
import sys
from pathlib import Path
from headrace.stores.source.formats.parquet import open_parquet
from headrace.stores.source.formats.text_table import open_text_table
for table in open_text_table(Path("a.csv")), open_parquet(Path("a.parquet")):
    for name in ("t", "acc_x", "label", "table", "a", "s", "b"):
        array = table.array(name)
        if array is not None:
            array.whole()
assert "pyarrow" in sys.modules and "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
