"""Sources of many files, and data that is meant otherwise than it is stored."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.files.census import census_from
from headrace.stores.source.files.files import files_in
from headrace.stores.source.formats import opening
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from tests.refusals import refused
from tests.stores.source_files import C, N, T, write_recordings, write_windows


def opened(path: Path, **options: Any) -> Source:
    return open_source(path, SourceOptions.model_validate(options))


def write(path: Path, attributes: dict[str, Any] | None = None, **arrays: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
        file.attrs.update({"sampling_rate_hz": 10.0, **(attributes or {})})


def contents_of(source: Source) -> tuple[Any, ...]:
    labels = source.read_labels(0, source.windows)
    names = [source.classes[n] for n in labels.label], [source.groups[n] for n in labels.group]
    return source.read_windows(0, source.windows).tolist(), *names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings, two files each."""
    generator = np.random.default_rng(0)
    for subject in (1, 2, 10):
        rows = 40 + subject
        for sensor, channels in (("acc", 2), ("gyro", 1)):
            values = generator.normal(size=(rows, channels)).astype(np.float32)
            name = f"data/s{subject:02d}/{sensor}_walk.h5"
            write(tmp_path / name, signals=values, labels=np.arange(rows) // 20)
    return tmp_path / "data"


PATTERNS = ["s{subject}/acc_{activity}.h5", "s{subject}/gyro_{activity}.h5"]


def test_files_are_recordings_in_natural_order_with_the_fields_of_their_names(
    folder: Path,
) -> None:
    found = files_in(folder, PATTERNS)
    assert found.names[-1] == ("s10/acc_walk.h5", "s10/gyro_walk.h5")
    assert found.columns["subject"] == ["01", "02", "10"]
    assert found.columns["activity"] == ["walk"] * 3


def test_files_of_several_patterns_are_the_channels_of_one_recording(folder: Path) -> None:
    with opened(folder, files=PATTERNS, window_samples=8, labels="labels") as source:
        assert source.spec.shape == (8, 3)
        assert source.groups == ("01", "02", "10")
        with h5py.File(folder / "s01/acc_walk.h5") as file:
            acc = file["signals"][:8]
        with h5py.File(folder / "s01/gyro_walk.h5") as file:
            gyro = file["signals"][:8]
        np.testing.assert_array_equal(source.read_windows(0, 1)[0], np.hstack([acc, gyro]))


def test_files_give_what_one_file_of_the_same_recordings_gives(tmp_path: Path) -> None:
    held = write_recordings(tmp_path / "one.h5", rows=(90, 40, 70))
    start = 0
    for subject, rows in enumerate((90, 40, 70), 1):
        part = slice(start, start + rows)
        names = np.array(held["classes"])[held["labels"][part]]
        write(
            tmp_path / f"many/{subject}.h5",
            signals=held["signals"][part],
            labels=[name.encode() for name in names],
        )
        start += rows
    # In the order of the file's list, which decides between classes with as many rows.
    classes = {"class_map": {name: [name] for name in ("none", "walk", "run")}}
    for options in (
        {"window_samples": 16},
        {"window_samples": 16, "step_samples": 3, "label_rule": "majority"},
        {"window_samples": 8, "target_rate_hz": 5.0},
    ):
        with (
            opened(tmp_path / "one.h5", **classes, **options) as one,
            opened(tmp_path / "many", files=["{subject}.h5"], **classes, **options) as many,
        ):
            assert contents_of(many) == contents_of(one)
            assert many.spec == one.spec


def test_a_folder_of_windows_is_one_source(tmp_path: Path) -> None:
    held = write_windows(tmp_path / "one.h5")
    for part in range(3):
        rows = slice(30 * part, 30 * part + 30)
        names = {name: values[rows] for name, values in held.items()}
        write(tmp_path / f"many/{part}.h5", {"sampling_rate_hz": 20.0}, **names)
    with opened(tmp_path / "one.h5") as one, opened(tmp_path / "many") as many:
        assert contents_of(many) == contents_of(one)


def test_a_field_of_the_name_may_label_whole_recordings(folder: Path) -> None:
    for subject in ("01", "02", "10"):
        for sensor in ("acc", "gyro"):
            path = folder / f"s{subject}" / f"{sensor}_walk.h5"
            path.rename(path.with_name(f"{sensor}_{'sit' if subject == '02' else 'walk'}.h5"))
    options = {"files": PATTERNS, "window_samples": 10, "label_column": "activity"}
    with opened(folder, **options) as source:
        assert source.classes == ("sit", "walk")
        labels = source.read_labels(0, source.windows)
        groups = [source.groups[n] for n in labels.group]
        assert {g for g, n in zip(groups, labels.label, strict=True) if n == 0} == {"02"}


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (["s{subject}/none_{activity}.h5"], ("none_", "source.files")),
        ([PATTERNS[0], "s{person}/gyro_{activity}.h5"], ("person", "subject")),
        (["s{subject}/*_{activity}.h5"], ("the same recording", "gyro_walk.h5")),
    ],
)
def test_patterns_that_do_not_fit_are_refused(
    files: list[str], named: tuple[str, ...], folder: Path
) -> None:
    with refused(SourceError, *named):
        opened(folder, files=files)


