"""Labels and groups in files of their own, tables of what labels mean, and the type of values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from headrace.stores.errors import SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from tests.refusals import refused


def opened(path: Path, **options: Any) -> Source:
    return open_source(path, SourceOptions.model_validate({"rate_hz": 10.0, **options}))


def labels_of(source: Source) -> list[str]:
    return [source.classes[n] for n in source.read_labels(0, source.windows).label]


@pytest.fixture
def windows(tmp_path: Path) -> Path:
    """Two parts of windows, each of two files of one channel, with labels and subjects beside."""
    for part, count in (("train", 6), ("test", 3)):
        folder = tmp_path / part
        (folder / "signals").mkdir(parents=True)
        for n, channel in enumerate("xy"):
            values = np.arange(count * 4).reshape(count, 4) + 100 * n + 0.5
            np.savetxt(folder / f"signals/{channel}_{part}.txt", values, fmt="%.3f")
        np.savetxt(folder / f"y_{part}.txt", np.arange(count) % 3 + 1, fmt="%d")
        np.savetxt(folder / f"who_{part}.txt", np.arange(count) % 2 + 5 * count, fmt="%d")
    (tmp_path / "names.txt").write_text("2 SIT\n1 WALK\n3 LIE\n")
    return tmp_path


FILES = {
    "files": ["{part}/signals/x_{part}.txt", "{part}/signals/y_{part}.txt"],
    "windows": "table",
    "labels_file": "{part}/y_{part}.txt",
    "groups_file": "{part}/who_{part}.txt",
    "split": "part",
}


def test_windows_of_files_have_labels_and_groups_in_files_of_their_own(windows: Path) -> None:
    with opened(windows, **FILES) as source:
        assert (source.windows, source.spec.shape, source.parts) == (9, (4, 2), ("train", "test"))
        found = source.read_labels(0, 9)
        assert labels_of(source) == [*"123", *"123123"]
        assert [source.groups[n] for n in found.group] == [*("15", "16", "15"), *("30", "31") * 3]
        assert [source.parts[n] for n in found.part] == ["test"] * 3 + ["train"] * 6
        window = [[0.5, 100.5], [1.5, 101.5], [2.5, 102.5], [3.5, 103.5]]
        np.testing.assert_array_equal(source.read_windows(0, 1)[0], window)


def test_a_field_may_be_the_windows_label(windows: Path) -> None:
    options = {name: FILES[name] for name in ("files", "windows", "groups_file")}
    with opened(windows, label_column="part", **options) as source:
        assert labels_of(source) == ["test"] * 3 + ["train"] * 6
        with refused(SourceError, "label_column", "trial"):
            opened(windows, label_column="trial", **options)


def test_a_table_names_labels_in_its_order(windows: Path) -> None:
    with opened(windows, label_table={"file": "names.txt"}, **FILES) as source:
        assert source.classes == ("SIT", "WALK", "LIE")
        assert labels_of(source)[:3] == ["WALK", "SIT", "LIE"]
        before = source.fingerprint()
    (windows / "names.txt").write_text("2 LIE\n1 WALK\n3 SIT\n")
    with opened(windows, label_table={"file": "names.txt"}, **FILES) as source:
        assert labels_of(source)[:3] == ["WALK", "LIE", "SIT"]
        assert source.fingerprint() != before


def test_a_table_may_have_other_columns_and_write_numbers_otherwise(windows: Path) -> None:
    (windows / "names.csv").write_text("old,code,name,short\na,01,walk,w\nb,2.0,sit,s\nc,3,lie,l\n")
    table = {"file": "names.csv", "label": "code", "name": "short"}
    with opened(windows, label_table=table, class_map={"still": ["s", "l"]}, **FILES) as source:
        assert source.classes == ("still",)
        assert source.windows == 6


def test_a_label_that_a_table_lacks_is_named_and_may_be_left_out(windows: Path) -> None:
    (windows / "names.txt").write_text("1 WALK\n2 SIT\n")
    table = {"label_table": {"file": "names.txt"}}
    with refused(SourceError, "'3'", "exclude_labels"):
        opened(windows, **table, **FILES)
    with opened(windows, exclude_labels=["3"], **table, **FILES) as source:
        assert (source.classes, source.windows) == (("WALK", "SIT"), 6)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"label_table": {"file": "none.txt"}}, ("none.txt",)),
        ({"label_table": {"file": "names.txt", "name": "x"}}, ("label_table.name",)),
        ({"label_table": {"file": "twice.txt"}}, ("Row 2", "twice.txt")),
        ({"labels_file": "{part}/none_{part}.txt"}, ("none_test.txt",)),
        ({"labels_file": "{who}/y.txt"}, ("who", "part")),
    ],
)
def test_what_is_not_there_or_says_two_things_is_named(
    windows: Path, options: dict[str, Any], named: tuple[str, ...]
) -> None:
    (windows / "twice.txt").write_text("1 WALK\n1 SIT\n")
    with refused(SourceError, *named):
        opened(windows, **{**FILES, **options})


def test_a_single_file_has_no_files_beside_it(windows: Path) -> None:
    options = {"windows": "table", "labels_file": "y_train.txt", "split_by_window": True}
    with refused(SourceError, "y_train.txt", "paths.data"):
        opened(windows / "train/signals/x_train.txt", **options)


@pytest.mark.parametrize("name", ["labels_file", "groups_file"])
def test_files_beside_stand_in_the_folder(name: str) -> None:
    with pytest.raises(ValidationError):
        SourceOptions.model_validate({name: "../y.txt"})


def test_labels_of_rows_may_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    for subject in (1, 2):
        np.save(tmp_path / f"acc_{subject}.npy", np.arange(40.0).reshape(20, 2) + subject)
        np.save(tmp_path / f"y_{subject}.npy", np.repeat([4, 7], 10)[:, None])
    options = {
        "files": ["acc_{subject}.npy"],
        "labels_file": "y_{subject}.npy",
        "window_samples": 5,
        "overlap": 0.0,
        "signals": "array",
    }
    with opened(tmp_path, **options) as source:
        assert labels_of(source) == ["4", "4", "7", "7"] * 2
        state = source.state()
        (tmp_path / "y_2.npy").touch()
        assert source.state() != state


@pytest.mark.parametrize("stored", ["f8", "i2", "f4"])
def test_values_are_read_as_the_type_asked_for(tmp_path: Path, stored: str) -> None:
    values = (np.arange(80).reshape(40, 2) * 1.1).astype(stored)
    np.save(tmp_path / "a.npy", values)
    options = {
        "signals": "array",
        "labels": "",
        "window_samples": 8,
        "step_samples": 8,
        "files": ["{subject}.npy"],
    }
    with opened(tmp_path, dtype="float32", **options) as source:
        assert source.spec.dtype == np.float32
        expected = values.astype("f4").reshape(5, 8, 2)
        np.testing.assert_array_equal(source.read_windows(0, 5), expected)


def test_parts_may_be_said_by_globs_after_equal_values(windows: Path) -> None:
    names = {"train": "train", "t*": "test"}
    with opened(windows, split_names=names, **FILES) as source:
        assert source.parts == ("train", "test")
        assert np.bincount(source.read_labels(0, 9).part).tolist() == [6, 3]


def test_a_column_of_labels_by_its_place_in_another_file_takes_no_channel(tmp_path: Path) -> None:
    for subject in (1, 2):
        data = np.arange(60.0).reshape(20, 3) + subject / 4
        np.savetxt(tmp_path / f"acc_{subject}.txt", data)
        kinds = np.column_stack([np.arange(20), np.repeat([4, 7], 10)])
        np.savetxt(tmp_path / f"kinds_{subject}.txt", kinds, "%d")
    options = {"labels_file": "kinds_{subject}.txt", "labels": "1", "window_samples": 5}
    with opened(tmp_path, files=["acc_{subject}.txt"], overlap=0.0, **options) as source:
        assert labels_of(source) == ["4", "4", "7", "7"] * 2
        assert source.spec.shape == (5, 3)
