from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.signal import firwin, resample_poly

from headrace.stores.errors import SourceError
from headrace.stores.source.filter_options import FilterOptions
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.rows import filters
from headrace.stores.source.rows.filters import Filters, joined_taps, make_filters
from headrace.stores.source.source import open_source
from tests.refusals import refused
from tests.stores.source_files import write_recordings, write_windows

RATE = 10.0
BAND = {"kind": "bandpass", "low_hz": 0.8, "high_hz": 3.0}
NOTCH = {"kind": "notch", "hz": 2.0, "width_hz": 1.0}
EVERYTHING = {"window_samples": 8, "step_samples": 5, "label_rule": "majority"}


def taps_of(kind, cutoffs, width):
    return firwin(round(3.3 * RATE / width) | 1, cutoffs, pass_zero=kind, fs=RATE)


BAND_TAPS = taps_of("bandpass", [0.4, 4.0], 0.8)
NOTCH_TAPS = taps_of("bandstop", [1.495, 2.505], 1.0)


def filtered(signal, taps):
    """All of a recording (rows, C), with its edge values beyond."""
    half = len(taps) // 2
    padded = np.pad(signal.astype(np.float64), ((half, half), (0, 0)), mode="edge")
    return np.stack([np.convolve(series, taps, mode="valid") for series in padded.T], axis=1)


def expected_windows(content, change, window=8, step=5):
    starts, lengths = content["recordings/start"], content["recordings/length"]
    windows = []
    for begin, length in zip(starts, lengths, strict=True):
        signal = change(content["signals"][begin : begin + length])
        first = range(0, len(signal) - window + 1, step)
        windows += [signal[row : row + window] for row in first]
    return np.array(windows)


def read_all(path, **options):
    with open_source(path, SourceOptions(**EVERYTHING, **options)) as source:
        return source.read_windows(0, source.windows), source.spec


def test_filtered_windows_are_those_of_whole_recordings(tmp_path):
    content = write_recordings(tmp_path / "s.h5", dtype="i2", rows=(90, 47, 300))
    found, spec = read_all(tmp_path / "s.h5", filter=[BAND], scale=[1, 0.5, 2])
    expected = expected_windows(content, lambda signal: filtered(signal * [1, 0.5, 2], BAND_TAPS))
    assert (spec.dtype, spec.scale, spec.rate_hz) == ("f4", (1, 1, 1), RATE)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_filters_of_a_channel_are_applied_one_after_another_and_others_stay(tmp_path):
    content = write_recordings(tmp_path / "s.h5", rows=(90, 80, 300))
    one = {**NOTCH, "channels": ["ch[12]"]}
    found, _ = read_all(tmp_path / "s.h5", filter=[{**BAND, "channels": ["ch1"]}, one])
    plain = expected_windows(content, lambda signal: signal)
    notched = expected_windows(content, lambda signal: filtered(signal, NOTCH_TAPS))
    both = np.convolve(BAND_TAPS, NOTCH_TAPS)
    twice = expected_windows(content, lambda signal: filtered(signal, both))
    assert np.array_equal(found[..., 0], plain[..., 0])
    np.testing.assert_allclose(found[..., 1], twice[..., 1], atol=1e-4)
    np.testing.assert_allclose(found[..., 2], notched[..., 2], atol=1e-4)


def test_signals_are_filtered_before_they_are_resampled(tmp_path):
    content = write_recordings(tmp_path / "s.h5", rows=(90, 80, 300))
    found, spec = read_all(tmp_path / "s.h5", filter=[BAND], target_rate_hz=5.0)
    expected = expected_windows(
        content,
        lambda signal: resample_poly(filtered(signal, BAND_TAPS), 1, 2, axis=0, padtype="edge"),
    )
    assert spec.rate_hz == 5.0
    np.testing.assert_allclose(found, expected, atol=1e-4)


