from __future__ import annotations

import tracemalloc
from fractions import Fraction

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.signal import firwin, resample_poly

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.rows.slow_rows import SlowRows
from headrace.stores.source.source import open_source
from tests.refusals import refused

CUT = {"window_samples": 8, "step_samples": 5, "labels": ""}
RATES = {"ecg": 40.0, "acc": 20.0, "temp": 4.0}
SECONDS = (9, 4, 21)
"""Of three recordings."""


def signals_of(seconds, seed=1, rates=RATES):
    generator = np.random.default_rng(seed)
    widths = {"ecg": 1, "acc": 3, "temp": 1}
    return {
        name: generator.normal(30, 5, (int(seconds * rate), widths[name])).astype("f4")
        for name, rate in rates.items()
    }


def write_stacked(path, rates=RATES, seconds=SECONDS, named="sample_rate", cut=None):
    """One file: three arrays, and a table of recordings that counts rows of the fastest."""
    parts = [signals_of(each, at, rates) for at, each in enumerate(seconds)]
    with h5py.File(path, "w") as file:
        for name, rate in rates.items():
            values = np.concatenate([part[name] for part in parts])
            data = file.create_dataset(name, data=values[: (cut or {}).get(name)])
            data.attrs[named] = rate
        fastest = max(rates.values())
        length = np.array([int(each * fastest) for each in seconds])
        file["recordings/start"] = np.cumsum(length) - length
        file["recordings/length"] = length
        file["recordings/subject"] = np.arange(len(seconds))
        file.attrs["sampling_rate_hz"] = 40.0
    return parts


def delivered(signal, rate, target, hold, fastest=40.0):
    """All of one signal of a recording at the rate of the result, by its definition."""
    ratio = Fraction(target) / Fraction(rate)
    if rate >= target or rate == fastest:
        terms = ratio.numerator, ratio.denominator
        return signal if ratio == 1 else resample_poly(signal, *terms, axis=0, padtype="edge")
    at = np.arange(int(len(signal) * ratio)) / float(ratio)
    row = np.floor(at + 1e-9).astype(int)
    if hold:
        return signal[row]
    known = np.arange(len(signal))
    return np.stack([np.interp(at, known, column) for column in signal.T.astype("f8")], axis=1)


def expected_windows(parts, target, hold=False, rates=RATES, change=lambda name, signal: signal):
    windows = []
    for part in parts:
        signals = [
            delivered(change(name, part[name].astype("f8")), rate, target, hold)
            for name, rate in rates.items()
        ]
        fastest = max(rates.values())
        # Less than a row of its own may lack at the end of a slower one.
        lasting = [
            len(part[name]) if rate == fastest else int((len(part[name]) + 1) * fastest / rate) - 1
            for name, rate in rates.items()
        ]
        rows = int(min(lasting) * Fraction(target) / Fraction(fastest))
        edged = [np.pad(each, ((0, 9), (0, 0)), mode="edge")[:rows] for each in signals]
        every = np.concatenate(edged, axis=1)
        windows += [every[row : row + 8] for row in range(0, rows - 7, 5)]
    return np.array(windows)


@pytest.mark.parametrize("slow", ["interpolate", "hold"])
@pytest.mark.parametrize("target", [None, 20.0, 10.0, 2.0, 80.0])
def test_signals_of_several_rates_are_brought_to_one(tmp_path, target, slow):
    parts = write_stacked(tmp_path / "s.h5")
    options = SourceOptions(signals=[*RATES], target_rate_hz=target, slow=slow, **CUT)
    with open_source(tmp_path / "s.h5", options) as source:
        expected = expected_windows(parts, target or 40.0, slow == "hold")
        assert source.spec.channels == ("ecg", "acc_0", "acc_1", "acc_2", "temp")
        assert (source.spec.rate_hz, source.spec.dtype) == (target or 40.0, "f4")
        found = source.read_windows(0, source.windows)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        recording, start = source.locate(0, source.windows)
        assert set(recording.tolist()) == {0, 1, 2}
        second = int(np.flatnonzero(recording == 1)[0])
        assert (start[second], source.seconds(second, second + 1)) == (9 * 40, 0)


