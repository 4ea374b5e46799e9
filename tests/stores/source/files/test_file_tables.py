"""What `paths.data` may name: patterns, tables of files; and tables that say more of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.files.located import files_of, source_exists
from headrace.stores.source.options import SourceOptions
from tests.refusals import refused
from tests.stores.source.files.test_files import opened

FIXED = {"rate_hz": 10.0, "window_samples": 8}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six recordings of three people, a text file each, in folders of their own."""
    generator = np.random.default_rng(0)
    for subject in (1, 2, 10):
        inside = tmp_path / f"raw/s{subject:02d}"
        inside.mkdir(parents=True)
        for activity in ("sit", "walk"):
            rows = "\n".join(f"{x:.3f},{y:.3f}" for x, y in generator.normal(size=(20, 2)))
            (inside / f"{activity}.csv").write_text(f"x,y\n{rows}\n")
    return tmp_path / "raw"


def names_of(path: Path, **options: object) -> list[str]:
    found = files_of(path, SourceOptions.model_validate(options))
    assert found is not None
    return [name for (name,) in found.names]


def listed(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_pattern_of_paths_names_the_files_that_match(folder: Path) -> None:
    everything = names_of(folder)
    assert len(everything) == 6
    assert names_of(folder / "**/*.csv") == everything
    assert names_of(folder / "s0?/walk.csv") == ["s01/walk.csv", "s02/walk.csv"]
    assert names_of(folder / "s[!0]*/*.csv") == ["s10/sit.csv", "s10/walk.csv"]
    assert names_of(folder / "s{subject}/{activity}.csv") == everything
    assert names_of(folder / "**") == everything
    with opened(folder / "s{subject}/{activity}.csv", label_column="activity", **FIXED) as source:
        assert source.groups == ("01", "02", "10")
    assert source_exists(folder / "*.csv")
    assert not source_exists(folder.parent / "none/*.csv")


def test_a_pattern_and_patterns_of_names_hold_together(folder: Path) -> None:
    found = names_of(folder / "*/walk.csv", files=["s{subject}/{activity}.csv"])
    assert found == ["s01/walk.csv", "s02/walk.csv", "s10/walk.csv"]


def test_a_file_may_have_the_name_of_a_pattern(folder: Path) -> None:
    (folder / "s[1].csv").write_text("x\n1\n")
    assert files_of(folder / "s[1].csv", SourceOptions()) is None


@pytest.mark.parametrize("pattern", ["none/*.csv", "*.parquet", "s{a b}/*.csv", "*/../*.csv"])
def test_a_pattern_that_fits_nothing_is_refused(pattern: str, folder: Path) -> None:
    with refused(SourceError, pattern.rpartition("/")[2]):
        names_of(folder / pattern)


def test_a_table_of_files_gives_their_order_and_their_columns(folder: Path) -> None:
    text = '\ufeff"file"; subject ;label;split\r\n\r\n# later ones first\r\n'
    text += '"s10/walk.csv"; 010;walk;test\r\n./s01/sit.csv;"01" ;sit;train\r\n'
    table = listed(folder, text)
    with opened(table, **FIXED) as source:
        assert source.groups == ("01", "010")
        assert source.classes == ("sit", "walk")
        assert source.parts == ("train", "test")
        labels = source.read_labels(0, source.windows)
        assert source.groups[labels.group[0]] == "010"
        assert {source.classes[n] for n in labels.label[labels.group == 1]} == {"walk"}


@pytest.mark.parametrize("separator", [",", ";", "\t", "  "])
def test_cells_of_a_table_may_be_separated_in_any_usual_way(separator: str, folder: Path) -> None:
    rows = (("file", "subject"), ("s01/sit.csv", "a"), ("s02/sit.csv", "b"))
    table = listed(folder, "\n".join(separator.join(row) for row in rows), "t.tsv")
    found = files_of(table, SourceOptions())
    assert found is not None
    assert found.columns["subject"] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("file,a\ns01/sit.csv,1\ns03/sit.csv,2\n", ("line 3", "s03/sit.csv")),
        ("file,a\ns01/sit.csv,1\n./s01/sit.csv,2\n", ("line 3", "line 2", "s01/sit.csv")),
        ("file,a\n../raw/s01/sit.csv,1\n", ("line 2", "../raw/s01/sit.csv")),
        ("file,a\n/etc/passwd.csv,1\n", ("line 2", "/etc/passwd.csv")),
        ("file,a\ns01/sit.csv,1\nlink/sit.csv,1\n", ("line 3", "link/sit.csv")),
        ("file,a\ns01/sit.csv,1\nlinked.csv,1\n", ("line 3", "linked.csv")),
        ("file,a\ns01/sit.csv,1\n,2\n", ("line 3",)),
    ],
)
def test_files_of_a_table_that_cannot_be_used_are_named(
    text: str, named: tuple[str, ...], folder: Path
) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "sit.csv").write_text("x\n1\n")
    (folder / "link").symlink_to(outside)
    (folder / "linked.csv").symlink_to(outside / "sit.csv")
    with refused(SourceError, *named):
        files_of(listed(folder, text), SourceOptions())


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"file,a\ns01/sit.csv,1,2\n", "line 2"),
        (b"file,file\ns01/sit.csv,1\n", "subject"),
        (b"file,a\ns01/sit.csv,\xff\n", "line 2"),
        (b'file,a\n"s01/sit.csv,1\n', "line 2"),
    ],
)
def test_a_table_that_is_damaged_is_refused_with_its_line(
    content: bytes, named: str, folder: Path
) -> None:
    listed(folder, "").write_bytes(b"subject,age\n1,2\n")
    (folder / "people.csv").write_bytes(content.replace(b"file", b"subject"))
    with refused(SourceContentError, "people.csv", named):
        files_of(folder, SourceOptions(files=["s{subject}/sit.csv"], table="people.csv"))


