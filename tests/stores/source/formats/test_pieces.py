"""Decoded pieces are kept within a limit, over files that are opened again, and never stale."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from headrace.stores.source.formats.parquet import ParquetTable, open_parquet
from headrace.stores.source.formats.pieces import PIECES, Pieces

ROWS = 1000


@pytest.fixture
def kept() -> Iterator[None]:
    PIECES.keep(3 * ROWS * 16)
    yield
    PIECES.keep(0)


def write(path: Path, first: float) -> None:
    values = first + np.arange(ROWS, dtype=np.float64)
    parquet.write_table(pa.table({"x": values, "y": -values}), path)


def read(path: Path) -> float:
    with closing(open_parquet(path)) as file:
        array = file.array("table")
        assert array is not None
        return float(array.read(3, 4)[0, 0])


def count_decodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    decoded, decode = [], ParquetTable.decoded

    def counted(self: ParquetTable, group: int, columns: list[object]) -> object:
        decoded.append(group)
        return decode(self, group, columns)  # type: ignore[arg-type]

    monkeypatch.setattr(ParquetTable, "decoded", counted)
    return decoded


@pytest.mark.usefixtures("kept")
def test_a_row_group_is_decoded_once_however_often_its_file_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = count_decodes(monkeypatch)
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for number, path in enumerate(paths):
        write(path, 10.0 * number)
    assert [[read(path) for path in paths] for _ in range(2)] == [[3.0, 13.0, 23.0]] * 2
    assert len(decoded) == 3


def test_nothing_is_kept_unless_a_limit_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = count_decodes(monkeypatch)
    write(tmp_path / "one.parquet", 0.0)
    assert [read(tmp_path / "one.parquet") for _ in range(2)] == [3.0, 3.0]
    assert len(decoded) == 2


@pytest.mark.usefixtures("kept")
def test_a_file_that_was_written_again_is_decoded_again(tmp_path: Path) -> None:
    path = tmp_path / "one.parquet"
    write(path, 0.0)
    assert read(path) == 3.0
    write(tmp_path / "other.parquet", 100.0)
    (tmp_path / "other.parquet").replace(path)
    assert read(path) == 103.0


@pytest.mark.usefixtures("kept")
def test_a_column_alone_is_not_taken_for_a_table_of_one(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"x": np.arange(4.0)}), tmp_path / "one.parquet")
    with closing(open_parquet(tmp_path / "one.parquet")) as file:
        shapes = [found.read(0, 4).shape for name in ("x", "table") if (found := file.array(name))]
    assert shapes == [(4,), (4, 1)]


def test_no_more_is_kept_than_the_limit() -> None:
    pieces, made = Pieces(), []

    def piece(number: int) -> np.ndarray:
        def decode() -> np.ndarray:
            made.append(number)
            return np.full(100, number, np.uint8)

        return pieces.get(number, decode)

    pieces.keep(250)
    for number in (1, 2, 1, 3, 1, 2):
        assert piece(number)[0] == number
    assert made == [1, 2, 3, 2], "the one asked for least went first"
    assert pieces.get("large", lambda: np.zeros(251, np.uint8)).nbytes == 251
    assert piece(2)[0] == 2
    assert made == [1, 2, 3, 2], "what is larger than the limit pushes nothing out"
    pieces.keep(150)
    piece(1)
    assert made == [1, 2, 3, 2, 1], "a lower limit leaves room for one, and 2 was asked for last"
    pieces.keep(0)
    piece(1)
    assert len(made) == 6
