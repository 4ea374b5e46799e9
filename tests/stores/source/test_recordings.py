from __future__ import annotations

from itertools import pairwise

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from headrace.stores.errors import GroupError, SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import refused
from tests.stores.source_files import write_recordings


def expected_windows(content, window, step, label_of=lambda label: label, rate=(1, 1)):
    """Windows of the pure rule cut one by one from whole recordings: (windows, labels, rows)."""
    windows, labels, rows = [], [], []
    starts, lengths = content["recordings/start"], content["recordings/length"]
    for recording, (begin, length) in enumerate(zip(starts, lengths, strict=True)):
        signal = content["signals"][begin : begin + length].astype(np.float64)
        label = content["labels"][begin : begin + length]
        source_row = np.arange(length)
        if rate != (1, 1):
            signal = resample_poly(signal, *rate, axis=0, padtype="edge")
            source_row = np.floor(np.arange(len(signal)) * rate[1] / rate[0] + 0.5).astype(int)
            source_row = np.minimum(source_row, length - 1)
        mapped = np.array([label_of(k) for k in label[source_row]])
        borders = [0, *(np.flatnonzero(np.diff(mapped)) + 1), len(mapped)]
        for low, high in pairwise(borders):
            for first in range(low, high - window + 1, step):
                if mapped[low] >= 0:
                    windows.append(signal[first : first + window])
                    labels.append(mapped[low])
                    rows.append((recording, begin + source_row[first]))
    return np.array(windows), labels, rows


@pytest.mark.parametrize("dtype", ["f4", ">f8", "i2", ">u2", "f2"])
def test_windows_equal_those_cut_from_whole_recordings(tmp_path, dtype):
    content = write_recordings(tmp_path / "s.h5", dtype=dtype)
    windows, labels, rows = expected_windows(content, 12, 5)
    with open_source(tmp_path / "s.h5", SourceOptions(window_samples=12, step_s=0.5)) as source:
        assert (source.windows, source.spec.time) == (len(windows), 12)
        assert np.array_equal(source.read_windows(0, len(windows)), windows)
        found = source.read_labels(0, len(windows))
        assert found.label.tolist() == labels
        recording, start = source.locate(0, len(windows))
        assert list(zip(recording.tolist(), start.tolist(), strict=True)) == rows
        assert [source.groups[g] for g in found.group] == [str(r + 1) for r, _ in rows]


@pytest.mark.parametrize("target", [5.0, 20.0, 7.5])
def test_resampled_windows_equal_those_of_whole_recordings(tmp_path, target):
    rate = {5.0: (1, 2), 20.0: (2, 1), 7.5: (3, 4)}[target]
    content = write_recordings(tmp_path / "s.h5", dtype="i2")
    windows, labels, rows = expected_windows(content, 8, 3, rate=rate)
    options = SourceOptions(
        window_samples=8, step_samples=3, target_rate_hz=target, scale=[1, 0.5, 2]
    )
    with open_source(tmp_path / "s.h5", options) as source:
        spec = source.spec
        assert source.windows == len(windows)
        assert (spec.rate_hz, spec.dtype, spec.scale) == (target, "f4", (1, 1, 1))
        found = source.read_windows(0, len(windows))
        np.testing.assert_allclose(found, windows * [1, 0.5, 2], rtol=1e-5, atol=1e-3)
        assert source.read_labels(0, len(windows)).label.tolist() == labels
        recording, start = source.locate(0, len(windows))
        assert list(zip(recording.tolist(), start.tolist(), strict=True)) == rows


