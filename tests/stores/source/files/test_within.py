"""Recordings within a file: groups, structs, members and frames by names with fields."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import astuple
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from scipy.io import savemat

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.files.census import census_from
from headrace.stores.source.files.members import Members
from headrace.stores.source.formats import opening
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from tests.refusals import refused

SUBJECTS, TRIALS, C = (1, 2, 10), (1, 2), 3


def opened(path: Path, **options: Any) -> Source:
    given = {"rate_hz": 10.0, "window_samples": 10, "groups": "subject"}
    return open_source(path, SourceOptions.model_validate({**given, **options}))


def values(subject: int, trial: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows = 20 + 10 * trial
    return (100 * subject + 10 * trial + np.arange(rows * C).reshape(rows, C) / 1000).astype("f4")


def labels(subject: int, trial: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.full(20 + 10 * trial, (subject + trial) % 2)


RECORDINGS = [(subject, trial) for subject in SUBJECTS for trial in TRIALS]
NAMES = [f"subject_{s}/trial_{t}" for s, t in RECORDINGS]
OPTIONS = {"signals": "subject_{subject}/trial_{trial}/acc"}
LABELS = {"labels": "subject_{subject}/trial_{trial}/y"}


def assert_is_all(source: Source) -> None:
    """Every recording, in natural order, with its subject and labels."""
    found = source.read_labels(0, source.windows)
    assert source.groups == ("1", "2", "10")
    counts = [2 * len(values(s, t)) // 10 - 1 for s, t in RECORDINGS]
    subjects = np.repeat([SUBJECTS.index(s) for s, _ in RECORDINGS], counts)
    np.testing.assert_array_equal(found.group, subjects)
    np.testing.assert_array_equal(
        found.label, np.repeat([(s + t) % 2 for s, t in RECORDINGS], counts)
    )
    windows, place = source.read_windows(0, source.windows), 0
    for (subject, trial), count in zip(RECORDINGS, counts, strict=True):
        np.testing.assert_array_equal(windows[place], values(subject, trial)[:10])
        np.testing.assert_array_equal(windows[place + count - 1], values(subject, trial)[-10:])
        place += count


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name, (subject, trial) in zip(NAMES, RECORDINGS, strict=True):
            file[f"{name}/acc"] = values(subject, trial)
            file[f"{name}/y"] = labels(subject, trial)
            file[name].attrs["activity"] = "walk" if trial == 1 else b"sit"
            file[f"subject_{subject}"].attrs["person"] = subject
            file[f"subject_{subject}"].attrs["sampling_rate_hz"] = 10.0
        file["notes/acc"] = np.zeros(3)


def test_nested_groups_are_recordings_and_their_attributes_columns(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "s.h5")
    with opened(tmp_path / "s.h5", **OPTIONS, **LABELS, rate_hz=None) as source:
        assert_is_all(source)
    by_attributes = {"groups": "person", "label_column": "activity"}
    with opened(tmp_path / "s.h5", **{**OPTIONS, **by_attributes}) as source:
        assert source.groups == ("1", "2", "10")
        assert source.classes == ("sit", "walk")
    starred = {"signals": "subject_{subject}/trial_{trial}/a*"}
    with opened(tmp_path / "s.h5", **starred, **LABELS) as source:
        assert_is_all(source)


@pytest.mark.parametrize("version", [2, 3])
def test_groups_of_a_zarr(tmp_path: Path, version: Any) -> None:
    root = zarr.open_group(tmp_path / "s.zarr", mode="w", zarr_format=version)
    for name, (subject, trial) in zip(NAMES, RECORDINGS, strict=True):
        root.create_array(f"{name}/acc", data=values(subject, trial))
        root.create_array(f"{name}/y", data=labels(subject, trial))
    with opened(tmp_path / "s.zarr", **OPTIONS, **LABELS) as source:
        assert_is_all(source)


def test_members_of_an_npz_by_their_names(tmp_path: Path) -> None:
    arrays = {f"acc_{s}_{t}": values(s, t) for s, t in RECORDINGS}
    arrays |= {f"y_{s}_{t}": labels(s, t) for s, t in RECORDINGS}
    np.savez(tmp_path / "s.npz", **arrays)
    options = {"signals": "acc_{subject}_{trial}", "labels": "y_{subject}_{trial}"}
    with opened(tmp_path / "s.npz", **options) as source:
        assert_is_all(source)


def test_structs_of_matlab(tmp_path: Path) -> None:
    tree: dict[str, Any] = {}
    for subject, trial in RECORDINGS:
        inside = {"acc": values(subject, trial), "y": labels(subject, trial)[:, None]}
        tree.setdefault(f"subject_{subject}", {})[f"trial_{trial}"] = inside
    savemat(tmp_path / "s.mat", tree)
    with opened(tmp_path / "s.mat", **OPTIONS, **LABELS) as source:
        assert_is_all(source)


def test_fields_of_files_and_of_names_within_them(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "s.h5")
    (tmp_path / "data").mkdir()
    with h5py.File(tmp_path / "s.h5") as file:
        for subject in SUBJECTS:
            with h5py.File(tmp_path / f"data/s{subject}.h5", "w") as part:
                for trial in TRIALS:
                    file.copy(f"subject_{subject}/trial_{trial}", part, f"{subject}/t{trial}")
                part.create_group(f"{subject + 100}/t9/acc")
    options = {"files": ["s{subject}.h5"], "signals": "{subject}/t{trial}/acc"}
    with opened(tmp_path / "data", **options, labels="{subject}/t{trial}/y") as source:
        assert_is_all(source)
        before = source.fingerprint()
    with h5py.File(tmp_path / "data/s10.h5", "a") as file:
        file["10/t2/acc"][-1] = 0
    with opened(tmp_path / "data", **options, labels="{subject}/t{trial}/y") as source:
        assert source.fingerprint() != before


def test_arrays_of_one_recording_side_by_side(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        for name, (subject, trial) in zip(NAMES, RECORDINGS, strict=True):
            for channel in range(C):
                file[f"{name}/ch/{'xyz'[channel]}"] = values(subject, trial)[:, channel]
            file[f"{name}/y"] = labels(subject, trial)
    for signals in (
        [f"subject_{{subject}}/trial_{{trial}}/ch/{axis}" for axis in "xyz"],
        ["subject_{subject}/trial_{trial}/ch/*"],
    ):
        with opened(tmp_path / "s.h5", signals=signals, **LABELS) as source:
            assert_is_all(source)
            assert source.spec.channels == ("x", "y", "z")
    with h5py.File(tmp_path / "s.h5", "a") as file:
        del file["subject_2/trial_1/ch/z"]
    with refused(SourceError, "subject_2/trial_1/ch/x"):
        opened(
            tmp_path / "s.h5", signals=[f"subject_{{subject}}/trial_{{trial}}/ch/{a}" for a in "xz"]
        )


def test_windows_of_groups_take_their_groups_from_names(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for subject in SUBJECTS:
            file[f"P{subject}/X"] = np.full((4, 8, 1), subject, "f4")
            file[f"P{subject}/y"] = np.arange(4) % 2
    options = {"windows": "P{subject}/X", "labels": "P{subject}/y", "window_samples": None}
    with opened(tmp_path / "w.h5", **options) as source:
        assert source.groups == ("1", "2", "10")
        np.testing.assert_array_equal(source.read_windows(0, 12)[:, 0, 0], np.repeat(SUBJECTS, 4))


def test_names_that_match_nothing_or_lack_labels_are_refused(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "s.h5")
    with refused(SourceError, "source.signals", "person_{subject}/acc"):
        opened(tmp_path / "s.h5", signals="person_{subject}/acc")
    with h5py.File(tmp_path / "s.h5", "a") as file:
        del file["subject_2/trial_2/y"]
    with refused(SourceError, "source.labels", "subject = 2", "trial = 2"):
        opened(tmp_path / "s.h5", **OPTIONS, **LABELS)


CELLS = [values(subject, trial)[:, 0] for subject, trial in RECORDINGS]


def assert_is_cells(source: Source) -> None:
    """The recordings of `CELLS`, with a label and a group each."""
    counts = [2 * len(cell) // 10 - 1 for cell in CELLS]
    found = source.read_labels(0, source.windows)
    np.testing.assert_array_equal(found.label, np.repeat(np.arange(len(CELLS)) % 2, counts))
    np.testing.assert_array_equal(found.group, np.repeat([0, 0, 1, 1, 2, 2], counts))
    last = source.read_windows(source.windows - 1, source.windows)[0, :, 0]
    np.testing.assert_array_equal(last, CELLS[-1][-10:])


ONE_EACH = {"y": np.arange(len(CELLS)) % 2, "subject": np.repeat([1, 2, 10], 2)}


def test_entries_of_their_own_lengths_are_recordings_with_a_label_each(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        made = file.create_dataset("trials", (len(CELLS),), h5py.vlen_dtype(np.float32))
        for number, cell in enumerate(CELLS):
            made[number] = cell
        made.attrs["sampling_rate_hz"] = 10.0
        for name, each in ONE_EACH.items():
            file[name] = each
    with opened(tmp_path / "v.h5", signals="trials", rate_hz=None) as source:
        assert_is_cells(source)


def test_cells_of_matlab_are_recordings_with_a_label_each(tmp_path: Path) -> None:
    cells = np.empty(len(CELLS), object)
    cells[:] = [cell[:, None] for cell in CELLS]
    savemat(tmp_path / "c.mat", {"data": cells, **{n: e[:, None] for n, e in ONE_EACH.items()}})
    with opened(tmp_path / "c.mat", signals="data") as source:
        assert_is_cells(source)


def test_windows_with_lengths_are_recordings_of_their_own_lengths(tmp_path: Path) -> None:
    lengths = np.array([len(cell) for cell in CELLS])
    padded = np.zeros((len(CELLS), lengths.max() + 5, 1), "f4")
    for number, cell in enumerate(CELLS):
        padded[number, : len(cell), 0] = cell
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file.create_dataset("X", data=padded, chunks=(4, 16, 1))
        file["n"] = lengths
        for name, each in ONE_EACH.items():
            file[name] = each
    for options in ({"windows": "X"}, {"signals": "X"}, {}):
        with opened(tmp_path / "p.h5", lengths="n", **options) as source:
            assert_is_cells(source)
    with h5py.File(tmp_path / "p.h5", "a") as file:
        file["n"][2] = 99
    with refused(SourceError, "p.h5:/n", "2", "99"):
        opened(tmp_path / "p.h5", lengths="n")


def test_a_label_may_stand_in_each_group(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        for name, (subject, trial) in zip(NAMES, RECORDINGS, strict=True):
            file[f"{name}/acc"] = values(subject, trial)
            file[f"{name}/y"] = (subject + trial) % 2
    with opened(tmp_path / "s.h5", **OPTIONS, **LABELS) as source:
        assert_is_all(source)


def test_a_number_is_one_group_whatever_stands_beside_it_in_its_file(tmp_path: Path) -> None:
    listed = ([1.0, 2.0], [1.0, 2.5], [2, 1])
    for number, groups in enumerate(listed):
        with h5py.File(tmp_path / f"s{number}.h5", "w") as file:
            for trial in (0, 1):
                file[f"trial_{trial}/acc"] = np.zeros((10, 3), "f4")
            file["subject"] = np.array(groups)
    with opened(tmp_path, files=["s{s}.h5"], signals="{trial}/acc", labels="") as source:
        found = source.read_labels(0, source.windows).group
        assert [float(source.groups[n]) for n in found] == [1, 2, 1, 2.5, 2, 1]
        assert source.groups == ("1", "2", "2.5")


def write_many(folder: Path) -> dict[str, Any]:
    """Three files of four recordings each, and how they are read."""
    for subject in SUBJECTS:
        with h5py.File(folder / f"s{subject}.h5", "w") as file:
            for trial in range(4):
                file[f"trial_{trial}/acc"] = values(subject, 1)
                file[f"trial_{trial}/y"] = np.full(30, (subject + trial) % 2)
            file["split"] = np.array(["test" if subject == 2 else "train"] * 4, "S5")
    return {
        **{"files": ["s{subject}.h5"], "signals": "trial_{trial}/acc"},
        **{"labels": "trial_{trial}/y", "rate_hz": 10.0, "window_samples": 10},
        "groups": "subject",
    }


def test_recordings_within_many_files_are_watched_by_file(tmp_path: Path) -> None:
    options = SourceOptions.model_validate(write_many(tmp_path))
    with open_source(tmp_path, options) as source:
        assert source.census is not None
        assert source.recorded_files() is not None
        census = census_from(BytesIO(source.census.to_bytes()), tmp_path)
        with open_source(tmp_path, options, census) as worker:
            state = source.state()
            worker.read_windows(0, worker.windows)
            (tmp_path / "s2.h5").touch()
            for each in (source, worker):
                with refused(SourceContentError, "s2.h5"):
                    each.require_state(state)


def test_recordings_that_another_process_found_within_files_are_not_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SourceOptions.model_validate(write_many(tmp_path))
    opened: list[str] = []
    monkeypatch.setattr(opening, "OPENED", [lambda place: opened.append(place.name)])
    with open_source(tmp_path, options) as source:
        assert len(set(opened)) == len(SUBJECTS)
        assert source.census is not None
        census = census_from(BytesIO(source.census.to_bytes()), tmp_path)
        opened.clear()
        with open_source(tmp_path, options, census) as worker:
            assert set(opened) == {"s1.h5"}, "one file says what all are like"
            assert worker.parts == source.parts == ("train", "test")
            assert worker.fingerprint() == source.fingerprint()
            count = source.windows
            np.testing.assert_array_equal(
                worker.read_windows(0, count), source.read_windows(0, count)
            )
            for one, other in zip(
                astuple(worker.read_labels(0, count)),
                astuple(source.read_labels(0, count)),
                strict=True,
            ):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("many", [True, False])
def test_what_is_held_of_recordings_within_files_is_counted(many: bool, tmp_path: Path) -> None:
    recordings, more = 5, 200
    options = {"signals": "{trial}/acc", "labels": "", "split_by_window": True}
    if many:
        options["files"] = ["*.h5"]
    held = []
    for size in (1, 1 + more):
        with h5py.File(tmp_path / "s.h5", "w") as file:
            for trial in range(recordings):
                file[f"{trial}" + "t" * size + "/acc"] = values(1, 1)
        path = tmp_path if many else tmp_path / "s.h5"
        with open_source(path, SourceOptions.model_validate(options | {"rate_hz": 10.0})) as source:
            held.append(source.table_bytes)
    assert held[1] - held[0] == recordings * more


def test_members_count_at_least_what_they_hold() -> None:
    count = 20_000
    table = {
        "file": list(range(count)),
        "fields": {"trial": [f"trial {number}" for number in range(count)]},
        "listed": {"split": [f"part {number}" for number in range(count)]},
    }
    packed = json.dumps(table)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    members = Members.from_table(json.loads(packed))
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert 0.9 * held <= members.nbytes <= 1.5 * held
