"""Labels every so many seconds, and intervals in seconds or dates."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.stores.errors import SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from tests.refusals import refused

EPOCH = 1_700_000_000.0
RATE, EVERY = 10.0, 3.0


def opened(path: Path, **options: Any) -> Source:
    given = {"window_samples": 10, "step_samples": 10, "label_every_s": EVERY} | options
    return open_source(path, SourceOptions.model_validate(given))


def write(path: Path, labels: Any, lengths: list[int], **arrays: Any) -> None:
    rows = sum(lengths)
    with h5py.File(path, "w") as file:
        file["signals"] = np.arange(2 * rows, dtype="f4").reshape(rows, 2)
        file["labels"] = labels
        file["recordings/start"] = np.cumsum(lengths) - lengths
        file["recordings/length"] = lengths
        file["recordings/subject"] = np.arange(len(lengths)) + 5
        for name, values in arrays.items():
            file[name] = values
        file.attrs["sampling_rate_hz"] = RATE


def by_row(source: Source) -> dict[int, str]:
    """Names of the labels of windows by their first row."""
    located = source.locate(0, source.windows)
    assert located is not None
    labels = source.read_labels(0, source.windows).label
    return {int(row): source.classes[label] for row, label in zip(located[1], labels, strict=True)}


@given(
    lengths=st.lists(st.integers(0, 200), min_size=1, max_size=4),
    rule=st.sampled_from([np.floor, np.ceil]),
)
@settings(max_examples=12, deadline=None)
def test_each_label_is_of_its_period(tmp_path_factory: Any, lengths: list[int], rule: Any) -> None:
    lengths = [*lengths, 95]
    counts = rule(np.array(lengths) / 30).astype(int)
    labels = np.arange(counts.sum()) % 7
    path = tmp_path_factory.mktemp("periods") / "s.h5"
    write(path, labels, lengths)
    expected = {}
    start, entry = 0, 0
    for length, count in zip(lengths, counts, strict=True):
        for number in range(count):
            stop = min(30, length - 30 * number)
            for low in range(0, stop - 9, 10):
                expected[start + 30 * number + low] = str(labels[entry + number])
        start, entry = start + length, entry + count
    with opened(path) as source:
        assert by_row(source) == expected


def test_labels_that_are_not_scored_are_left_out_by_name(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", [0, -1, 1, 2, 0, -1], [90, 90])
    with opened(tmp_path / "s.h5", exclude_labels=["-1"]) as source:
        assert source.classes == ("0", "1", "2")
        assert set(by_row(source)) == {0, 10, 20, 60, 70, 80, *range(90, 150, 10)}


def test_files_have_labels_of_their_own(tmp_path: Path) -> None:
    for subject, (length, labels) in enumerate([(90, [0, 1, 2]), (65, [2, 1]), (70, [0, 0, 1])]):
        path = tmp_path / "d" / f"{subject}.h5"
        path.parent.mkdir(exist_ok=True)
        write(path, labels, [length])
        with h5py.File(path, "a") as file:
            del file["recordings"]
    with opened(tmp_path / "d", files=["{subject}.h5"]) as source:
        found = by_row(source)
    assert {row: found[row] for row in (0, 30, 60, 90, 120, 155)} == {
        **{0: "0", 30: "1", 60: "2"},
        **{90: "2", 120: "1"},
        155: "0",
    }
    assert 215 in found or 205 in found
    write(tmp_path / "d/9.h5", [0, 1, 2, 2], [65])
    with refused(SourceError, "source.label_every_s", "recording 3", "4"):
        opened(tmp_path / "d", files=["{subject}.h5"])


@pytest.mark.parametrize("count", [5, 8])
def test_a_count_that_does_not_fit_is_refused(tmp_path: Path, count: int) -> None:
    write(tmp_path / "s.h5", np.zeros(count, int), [90, 100])
    with refused(SourceError, "source.label_every_s", str(count)):
        opened(tmp_path / "s.h5")


def test_without_the_key_the_error_names_it(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", [0, 1, 2, 0, 1, 2], [90, 90])
    with refused(SourceError, "source.label_every_s", "3"):
        opened(tmp_path / "s.h5", label_every_s=None)


@pytest.mark.parametrize("with_gap", [False, True])
def test_labels_count_what_was_recorded_or_time_with_gaps(tmp_path: Path, with_gap: bool) -> None:
    times = np.arange(120) / RATE
    times[60:] += 6.0  # Of two periods.
    labels = [0, 1, 9, 9, 2, 3] if with_gap else [0, 1, 2, 3]
    write(tmp_path / "s.h5", labels, [120], time=times)
    with opened(tmp_path / "s.h5", split_by_window=True) as source:
        found = by_row(source)
    assert {row: found[row] for row in (0, 30, 60, 90)} == {0: "0", 30: "1", 60: "2", 90: "3"}


def test_labels_that_fit_both_ways_are_read_by_the_clock_and_said(tmp_path: Path) -> None:
    times = np.arange(110) / RATE
    times[60:] += 1.0
    write(tmp_path / "s.h5", [0, 1, 2, 3], [110], time=times)
    with opened(tmp_path / "s.h5", split_by_window=True, step_samples=1) as source:
        found = by_row(source)
        assert any(each.warning and each.key == "source.label_every_s" for each in source.notes)
    # The row 60 is 7 s after the first, the row 80 is 9 s after it.
    assert {row: found[row] for row in (0, 60, 70, 80)} == {0: "0", 60: "2", 70: "2", 80: "3"}


def intervals(path: Path, rows: list[str], header: str = "subject,start,stop,label") -> None:
    path.write_text("\n".join([header, *rows]) + "\n")


def date(seconds: float) -> str:
    return datetime.fromtimestamp(EPOCH + seconds, UTC).isoformat(" ", "milliseconds")[:23]


@pytest.mark.parametrize("unit", ["date", "s", "ms", "since"])
@pytest.mark.parametrize("stored", ["f8", "S23", "i8"])
def test_intervals_in_time_are_looked_up_among_the_times(
    tmp_path: Path, unit: str, stored: str
) -> None:
    seconds = np.arange(200) / RATE
    seconds[100:] += 5.0
    times = {
        "f8": EPOCH + seconds,
        "S23": np.array([date(each) for each in seconds], "S"),
        "i8": np.round((EPOCH + seconds) * 1e9).astype("i8"),
    }[stored]
    write(tmp_path / "s.h5", 0, [200, 200], time=np.concatenate([times, times]))
    shown = {
        "date": date,
        "s": lambda t: f"{EPOCH + t:.3f}",
        "ms": lambda t: f"{(EPOCH + t) * 1e3:.0f}",
        "since": lambda t: f"{t:.3f}",
    }[unit]
    rows = [
        f"{subject},{shown(low)},{shown(high)},{label}"
        for subject in (5, 6)
        for low, high, label in ((1.0, 4.0, "sit"), (8.0, 17.0, "walk"), (20.0, 24.9, "run"))
    ]
    intervals(tmp_path / "marks.csv", rows)
    table = {"file": "marks.csv", "unit": "s" if unit == "since" else unit}
    with opened(tmp_path / "s.h5", label_every_s=None, intervals=table) as source:
        assert by_row(source) == {
            **{start + row: "sit" for start in (0, 200) for row in (10, 20, 30)},
            # The gap of 5 s from 10 to 15 parts it.
            **{start + row: "walk" for start in (0, 200) for row in (80, 90, 100, 110)},
            **{start + row: "run" for start in (0, 200) for row in (150, 160, 170, 180)},
        }


def test_an_interval_out_of_its_recording_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", 0, [200], time=EPOCH + np.arange(200) / RATE)
    intervals(tmp_path / "marks.csv", [f"5,{date(1)},{date(2)},a", f"5,{date(18)},{date(29)},b"])
    table = {"file": "marks.csv", "unit": "date"}
    with refused(SourceError, "Row 2", "source.intervals.unit", "20"):
        opened(tmp_path / "s.h5", label_every_s=None, intervals=table)


def test_intervals_of_rows_that_were_sorted_are_refused(tmp_path: Path) -> None:
    times = np.arange(200) / RATE
    times[[20, 21, 50]] = times[[21, 20, 49]]
    write(tmp_path / "s.h5", 0, [200], time=times)
    intervals(tmp_path / "marks.csv", ["5,0,100,a", "5,100,200,b"])
    options = {"time_order": "sort", "label_every_s": None}
    with refused(SourceError, "source.intervals.unit", "marks.csv"):
        opened(tmp_path / "s.h5", intervals={"file": "marks.csv"}, **options)
    write(tmp_path / "s.h5", 0, [200], time=np.arange(200) / RATE)
    with opened(tmp_path / "s.h5", intervals={"file": "marks.csv"}, **options) as source:
        assert source.classes == ("a", "b")


@pytest.mark.parametrize("counted_from", [None, "beginning", "times"])
def test_moments_that_fit_two_ways_are_said(tmp_path: Path, counted_from: str | None) -> None:
    write(tmp_path / "s.h5", 0, [200], time=2.0 + np.arange(200) / RATE)
    intervals(tmp_path / "marks.csv", ["5,3,7,a", "5,7,19,b"])
    table = {"file": "marks.csv", "unit": "s", "counted_from": counted_from}
    with opened(tmp_path / "s.h5", label_every_s=None, intervals=table) as source:
        begins = 10 if counted_from == "times" else 30
        assert min(by_row(source)) == begins
        said = [each for each in source.notes if each.key == "source.intervals.counted_from"]
    assert [each.warning for each in said] == ([] if counted_from else [True])


def test_dates_need_times(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", 0, [200])
    intervals(tmp_path / "marks.csv", [f"5,{date(1)},{date(2)},a"])
    table = {"file": "marks.csv", "unit": "date"}
    with refused(SourceError, "source.time"):
        opened(tmp_path / "s.h5", label_every_s=None, intervals=table)


@pytest.mark.parametrize("called", ["a/s1.h5", "s1.h5", "s1", "a\\s1.h5"])
def test_intervals_are_by_the_names_of_files(tmp_path: Path, called: str) -> None:
    for name in ("a/s1", "b/s2"):
        path = tmp_path / f"d/{name}.h5"
        path.parent.mkdir(parents=True)
        write(path, 0, [60])
        with h5py.File(path, "a") as file:
            del file["recordings"]
    intervals(tmp_path / "d/marks.csv", [f"{called},1,4,x", "s2,0,3,y"], "file,start,stop,label")
    options = {
        "files": ["{folder}/{subject}.h5"],
        "intervals": {"file": "marks.csv", "unit": "s"},
        "label_every_s": None,
    }
    with opened(tmp_path / "d", **options) as source:
        assert by_row(source) == {10: "x", 20: "x", 30: "x", 60: "y", 70: "y", 80: "y"}


def test_intervals_are_by_the_groups_of_rows_where_there_is_no_table(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", 0, [60, 60], subject=np.repeat([5, 6], 60))
    with h5py.File(tmp_path / "s.h5", "a") as file:
        del file["recordings"]
    intervals(tmp_path / "m.csv", ["6,10,30,x", "5,20,40,y"])
    options = {"intervals": {"file": "m.csv"}, "label_every_s": None}
    with opened(tmp_path / "s.h5", **options) as source:
        assert by_row(source) == {20: "y", 30: "y", 70: "x", 80: "x"}


def test_intervals_beside_a_file_are_by_the_number_of_the_recording(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", 0, [60, 60])
    intervals(tmp_path / "m.csv", ["1,10,30,x", "0,20,40,y"], "recording,start,stop,label")
    options = {"intervals": {"file": "m.csv"}, "label_every_s": None}
    with opened(tmp_path / "s.h5", **options) as source:
        assert by_row(source) == {20: "y", 30: "y", 70: "x", 80: "x"}


@pytest.mark.parametrize("kind", ["intervals", "periods", "recordings", "column"])
def test_other_names_of_labels_are_another_content(tmp_path: Path, kind: str) -> None:
    path, found = tmp_path / "s.h5", set()
    options: dict[str, Any] = {"label_every_s": 10.0 if kind == "periods" else None}
    if kind == "intervals":
        options["intervals"] = {"file": "m.csv"}
    if kind == "column":
        options["label_column"] = "activity"
    for one, two in (("walk", "rest"), ("rest", "walk"), ("walk", "jump")):
        names = [one.encode(), two.encode()]
        write(path, names * (2 if kind == "periods" else 1), [200, 200])
        with h5py.File(path, "a") as file:
            file["recordings/activity"] = names
        intervals(tmp_path / "m.csv", [f"5,0,200,{one}", f"6,0,200,{two}"])
        with opened(path, **options) as source:
            assert set(source.classes) == {one, two}
            found.add(source.fingerprint())
    assert len(found) == 3


@pytest.mark.parametrize(
    ("numbers", "first", "begin", "warned"),
    [
        ((1, 3), None, (0, 120), False),
        ((0, 2), None, (0, 120), None),
        ((1, 2), None, (60, 120), True),
        ((1, 2), 1, (0, 60), None),
        ((1, 2), 0, (60, 120), None),
    ],
)
def test_numbers_of_recordings_are_counted_as_they_only_can_be(
    tmp_path: Path,
    numbers: tuple[int, int],
    first: int | None,
    begin: tuple[int, int],
    warned: bool | None,
) -> None:
    write(tmp_path / "s.h5", 0, [60, 60, 60])
    rows = [f"{number},10,30,{label}" for number, label in zip(numbers, "xy", strict=True)]
    intervals(tmp_path / "m.csv", rows, "recording,start,stop,label")
    table = {"file": "m.csv"} | ({} if first is None else {"first": first})
    with opened(tmp_path / "s.h5", label_every_s=None, intervals=table) as source:
        found = by_row(source)
        said = [each.warning for each in source.notes if each.key == "source.intervals.first"]
    own = 10 - (first or 0)
    assert [found[row + own] for row in begin] == ["x", "y"]
    assert said == ([] if warned is None else [warned])
