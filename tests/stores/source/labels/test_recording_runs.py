"""Recordings of tables and arrays that name in each row whose it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.stores.errors import GroupError, SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from tests.refusals import refused

USERS = np.repeat([3, 10, 3, 2], [40, 30, 20, 30])
ACTIVITY = np.repeat(["walk", "sit", "walk", "sit"], [20, 50, 20, 30])
VALUES = np.arange(3.0 * len(USERS)).reshape(-1, 3)


def opened(path: Path, **options: Any) -> Source:
    given = {"rate_hz": 10.0, "window_samples": 10, "overlap": 0.0}
    return open_source(path, SourceOptions.model_validate({**given, **options}))


def write_csv(path: Path) -> Path:
    rows = [
        f"{user},{activity},{','.join(map(str, row))}"
        for user, activity, row in zip(USERS, ACTIVITY, VALUES.tolist(), strict=True)
    ]
    path.write_text("\n".join(["user,activity,ax,ay,az", *rows]) + "\n")
    return path


def write_hdf5(path: Path, **changes: Any) -> Path:
    held = {"signals": VALUES, "subject": USERS, "labels": ACTIVITY.astype("S4")} | changes
    with h5py.File(path, "w") as file:
        for name, values in held.items():
            if values is not None:
                file[name] = values
    return path


def assert_is_it(source: Source) -> None:
    assert source.groups == ("2", "3", "10")
    assert source.spec.shape == (10, 3)
    found = source.read_labels(0, source.windows)
    np.testing.assert_array_equal(found.group, np.repeat([1, 2, 1, 0], [4, 3, 2, 3]))
    np.testing.assert_array_equal(source.read_windows(0, source.windows), VALUES.reshape(-1, 10, 3))
    located = source.locate(0, source.windows)
    assert located is not None
    np.testing.assert_array_equal(located[0], np.repeat([0, 1, 2, 3], [4, 3, 2, 3]))


def test_runs_of_one_persons_rows_are_recordings(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "w.csv")
    with opened(path, groups="user", labels="activity") as source:
        assert_is_it(source)
        assert [note.key for note in source.notes] == ["source.recordings"]
    with opened(write_hdf5(tmp_path / "w.h5")) as source:
        assert_is_it(source)
    upright = write_hdf5(tmp_path / "u.h5", subject=USERS[:, None].astype("f4"))
    with opened(upright) as source:
        assert_is_it(source)


def test_named_columns_part_the_rows_of_one_person(tmp_path: Path) -> None:
    session = np.repeat([1, 2], [10, 110])
    path = write_hdf5(tmp_path / "w.h5", session=session)
    for named in ("session", ["session"]):
        with opened(path, recordings=named) as source:
            located = source.locate(0, source.windows)
            assert located is not None
            np.testing.assert_array_equal(located[0], np.repeat([0, 1, 2, 3, 4], [1, 3, 3, 2, 3]))


def test_a_split_parts_recordings_too(tmp_path: Path) -> None:
    split = np.where(USERS == 3, b"train", b"test")
    with opened(write_hdf5(tmp_path / "w.h5", split=split)) as source:
        assert source.parts == ("train", "test")


def test_a_file_of_one_recording_needs_no_table(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "w.h5", subject=None)
    with refused(GroupError, "source.groups", "source.split_by_window"):
        opened(path)
    with opened(path, split_by_window=True, labels="") as source:
        assert source.windows == len(USERS) // 10


@pytest.mark.parametrize(
    ("changes", "options", "named"),
    [
        (
            {"subject": USERS[:-1]},
            {"groups": "subject"},
            ("subject", "119", "120", "source.groups"),
        ),
        ({}, {"recordings": "clips"}, ("source.recordings", "clips")),
        ({"subject": np.arange(120) % 50}, {"groups": "subject"}, None),
    ],
)
def test_columns_that_cannot_be_recordings_are_refused(
    tmp_path: Path, changes: dict[str, Any], options: dict[str, Any], named: Any
) -> None:
    path = write_hdf5(tmp_path / "w.h5", **changes)
    with refused(SourceError, *(named or ("10",))):
        opened(path, **options)


def test_a_column_that_changes_in_every_row_is_refused(tmp_path: Path) -> None:
    rows = np.arange(3000)
    path = write_hdf5(
        tmp_path / "w.h5", signals=np.zeros((3000, 1)), subject=rows % 7, labels=rows // 100
    )
    with refused(SourceError, "subject"):
        opened(path)