@given(data=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_range_gives_the_same_bits(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "filtered.h5"
    if not path.exists():
        write_recordings(path, rows=(2900, 80, 400, 0, 1700))
    options = SourceOptions(
        **EVERYTHING,
        filter=data.draw(st.sampled_from([[BAND], [BAND, NOTCH], []])),
        remove_mean=data.draw(st.booleans()),
        target_rate_hz=data.draw(st.sampled_from([None, 4.0, 25.0])),
    )
    with open_source(path, options) as source, pytest.MonkeyPatch.context() as patch:
        whole = source.read_windows(0, source.windows)
        patch.setattr(source._layout._rows, "slice_rows", data.draw(st.integers(1, 3000)))
        start = data.draw(st.integers(0, source.windows - 1))
        stop = data.draw(st.integers(start, source.windows))
        assert source.read_windows(start, stop).tobytes() == whole[start:stop].tobytes()


@given(st.integers(1, 2500), st.integers(0, 60), st.data())
@settings(max_examples=30, deadline=None)
def test_a_slice_s_values_are_those_of_the_whole_to_the_last_bit(length, half, data):
    generator = np.random.default_rng(length)
    filters = Filters([generator.normal(size=2 * half + 1), None, generator.normal(size=3)])
    rows = 1e6 + generator.normal(size=(length, 3))

    def read(first, stop):
        low, high = filters.support(first, stop)
        around = rows[np.clip(np.arange(low, high), 0, length - 1)]
        return filters.apply(around, low, first, stop)

    first = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(first + 1, length))
    assert read(first, stop).tobytes() == read(0, length)[first:stop].tobytes()


def test_a_value_that_is_not_finite_reaches_as_far_as_the_taps(tmp_path):
    content = write_recordings(tmp_path / "s.h5", rows=(200, 90, 80))
    values = content["signals"].copy()
    values[100, 1], half = np.inf, len(BAND_TAPS) // 2
    write_recordings(tmp_path / "s.h5", rows=(200, 90, 80), signals=values)
    options = {**EVERYTHING, "step_samples": 1, "filter": [{**BAND, "channels": ["ch[01]"]}]}
    with open_source(tmp_path / "s.h5", SourceOptions(**options)) as source:
        found, marked = source.read_marked_windows(0, source.windows)
    bad = ~np.isfinite(found).all(axis=1)
    assert not bad[:, [0, 2]].any()
    assert np.flatnonzero(bad[:, 1]).tolist() == list(range(100 - half - 7, 100 + half + 1))
    assert np.array_equal(marked, bad.any(axis=1))
    with open_source(tmp_path / "s.h5", SourceOptions(non_finite="fill", **options)) as source:
        filled, spread = source.read_marked_windows(0, source.windows)
    assert np.isfinite(filled).all()
    assert np.array_equal(spread, marked)
    assert np.array_equal(filled[~marked], found[~marked])


def test_a_recording_s_mean_is_removed_and_nan_does_not_count(tmp_path):
    content = write_recordings(tmp_path / "s.h5", rows=(90, 80, 300))
    values = 50 + content["signals"].copy()
    values[10, 1] = np.nan
    content["signals"] = values
    write_recordings(tmp_path / "s.h5", rows=(90, 80, 300), signals=values)
    found, spec = read_all(tmp_path / "s.h5", remove_mean=True, scale=[1, 0.5, 2])
    expected = expected_windows(
        content, lambda signal: (signal - np.nanmean(signal.astype("f8"), axis=0)) * [1, 0.5, 2]
    )
    assert spec.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    assert np.isnan(found).sum() == np.isnan(expected).sum() > 0


def test_a_mean_does_not_depend_on_what_is_read_first(tmp_path):
    write_recordings(tmp_path / "s.h5", rows=(90, 80, 300))
    whole, _ = read_all(tmp_path / "s.h5", remove_mean=True)
    options = SourceOptions(**EVERYTHING, remove_mean=True)
    with open_source(tmp_path / "s.h5", options) as source:
        backwards = [source.read_windows(at, at + 1) for at in reversed(range(source.windows))]
    assert np.concatenate(backwards[::-1]).tobytes() == whole.tobytes()


def test_long_filters_of_a_channel_are_joined_or_refused_in_time():
    made = make_filters(_two_filters(width_hz=0.004), ["x"], 100.0, "s")
    assert made is not None
    assert made.taps == 2 * (82500 | 1) - 1
    with refused(SourceError, "source.filter", "'x'", "1,048,576", "width_hz"):
        make_filters(_two_filters(width_hz=0.005), ["x"], 1000.0, "s")


def test_a_product_of_long_filters_is_what_they_make_one_by_one(monkeypatch):
    monkeypatch.setattr(filters, "DIRECT_TAPS", 1000)
    generator = np.random.default_rng(1)
    one, other = generator.normal(size=(2, 1003))
    np.testing.assert_allclose(
        joined_taps(one, other, "x", "s"), np.convolve(one, other), atol=1e-9
    )


def _two_filters(width_hz):
    return [
        FilterOptions(kind="highpass", hz=0.5, width_hz=width_hz),
        FilterOptions(kind="notch", hz=30, width_hz=width_hz),
    ]


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ([{"kind": "lowpass", "high_hz": 5.0}], ("high_hz = 5", "10 Hz")),
        ([{"kind": "notch", "hz": 50}], ("hz = 50", "10 Hz")),
        ([{**BAND, "width_hz": 3}], ("width_hz = 3",)),
        ([{**BAND, "low_hz": 0.05}], ("source.filter", "661", "40", "width_hz")),
        ([{**BAND, "channels": ["acc_*"]}], ("source.filter[0].channels", "acc_*", "ch0")),
        ([{**NOTCH, "width_hz": 1e-9}], ("taps", "width_hz")),
    ],
)
def test_a_filter_that_does_not_suit_the_signals_is_refused(tmp_path, filters, named):
    write_recordings(tmp_path / "s.h5")
    with refused(SourceError, *named):
        open_source(tmp_path / "s.h5", SourceOptions(**EVERYTHING, filter=filters))


