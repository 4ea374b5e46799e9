"""Channels chosen by name, of every kind of source, and what is then said of them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from headrace.stores.errors import SourceError
from headrace.stores.source.formats.opening import open_file
from headrace.stores.source.formats.parquet import ParquetArray
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from tests.refusals import refused

NAMES = ["acc_x", "acc_y", "acc_10", "acc_9", "gyro_x", "temp"]
S = 60
VALUES = np.arange(S * len(NAMES), dtype=np.float64).reshape(S, len(NAMES))
PICKED = [
    (["gyro_x", "acc_x"], ["gyro_x", "acc_x"]),
    (["acc_*", "!acc_y"], ["acc_9", "acc_10", "acc_x"]),
    (["!acc_*"], ["gyro_x", "temp"]),
    (["temp", "*"], ["temp", "acc_9", "acc_10", "acc_x", "acc_y", "gyro_x"]),
]


def opened(path: Path, **options: Any) -> Source:
    given = {"rate_hz": 10.0, "window_samples": 20, "split_by_window": True, "labels": ""}
    return open_source(path, SourceOptions.model_validate({**given, **options}))


def write(folder: Path, form: str) -> Path:
    """The same table in one of the forms, in a folder of one file."""
    (folder / "data").mkdir()
    path = folder / "data" / f"one.{form}"
    if form == "csv":
        rows = [",".join(NAMES), *(",".join(map(str, row)) for row in VALUES.tolist())]
        path.write_text("\n".join(rows) + "\n")
    elif form == "parquet":
        parquet.write_table(pa.table(dict(zip(NAMES, VALUES.T, strict=True))), path)
    else:
        with h5py.File(path, "w") as file:
            file["signals"] = VALUES
            file["signals"].attrs["channels"] = ",".join(NAMES)
            file["signals"].attrs["units"] = [name[0] for name in NAMES]
            file["signals"].attrs["scale_to_units"] = np.arange(1.0, 7.0)
    return folder / "data"


@pytest.mark.parametrize(("patterns", "expected"), PICKED)
@pytest.mark.parametrize("form", ["h5", "csv", "parquet"])
def test_channels_are_read_in_the_order_that_is_asked_for(
    tmp_path: Path, form: str, patterns: list[str], expected: list[str]
) -> None:
    with opened(write(tmp_path, form), use_channels=patterns) as source:
        assert list(source.spec.channels) == expected
        places = [NAMES.index(name) for name in expected]
        np.testing.assert_array_equal(source.read_windows(0, 1)[0], VALUES[:20, places])
        if form == "h5":
            assert source.spec.units == tuple(name[0] for name in expected)
            assert source.spec.scale == tuple(place + 1.0 for place in places)


def test_columns_of_a_table_may_be_named_by_globs(tmp_path: Path) -> None:
    with opened(write(tmp_path, "csv"), signals=["gyro_*", "acc_?", "acc_1*"]) as source:
        assert source.spec.channels == ("gyro_x", "acc_9", "acc_x", "acc_y", "acc_10")


def test_parquet_decodes_the_chosen_columns_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "parquet") / "one.parquet"
    with closing(open_file(path)) as file:
        table = file.array("table")
        assert isinstance(table, ParquetArray)
        few = table.chosen([5])
        assert few.cache_bytes == table.cache_bytes // len(NAMES)
        np.testing.assert_array_equal(few.read(3, 9), VALUES[3:9, [5]])


def test_names_of_all_channels_are_those_that_are_chosen_from(tmp_path: Path) -> None:
    folder = write(tmp_path, "h5")
    given = {"channels": ["a", "b", "c", "d", "e", "f"], "use_channels": ["f", "b"]}
    with opened(folder, units=["g", "m"], **given) as source:
        assert source.spec.channels == ("f", "b")
        assert source.spec.units == ("g", "m")
        np.testing.assert_array_equal(source.read_windows(0, 1)[0], VALUES[:20, [5, 1]])
    with refused(SourceError, "source.units", "6", "2"):
        opened(folder, units=["g"] * 6, **given)


def test_windows_are_of_the_chosen_channels_too(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(30, 3, 8)).astype("f4")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["X"], file["y"], file["groups"] = values, np.arange(30) % 2, np.arange(30) // 6
        file["X"].attrs["channels"] = ["a", "b", "c"]
    options: dict[str, Any] = {"rate_hz": 10.0, "axes": ["window", "channel", "time"]}
    options["use_channels"] = ["c", "a"]
    with open_source(tmp_path / "w.h5", SourceOptions(**options)) as source:
        expected = values.transpose(0, 2, 1)[..., [2, 0]]
        np.testing.assert_array_equal(source.read_windows(3, 9), expected[3:9])


def test_arrays_side_by_side_keep_what_each_says_of_its_channels(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with h5py.File(tmp_path / "data/s.h5", "w") as file:
        for name, unit, scale in (("acc", "g", 0.5), ("gyro", "rad/s", 0.25)):
            file[name] = VALUES[:, :2].astype("i2") if name == "acc" else VALUES[:, 4].astype("i2")
            file[name].attrs.update(units=unit, scale_to_units=scale)
    with opened(tmp_path / "data", signals=["acc", "gyro"]) as source:
        assert source.spec.channels == ("acc_0", "acc_1", "gyro")
        assert source.spec.units == ("g", "g", "rad/s")
        assert source.spec.scale == (0.5, 0.5, 0.25)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"use_channels": ["acc_z"]}, ("source.use_channels", "acc_z", "acc_x", "temp")),
        ({"use_channels": ["temp", "!temp"]}, ("source.use_channels", "acc_x")),
        ({"use_channels": ["a"], "channels": ["a"]}, ("source.channels", "6")),
        ({"signals": ["acc_x", "mag_*"]}, ("source.signals", "mag_*", "gyro_x")),
    ],
)
def test_a_name_that_is_not_there_is_refused_with_those_that_are(
    tmp_path: Path, options: dict[str, Any], named: tuple[str, ...]
) -> None:
    with refused(SourceError, *named):
        opened(write(tmp_path, "csv"), **options)


def test_channels_without_names_cannot_be_chosen(tmp_path: Path) -> None:
    folder = write(tmp_path, "h5")
    with h5py.File(folder / "one.h5", "a") as file:
        del file["signals"].attrs["channels"]
    with refused(SourceError, "source.channels", "6"):
        opened(folder, use_channels=["acc_x"])


def test_columns_with_units_in_their_names_keep_them_side_by_side(tmp_path: Path) -> None:
    table = tmp_path / "s.csv"
    rows = "".join(f"{row},{row + 0.5},a\n" for row in range(40))
    table.write_text(f"Acc X (m/s^2),Gyr X (rad/s),label\n{rows}")
    options = SourceOptions(
        signals=["Gyr X (rad/s)", "Acc X (m/s^2)"],
        **{"rate_hz": 10, "window_samples": 8, "split_by_window": True},
    )
    with open_source(table, options) as source:
        assert source.spec.channels == ("Gyr X (rad_s)", "Acc X (m_s^2)")
        assert source.read_windows(0, 1)[0, 0].tolist() == [0.5, 0.0]