@pytest.mark.parametrize("slow", ["interpolate", "hold"])
def test_a_recording_may_begin_between_two_rows_of_a_slow_signal(tmp_path, slow):
    write_stacked(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "a") as file:
        file["recordings/start"][:] = [3, 377, 700]
        file["recordings/length"][:] = [300, 300, 8]
        temp = file["temp"][:, 0].astype("f8")
    options = SourceOptions(signals=[*RATES], slow=slow, **{**CUT, "step_samples": 1})
    with open_source(tmp_path / "s.h5", options) as source:
        found = source.read_windows(0, source.windows)[:, 0, 4]
        start = source.locate(0, source.windows)[1]
    for begin, length in ((3, 300), (377, 300), (700, 8)):
        inside = (start >= begin) & (start < begin + length)
        known = np.arange(-(-begin // 10), -(-(begin + length) // 10))
        at = start[inside] / 10
        row = np.clip(np.floor(at).astype(int), known[0], known[-1])
        expected = temp[row] if slow == "hold" else np.interp(at, known, temp[known])
        np.testing.assert_allclose(found[inside], expected, rtol=1e-5)


@given(data=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_range_gives_the_same_bits(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "rates.h5"
    if not path.exists():
        write_stacked(path, seconds=(11, 5, 40))
    options = SourceOptions(
        signals=[*RATES],
        target_rate_hz=data.draw(st.sampled_from([None, 20.0, 13.0])),
        slow=data.draw(st.sampled_from(["interpolate", "hold"])),
        filter=data.draw(
            st.sampled_from([[], [{"kind": "lowpass", "hz": 5, "channels": ["acc*"]}]])
        ),
        remove_mean=data.draw(st.booleans()),
        **CUT,
    )
    with open_source(path, options) as source, pytest.MonkeyPatch.context() as patch:
        whole = source.read_windows(0, source.windows)
        patch.setattr(source._layout._rows, "slice_rows", data.draw(st.integers(1, 900)))
        start = data.draw(st.integers(0, source.windows - 1))
        stop = data.draw(st.integers(start, source.windows))
        assert source.read_windows(start, stop).tobytes() == whole[start:stop].tobytes()


def test_each_signal_is_filtered_at_its_own_rate_and_in_units(tmp_path):
    parts = write_stacked(tmp_path / "s.h5")
    band = {"kind": "lowpass", "hz": 5, "channels": ["acc*"]}
    scale = [2.0, 1, 1, 1, 0.5]
    options = SourceOptions(
        signals=[*RATES], filter=[band], scale=scale, offset=[0, 0, 0, 0, 7.0], **CUT
    )
    taps = firwin(33, 6, fs=20)

    def change(name, signal):
        if name == "acc":
            padded = np.pad(signal, ((16, 16), (0, 0)), mode="edge")
            columns = [np.convolve(column, taps, mode="valid") for column in padded.T]
            return np.stack(columns, axis=1)
        return signal * 2 if name == "ecg" else signal * 0.5 + 7

    with open_source(tmp_path / "s.h5", options) as source:
        assert source.spec.scale == (1,) * 5
        found = source.read_windows(0, source.windows)
    np.testing.assert_allclose(found, expected_windows(parts, 40.0, change=change), rtol=1e-5)


def test_files_of_several_patterns_have_rates_of_their_own(tmp_path):
    parts = []
    for number, seconds in enumerate((10, 6, 8)):
        part = signals_of(seconds, number)
        parts.append(part)
        (tmp_path / f"s{number}").mkdir()
        for name, values in list(part.items()):
            # The fastest was stopped a moment later: less than a row of the slowest.
            rows = np.concatenate([values, values[: 3 if name == "ecg" else 0]])
            part[name] = rows
            np.savetxt(
                tmp_path / f"s{number}" / f"{name}.csv",
                rows,
                delimiter=",",
                header=",".join(f"{name}{column}" for column in range(values.shape[1])),
                comments="",
                fmt="%.9g",
            )
    options = SourceOptions(
        files=[f"s{{subject}}/{name}.csv" for name in RATES],
        rates_hz=list(RATES.values()),
        groups="subject",
        use_channels=["temp0", "acc?", "!acc1"],
        **CUT,
    )
    with open_source(tmp_path, options) as source:
        assert source.spec.channels == ("temp0", "acc0", "acc2")
        assert source.spec.rate_hz == 20.0
        rates = {"acc": 20.0, "temp": 4.0}
        expected = expected_windows(parts, 20.0, rates=rates)[..., [3, 0, 2]]
        np.testing.assert_allclose(source.read_windows(0, source.windows), expected, rtol=1e-5)
        assert len(source.fingerprint()) == 32
    everything = options.model_copy(update={"use_channels": []})
    with open_source(tmp_path, everything) as source:
        found = source.read_windows(0, source.windows)
        np.testing.assert_allclose(found, expected_windows(parts, 40.0), rtol=1e-5)


def test_a_wristband_s_files_say_their_rates_in_their_second_line(tmp_path):
    for number in range(3):
        (tmp_path / f"s{number}").mkdir()
        for name, values in signals_of(5, number).items():
            columns = values.shape[1]
            lines = [["1544027337.000000"] * columns, [f"{RATES[name]:.6f}"] * columns]
            lines += [[f"{value:.3f}" for value in row] for row in values]
            text = "\n".join(",".join(line) for line in lines)
            (tmp_path / f"s{number}" / f"{name}.csv").write_text(text)
    options = SourceOptions(
        files=[f"s{{subject}}/{name}.csv" for name in RATES], groups="subject", **CUT
    )
    with open_source(tmp_path, options) as source:
        assert source.spec.rate_hz == 40.0
        expected = expected_windows([signals_of(5, number) for number in range(3)], 40.0)
        found = source.read_windows(0, source.windows)
        np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_recording_of_other_rates_than_the_first_is_refused(tmp_path):
    for number in range(3):
        with h5py.File(tmp_path / f"s{number}.h5", "w") as file:
            slow = 8.0 if number == 2 else 4.0
            for name, rate in {"ecg": 40.0, "temp": slow}.items():
                data = file.create_dataset(name, data=np.zeros(int(10 * rate), "f4"))
                data.attrs["fs"] = rate
    options = SourceOptions(
        files=["s{subject}.h5"], signals=["ecg", "temp"], groups="subject", **CUT
    )
    with open_source(tmp_path, options) as source, refused(SourceContentError, "8 Hz", "4 Hz"):
        source.read_windows(0, source.windows)


@pytest.mark.parametrize(
    ("cut", "rates", "options", "named"),
    [
        ({"temp": 120}, RATES, {}, ("1,360 rows at 40 Hz = 34 s", "120 rows at 4 Hz = 30 s")),
        ({}, RATES, {"rates_hz": [40, 20]}, ("source.rates_hz", "2", "3")),
        ({}, RATES, {"rates_hz": [40, 20, 8]}, ("source.rates_hz", "17 s", "34 s")),
        ({}, RATES, {"rate_hz": 40.0}, ("source.rates_hz", "[40, 20, 4]")),
        ({"ecg": 1320}, RATES, {}, ("1,320 rows at 40 Hz = 33 s", "0.25 s")),
        ({}, RATES, {"filter": [{"kind": "lowpass", "hz": 5}]}, ("temp", "4 Hz", "hz = 5")),
    ],
)
def test_signals_that_do_not_fit_are_refused(tmp_path, cut, rates, options, named):
    write_stacked(tmp_path / "s.h5", rates=rates, cut=cut)
    with refused(SourceError, *named):
        open_source(tmp_path / "s.h5", SourceOptions(signals=[*RATES], **CUT, **options))


def test_rates_of_one_array_are_refused(tmp_path):
    write_stacked(tmp_path / "s.h5")
    with refused(SourceError, "source.rates_hz", "source.rate_hz"):
        open_source(tmp_path / "s.h5", SourceOptions(signals="ecg", rates_hz=[40], **CUT))


def test_arrays_that_say_nothing_and_differ_in_length_need_rates(tmp_path):
    write_stacked(tmp_path / "s.h5", named="comment")
    with h5py.File(tmp_path / "s.h5", "a") as file:
        del file.attrs["sampling_rate_hz"]
    with refused(SourceError, "source.rates_hz", "[..., ..., ...]"):
        open_source(tmp_path / "s.h5", SourceOptions(signals=[*RATES], **CUT))


def test_a_slow_row_that_is_not_finite_reaches_what_is_made_of_it(tmp_path):
    parts = write_stacked(tmp_path / "s.h5")
    values = np.concatenate([part["temp"] for part in parts])
    values[10] = np.nan
    with h5py.File(tmp_path / "s.h5", "a") as file:
        file["temp"][:] = values
    options = {"signals": [*RATES], **CUT, "step_samples": 1}
    with open_source(tmp_path / "s.h5", SourceOptions(**options)) as source:
        found, marked = source.read_marked_windows(0, source.windows)
        start = source.locate(0, source.windows)[1]
    bad = start[marked]
    assert (bad.min(), bad.max()) == (91 - 7, 109)
    assert np.array_equal(marked, ~np.isfinite(found).all(axis=(1, 2)))
    with open_source(tmp_path / "s.h5", SourceOptions(non_finite="fill", **options)) as source:
        filled, spread = source.read_marked_windows(0, source.windows)
    assert np.isfinite(filled).all()
    assert np.array_equal(spread, marked)


@given(
    st.fractions(Fraction(1, 50), 1, max_denominator=60),
    st.fractions(-1, 0, max_denominator=20),
    st.booleans(),
    st.data(),
)
@settings(max_examples=40)
def test_a_slow_row_s_place_does_not_depend_on_the_slice(step, first, hold, data):
    change = SlowRows(step, first, hold)
    start = data.draw(st.integers(0, 300))
    stop = data.draw(st.integers(start + 1, 400))
    rows = np.random.default_rng(1).normal(size=(420, 2))
    low, high = change.support(start, stop)
    at = np.array([float(first + number * step) for number in range(start, stop)])
    found = change.resample(rows[np.arange(low, high) % 420], low, start, stop)
    if hold:
        row = [int((first + number * step) // 1) % 420 for number in range(start, stop)]
        assert np.array_equal(found, rows[row].astype("f4"))
    else:
        known = np.arange(low, max(high, low + 2))
        expected = np.interp(at, known, rows[known % 420, 0])
        np.testing.assert_allclose(found[:, 0], expected, atol=1e-6)


def test_a_late_row_of_a_long_step_has_its_exact_place():
    step, first, number = Fraction(999_983, 999_979), Fraction(7, 999_961), 3 * 10**12
    for hold in (False, True):
        low, high = SlowRows(step, first, hold).support(number, number + 1)
        assert (low, high) == ((row := (first + number * step) // 1), row + 2 - hold)


def test_a_slow_signal_that_lacks_its_last_row_has_a_fingerprint(tmp_path):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["acc"] = np.arange(6003, dtype="f4").reshape(2001, 3)
        file["hr"] = np.arange(1000, dtype="f4")
    options = SourceOptions(
        signals=["acc", "hr"],
        rates_hz=[2.0, 1.0],
        split_by_window=True,
        window_samples=4,
        recordings="",
        labels="",
    )
    with open_source(tmp_path / "s.h5", options) as source:
        assert source.fingerprint()
        windows = source.read_windows(source.windows - 1, source.windows)
        assert windows[0, -1, 3] <= 999


def test_reading_several_rates_holds_no_more_than_it_says(tmp_path):
    write_stacked(tmp_path / "s.h5", seconds=(3000, 3000, 3000))
    options = SourceOptions(
        signals=[*RATES],
        filter=[{"kind": "lowpass", "hz": 5, "channels": ["ecg", "acc*"]}],
        window_samples=200,
        labels="",
    )
    with open_source(tmp_path / "s.h5", options) as source:
        source.read_marked_windows(0, 1)
        tracemalloc.start()
        windows, _ = source.read_marked_windows(0, source.windows)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= windows.nbytes + source.buffer_bytes + 64 * source.windows
