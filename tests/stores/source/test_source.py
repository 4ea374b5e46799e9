"""Sources: what is detected, what is read, what is refused."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import h5py
import numpy as np
import pytest

from headrace.stores.datasets.synthetic import write_synthetic
from headrace.stores.errors import GroupError, SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from headrace.stores.spec import WindowSpec
from tests.refusals import refused
from tests.stores.source_files import C, N, T, write_recordings, write_windows


def read_all(path, **options):
    with open_source(path, SourceOptions(**options)) as source:
        windows = source.read_windows(0, source.windows)
        labels = source.read_labels(0, source.windows)
        return source, windows, labels


def test_usual_names_in_the_windows_layout_need_no_options(tmp_path):
    content = write_windows(tmp_path / "s.h5")
    source, windows, labels = read_all(tmp_path / "s.h5")
    assert (source.layout, source.windows) == ("windows", N)
    kind = np.dtype(content["X"].dtype)
    assert source.spec == WindowSpec(T, 20, ("ch0", "ch1", "ch2"), ("",) * 3, kind, (1,) * 3)
    assert np.array_equal(windows, content["X"])
    assert windows.flags.c_contiguous
    assert source.classes == ("0", "1", "2")
    assert labels.label.tolist() == content["y"].tolist()
    assert source.groups == ("1", "2", "10")
    assert [int(source.groups[g]) for g in labels.group] == content["groups"].tolist()
    assert set(labels.part.tolist()) == {-1}
    assert (labels.label.dtype, labels.group.dtype, labels.part.dtype) == ("i4", "i4", "i1")
    assert source.grouped


def test_a_label_that_the_list_of_classes_lacks_is_refused(tmp_path):
    path = tmp_path / "s.h5"
    write_windows(path)
    with h5py.File(path, "r+") as file:
        del file["y"]
        file["y"] = np.resize(["walk", "run", "fall"], N).astype("S4")
        file["classes"] = np.array(["run", "walk"], dtype="S4")
    with refused(SourceError, "run, walk", "fall", "source.classes"):
        read_all(path)
    source, _, labels = read_all(path, exclude_labels=["fall"])
    assert source.classes == ("run", "walk")
    assert set(labels.label.tolist()) == {0, 1}


def test_datasets_of_other_names_are_mapped(tmp_path):
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file["session/imu"] = np.zeros((6, 8, 2), dtype=np.int16)
        file["session/what"] = ["b", "a", "b", "a", "b", "a"]
        file["session/who"] = [b"p1", b"p1", b"p10", b"p10", b"p2", b"p2"]
        file["session/set"] = [0, 0, 0, 0, 1, 1]
    source, _, labels = read_all(
        path,
        windows="session/imu",
        labels="session/what",
        groups="session/who",
        split="session/set",
        split_names={"0": "train", "1": "test"},
        rate_hz=25,
        channels=["a", "b"],
        units=["g", "V"],
        scale=[0.5, 2],
    )
    assert source.groups == ("p1", "p2", "p10")
    assert source.classes == ("a", "b")
    assert source.parts == ("train", "test")
    assert labels.part.tolist() == [0, 0, 0, 0, 1, 1]
    assert labels.label.tolist() == [1, 0, 1, 0, 1, 0]
    time = source.spec.time
    kind = np.dtype(np.int16)
    assert source.spec == WindowSpec(time, 25, ("a", "b"), ("g", "V"), kind, (0.5, 2))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_every_type_and_byte_order_is_read_as_stored(tmp_path, order, kind):
    values = np.random.default_rng(0).integers(0, 100, (N, T, C)).astype(order + kind)
    write_windows(tmp_path / "s.h5", X=values)
    source, windows, _ = read_all(tmp_path / "s.h5")
    assert windows.dtype == np.dtype(kind) == source.spec.dtype
    assert windows.dtype.isnative
    assert np.array_equal(windows, values)


@pytest.mark.parametrize("dtype", [bool, "c8", "S3"])
def test_other_types_are_refused(tmp_path, dtype):
    write_windows(tmp_path / "s.h5", X=np.zeros((N, T, C), dtype=dtype))
    with refused(SourceError, "X", str(np.dtype(dtype))):
        read_all(tmp_path / "s.h5")


@pytest.mark.parametrize("exclude", [[], ["1"], ["0", "2"]])
def test_any_range_of_candidates_is_that_part_of_all(tmp_path, exclude):
    content = write_windows(tmp_path / "s.h5", y=np.random.default_rng(3).integers(0, 3, N))
    kept = ~np.isin(content["y"].astype(str), exclude)
    with open_source(tmp_path / "s.h5", SourceOptions(exclude_labels=exclude)) as source:
        assert source.windows == kept.sum()
        for start, stop in [(0, source.windows), (3, 3), (5, 17), (source.windows - 1, None)]:
            stop = source.windows if stop is None else stop
            assert np.array_equal(source.read_windows(start, stop), content["X"][kept][start:stop])
            names = [source.classes[k] for k in source.read_labels(start, stop).label]
            assert names == content["y"][kept][start:stop].astype(str).tolist()
        with pytest.raises(IndexError):
            source.read_windows(0, source.windows + 1)


def test_selected_rows_are_found_past_the_first_counted_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.stores.source.windows.COUNTED_ROWS", 8)
    monkeypatch.setattr("headrace.stores.source.names.SLICE_ROWS", 16)
    content = write_windows(tmp_path / "s.h5", y=np.random.default_rng(3).integers(0, 3, N))
    rows = np.flatnonzero(content["y"] != 1)
    with open_source(tmp_path / "s.h5", SourceOptions(exclude_labels=["1"])) as source:
        for start in range(0, source.windows, 7):
            stop = min(start + 11, source.windows)
            expected = content["X"][rows[start:stop]]
            assert np.array_equal(source.read_windows(start, stop), expected)
            groups = [int(source.groups[g]) for g in source.read_labels(start, stop).group]
            assert groups == content["groups"][rows[start:stop]].tolist()


def test_classes_are_made_of_labels_by_globs_in_the_order_of_the_map(tmp_path):
    labels = np.repeat(["F01", "F02", "D01", "D05", "D06", "X"], N // 6).tolist()
    write_windows(tmp_path / "s.h5", y=labels)
    mapped = {"walk": ["D01", "D06"], "fall": ["F*"]}
    source, windows, found = read_all(tmp_path / "s.h5", class_map=mapped)
    assert source.classes == ("walk", "fall")
    assert len(windows) == 4 * N // 6
    assert np.bincount(found.label).tolist() == [N // 3, N // 3]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"class_map": {"a": ["0", "9"]}}, ("source.class_map.a", "9")),
        ({"exclude_labels": ["none"]}, ("source.exclude_labels", "none")),
        ({"class_map": {"a": ["0"], "b": ["*"]}}, ("source.class_map", "a", "b", "0")),
        ({"exclude_labels": ["*"]}, ("source.exclude_labels", "source.class_map", "y")),
    ],
)
def test_a_selection_that_cannot_be_meant_is_refused(tmp_path, options, named):
    write_windows(tmp_path / "s.h5")
    with refused(SourceError, *named):
        read_all(tmp_path / "s.h5", **options)


def test_a_source_without_groups_is_refused_with_the_way_out(tmp_path):
    write_windows(tmp_path / "s.h5", groups=None)
    with refused(GroupError, "source.groups", "source.split_by_window"):
        read_all(tmp_path / "s.h5")


def test_what_stands_around_a_name_is_no_part_of_it(tmp_path):
    padded = [name.encode() for name in ("P1", "P1  ", "P2\r") * (N // 3)]
    write_windows(tmp_path / "s.h5", groups=padded)
    source, _, _ = read_all(tmp_path / "s.h5")
    assert source.groups == ("P1", "P2")


@pytest.mark.parametrize(
    ("groups", "named"),
    [
        ([b"walk", b"Walk", b"sit"] * (N // 3), ("walk", "Walk", "source.groups")),
        (np.arange(N, dtype="f4") + 2**24, ("16,777,216", "float32")),
        (np.arange(N, dtype="f2") + 2048, ("2,048", "float16")),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(tmp_path, groups, named):
    write_windows(tmp_path / "s.h5", groups=groups)
    with refused(SourceError, *named):
        read_all(tmp_path / "s.h5")


def test_by_consent_stretches_of_windows_are_the_groups(tmp_path):
    write_windows(tmp_path / "s.h5", groups=None)
    source, _, labels = read_all(tmp_path / "s.h5", split_by_window=True)
    assert not source.grouped
    assert len(source.groups) == 6
    assert np.bincount(labels.group).tolist() == [16] * 5 + [10]
    part = np.repeat(["train", "test"], N // 2).tolist()
    write_windows(tmp_path / "t.h5", groups=None, split=part)
    source, _, labels = read_all(tmp_path / "t.h5", split_by_window=True)
    pairs = set(zip(labels.group.tolist(), labels.part.tolist(), strict=True))
    assert len(pairs) == len(source.groups) == 7  # The third stretch lies in both parts.


@pytest.mark.parametrize(
    ("changes", "kind", "named"),
    [
        ({"X": None}, SourceError, ("source.windows", "source.signals")),
        ({"X": np.zeros(N)}, SourceError, ("source.windows", "(90,)")),
        ({"X": np.zeros((0, T, C))}, SourceError, ("X", "(0, 16, 3)")),
        ({"y": None}, SourceError, ("source.labels", "y")),
        ({"y": np.zeros(N - 1, dtype=int)}, SourceError, ("y", "89", "90")),
        ({"y": np.full(N, 0.5)}, SourceError, ("source.labels", "float64")),
        ({"groups": np.zeros((N, 2))}, SourceError, ("source.groups", "(90, 2)")),
        (
            {"split": np.tile(["train", "test"], N // 2).tolist()},
            GroupError,
            ("source.split", "10"),
        ),
        ({"split": np.arange(N)}, SourceError, ("source.split_names", "source.split")),
        ({"signals": np.zeros((5, 2))}, SourceError, ("source.layout",)),
    ],
)
def test_a_file_in_disorder_is_refused_in_one_line(tmp_path, changes, kind, named):
    write_windows(tmp_path / "s.h5", **changes)
    with refused(kind, *named) as caught:
        read_all(tmp_path / "s.h5")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"windows": "data"}, ("source.windows", "data", "X (90, 16, 3) float32")),
        ({"channels": ["a"]}, ("source.channels", "1", "3")),
        ({"channels": ["a", "a", "b"]}, ("source.channels", "a, a, b")),
        ({"units": ["g", "g"]}, ("source.units", "2", "3")),
        ({"scale": [1.0, 0.0, 1.0]}, ("source.scale", "[1.0, 0.0, 1.0]")),
        ({"window_s": 1.0}, ("source.window_s", "source.layout")),
    ],
)
def test_an_option_that_does_not_fit_is_refused(tmp_path, options, named):
    write_windows(tmp_path / "s.h5")
    with refused(SourceError, *named):
        read_all(tmp_path / "s.h5", **options)


def test_a_missing_rate_is_an_error_and_not_a_guess(tmp_path):
    write_windows(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "a") as file:
        del file.attrs["sampling_rate_hz"]
    with refused(SourceError, "sampling_rate_hz", "source.rate_hz"):
        read_all(tmp_path / "s.h5")


def test_what_is_not_hdf5_is_refused(tmp_path):
    (tmp_path / "s.h5").write_text("no")
    for path in (tmp_path / "s.h5", tmp_path / "missing.h5", tmp_path):
        with refused(SourceError, path.name):
            read_all(path)


@pytest.mark.parametrize("layout", ["windows", "recordings"])
def test_non_finite_values_are_marked_and_filled(tmp_path, layout):
    path = tmp_path / "s.h5"
    if layout == "windows":
        values = write_windows(path)["X"].copy()
        values[7, 3, 1], values[20, 0, 0] = np.nan, -np.inf
        write_windows(path, X=values)
        expected = [7, 20]
    else:
        values = write_recordings(path)["signals"].copy()
        values[22, 1] = np.nan
        write_recordings(path, signals=values)
        expected = [1, 2]
    window = {} if layout == "windows" else {"window_samples": 10, "step_samples": 10}
    with open_source(path, SourceOptions(**window)) as source:
        plain, marked = source.read_marked_windows(0, source.windows)
        bad = ~np.isfinite(plain).all(axis=(1, 2))
        assert np.array_equal(marked, bad)
    with open_source(path, SourceOptions(non_finite="fill", fill_value=5, **window)) as source:
        filled, marked = source.read_marked_windows(0, source.windows)
        assert np.array_equal(marked, bad)
        assert np.array_equal(filled, np.where(np.isfinite(plain), plain, np.float32(5)))
    assert layout == "recordings" or np.flatnonzero(bad).tolist() == expected
    assert bad.any()


@pytest.mark.parametrize("layout", ["windows", "recordings"])
@pytest.mark.parametrize("offset", [[100.0, 0.0], [0.0, 0.0]])
def test_a_value_that_is_filled_is_moved_as_stored_ones_are(tmp_path, layout, offset):
    name, shape = ("X", (6, 50, 2)) if layout == "windows" else ("signals", (300, 2))
    values = np.ones(shape, "f4")
    values.reshape(-1, 2)[5] = np.nan
    values.reshape(-1, 2)[7] = 3.0
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file[name] = values
        file[name].attrs.update(offset_to_units=offset, scale_to_units=[2.0, 0.5])
        if layout == "windows":
            file["y"] = np.arange(6) % 2
    given = {"labels": "", "recordings": "", "window_samples": 50} if layout != "windows" else {}
    options = SourceOptions(
        rate_hz=10.0, split_by_window=True, non_finite="fill", fill_value=3.0, **given
    )
    with open_source(tmp_path / "s.h5", options) as source:
        window = source.read_windows(0, 1)[0] * np.array(source.spec.scale)
    np.testing.assert_array_equal(window[5], 3.0 * np.array([2.0, 0.5]) + offset)
    np.testing.assert_array_equal(window[5], window[7])


def test_the_fingerprint_follows_content_and_not_time_or_place(tmp_path):
    a, b = tmp_path / "a.h5", tmp_path / "b.h5"
    write_windows(a)
    b.write_bytes(a.read_bytes())
    prints = []
    for change in (None, "y", "X", "groups"):
        if change is not None:
            with h5py.File(b, "a") as file:
                file[change][5] = 2
        with open_source(b, SourceOptions()) as source:
            prints.append(source.fingerprint())
    with open_source(a, SourceOptions()) as source:
        assert source.fingerprint() == prints[0]
    assert len(set(prints)) == 4


def test_bytes_read_count_whole_chunks_of_all_channels(tmp_path):
    write_windows(tmp_path / "s.h5", X=None)
    with h5py.File(tmp_path / "s.h5", "a") as file:
        values = np.zeros((N, T, C), dtype=np.float32)
        file.create_dataset("X", data=values, chunks=(20, T, 2), compression="gzip")
    with open_source(tmp_path / "s.h5", SourceOptions()) as source:
        row = 20 * T * 4 * 4
        assert source.bytes_read([(0, 1)]) == row
        assert source.bytes_read([(19, 21)]) == 2 * row
        assert source.bytes_read([(0, N)]) == 5 * row
        assert source.bytes_read([(2, 3), (5, 7), (40, 41)]) == 2 * row
        assert source.spec.stored_bytes == T * C * 4


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        ("windows", {}),
        pytest.param(*("windows", {"non_finite": "fill"}), marks=pytest.mark.cases),
        ("windows", {"class_map": {"a": ["class_1"], "b": ["class_4"]}}),
        pytest.param(*("recordings", {"non_finite": "fill"}), marks=pytest.mark.cases),
        pytest.param(*("recordings", {"target_rate_hz": 10.0}), marks=pytest.mark.cases),
        ("recordings", {"target_rate_hz": 40.0, "step_samples": 24, "label_rule": "majority"}),
        ("recordings", {"filter": [{"kind": "lowpass", "hz": 2}], "target_rate_hz": 10.0}),
        ("recordings", {"remove_mean": True, "non_finite": "fill"}),
        ("recordings", {"slow_channels": ["ch*"], "slow_max_gap_s": 1e6}),
    ],
)
def test_reading_holds_no_more_than_it_says(tmp_path, layout, options):
    write_synthetic(tmp_path / "s.h5", windows=30000, time=64, channels=4, layout=layout)
    with open_source(tmp_path / "s.h5", SourceOptions(**options)) as source:
        # Imports are not the reading's: the first call loads what it needs.
        source.read_marked_windows(0, 1)
        tracemalloc.start()
        windows, _ = source.read_marked_windows(0, source.windows)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # Row numbers and marks are of the order of the result: some 50 bytes a window.
        assert peak <= windows.nbytes + source.buffer_bytes + 64 * source.windows


def test_two_ways_to_say_the_same_are_refused():
    with pytest.raises(ValueError, match=r"\bwindow_s\b.*\bwindow_samples\b"):
        SourceOptions(window_s=2, window_samples=100)
    with pytest.raises(ValueError, match=r"\bstep_s\b.*\boverlap\b"):
        SourceOptions(step_s=2, overlap=0.5)
    with pytest.raises(ValueError, match="split_by_window"):
        SourceOptions(split_by_window=True, groups="subject")


def test_chunks_read_in_part_are_not_kept(tmp_path):
    """HDF5's cache kept them all when told to evict whole chunks first."""
    path = tmp_path / "chunked.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("X", (4096, 64, 9), "f4", chunks=(100, 64, 9))
        data.attrs["sampling_rate_hz"] = 50.0
        data[:] = np.random.default_rng(0).random((4096, 64, 9), dtype=np.float32)
        file["y"] = np.arange(4096) % 3
        file["groups"] = np.arange(4096) // 512
    code = (
        "import sys, psutil, numpy as np; from pathlib import Path\n"
        "from headrace.stores.source.source import open_source\n"
        "from headrace.stores.source.options import SourceOptions\n"
        "source = open_source(Path(sys.argv[1]), SourceOptions())\n"
        "source.read_windows(0, 64); before = psutil.Process().memory_full_info().uss\n"
        "for start in np.random.default_rng(0).permutation(64) * 64:\n"
        "    source.read_windows(int(start), int(start) + 64)\n"
        "grown = psutil.Process().memory_full_info().uss - before\n"
        "assert grown < source.chunk_cache_bytes + (1 << 20), grown\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_a_fault_of_our_own_is_not_said_to_be_the_files(tmp_path, monkeypatch):
    write_windows(tmp_path / "good.h5")

    def ours(*given):
        raise TypeError("ours")

    with open_source(tmp_path / "good.h5", SourceOptions(non_finite="fill")) as source:
        monkeypatch.setattr("headrace.stores.source.windows._mark_and_fill", ours)
        with pytest.raises(TypeError, match="ours"):
            source.read_windows(0, 1)
        monkeypatch.undo()
        # What HDF5 raises is.
        source._layout.data.dataset.id.close()
        with refused(SourceError, "cannot be read"):
            source.read_windows(0, 1)