def test_a_table_of_samples_is_no_table_of_files(folder: Path) -> None:
    table = listed(folder, "file,x,y\nfirst,1,2\nfirst,3,4\n")
    assert files_of(table, SourceOptions()) is None
    table = listed(folder, "file,x,y\ns01/sit.csv,1,2\n")
    assert files_of(table, SourceOptions(signals=["x", "y"])) is None


@pytest.mark.parametrize("beside", [True, False])
def test_a_table_beside_a_folder_says_more_of_its_recordings(beside: bool, folder: Path) -> None:
    # Equal numbers are equal, and rows of no recording do no harm.
    text = "subject,person,age\n2,bob,30\n1,ann,20\n99,eve,3\n10,cy,40\n"
    listed(folder.parent if beside else folder, text, "subjects.csv")
    options = {"files": ["s{subject}/{activity}.csv"], "table": "subjects.csv"}
    with opened(folder, **options, groups="person", label_column="activity", **FIXED) as source:
        assert source.groups == ("ann", "bob", "cy")


def test_a_table_may_name_files_and_is_no_recording_itself(folder: Path) -> None:
    rows = [f"{name},{n}" for n, name in enumerate(names_of(folder))]
    listed(folder, "file,subject\n" + "\n".join(rows), "info.csv")
    with opened(folder, table="info.csv", labels="", **FIXED) as source:
        assert source.groups == tuple("012345")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("subject,age\n1,2\n2,3\n", ("s10/sit.csv", "subject = 10")),
        ("subject,age\n1,2\n01,3\n", ("subject = 1", "2", "3")),
        ("person,age\n1,2\n", ("person", "subject")),
    ],
)
def test_a_table_that_does_not_fit_the_files_is_refused(
    text: str, named: tuple[str, ...], folder: Path
) -> None:
    listed(folder, text, "subjects.csv")
    with refused(SourceError, *named):
        files_of(folder, SourceOptions(files=["s{subject}/{a}.csv"], table="subjects.csv"))


@pytest.mark.parametrize("name", ["none.csv", "../subjects.csv", "/etc/hostname"])
def test_a_table_is_looked_for_in_the_folder_and_beside_it(name: str, folder: Path) -> None:
    listed(folder.parent.parent, "subject\n1\n", "subjects.csv")
    with refused(SourceError, "source.table", name):
        files_of(folder, SourceOptions(table=name))


def test_a_table_needs_many_files(folder: Path) -> None:
    with refused(SourceError, "source.table"):
        files_of(folder / "s01/sit.csv", SourceOptions(table="subjects.csv"))


def test_of_a_folder_the_files_of_its_main_kind_are_recordings(folder: Path) -> None:
    for name in ("README.txt", "LICENSE", "notes.pdf", "s01/.hidden.csv", "s01/view.png", "a.dat"):
        (folder / name).write_bytes(b"x")
    with opened(folder, labels="", split_by_window=True, **FIXED) as source:
        assert source.windows == 6 * 4
        (note,) = (each for each in source.notes if each.key == "source.files")
        for name in ("README.txt", "LICENSE", "notes.pdf", "a.dat"):
            assert name in note.text


def test_of_a_folder_without_a_main_kind_the_kinds_are_listed(folder: Path) -> None:
    for n in range(6):
        np.save(folder / f"{n}.npy", np.zeros((9, 2)))
    with refused(SourceError, "6 of .csv", "6 of .npy", "source.files"):
        names_of(folder)
    assert len(names_of(folder, files=["**/*.npy"])) == 6


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with refused(SourceError, str(tmp_path)):
        names_of(tmp_path)


def test_zarr_groups_below_a_folder_are_recordings(tmp_path: Path) -> None:
    import zarr

    for subject in "ab":
        group = zarr.open_group(tmp_path / f"{subject}.zarr", mode="w")
        group.create_array("signals", data=np.ones((20, 2), "f4"))
    options = {"files": ["{subject}.zarr"], "labels": "", **FIXED}
    with opened(tmp_path, **options) as source:
        assert (source.groups, source.windows) == (("a", "b"), 8)
        before = source.state(), source.fingerprint()
    (tmp_path / "b.zarr/signals/c/0/0").write_bytes(b"damaged")
    with opened(tmp_path, **options) as source:
        assert source.state() != before[0]


def test_windows_are_grouped_and_labelled_by_the_names_of_their_files(tmp_path: Path) -> None:
    for subject, activity, count in (("1", "sit", 4), ("2", "walk", 3)):
        np.save(tmp_path / f"{subject}_{activity}.npy", np.zeros((count, 8, 2), "f4"))
    options = {"files": ["{subject}_{label}.npy"], "windows": "array", "rate_hz": 10.0}
    with opened(tmp_path, **options) as source:
        labels = source.read_labels(0, 7)
        assert [source.groups[n] for n in labels.group] == ["1"] * 4 + ["2"] * 3
        assert [source.classes[n] for n in labels.label] == ["sit"] * 4 + ["walk"] * 3


def test_columns_called_x_and_y_are_axes(tmp_path: Path) -> None:
    for subject in "ab":
        (tmp_path / f"{subject}.csv").write_text("x,y,z,label\n" + "1,2,3,sit\n" * 20)
    with opened(tmp_path, files=["{subject}.csv"], **FIXED) as source:
        assert (source.layout, source.spec.shape, source.classes) == (
            "recordings",
            (8, 3),
            ("sit",),
        )
