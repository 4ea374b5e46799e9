from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from headrace.stores.io.object_options import ObjectOptions
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.source.formats.parquet import open_parquet
from headrace.stores.source.formats.text_table import open_text_table
from tests.pipeline.object_server import BUCKET, KEY, SECRET, S3Server, Wire


@pytest.fixture
def wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    server = S3Server(tmp_path)
    wire = Wire(server)
    yield wire
    wire.stop()
    server.stop()


def test_objects_are_read_as_files_are(wire):
    values = np.random.default_rng(0).normal(size=(50_000, 3))
    text = io.BytesIO()
    np.savetxt(text, values, fmt="%.17e", header="x,y,z", comments="", delimiter=",")
    (wire.server.bucket / "a.csv").write_bytes(text.getvalue())
    columns = {name: values[:, place] for place, name in enumerate("xyz")}
    parquet.write_table(pa.table(columns), wire.server.bucket / "a.parquet", row_group_size=20_000)
    options = ObjectOptions(endpoint=wire.endpoint)
    place = ObjectPath("s3", BUCKET, "a.csv", options)
    parts = (open_text_table(place), open_parquet(ObjectPath("s3", BUCKET, "a.parquet", options)))
    for opened in parts:
        with closing(opened) as table:
            assert table.fetched_bytes > 0
            array = table.array("table")
            assert table.fetch(set(array.byte_spans(30_000, 45_000)))
            np.testing.assert_array_equal(array.read(30_000, 45_000), values[30_000:45_000])
            np.testing.assert_array_equal(table.array("y").whole(), values[:, 1])