@pytest.mark.parametrize(
    "keys",
    [
        {"kind": "bandpass", "low_hz": 3, "high_hz": 1},
        {"kind": "bandpass", "hz": 3},
        {"kind": "notch", "low_hz": 3},
        {"kind": "lowpass"},
        {"kind": "lowpass", "high_hz": -1},
        {"kind": "median", "hz": 1},
    ],
)
def test_frequencies_that_are_not_of_the_kind_are_refused(keys):
    with pytest.raises(ValueError, match="filter"):
        SourceOptions(filter=[keys])


def test_the_edge_of_one_sided_filters_has_two_names():
    low = SourceOptions(filter=[{"kind": "lowpass", "hz": 3}, {"kind": "highpass", "hz": 1}])
    assert [low.filter[0].high, low.filter[1].low] == [3, 1]


@pytest.mark.parametrize(
    "options", [{"filter": [BAND]}, {"remove_mean": True}, {"slow_channels": ["ch0"]}]
)
def test_windows_that_are_cut_already_are_not_filtered(tmp_path, options):
    write_windows(tmp_path / "w.h5")
    with refused(SourceError, f"source.{next(iter(options))}"):
        open_source(tmp_path / "w.h5", SourceOptions(**options))


def test_a_source_that_is_not_filtered_does_not_load_what_filters(tmp_path):
    write_recordings(tmp_path / "s.h5")
    script = (
        "import pathlib, sys; from headrace.stores.source.source import open_source; "
        "from headrace.stores.source.options import SourceOptions; "
        "options = SourceOptions(window_samples=8, remove_mean=True); "
        "open_source(pathlib.Path(sys.argv[1]), options).read_windows(0, 2); "
        "print('scipy.signal' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "s.h5")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "False"
