"""Times in place of a rate: gaps cut recordings, disorder is named, the unit is what is said."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.derived.held import HeldArray
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from headrace.stores.source.times.dates import nanoseconds
from headrace.stores.source.times.rate import meant_rate
from headrace.stores.source.times.stamps import Stamps
from tests.refusals import refused
from tests.stores.source_files import write_recordings

EPOCH = 1_700_000_000.0
ROWS = 240
GAP_AT = 150


def opened(path: Path, **options: Any) -> Source:
    return open_source(path, SourceOptions.model_validate({"window_samples": 16} | options))


def seconds(rate: float = 50.0, rows: int = ROWS) -> np.ndarray:
    """With a gap of 2 s."""
    times = np.arange(rows) / rate
    times[GAP_AT:] += 2.0
    return times


def signals(rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)


def write(path: Path, times: Any, recordings: int = 2, unit: str = "", **attributes: Any) -> None:
    """An HDF5 file of equal recordings, each with these times."""
    rows = len(times)
    with h5py.File(path, "w") as file:
        file["signals"] = np.concatenate([signals(rows)] * recordings)
        file["labels"] = np.zeros(rows * recordings, np.int64)
        file["time"] = np.concatenate([times] * recordings)
        if unit:
            file["time"].attrs["units"] = unit
        file["recordings/start"] = np.arange(recordings) * rows
        file["recordings/length"] = np.full(recordings, rows)
        file["recordings/subject"] = np.arange(recordings)
        file.attrs.update(attributes)


def cut(source: Source) -> list[int]:
    """First rows of windows, within their recording."""
    located = source.locate(0, source.windows)
    assert located is not None
    return sorted({int(row) % ROWS for row in located[1]})


def windows_around(gap: int = GAP_AT, rows: int = ROWS) -> list[int]:
    """First rows of windows of 16 that step by 8 and join nothing."""
    return [*range(0, gap - 15, 8), *range(gap, rows - 15, 8)]


def iso(times: np.ndarray) -> list[str]:
    when = (datetime.fromtimestamp(EPOCH + t, UTC) for t in times)
    return [each.isoformat(" ", "milliseconds")[:23] for each in when]


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        (seconds(), ""),
        (seconds().astype("f4"), ""),
        (EPOCH + seconds(), ""),
        (np.round(seconds() * 1e9).astype("i8"), "ns"),
        (np.round((EPOCH + seconds()) * 1e9).astype("i8"), ""),
        (np.round((EPOCH + seconds()) * 1e3).astype("i8"), ""),
        (np.round(seconds() * 1e3).astype("i4"), ""),
        (seconds() * 1e3, "milliseconds"),
        (np.round(seconds() * 1e6).astype("u8"), "us"),
        ((EPOCH + seconds()) / 86400 + 719529, "days since 0000-01-00"),
        (np.array(iso(seconds()), "S"), ""),
        (np.array([each.replace(" ", "T") + "Z" for each in iso(seconds())], "S"), ""),
    ],
)
def test_the_rate_is_that_of_the_times_and_no_window_joins_a_gap(
    tmp_path: Path, times: np.ndarray, unit: str
) -> None:
    write(tmp_path / "s.h5", times, unit=unit)
    with opened(tmp_path / "s.h5") as source:
        assert source.spec.rate_hz == 50.0
        assert cut(source) == windows_around()
        assert source.groups == ("0", "1")
        assert any(note.key == "source.max_gap_s" for note in source.notes)


def test_windows_are_those_of_recordings_that_were_cut_by_hand(tmp_path: Path) -> None:
    write(tmp_path / "times.h5", seconds())
    write(tmp_path / "cut.h5", seconds(), sampling_rate_hz=50.0)
    with h5py.File(tmp_path / "cut.h5", "a") as file:
        del file["recordings"], file["time"]
        file["recordings/start"] = [0, GAP_AT, ROWS, ROWS + GAP_AT]
        file["recordings/length"] = [GAP_AT, ROWS - GAP_AT] * 2
        file["recordings/subject"] = [0, 0, 1, 1]
    for options in ({}, {"target_rate_hz": 25.0}, {"label_rule": "majority", "step_samples": 3}):
        with (
            opened(tmp_path / "times.h5", **options) as source,
            opened(tmp_path / "cut.h5", **options) as by_hand,
        ):
            assert source.spec == by_hand.spec
            count = by_hand.windows
            np.testing.assert_array_equal(
                source.read_windows(0, count), by_hand.read_windows(0, count)
            )
            assert source.read_labels(0, count).group.tolist() == (
                by_hand.read_labels(0, count).group.tolist()
            )


def test_pieces_have_the_row_and_the_seconds_of_their_recording(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", EPOCH + seconds())
    with opened(tmp_path / "s.h5") as source:
        located, found = source.locate(0, source.windows), source.seconds(0, source.windows)
        assert located is not None
        assert found is not None
        recording, row = located
        assert set(recording.tolist()) == {0, 1}
        np.testing.assert_allclose(found, seconds()[row % ROWS], atol=1e-5)
        assert "source.window_s" not in [note.key for note in source.notes]


def test_a_file_with_a_rate_and_even_times_is_the_source_that_it_was(tmp_path: Path) -> None:
    held = write_recordings(tmp_path / "s.h5")
    with opened(tmp_path / "s.h5") as source:
        before, windows = source.fingerprint(), source.read_windows(0, source.windows)
    with h5py.File(tmp_path / "s.h5", "a") as file:
        file["time"] = np.concatenate(
            [np.arange(rows) / 10 for rows in held["recordings/length"].tolist()]
        )
        size = (tmp_path / "s.h5").stat().st_size
    with opened(tmp_path / "s.h5") as source, opened(tmp_path / "s.h5", time="") as without:
        assert source.fingerprint() == without.fingerprint()
        np.testing.assert_array_equal(source.read_windows(0, source.windows), windows)
    assert size
    assert before


def test_the_fingerprint_changes_with_a_gap(tmp_path: Path) -> None:
    found = []
    for number, gap in enumerate((0.0, 5.0)):
        times = np.arange(ROWS) / 50
        times[GAP_AT:] += gap
        write(tmp_path / f"{number}.h5", times, sampling_rate_hz=50.0)
        with opened(tmp_path / f"{number}.h5") as source:
            found.append(source.fingerprint())
    assert found[0] != found[1]


def test_gaps_that_leave_no_window_are_named(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", np.arange(ROWS) / 50 + np.arange(ROWS) // 10)
    with refused(SourceError, "source.max_gap_s", "46"):
        opened(tmp_path / "s.h5")
    with opened(tmp_path / "s.h5", max_gap_s=2) as source:
        assert source.windows == 2 * len(range(0, ROWS - 15, 8))


@pytest.mark.parametrize("rated", [False, True])
def test_a_single_repeated_time_is_refused_with_its_place(tmp_path: Path, rated: bool) -> None:
    times = np.arange(ROWS) / 50
    times[31] = times[30]
    write(tmp_path / "s.h5", times, **({"sampling_rate_hz": 50.0} if rated else {}))
    with refused(SourceContentError, "source.time_order", "recording 0", "row 31", "0.6"):
        opened(tmp_path / "s.h5")


def test_times_that_go_back_are_refused_with_recording_row_and_values(tmp_path: Path) -> None:
    times = iso(np.arange(ROWS) / 50)
    times[40], times[41] = times[41], times[40]
    both = np.array([*iso(np.arange(ROWS) / 50), *times], "S")
    write(tmp_path / "s.h5", both[:ROWS], unit="")
    with h5py.File(tmp_path / "s.h5", "a") as file:
        del file["time"]
        file["time"] = both
    with refused(SourceContentError, "recording 1", "row 41", "row 281", "2023-11-14T22:13:20.8"):
        opened(tmp_path / "s.h5")


@given(data=st.data())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_sorted_rows_are_those_of_a_file_in_order(tmp_path_factory: Any, data: Any) -> None:
    folder = tmp_path_factory.mktemp("sorted")
    times, values = seconds(), signals()
    order = np.arange(ROWS)
    for _ in range(data.draw(st.integers(1, 4))):
        low = data.draw(st.integers(0, ROWS - 2))
        high = data.draw(st.integers(low + 2, ROWS))
        order[low:high] = np.roll(order[low:high], data.draw(st.integers(1, high - low - 1)))
    twice = data.draw(st.lists(st.integers(0, ROWS - 1), max_size=3))
    order = np.concatenate([order, np.array(twice, np.int64)])
    labels = np.arange(ROWS) // 60
    for name, rows in (("sorted", np.arange(ROWS)), ("not", order)):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["signals"], file["labels"] = values[rows], labels[rows]
            file["time"] = times[rows]
            file["recordings/start"], file["recordings/length"] = [0], [len(rows)]
            file["recordings/subject"] = [7]
    with (
        opened(folder / "sorted.h5") as source,
        opened(folder / "not.h5", time_order="sort", max_gap_s=0.03) as found,
    ):
        count = source.windows
        assert found.windows == count
        np.testing.assert_array_equal(found.read_windows(0, count), source.read_windows(0, count))
        assert np.array_equal(found.read_labels(0, count).label, source.read_labels(0, count).label)
        located, expected = found.locate(0, count), source.locate(0, count)
        assert located is not None
        assert expected is not None
        assert order[located[1]].tolist() == expected[1].tolist()
        start = data.draw(st.integers(0, count - 1))
        np.testing.assert_array_equal(
            found.read_windows(start, count), source.read_windows(start, count)
        )


@given(
    lengths=st.lists(st.integers(0, 90), min_size=1, max_size=5),
    gaps=st.lists(st.integers(1, 300), max_size=8),
    slice_rows=st.sampled_from([3, 64, 1 << 16]),
)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_no_row_is_lost_and_none_joined_whatever_the_slices(
    tmp_path_factory: Any, lengths: list[int], gaps: list[int], slice_rows: int
) -> None:
    lengths = [*lengths, 60]
    total = sum(lengths)
    times = np.arange(total) / 10
    for gap in gaps:
        times[gap % total :] += 3.0
    path = tmp_path_factory.mktemp("cuts") / "s.h5"
    starts = np.cumsum(lengths) - lengths
    write_recordings(
        path,
        rows=lengths,
        time=times,
        labels=np.zeros(total, np.int64),
        classes=None,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headrace.stores.source.names.SLICE_ROWS", slice_rows)
        with opened(path, window_samples=4, step_samples=1) as source:
            located = source.locate(0, source.windows)
    assert located is not None
    expected = [
        (recording, row)
        for recording, (start, length) in enumerate(zip(starts, lengths, strict=True))
        for row in range(start, start + length - 3)
        if times[row + 3] - times[row] < 0.5
    ]
    assert list(zip(located[0].tolist(), located[1].tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("rate", "round_to", "dtype"),
    [
        (128.0, 1e-3, "f8"),
        (64.0, 1e-2, "f8"),
        (20.0, 1e-3, "f8"),
        (33.0, 1e-3, "f8"),
        (51.2, 1e-6, "f8"),
        (100.0, 1e-9, "f4"),
        (1 / 600, 1.0, "f8"),
        (48828.125, 1e-9, "f8"),
        (31.25, 1e-6, "f8"),
        (148.148, 1e-6, "f8"),
    ],
)
def test_rounded_times_cut_nothing_and_give_the_rate_that_is_meant(
    tmp_path: Path, rate: float, round_to: float, dtype: str
) -> None:
    times = np.round(np.arange(4000) / rate / round_to) * round_to
    if dtype == "f4":
        times += 30_000.0  # Where float32 has steps of 2 ms.
    write(tmp_path / "s.h5", times.astype(dtype), 1, "s")
    with opened(tmp_path / "s.h5", step_samples=16) as source:
        assert source.spec.rate_hz == pytest.approx(rate, rel=1e-5)
        assert source.windows == 4000 // 16


def test_sorted_times_that_begin_afresh_go_on_as_those_in_order_do(tmp_path: Path) -> None:
    times = np.concatenate([seconds(), seconds()])
    seen = []
    for name, swapped in (("in_order", False), ("not", True)):
        if swapped:
            times[[20, 21]] = times[[21, 20]]
        rows = [f"{time:.2f},{row}" for row, time in enumerate(times)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["time,x", *rows]) + "\n")
        with opened(
            tmp_path / f"{name}.csv", time_order="sort", labels="", split_by_window=True
        ) as source:
            found = source.seconds(0, source.windows)
            assert found is not None
            seen.append(found)
    np.testing.assert_array_equal(seen[1], seen[0])
    assert (np.diff(seen[1]) > 0).all()


@pytest.mark.parametrize("dates", [False, True])
@pytest.mark.parametrize(("ahead", "from_row"), [(0.004, 0), (5.0, 0), (0.5, 150)])
def test_files_side_by_side_have_some_times_in_common(
    tmp_path: Path, dates: bool, ahead: float, from_row: int
) -> None:
    for recording in (1, 2):
        for sensor in ("acc", "gyro"):
            times = np.arange(ROWS) / 50
            if (recording, sensor) == (2, "gyro"):
                times[from_row:] += ahead
            shown = iso(times) if dates else [f"{time:.3f}" for time in times]
            rows = [f"{time},{row}" for row, time in enumerate(shown)]
            path = tmp_path / f"{sensor}_{recording}.csv"
            path.write_text("\n".join([f"time,{sensor}", *rows]) + "\n")
    options = {"files": ["acc_{subject}.csv", "gyro_{subject}.csv"], "labels": ""}
    if ahead > 1:
        with refused(SourceError, "gyro_2.csv", "acc_2.csv", "source.time"):
            opened(tmp_path, **options)
        options |= {"time": "", "rate_hz": 50.0}
    with opened(tmp_path, **options) as source:
        assert source.spec.rate_hz == 50.0


def test_uneven_times_cut_nothing_but_gaps(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    times = np.arange(8000) / 20 + generator.normal(0, 0.006, 8000)
    times[5000:] += 1.0
    write(tmp_path / "s.h5", np.sort(times), 1)
    with opened(tmp_path / "s.h5", step_samples=16) as source:
        assert source.spec.rate_hz == 20.0
        assert source.windows == 5000 // 16 + 3000 // 16


@pytest.mark.parametrize(
    ("measured", "uncertainty", "meant"),
    [
        (19.98, 1e-4, 20.0),
        (49.9995, 1e-5, 50.0),
        (99.83, 1e-6, 100.0),
        (952.0, 1e-6, 952.0),
        (204.8, 1e-6, 204.8),
        (0.0016666, 1e-3, 1 / 600),
        (127.99, 1e-3, 128.0),
        (30303.0, 1e-7, 30303.0),
    ],
)
def test_a_measured_rate_stands_for_a_round_one(
    measured: float, uncertainty: float, meant: float
) -> None:
    assert meant_rate(measured, uncertainty) == pytest.approx(meant, rel=1e-12)


def test_a_given_rate_wins_where_it_agrees(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", seconds(49.3))
    with opened(tmp_path / "s.h5", rate_hz=50.0) as source:
        assert source.spec.rate_hz == 50.0
        assert cut(source) == windows_around()


@pytest.mark.parametrize("options", [{"rate_hz": 0.05}, {"rate_hz": 50.0, "time_unit": "ms"}])
def test_a_rate_in_another_unit_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    write(tmp_path / "s.h5", seconds(), unit="s")
    with refused(SourceError, "source.rate_hz", "source.time_unit", "source.time"):
        opened(tmp_path / "s.h5", **options)


def test_a_known_rate_says_what_times_count(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", np.round(seconds(1.0) * 1e3).astype("i8"))
    with opened(tmp_path / "s.h5", rate_hz=1.0) as source:
        assert source.spec.rate_hz == 1.0


@pytest.mark.parametrize("step", [1, 60, 600])
def test_times_that_may_count_several_units_are_asked_about(tmp_path: Path, step: int) -> None:
    write(tmp_path / "s.h5", np.arange(ROWS) * step)
    with refused(SourceError, "source.time_unit", "source.time"):
        opened(tmp_path / "s.h5")
    with opened(tmp_path / "s.h5", time_unit="s") as source:
        assert source.spec.rate_hz == 1 / step


def test_times_that_contradict_the_file_are_left_alone_and_said(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", np.arange(ROWS) * 7.7, sampling_rate_hz=50.0)
    with opened(tmp_path / "s.h5") as source:
        assert source.spec.rate_hz == 50.0
        assert any(note.warning and note.key == "source.time" for note in source.notes)
    with refused(SourceError, "source.time"):
        opened(tmp_path / "s.h5", time="time")


def test_times_that_are_rounded_to_more_than_a_row_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", np.floor(np.arange(ROWS) / 50))
    with refused(SourceContentError, "source.time", "source.rate_hz"):
        opened(tmp_path / "s.h5")
    with opened(tmp_path / "s.h5", time="", rate_hz=50) as source:
        assert source.windows > 0


def test_a_missing_time_is_refused_with_its_row(tmp_path: Path) -> None:
    times = np.arange(ROWS) / 50
    times[77] = np.nan
    write(tmp_path / "s.h5", times, 1)
    with refused(SourceContentError, "source.time", "row 77", "nan"):
        opened(tmp_path / "s.h5")


def test_a_missing_time_of_many_files_is_refused_with_file_and_row(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for subject in (1, 2):
        rows = [f"{number / 20},{number}" for number in range(60)]
        if subject == 2:
            rows[7] = ",1"
        (tmp_path / f"d/{subject}.csv").write_text("\n".join(["time,acc", *rows]) + "\n")
    with refused(SourceContentError, "2.csv", "row 7", "source.time"):
        opened(tmp_path / "d", files=["{subject}.csv"], labels="")


def test_a_recording_of_another_rate_is_named(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", np.arange(ROWS) / 50, 6)
    with h5py.File(tmp_path / "s.h5", "a") as file:
        file["time"][3 * ROWS : 4 * ROWS] = np.arange(ROWS) / 25
    with refused(SourceError, "recording 3"):
        opened(tmp_path / "s.h5")


@pytest.mark.parametrize("kind", ["csv", "iso.csv", "parquet", "npz", "npy", "mat"])
def test_files_of_any_format_have_times_that_are_no_channel(tmp_path: Path, kind: str) -> None:
    (tmp_path / "d").mkdir()
    for subject in (1, 2):
        values, times = signals(), seconds()
        path = tmp_path / "d" / f"{subject}.{kind}"
        columns = {f"acc_{axis}": values[:, at] for at, axis in enumerate("xyz")}
        if kind.endswith("csv"):
            shown = iso(times) if kind == "iso.csv" else [f"{t:.3f}" for t in times]
            lines = [
                f"{t},{','.join(map(repr, v.tolist()))}" for t, v in zip(shown, values, strict=True)
            ]
            path.write_text("\n".join([f"Time,{','.join(columns)}", *lines]) + "\n")
        elif kind == "parquet":
            stamps = (EPOCH * 1e9 + np.round(times * 1e9)).astype("datetime64[ns]")
            parquet.write_table(pa.table({"timestamp": stamps, **columns}), path)
        elif kind == "npz":
            np.savez(path, signals=values, time=times)
        elif kind == "mat":
            scipy.io.savemat(path, {"signals": values, "time": times[:, None]})
        else:
            held = np.empty(ROWS, [("t_ns", "M8[ns]"), ("signals", "f4", 3)])
            held["t_ns"] = np.round(times * 1e9).astype("i8").astype("M8[ns]")
            held["signals"] = values
            np.save(path, held)
    with opened(tmp_path / "d", files=["{subject}." + kind], labels="") as source:
        assert source.spec.rate_hz == 50.0
        assert source.spec.shape == (16, 3)
        located = source.locate(0, source.windows)
        assert located is not None
        assert set(located[0].tolist()) == {0, 1}
        rows = located[1][located[0] == 0].tolist()
        assert rows == windows_around()
        np.testing.assert_allclose(source.read_windows(0, 1)[0], signals()[:16], rtol=1e-6)


def test_a_column_that_is_only_called_t_is_a_channel(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [f"{a:.4f},{b:.4f}" for a, b in generator.normal(size=(100, 2))]
    (tmp_path / "d").mkdir()
    (tmp_path / "d/1.csv").write_text("\n".join(["t,acc", *rows]) + "\n")
    with opened(tmp_path / "d", files=["{subject}.csv"], labels="", rate_hz=10) as source:
        assert source.spec.shape == (16, 2)


def test_times_that_begin_afresh_within_a_file_begin_a_recording(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    times = np.concatenate([np.arange(100) / 20, np.arange(90) / 20])
    rows = [f"{t:.2f},{t:.4f}" for t in times]
    (tmp_path / "d/1.csv").write_text("\n".join(["time,acc", *rows]) + "\n")
    with opened(tmp_path / "d", files=["{subject}.csv"], labels="", step_samples=1) as source:
        located = source.locate(0, source.windows)
        assert located is not None
        assert located[1].tolist() == [*range(85), *range(100, 175)]


@pytest.mark.parametrize(
    "form",
    [
        "%d.%m.%Y %H:%M:%S.%f",
        "%m/%d/%Y %I:%M:%S.%f %p",
        "%Y/%m/%d %H:%M:%S.%f",
        "%Y%m%dT%H%M".replace("T%H%M", "T%H:%M:%S.%f"),
        "%H:%M:%S.%f",
        "%Y-%m-%d %H:%M:%S,%f",
        "%Y-%m-%dT%H:%M:%S.%f+0200",
    ],
)
def test_dates_are_read_as_people_write_them(tmp_path: Path, form: str) -> None:
    times = [datetime.fromtimestamp(EPOCH + t, UTC).strftime(form) for t in seconds()]
    write(tmp_path / "s.h5", np.array(times, "S"))
    with opened(tmp_path / "s.h5") as source:
        assert source.spec.rate_hz == 50.0
        assert cut(source) == windows_around()


def test_a_text_that_is_no_date_is_refused_with_its_row(tmp_path: Path) -> None:
    times = iso(np.arange(ROWS) / 50)
    times[99] = "soon"
    write(tmp_path / "s.h5", np.array(times, "S"), 1)
    with refused(SourceContentError, "row 99", "soon", "source.time"):
        opened(tmp_path / "s.h5")


@pytest.mark.parametrize(
    "text",
    ["1600-01-01 00:00:00", "0001-01-01", "2300-01-01", "01/02/1600", "24000101", "13:00 AM"],
)
def test_dates_beyond_nanoseconds_and_hours_beyond_noon_are_refused(text: str) -> None:
    right = "11:59 PM" if text.endswith("M") else "2024-05-06"
    with pytest.raises(ValueError, match=r"^1$"):
        nanoseconds(np.array([right, text]), True)


def test_texts_of_several_forms_are_read_as_each_alone_is() -> None:
    forms = (
        "6.5.2024 7:08:09.125", "31.12.1999 23:59", "05/06/2024 12:08:09 AM", "5/6/2024 1:08 p.m.",
        "29.02.2024", "2024-05-06T07:08:09.5Z", "2024-05-06 07:08:09+05:30", "20240506",
        " 1-2-1969 00:00:00,1234567891 ", "2024/5/6, 7:08:09-03", "24:00:60", "7:08:09:250",
    )  # fmt: skip
    alone = [int(nanoseconds(np.array([each]), False)[0]) for each in forms]
    assert nanoseconds(np.array(forms * 3), False).tolist() == alone * 3
    assert alone[1] == (946684800 - 60) * 10**9
    assert alone[5:7] == [1714979289 * 10**9 + 5 * 10**8, (1714979289 - 19800) * 10**9]
    assert alone[8] == -334 * 86400 * 10**9 + 123456789


@pytest.mark.parametrize("wrong", ["31.02.2024", "1.13.2024", "0.1.2024", "1.1.2024 7:60", "x"])
def test_the_first_wrong_text_of_several_forms_is_named(wrong: str) -> None:
    texts = ["1.1.2024", "11.1.2024 07:08", wrong, "32.1.2024", "1.1.2024", "none"]
    with pytest.raises(ValueError, match="2"):
        nanoseconds(np.array(texts), False)


def test_dates_of_any_unit_are_within_nanoseconds() -> None:
    early = np.array(["2024-05-06", "1600-01-01"], "datetime64[s]")
    with refused(SourceContentError, "1600-01-01T00:00:00", "row 1"):
        Stamps(HeldArray("time", "file", early)).read(0, 2)


@pytest.mark.parametrize("text", ["1678-01-01", "2261-12-31 23:59:59", "12:30 AM"])
def test_dates_within_nanoseconds_are_read(text: str) -> None:
    expected = {"12:30 AM": 30 * 60 * 10**9}.get(text)
    if expected is None:
        expected = int(np.datetime64(text, "ns").astype(np.int64))
    assert nanoseconds(np.array([text]), True).tolist() == [expected]
