"""What files of one recording each say of it: in their names, and in attributes."""

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


def opened(path: Path, **options: Any) -> Source:
    return open_source(path, SourceOptions.model_validate(options))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve recordings, more than are kept open, of three people."""
    for number in range(12):
        with h5py.File(tmp_path / f"r{number}.h5", "w") as file:
            file["signals"] = np.full((20, 2), number, "f4")
            file["signals"].attrs["activity"] = "sit" if number % 2 else "walk"
            file.attrs.update(sampling_rate_hz=10.0, subject=number // 4 + 1)
    return tmp_path


def change(folder: Path, name: str, value: Any) -> None:
    with h5py.File(folder / "r7.h5", "a") as file:
        file.attrs.pop(name, None)
        if value is not None:
            file.attrs[name] = value


def test_attributes_of_the_data_and_of_files_are_columns_of_the_recordings(folder: Path) -> None:
    with opened(folder, label_column="activity", window_samples=20) as source:
        assert source.groups == ("1", "2", "3")
        labels = source.read_labels(0, source.windows)
        np.testing.assert_array_equal(labels.group, np.repeat([0, 1, 2], 4))
        assert [source.classes[n] for n in labels.label[:2]] == ["walk", "sit"]
        assert source.said == {"rate_hz"}


@pytest.mark.parametrize("value", [None, [1, 2]])
def test_a_recording_without_an_attribute_that_others_have_is_named(
    folder: Path, value: Any
) -> None:
    change(folder, "subject", value)
    with refused(SourceError, "r7.h5", "subject"):
        opened(folder, label_column="activity", window_samples=20)


def test_recordings_that_say_different_rates_are_refused_but_for_a_rate_that_is_set(
    folder: Path,
) -> None:
    change(folder, "sampling_rate_hz", 20.0)
    options: dict[str, Any] = {"label_column": "activity", "window_samples": 20}
    with refused(SourceError, "r0.h5", "r7.h5", "10", "20", "source.rate_hz"):
        opened(folder, **options)
    with opened(folder, rate_hz=10.0, **options) as source:
        assert source.windows == 12


def test_channels_named_by_place_are_refused_where_a_recording_has_another_order(
    tmp_path: Path,
) -> None:
    for number, names in enumerate(("xyz", "xyz", "zyx")):
        with h5py.File(tmp_path / f"s{number}.h5", "w") as file:
            file["signals"] = np.tile(["xyz".index(name) for name in names], (20, 1)).astype("f4")
            file["signals"].attrs["channels"] = list(names)
    options: dict[str, Any] = {"files": ["s{s}.h5"], "groups": "s", "labels": "", "rate_hz": 10.0}
    options["window_samples"] = 20
    for used in ({}, {"use_channels": ["c", "a"]}):
        with refused(SourceError, "source.channels", "s0.h5", "s2.h5", "z, y, x"):
            opened(tmp_path, channels=["a", "b", "c"], **used, **options)
    with opened(tmp_path, use_channels=["z", "x"], **options) as source:
        assert (source.read_windows(0, source.windows) == [2, 0]).all()


def test_channels_named_over_what_recordings_say_are_noted(tmp_path: Path) -> None:
    for number, names in enumerate(("xy", "uv")):
        with h5py.File(tmp_path / f"s{number}.h5", "w") as file:
            file["signals"] = np.zeros((20, 2), "f4")
            file["signals"].attrs["channels"] = list(names)
    options: dict[str, Any] = {"files": ["s{s}.h5"], "groups": "s", "labels": "", "rate_hz": 10.0}
    with opened(tmp_path, channels=["a", "b"], window_samples=20, **options) as source:
        assert any(note.key == "source.channels" and "u, v" in note.text for note in source.notes)


def test_a_field_of_the_name_may_be_whose_windows_they_are(tmp_path: Path) -> None:
    for subject in (1, 2, 10):
        with h5py.File(tmp_path / f"s{subject}.h5", "w") as file:
            file["X"] = np.full((subject + 1, 8, 1), subject, "f4")
            file["y"] = np.arange(subject + 1) % 2
            file.attrs["sampling_rate_hz"] = 10.0
    with opened(tmp_path, files=["s{subject}.h5"]) as source:
        assert source.groups == ("1", "2", "10")
        labels = source.read_labels(0, source.windows)
        np.testing.assert_array_equal(labels.group, np.repeat([0, 1, 2], (2, 3, 11)))
        np.testing.assert_array_equal(
            source.read_windows(0, source.windows)[:, 0, 0], np.repeat([1, 2, 10], (2, 3, 11))
        )
    with pytest.raises(GroupError):
        opened(tmp_path)


@pytest.mark.parametrize(("one", "other"), [("1", "01"), ("p01", "p1"), ("1.0", "1")])
def test_groups_that_are_one_number_in_two_spellings_are_refused(
    tmp_path: Path, one: str, other: str
) -> None:
    for name in (one, other):
        (tmp_path / f"s{name}_a.csv").write_text("x,y\n" + "1,2\n" * 20)
    options = {"groups": "subject", "labels": "", "rate_hz": 10.0, "window_samples": 20}
    with refused(SourceError, repr(one), repr(other), "source.groups"):
        opened(tmp_path, files=["s{subject}_a.csv"], **options)


def test_numbers_behind_a_point_and_other_names_are_groups_of_their_own(tmp_path: Path) -> None:
    for name in ("1.05", "1.5", "10", "100", "0", "0a"):
        (tmp_path / f"s{name}_a.csv").write_text("x,y\n" + "1,2\n" * 20)
    options = {"groups": "subject", "labels": "", "rate_hz": 10.0, "window_samples": 20}
    with opened(tmp_path, files=["s{subject}_a.csv"], **options) as source:
        assert len(source.groups) == 6