def test_a_recording_that_lacks_one_of_its_files_is_named(folder: Path) -> None:
    (folder / "s02/gyro_walk.h5").unlink()
    with refused(SourceError, "s02/acc_walk.h5", "gyro_"):
        opened(folder, files=PATTERNS)


def test_files_of_one_recording_need_as_many_rows(folder: Path) -> None:
    write(folder / "s02/gyro_walk.h5", signals=np.zeros((7, 1), "f4"), labels=np.zeros(7, int))
    with refused(SourceError, "gyro_walk.h5", "7"):
        opened(folder, files=PATTERNS, window_samples=8)


def test_a_file_unlike_the_others_is_named(folder: Path) -> None:
    write(folder / "s02/gyro_walk.h5", signals=np.zeros((42, 2), "f4"), labels=np.zeros(42, int))
    with (
        opened(folder, files=PATTERNS, window_samples=8) as source,
        refused(SourceContentError, "s02", "(42, 4)"),
    ):
        source.read_windows(0, source.windows)


@pytest.mark.parametrize("pattern", ["../{a}.h5", "/etc/{a}", "{}.h5", "{a b}.h5", "a}.h5", ""])
def test_a_pattern_that_leads_out_or_names_nothing_is_no_option(pattern: str) -> None:
    with pytest.raises(ValidationError):
        SourceOptions(files=[pattern])


