"""Parquet files that are wrong or hostile; damaged bytes are left to `test_damage`."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from pyarrow.parquet import encryption

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.formats.parquet import ParquetArray
from tests.stores.source.bad.cases import assert_file_refused, read
from tests.stores.source.bad.memory import assert_bounded

XY = {"x": [1.0, 2.0, 3.0], "y": [4, 5, 6]}


def written(path, columns, **how):
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    parquet.write_table(table, path, **how)


LEFT_OUT: dict[str, tuple[pa.Array, tuple[str, ...]]] = {
    "numbers as texts": (pa.array(["1.5", "2.5", "-"]), ("s", "1.5")),
    "numbers as bytes": (pa.array([b"1.5", b"2.5", b"3"]), ("s", "1.5")),
    "numbers as categories": (pa.array(["1.5", "-2", "1.5"]).dictionary_encode(), ("s",)),
    "decimal commas": (pa.array(["1,5", "2,5", None]), ("s", "1,5")),
    "lists": (pa.array([[1.0, 2.0], [], None]), ("list",)),
    "lists of one length": (pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float32(), 2)), ("s",)),
    "lists of lists": (pa.array([[[1]], [[2]], []]), ("s",)),
    "structs": (pa.array([{"a": 1, "b": "c"}] * 3), ("struct",)),
    "maps": (pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int64())), ("map",)),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_column_that_holds_numbers_is_never_left_out_of_the_channels(name, tmp_path):
    values, named = LEFT_OUT[name]
    written(tmp_path / "a.parquet", XY | {"s": values})
    path = tmp_path / "a.parquet"
    kind = SourceContentError if values.type in (pa.string(), pa.binary()) else SourceError
    kind = SourceContentError if name == "numbers as categories" else kind
    assert_file_refused(path, "table", kind, "source.signals", *named)
    assert read(path, "x") == XY["x"]


AS_THEY_ARE: dict[str, tuple[pa.Array, list[object]]] = {
    "int64 above 2**53": (pa.array([2**53 + 1, -(2**63)]), [2**53 + 1, -(2**63)]),
    "uint64 above 2**63": (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
    "one missing among whole numbers": (pa.array([1, None, 3]), [1.0, np.nan, 3.0]),
    "one missing among bytes": (pa.array([255, None], pa.uint8()), [255.0, np.nan]),
    "one missing among truth values": (pa.array([True, None]), [1.0, np.nan]),
    "nothing but missing": (pa.nulls(2), [np.nan, np.nan]),
    "categories of numbers": (pa.array([10, 20, 10]).dictionary_encode(), [10, 20, 10]),
    "categories with one missing": (
        pa.array([10, None, 10]).dictionary_encode(), [10.0, np.nan, 10.0],
    ),
    "decimals": (pa.array([Decimal("1.25"), None], pa.decimal128(38, 2)), [1.25, np.nan]),
    "decimals of 38 digits": (pa.array([Decimal("9" * 38)], pa.decimal128(38, 0)), [1e38]),
    "half precision": (pa.array(np.array([1.5, np.inf], np.float16)), [1.5, np.inf]),
    "moments of a zone": (pa.array([0, 1], pa.timestamp("ms", "Asia/Tokyo")), [0, 1_000_000]),
    "days": (pa.array([0, 1], pa.date32()), [0, 86_400 * 10**9]),
    "times of day": (pa.array([1], pa.time32("s")), [10**9]),
    "words that are no numbers": (pa.array(["1", "NA", None, "-"]), ["1", "NA", "", "-"]),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_THEY_ARE)
@pytest.mark.parametrize("group", [1, 100])
def test_values_are_those_that_were_written(name, group, tmp_path):
    values, expected = AS_THEY_ARE[name]
    written(tmp_path / "a.parquet", {"s": values}, row_group_size=group)
    assert list(map(repr, read(tmp_path / "a.parquet", "s"))) == list(map(repr, expected))


UNREADABLE: dict[str, tuple[pa.Array, tuple[str, ...]]] = {
    "times beyond nanoseconds": (pa.array([2**60], pa.timestamp("ms")), ("s",)),
    "a time that is missing": (pa.array([0, None], pa.timestamp("ms")), ("1",)),
    "bytes of one length": (pa.array([b"ab", b"cd"], pa.binary(2)), ("fixed_size_binary",)),
    "a name twice": (pa.array([1]), ()),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_numbers_is_refused(name, tmp_path):
    values, named = UNREADABLE[name]
    twice = name == "a name twice"
    table = pa.table([values] * (1 + twice), names=["s"] * (1 + twice))
    written(tmp_path / "a.parquet", table)
    missing = name in ("a time that is missing", "a name twice")
    kind = SourceContentError if missing else SourceError
    assert_file_refused(tmp_path / "a.parquet", "s", kind, *named)


class Keys(encryption.KmsClient):
    """Keys that are known to all."""

    def __init__(self, _):
        encryption.KmsClient.__init__(self)

    def wrap_key(self, key, _):
        return key

    def unwrap_key(self, key, _):
        return key


def encrypted(path, hidden):
    factory = encryption.CryptoFactory(Keys)
    config = encryption.EncryptionConfiguration(
        footer_key="f", column_keys={"c": ["x"]}, plaintext_footer=not hidden
    )
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), config)
    with parquet.ParquetWriter(path, pa.table(XY).schema, encryption_properties=properties) as file:
        file.write_table(pa.table(XY))


@pytest.mark.parametrize("hidden", [True, False])
def test_an_encrypted_file_is_refused(hidden, tmp_path):
    encrypted(tmp_path / "a.parquet", hidden)
    assert_file_refused(tmp_path / "a.parquet", "x", SourceError)


@pytest.mark.parametrize("groups", [0, 1])
def test_a_table_without_rows_is_empty(groups, tmp_path):
    with parquet.ParquetWriter(tmp_path / "a.parquet", pa.table(XY).schema) as file:
        if groups:
            file.write_table(pa.table(XY).slice(0, 0))
    assert read(tmp_path / "a.parquet", "table") == []


def test_one_row_group_that_stands_for_far_more_than_its_bytes_is_refused(tmp_path, monkeypatch):
    written(tmp_path / "a.parquet", {"x": np.zeros(1 << 20)}, row_group_size=1 << 20)
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    monkeypatch.setattr(f"{ParquetArray.__module__}.MOST_GROUP_BYTES", 4 << 20)
    with assert_bounded(4 << 20):
        assert_file_refused(tmp_path / "a.parquet", "x", SourceError, "row_group_size")


NO_PARQUET = {
    "a signature": b"PAR1",
    "two signatures": b"PAR1PAR1",
    "no footer": b"PAR1" + bytes(100) + b"\0\0\0\0PAR1",
    "a footer longer than the file": b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1",
    "a footer of negative length": b"PAR1" + bytes(100) + b"\xff\xff\xff\xffPAR1",
    "an encrypted footer": b"PAR1" + bytes(100) + b"\x20\0\0\0PARE",
}


@pytest.mark.parametrize("name", NO_PARQUET)
def test_a_file_without_a_footer_is_refused(name, tmp_path):
    (tmp_path / "a.parquet").write_bytes(NO_PARQUET[name])
    assert_file_refused(tmp_path / "a.parquet", "table", SourceError)
