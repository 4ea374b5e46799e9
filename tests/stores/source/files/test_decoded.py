"""What is decoded of many files of one row group each, as pandas writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from headrace.stores.source.formats.parquet import ParquetTable
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source

FILES, ROWS = 12, 400


def test_files_are_decoded_as_often_as_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    for number in range(FILES):
        columns = {name: generator.normal(size=ROWS) for name in "ab"}
        parquet.write_table(pa.table(columns), tmp_path / f"{number % 2}_{number:02}.parquet")
    decoded: list[str] = []
    real = ParquetTable.decoded

    def counted(table: ParquetTable, *given: Any) -> Any:
        decoded.append(table.where)
        return real(table, *given)

    options = SourceOptions(
        rate_hz=50.0, window_samples=20, files=["{label}_{subject}.parquet"], step_samples=20
    )
    with open_source(tmp_path, options) as source:
        blocks = [(start, start + 5) for start in range(0, source.windows, 5)]
        ranges = [blocks[at] for at in generator.permutation(len(blocks))]
        planned = source.bytes_read(ranges)
        monkeypatch.setattr(ParquetTable, "decoded", counted)
        for start, stop in ranges:
            source.read_windows(start, stop)
        # What the notes and the plan looked at may still be held.
        assert abs(planned - len(decoded) * ROWS * 16) <= 8 * ROWS * 16
        assert FILES < len(decoded) < len(ranges)
        decoded.clear()
        for start, stop in sorted(ranges):
            source.read_windows(start, stop)
        assert len(decoded) <= FILES, "in the source's order each is decoded once"
