"""Labels that are no classes, read as sources have them: windows, rows, recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from tests.refusals import refused
from tests.stores.source_files import N, T, write_recordings, write_windows

ROWS = (90, 40, 70)
CUT = {"window_samples": 16, "step_samples": 8}
RNG = np.random.default_rng(5)


def opened(path: Path, target: dict[str, Any] | None = None, **options: Any) -> Source:
    """A source that is read so."""
    return open_source(path, SourceOptions.model_validate({**options, "target": target or {}}))


def labels_of(source: Source) -> NDArray[Any]:
    """All labels, which are the same in slices."""
    whole = source.read_labels(0, source.windows).label
    half = source.windows // 2
    parts = [source.read_labels(0, half), source.read_labels(half, source.windows)]
    np.testing.assert_array_equal(np.concatenate([each.label for each in parts]), whole)
    assert whole.shape == (source.windows, *source.target.shape)
    assert whole.dtype == source.target.dtype
    return whole


def places(source: Source) -> list[tuple[int, int]]:
    """Recording and first row within it of every candidate."""
    located = source.locate(0, source.windows)
    assert located is not None
    starts = np.cumsum(ROWS) - ROWS
    return [(int(r), int(s - starts[r])) for r, s in zip(*located, strict=True)]


def test_numbers_with_fractions_are_values(tmp_path: Path) -> None:
    values = RNG.normal(size=N)
    write_windows(tmp_path / "w.h5", y=values)
    with opened(tmp_path / "w.h5") as source:
        assert source.target.kind == "value"
        assert (source.classes, source.target.names) == ((), ("y",))
        np.testing.assert_array_equal(labels_of(source)[:, 0], values.astype("f4"))
        assert source.groups == ("1", "2", "10")


def test_whole_numbers_are_values_where_it_is_said_and_the_cap_holds(tmp_path: Path) -> None:
    write_windows(tmp_path / "w.h5", y=np.arange(N))
    with opened(tmp_path / "w.h5", {"kind": "value", "cap": 50, "units": ["cycles"]}) as source:
        np.testing.assert_array_equal(labels_of(source)[:, 0], np.minimum(np.arange(N), 50))
        assert source.target.units == ("cycles",)


@pytest.mark.parametrize("shift", [0, 1, -40])
def test_many_ordered_whole_numbers_are_asked_about(tmp_path: Path, shift: int) -> None:
    write_windows(tmp_path / "w.h5", y=np.arange(N) % 20 + shift)
    with refused(SourceError, "target.kind", '"value"', '"class"', "20"):
        opened(tmp_path / "w.h5")
    with opened(tmp_path / "w.h5", {"kind": "class"}) as source:
        assert len(source.classes) == 20
    (tmp_path / "r").mkdir()
    write_recordings(tmp_path / "r" / "r.h5", labels=np.arange(200) // 10 + shift, classes=None)
    with refused(SourceError, "target.kind", '"value"', '"class"'):
        opened(tmp_path / "r" / "r.h5", window_samples=5)


def test_whole_numbers_of_recordings_are_asked_about(tmp_path: Path) -> None:
    ages = np.arange(20) + 30
    content = {"recordings/age": ages, "labels": None, "classes": None}
    write_recordings(tmp_path / "r.h5", rows=(20,) * 20, **content)
    options = {"label_column": "age", "window_samples": 16}
    with refused(SourceError, "target.kind", '"value"', '"class"', "20", "30", "49"):
        opened(tmp_path / "r.h5", **options)
    for kind in ("value", "class"):
        with opened(tmp_path / "r.h5", {"kind": kind}, **options) as source:
            assert source.target.kind == kind
            assert source.windows == 20


def test_codes_with_gaps_between_them_few_numbers_and_names_are_classes(tmp_path: Path) -> None:
    write_windows(tmp_path / "gaps.h5", y=np.arange(N) % 15 * 7)
    write_windows(tmp_path / "few.h5", y=np.arange(N) % 12)
    write_windows(tmp_path / "named.h5", y=np.arange(N) % 15, classes=[f"c{n}" for n in range(15)])
    for name, classes in (("gaps", 15), ("few", 12), ("named", 15)):
        with opened(tmp_path / f"{name}.h5") as source:
            assert (source.target.kind, len(source.classes)) == ("class", classes)
    write_windows(tmp_path / "rest.h5", y=np.arange(N) % 20)
    with opened(tmp_path / "rest.h5", exclude_labels=["0"]) as source:
        assert len(source.classes) == 19


def test_columns_of_0_and_1_are_several_labels_and_rows_without_one_are_kept(
    tmp_path: Path,
) -> None:
    marks = (RNG.random((N, 4)) < 0.3).astype("i8")
    marks[:5] = 0
    write_windows(tmp_path / "w.h5", y=marks)
    with h5py.File(tmp_path / "w.h5", "a") as file:
        file["y"].attrs["names"] = ["AF", "ST", "SB", "RBBB"]
    with opened(tmp_path / "w.h5") as source:
        assert (source.target.kind, source.windows) == ("labels", N)
        assert source.classes == ("AF", "ST", "SB", "RBBB")
        np.testing.assert_array_equal(labels_of(source), marks)
    with opened(tmp_path / "w.h5", {"names": list("abcd")}) as source:
        assert source.classes == tuple("abcd")


def test_columns_of_which_one_is_marked_are_asked_about(tmp_path: Path) -> None:
    write_windows(tmp_path / "w.h5", y=np.eye(3)[np.arange(N) % 3])
    with refused(SourceError, "target.kind", '"labels"', "(90, 3)"):
        opened(tmp_path / "w.h5")
    with opened(tmp_path / "w.h5", {"kind": "labels"}) as source:
        assert source.classes == ("y_0", "y_1", "y_2")


def test_labels_are_made_of_names_that_belong_to_several(tmp_path: Path) -> None:
    options = {"class_map": {"upright": ["walk", "run"], "fast": ["run"]}}
    write_windows(tmp_path / "w.h5", classes=["lie", "walk", "run"])
    with opened(tmp_path / "w.h5", {"kind": "labels"}, **options) as source:
        assert source.classes == ("upright", "fast")
        assert labels_of(source)[:: N // 3].tolist() == [[0, 0], [1, 0], [1, 1]]
        assert source.fingerprint()
    codes = np.arange(200) // 30 % 3
    write_recordings(tmp_path / "r.h5")  # none, walk, run
    with opened(tmp_path / "r.h5", {"kind": "labels"}, **options, **CUT) as source:
        starts = np.cumsum(ROWS) - ROWS
        own = [codes[starts[recording] + row :][:16] for recording, row in places(source)]
        wanted = [[(each > 0).mean() >= 0.5, (each > 1).mean() >= 0.5] for each in own]
        np.testing.assert_array_equal(labels_of(source), np.array(wanted))
    with refused(SourceError, "source.class_map.fast", "ran"):
        opened(tmp_path / "w.h5", {"kind": "labels"}, class_map={"fast": ["ran"]})


def test_names_in_one_cell_are_several_labels(tmp_path: Path) -> None:
    cells = ["AF;ST", "", "ST", "['SB', 'AF']", "AF | ST", "ST,AF"] * (N // 6)
    write_windows(tmp_path / "w.h5", y=cells)
    with opened(tmp_path / "w.h5", {"kind": "labels"}) as source:
        assert source.classes == ("AF", "SB", "ST")
        wanted = [[1, 0, 1], [0, 0, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [1, 0, 1]]
        np.testing.assert_array_equal(labels_of(source)[:6], wanted)
    with opened(tmp_path / "w.h5", {"kind": "labels", "names": ["ST", "SB", "AF"]}) as source:
        assert labels_of(source)[3].tolist() == [0, 1, 1]


def test_names_in_one_cell_of_a_recording_or_a_row(tmp_path: Path) -> None:
    content = {"labels": None, "classes": None, "recordings/dx": ["AF;ST", "ST", ""]}
    write_recordings(tmp_path / "r.h5", **content)
    with opened(tmp_path / "r.h5", {"kind": "labels"}, label_column="dx", **CUT) as source:
        wanted = [[[1, 1], [0, 1], [0, 0]][recording] for recording, _ in places(source)]
        np.testing.assert_array_equal(labels_of(source), wanted)
    rows = ["up"] * 30 + ["up;fast"] * 30 + [""] * 140
    (tmp_path / "rows").mkdir()
    write_recordings(tmp_path / "rows" / "r.h5", labels=rows, classes=None)
    with opened(tmp_path / "rows" / "r.h5", {"kind": "labels"}, **CUT) as source:
        assert source.classes == ("fast", "up")
        assert labels_of(source)[[0, 3, 8]].tolist() == [[0, 1], [1, 1], [0, 0]]


def test_several_columns_of_numbers_are_several_values(tmp_path: Path) -> None:
    values = RNG.normal(size=(N, 2))
    write_windows(tmp_path / "w.h5", y=values, speed=values[:, 0], pulse=values[:, 1])
    with opened(tmp_path / "w.h5") as source:
        assert source.target.names == ("y_0", "y_1")
        np.testing.assert_array_equal(labels_of(source), values.astype("f4"))
    with opened(tmp_path / "w.h5", labels=["speed", "pulse"]) as source:
        assert source.target.names == ("speed", "pulse")
        np.testing.assert_array_equal(labels_of(source), values.astype("f4"))


def test_codes_of_every_sample_or_each_kth_are_a_sequence(tmp_path: Path) -> None:
    codes = RNG.integers(-1, 3, (N, T))
    write_windows(tmp_path / "w.h5", y=codes, classes=["a", "b", "c"], k=codes[:, ::4])
    with opened(tmp_path / "w.h5", {"kind": "sequence"}) as source:
        assert (source.target.every, source.target.length) == (1, T)
        assert source.classes == ("a", "b", "c")
        np.testing.assert_array_equal(labels_of(source), codes)
    with opened(tmp_path / "w.h5", {"kind": "sequence", "every": 8}) as source:
        np.testing.assert_array_equal(labels_of(source), codes[:, 4::8])
    with opened(tmp_path / "w.h5", {"kind": "sequence"}, labels="k") as source:
        assert (source.target.every, source.target.length) == (4, 4)
        np.testing.assert_array_equal(labels_of(source), codes[:, ::4])
    with refused(SourceError, '"value"', '"sequence"'):
        opened(tmp_path / "w.h5")


def test_names_of_every_sample_are_a_sequence_unsaid(tmp_path: Path) -> None:
    codes = RNG.integers(0, 3, (N, T))
    names = np.array(["sit", "walk", "unlabelled"], dtype=object)[codes]
    write_windows(tmp_path / "w.h5", y=names)
    with opened(tmp_path / "w.h5", {"kind": "sequence"}) as source:
        assert source.classes == ("sit", "walk")
        np.testing.assert_array_equal(labels_of(source), np.where(codes == 2, -1, codes))
        assert source.fingerprint()
    with opened(tmp_path / "w.h5") as source:
        assert (source.target.kind, source.classes) == ("sequence", ("sit", "walk"))


def test_labels_that_a_sequence_leaves_out_are_as_if_there_were_none(tmp_path: Path) -> None:
    codes = RNG.integers(0, 3, (N, T))
    write_windows(tmp_path / "w.h5", y=codes)
    chosen = {"class_map": {"move": ["1", "2"]}}
    with opened(tmp_path / "w.h5", {"kind": "sequence"}, **chosen) as source:
        assert source.classes == ("move",)
        np.testing.assert_array_equal(labels_of(source), np.where(codes == 0, -1, 0))


@pytest.mark.parametrize("at", ["last", "centre", "mean", None])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_value_of_a_window_of_recordings_is_of_the_rows_that_are_chosen(
    tmp_path: Path, at: str | None, dtype: str
) -> None:
    values = RNG.normal(size=sum(ROWS)).astype(dtype)
    write_recordings(tmp_path / "r.h5", labels=values[:, None], classes=None)
    with opened(tmp_path / "r.h5", {"at": at}, **CUT) as source:
        found = labels_of(source)[:, 0]
        # Windows go on where labels of classes would have changed.
        assert source.windows == sum((rows - 16) // 8 + 1 for rows in ROWS)
        starts = np.cumsum(ROWS) - ROWS
        for (recording, row), value in zip(places(source), found, strict=True):
            own = values[starts[recording] + row :][:16].astype("f8")
            wanted = {"last": own[15], "centre": own[8], "mean": own.mean()}[at or "last"]
            assert value == np.float32(wanted)


def test_values_of_resampled_windows_are_of_the_nearest_rows(tmp_path: Path) -> None:
    write_recordings(tmp_path / "r.h5", labels=np.arange(200) + 0.5, classes=None)
    with opened(tmp_path / "r.h5", window_samples=8, step_samples=4, target_rate_hz=5) as source:
        first = [row for _, row in places(source)]
        begins = np.repeat(np.cumsum(ROWS) - ROWS, np.bincount([r for r, _ in places(source)]))
        np.testing.assert_array_equal(labels_of(source)[:, 0], begins + first + 14 + 0.5)


def test_a_value_of_a_recording_is_that_of_all_its_windows(tmp_path: Path) -> None:
    age = np.array([31.5, 60.0, 44.25])
    write_recordings(tmp_path / "r.h5", labels=age, classes=None, **{"recordings/age": age})
    for options in ({}, {"label_column": "age"}):
        target = {"kind": "value"} if options else {}
        with opened(tmp_path / "r.h5", target, **options, **CUT) as source:
            wanted = [age[recording] for recording, _ in places(source)]
            np.testing.assert_array_equal(labels_of(source)[:, 0], np.float32(wanted))


@pytest.mark.parametrize("at", ["last", "mean"])
def test_values_of_every_second_are_those_of_its_rows(tmp_path: Path, at: str) -> None:
    pulse = 60 + RNG.normal(size=20)
    write_recordings(tmp_path / "r.h5", labels=pulse, classes=None)
    target = {"kind": "value", "at": at, "units": ["bpm"]}
    with opened(tmp_path / "r.h5", target, label_every_s=1, **CUT) as source:
        every = pulse.repeat(10)
        starts = np.cumsum(ROWS) - ROWS
        rows = [every[starts[recording] + row :][:16] for recording, row in places(source)]
        wanted = [own[15] if at == "last" else own.mean() for own in rows]
        np.testing.assert_array_equal(labels_of(source)[:, 0], np.float32(wanted))


@pytest.mark.parametrize(("units", "per_row"), [(None, 1), ("s", 0.1), ("min", 1 / 600)])
def test_what_remains_of_a_recording_counts_down_to_its_last_row(
    tmp_path: Path, units: str | None, per_row: float
) -> None:
    write_recordings(tmp_path / "r.h5", labels=None, classes=None)
    target = {"remaining": True, "cap": 50 * per_row, "units": [units] if units else None}
    with opened(tmp_path / "r.h5", target, **CUT) as source:
        left = [ROWS[recording] - row - 16 for recording, row in places(source)]
        assert min(left) < 8 <= 50 < max(left)
        np.testing.assert_allclose(
            labels_of(source)[:, 0], np.minimum(left, 50) * per_row, rtol=1e-6
        )
        assert source.target.names == ("remaining",)


def test_what_is_left_after_the_end_of_a_recording_counts(tmp_path: Path) -> None:
    after = np.array([7, 0, 30])
    content = {"recordings/rul": after, "labels": None, "classes": None}
    write_recordings(tmp_path / "r.h5", **content)
    with opened(tmp_path / "r.h5", {"remaining": True}, label_column="rul", **CUT) as source:
        left = [ROWS[r] - row - 16 + after[r] for r, row in places(source)]
        np.testing.assert_array_equal(labels_of(source)[:, 0], left)


def test_several_labels_of_rows_are_those_of_half_a_window_or_more(tmp_path: Path) -> None:
    marks = np.zeros((200, 2), "u1")
    marks[:60, 0], marks[30:, 1] = 1, 1
    write_recordings(tmp_path / "r.h5", labels=marks, classes=["up", "fast"])
    with opened(tmp_path / "r.h5", **CUT) as source:
        assert (source.target.kind, source.classes) == ("labels", ("up", "fast"))
        starts = np.cumsum(ROWS) - ROWS
        wanted = [
            marks[starts[recording] + row :][:16].mean(axis=0) >= 0.5
            for recording, row in places(source)
        ]
        np.testing.assert_array_equal(labels_of(source), np.array(wanted))


@pytest.mark.parametrize("every", [1, 4])
def test_windows_of_sequences_cross_the_borders_of_labels(tmp_path: Path, every: int) -> None:
    codes = np.arange(200) // 7 % 4 - 1
    write_recordings(tmp_path / "r.h5", labels=codes)
    with opened(tmp_path / "r.h5", {"kind": "sequence", "every": every}, **CUT) as source:
        assert source.classes == ("none", "walk", "run")
        starts = np.cumsum(ROWS) - ROWS
        wanted = [
            codes[starts[recording] + row :][:16][every // 2 :: every]
            for recording, row in places(source)
        ]
        np.testing.assert_array_equal(labels_of(source), np.array(wanted))


def test_rows_outside_intervals_are_the_unlabelled_ones_of_a_sequence(tmp_path: Path) -> None:
    write_recordings(tmp_path / "r.h5", labels=None, classes=None)
    (tmp_path / "marks.csv").write_text("recording,start,stop,label\n0,5,20,up\n1,0,40,down\n")
    options = {"intervals": {"file": "marks.csv"}, **CUT}
    with opened(tmp_path / "r.h5", {"kind": "sequence"}, **options) as source:
        first = labels_of(source)[0]
        assert source.classes == ("down", "up")
        np.testing.assert_array_equal(first, np.where(np.arange(16) < 5, -1, 1))


def test_values_that_are_missing_are_an_error_or_dropped(tmp_path: Path) -> None:
    values = RNG.normal(size=N)
    values[[3, 40, 41]] = np.nan, np.inf, -np.inf
    write_windows(tmp_path / "w.h5", y=values)
    for policy in ("error", "fill"):
        with (
            opened(tmp_path / "w.h5", non_finite=policy) as source,
            refused(SourceError, "source.non_finite", "3"),
        ):
            _ = source.target
    with opened(tmp_path / "w.h5", non_finite="drop") as source:
        assert source.without_target().tolist() == [3, 40, 41]


def test_what_labels_are_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    found = set()
    for number in range(2):
        values = np.arange(N) + 0.5 + (number * np.eye(N)[-1])
        write_windows(tmp_path / f"{number}.h5", y=values)
        with opened(tmp_path / f"{number}.h5") as source:
            found.add(source.fingerprint())
    assert len(found) == 2