@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_any_range_gives_the_same_bits(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "ranges.h5"
    if not path.exists():
        write_recordings(path, rows=(900, 7, 400, 0, 700))
    target = data.draw(st.sampled_from([None, 4.0, 25.0]))
    rule = data.draw(st.sampled_from(["pure", "majority"]))
    options = SourceOptions(
        window_samples=9,
        step_samples=data.draw(st.sampled_from([2, 9, 40])),
        target_rate_hz=target,
        label_rule=rule,
    )
    with open_source(path, options) as source, pytest.MonkeyPatch.context() as patch:
        whole, labels = (
            source.read_windows(0, source.windows),
            source.read_labels(0, source.windows),
        )
        patch.setattr(source._layout._rows, "slice_rows", data.draw(st.integers(1, 300)))
        start = data.draw(st.integers(0, source.windows - 1))
        stop = data.draw(st.integers(start, source.windows))
        assert source.read_windows(start, stop).tobytes() == whole[start:stop].tobytes()
        part = source.read_labels(start, stop)
        assert np.array_equal(part.label, labels.label[start:stop])
        assert np.array_equal(part.group, labels.group[start:stop])


def test_labels_read_in_small_slices_give_the_same_windows(tmp_path, monkeypatch):
    write_recordings(tmp_path / "s.h5", rows=(90, 40, 1, 0, 70, 300))
    found = []
    for rows in (1 << 18, 64, 1):
        monkeypatch.setattr("headrace.stores.source.labels.runs.SLICE_ROWS", rows)
        with open_source(tmp_path / "s.h5", SourceOptions(window_samples=8)) as source:
            located = source.locate(0, source.windows)
            found.append((source.classes, *(values.tolist() for values in located)))
    assert found[0] == found[1] == found[2]


def test_recordings_may_stand_in_any_order_with_gaps(tmp_path):
    content = write_recordings(
        tmp_path / "s.h5",
        **{"recordings/start": np.array([120, 5, 60]), "recordings/length": np.array([80, 50, 33])},
    )
    windows, labels, _ = expected_windows(content, 10, 4)
    with open_source(tmp_path / "s.h5", SourceOptions(window_samples=10, step_samples=4)) as source:
        assert np.array_equal(source.read_windows(0, source.windows), windows)
        assert source.read_labels(0, source.windows).label.tolist() == labels


def test_classes_of_equal_name_make_one_stretch(tmp_path):
    content = write_recordings(tmp_path / "s.h5")
    move = {"move": ["walk", "run"]}
    windows, _, _ = expected_windows(content, 40, 10, lambda label: 0 if label > 0 else -1)
    options = SourceOptions(window_samples=40, step_samples=10, class_map=move)
    with open_source(tmp_path / "s.h5", options) as source:
        assert source.classes == ("move",)
        assert np.array_equal(source.read_windows(0, source.windows), windows)


def test_default_windows_last_2_56_s_and_overlap_by_half(tmp_path):
    write_recordings(tmp_path / "s.h5")
    with open_source(tmp_path / "s.h5", SourceOptions()) as source:
        assert source.spec.time == 26
        options = source.options
        assert (options.window_rows(50), options.step_rows(50)) == (128, 64)
        assert options.step_rows(10) == 13


def test_classes_without_a_window_are_dropped_and_the_rest_keep_their_order(tmp_path):
    labels = np.repeat([2, 0, 2, 0], 50)
    write_recordings(tmp_path / "s.h5", labels=labels)
    with open_source(tmp_path / "s.h5", SourceOptions(window_samples=10)) as source:
        assert source.classes == ("none", "run")


def test_a_table_of_other_names_is_mapped(tmp_path):
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file["acc"] = np.arange(200.0).reshape(100, 2)
        file["what"] = ["walk"] * 50 + ["sit"] * 50
        file["trials/first"], file["trials/rows"] = [0, 50], [50, 50]
        file["trials/patient"], file["trials/fold"] = ["b", "a"], ["train", "test"]
        file.attrs["sampling_rate_hz"] = np.float32(51.2)
        file.attrs["channels"] = "x, y"
        file.attrs["units"] = "g"
        file.attrs["scale_to_units"] = 0.5
    options = SourceOptions(
        signals="acc",
        labels="what",
        recordings="trials",
        start_column="first",
        length_column="rows",
        groups="patient",
        split="fold",
        window_samples=10,
    )
    with open_source(path, options) as source:
        assert source.classes == ("sit", "walk")
        assert source.groups == ("a", "b")
        assert source.parts == ("train", "test")
        assert source.spec.rate_hz == 51.2
        assert (source.spec.channels, source.spec.units) == (("x", "y"), ("g", "g"))
        assert source.spec.scale == (0.5, 0.5)


@pytest.mark.parametrize(
    ("changes", "kind", "named"),
    [
        ({"labels": np.zeros(10, dtype=int)}, SourceError, ("source.labels", "(10,)", "200")),
        ({"labels": np.full(200, 7)}, SourceError, ("source.classes", "7", "3")),
        ({"recordings/start": None}, SourceError, ("source.start_column", "start")),
        ({"recordings/length": np.array([90, 40, 71])}, SourceError, ("2", "201", "200")),
        ({"recordings/start": np.array([0, 80, 130])}, SourceError, ("0", "90", "1", "80")),
        ({"recordings/length": np.array([90, 40])}, SourceError, ("length", "2", "start", "3")),
        (
            {"recordings/subject": None},
            GroupError,
            ("source.groups", "source.split_by_window"),
        ),
        (
            {
                "recordings/subject": np.array([1, 1, 2]),
                "recordings/split": ["train", "test", "test"],
            },
            GroupError,
            ("source.split", "1"),
        ),
    ],
)
def test_a_table_in_disorder_is_refused(tmp_path, changes, kind, named):
    write_recordings(tmp_path / "s.h5", **changes)
    with refused(kind, *named):
        open_source(tmp_path / "s.h5", SourceOptions(window_samples=10))


def test_a_window_longer_than_every_stretch_is_refused(tmp_path):
    write_recordings(tmp_path / "s.h5")
    with refused(SourceError, "source.window_s", "200", "30"):
        open_source(tmp_path / "s.h5", SourceOptions(window_samples=200))


def test_a_filled_value_does_not_spread_when_resampled(tmp_path):
    values = write_recordings(tmp_path / "s.h5")["signals"].copy()
    values[40, 1] = np.inf
    write_recordings(tmp_path / "s.h5", signals=values)
    options = {"window_samples": 8, "target_rate_hz": 5.0}
    with open_source(tmp_path / "s.h5", SourceOptions(**options)) as source:
        plain, marked = source.read_marked_windows(0, source.windows)
    bad = ~np.isfinite(plain).all(axis=(1, 2))
    assert 0 < bad.sum() < len(bad)
    assert np.array_equal(marked, bad)
    with open_source(tmp_path / "s.h5", SourceOptions(non_finite="fill", **options)) as source:
        filled, marked = source.read_marked_windows(0, source.windows)
    assert np.isfinite(filled).all()
    assert np.array_equal(marked, bad)
    assert np.array_equal(filled[~bad], plain[~bad])


def test_official_hapt_windows_are_those_that_were_published(shared_data):
    options = SourceOptions(
        window_samples=128, step_samples=64, exclude_labels=["unlabelled"], split="official_split"
    )
    with open_source(shared_data / "hapt.h5", options) as source:
        labels = source.read_labels(0, source.windows)
        assert source.parts == ("train", "test")
        assert np.bincount(labels.part).tolist() == [7767, 3162]
        test = {source.groups[g] for g in set(labels.group[labels.part == 1].tolist())}
        assert test == {"2", "4", "9", "10", "12", "13", "18", "20", "24"}
        assert (source.classes[0], len(source.classes)) == ("WALKING", 12)
        recording, start = source.locate(5000, 5010)
        windows = source.read_windows(5000, 5010)
    with h5py.File(shared_data / "hapt.h5") as file:
        for window, row in zip(windows, start.tolist(), strict=True):
            assert np.array_equal(window, file["signals"][row : row + 128])
        assert len(set(file["labels"][start[0] : start[0] + 128].tolist())) == 1
        assert file["recordings/start"][recording[0]] <= start[0]
