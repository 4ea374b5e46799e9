"""Every definition agrees with a plain float64 formula, window by window."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from headrace.pipeline.catalogue import Triad, build_catalogue
from tests.pipeline.catalogue.reference import reference

ACC = Triad("acc", (0, 1, 2), accelerometer=True)
GYRO = Triad("gyro", (3, 4, 5), accelerometer=False)
SIX = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")

# Absolute tolerances of the features without a unit, where 2e-6 is not reached.
LOOSE = {"kurtosis": 1e-5}
# Errors of these scale with the signal's range (and, for the slope, with rate over length).
IN_UNITS = {"mean", "median", "slope", "mean_abs_diff", "std", "mad", "iqr", "rms"}


def walk(seed: int, n: int, time: int, channels: int) -> NDArray[np.float32]:
    """Windows with a trend, a rhythm and noise, each channel at an offset of its own."""
    rng = np.random.default_rng(seed)
    steps = np.arange(time)[None, :, None]
    rhythm = np.sin(steps * rng.uniform(0.1, 0.9, (n, 1, channels)) + rng.uniform(0, 6, (n, 1, 1)))
    noise = rng.normal(size=(n, time, channels))
    drift = np.cumsum(rng.normal(size=(n, time, channels)), axis=1) * 0.1
    offset = rng.normal(size=(1, 1, channels))
    return (offset + rhythm + 0.3 * noise + drift).astype(np.float32)


def assert_agrees(
    windows: NDArray[np.generic],
    names: tuple[str, ...],
    rate: float,
    triads: tuple[Triad, ...] = (),
    looser: float = 1.0,
) -> None:
    catalogue = build_catalogue(names, rate, windows.shape[1], triads)
    got = catalogue.extract(windows)
    for row, window in zip(got, windows.astype(np.float64), strict=True):
        expected = reference(window, names, rate, triads)
        assert tuple(expected) == catalogue.names
        for name, value in zip(catalogue.names, row, strict=True):
            owner, feature = name.split("__")
            tolerance = LOOSE.get(feature, 2e-6) * looser
            if feature in IN_UNITS:
                tolerance *= max(1.0, expected.get(f"{owner}__peak_to_peak", 1.0))
            if feature == "slope":
                tolerance *= rate / windows.shape[1]
            assert value == pytest.approx(expected[name], rel=2e-6 * looser, abs=tolerance), name


@pytest.mark.parametrize("rate", [20.0, 50.0, 100.0])
@pytest.mark.parametrize("time", [62, 64, 127, 128, 200])
def test_all_columns_agree_with_scalar_float64_formulas(time: int, rate: float) -> None:
    assert_agrees(walk(time, 6, time, 6), SIX, rate, (ACC, GYRO))


@pytest.mark.parametrize("time", [8, 9, 10, 13, 31])
def test_very_short_windows_agree_at_their_real_rates(time: int) -> None:
    assert_agrees(walk(time, 12, time, 6), SIX, 10.0, (ACC, GYRO))


def test_long_windows_agree() -> None:
    assert_agrees(walk(1, 3, 1024, 3), ("x", "y", "z"), 200.0, looser=4.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mean_of_a_million_with_deviation_one_loses_nothing(dtype: type) -> None:
    windows = (walk(3, 8, 128, 3).astype(np.float64) + 1e6).astype(dtype)
    assert_agrees(windows, ("x", "y", "z"), 50.0)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", ">i2", "i4", "i8", "f2", ">f4", ">f8"])
def test_every_real_dtype_gives_the_features_of_its_values(dtype: str) -> None:
    windows = (np.abs(walk(4, 4, 64, 3)) * 15).astype(dtype)
    catalogue = build_catalogue(("x", "y", "z"), 50.0, 64)
    np.testing.assert_allclose(
        catalogue.extract(windows), catalogue.extract(windows.astype(np.float64)), rtol=1e-6
    )


def test_two_triads_and_six_channels_have_283_columns_and_fixed_names() -> None:
    names = build_catalogue(SIX, 50.0, 128, (ACC, GYRO)).names
    assert len(names) == len(set(names)) == 283
    assert names == build_catalogue(SIX, 200.0, 8, (ACC, GYRO)).names
    for expected in (
        "acc_x__spectral_centroid",
        "gyro_jerk_mag__rms",
        "acc_mag__band_power_0.1_1",
        "gyro_z__band_power_5_10",
        "gyro__corr_yz",
        "acc__gravity_angle_z",
    ):
        assert expected in names
    assert "gyro__gravity_roll" not in names


def test_a_pure_tone_has_the_spectrum_and_rhythm_it_was_made_with() -> None:
    time, rate = 128, 64.0
    tone = np.sin(2 * np.pi * 4.0 * np.arange(time) / rate)
    catalogue = build_catalogue(("x",), rate, time)
    row = dict(zip(catalogue.names, catalogue.extract(tone[None, :, None])[0], strict=True))
    assert row["x__dominant_freq"] == 4.0
    assert row["x__rolloff_85"] == 4.0
    assert row["x__spectral_centroid"] == pytest.approx(4.0)
    assert row["x__spectral_spread"] == pytest.approx(0.0, abs=1e-4)
    assert row["x__spectral_entropy"] == pytest.approx(0.0, abs=1e-6)
    assert row["x__band_power_3_5"] == pytest.approx(1.0)
    assert row["x__autocorr_peak_lag"] == 0.25
    assert row["x__log_total_power"] == pytest.approx(np.log10((time / 2) ** 2))


def test_bands_above_nyquist_are_zero() -> None:
    catalogue = build_catalogue(("x",), 8.0, 64, select=("*band_power*",))
    assert catalogue.extract(walk(5, 16, 64, 1))[:, -1].tolist() == [0.0] * 16


def test_lags_that_do_not_fit_the_window_give_no_peak() -> None:
    windows = walk(6, 16, 32, 1)
    catalogue = build_catalogue(("x",), 200.0, 32, select=("*autocorr*",))
    assert not catalogue.extract(windows).any()