def test_links_out_of_the_folder_are_refused_and_folders_not_followed(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    write(tmp_path / "outside/acc_walk.h5", signals=np.zeros((9, 2), "f4"))
    (folder / "s99").symlink_to(tmp_path / "outside")
    (folder / "s98").mkdir()
    (folder / "s98/acc_walk.h5").symlink_to(tmp_path / "outside/acc_walk.h5")
    assert len(files_in(folder, ["s10/acc_{activity}.h5"]).names) == 1
    with refused(SourceError, "s98/acc_walk.h5", "source.files"):
        files_in(folder, PATTERNS[:1])


def test_the_fingerprint_knows_every_file(folder: Path) -> None:
    def fingerprint() -> str:
        with opened(folder, files=PATTERNS, window_samples=8) as source:
            return source.fingerprint()

    before = fingerprint()
    assert fingerprint() == before
    with h5py.File(folder / "s10/gyro_walk.h5", "a") as file:
        file["signals"][-1, 0] += 1
    assert fingerprint() != before


def test_the_state_changes_when_a_file_is_touched(folder: Path) -> None:
    with opened(folder, files=PATTERNS, window_samples=8) as source:
        before = source.state()
        (folder / "s02/acc_walk.h5").touch()
        assert source.state() != before
        (folder / "s02/acc_walk.h5").unlink()
        with pytest.raises(OSError, match="acc_walk"):
            source.state()


def test_axes_in_another_order_give_the_same_windows(tmp_path: Path) -> None:
    held = write_windows(tmp_path / "s.h5")
    write_windows(tmp_path / "first.h5", X=held["X"].transpose(0, 2, 1))
    with (
        opened(tmp_path / "s.h5") as one,
        opened(tmp_path / "first.h5", axes=["window", "channel", "time"]) as other,
    ):
        assert contents_of(other) == contents_of(one)
        assert other.spec.shape == (T, C)
    for axes in (["channel", "time"], ["row", "time", "channel"]):
        with refused(SourceError, "source.axes"):
            opened(tmp_path / "first.h5", axes=axes)


def test_several_arrays_are_channels_side_by_side(tmp_path: Path) -> None:
    held = write_windows(tmp_path / "s.h5")
    parts = {f"x{n}": held["X"][:, :, n] for n in range(C)}
    write(tmp_path / "parts.h5", y=held["y"], groups=held["groups"], **parts)
    with (
        opened(tmp_path / "s.h5", rate_hz=10.0) as one,
        opened(tmp_path / "parts.h5", windows=["x0", "x1", "x2"]) as other,
    ):
        assert contents_of(other) == contents_of(one)
    with refused(SourceError, "x0", "y"):
        opened(tmp_path / "parts.h5", windows=["x0", "y"])


def test_one_axis_less_is_one_channel_and_columns_are_flat(tmp_path: Path) -> None:
    held = write_windows(tmp_path / "s.h5")
    flat = held["X"][:, :, 0]
    write_windows(
        tmp_path / "flat.h5", X=flat, y=held["y"][:, None], groups=held["groups"][:, None]
    )
    with opened(tmp_path / "flat.h5") as source:
        assert source.spec.shape == (T, 1)
        np.testing.assert_array_equal(source.read_windows(0, N)[..., 0], flat)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", ">u2"])
def test_counts_around_a_middle_stay_whole(tmp_path: Path, dtype: str) -> None:
    limits = np.iinfo(dtype)
    values = np.linspace(limits.min, limits.max, N * T * C).astype(dtype).reshape(N, T, C)
    middle = (limits.max + 1 + limits.min) // 2
    write_windows(tmp_path / "s.h5", X=values)
    scale = [0.5, 0.25, 0.001]
    options = {"scale": scale, "offset": [-middle * each for each in scale]}
    with opened(tmp_path / "s.h5", **options) as source:
        found = source.read_windows(0, N)
        assert found.dtype == np.dtype(f"i{np.dtype(dtype).itemsize}")
        assert source.spec.scale == tuple(scale)
        np.testing.assert_array_equal(found, values.astype(np.int64) - middle)


@pytest.mark.parametrize("dtype", ["u2", "i8", "f4", "f8"])
def test_any_other_offset_gives_floats_in_units(tmp_path: Path, dtype: str) -> None:
    values = np.arange(N * T * C).reshape(N, T, C).astype(dtype)
    held = write_windows(tmp_path / "s.h5", X=values)
    with h5py.File(tmp_path / "s.h5", "a") as file:
        file["X"].attrs["scale_to_units"], file["X"].attrs["offset_to_units"] = 0.01, 7.3
    with opened(tmp_path / "s.h5") as source:
        found = source.read_windows(0, N)
        assert (found.dtype, source.spec.scale) == (np.float32, (1.0,) * C)
        expected = (held["X"].astype(np.float64) * 0.01 + 7.3).astype(np.float32)
        np.testing.assert_array_equal(found, expected)
    with refused(SourceError, "source.offset", "2"):
        opened(tmp_path / "s.h5", offset=[1.0, 2.0])


def test_attributes_of_recordings_are_read_by_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        arrays = {"signals": np.zeros((20, 2), "f4"), "labels": np.zeros(20, int)}
        write(tmp_path / f"r{number}.h5", {"person": f"p{number // 2}"}, **arrays)
    options = SourceOptions(groups="person", rate_hz=10.0, window_samples=10)
    with open_source(tmp_path, options) as source:
        assert source.census is not None
        before = source.census.nbytes
        census = census_from(BytesIO(source.census.to_bytes()), tmp_path)
        assert census is not None
        assert census.attributes == {"person": ["p0", "p0", "p1", "p1"]}
        monkeypatch.setattr(source.census, "attributes", {})
        assert source.census.nbytes < before
    opened: list[str] = []
    monkeypatch.setattr(opening, "OPENED", [lambda place: opened.append(place.name)])
    with open_source(tmp_path, options, census) as worker:
        assert worker.groups == ("p0", "p1")
        assert set(opened) == {"r0.h5"}, "one file says what all are like"
