"""Degenerate and extreme windows give finite, documented values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from headrace.pipeline.catalogue import Catalogue, Triad, build_catalogue
from tests.refusals import refused

ACC = Triad("acc", (0, 1, 2), accelerometer=True)
LARGEST = float(np.finfo(np.float32).max)

# What a constant signal gives, besides its own level.
CONSTANT = {
    "std": 0, "mad": 0, "iqr": 0, "skewness": 0, "kurtosis": 0, "peak_to_peak": 0,
    "zero_crossing_rate": 0, "mean_abs_diff": 0, "slope": 0, "autocorr_peak": 0,
    "autocorr_peak_lag": 0, "dominant_freq": 0, "dominant_power_ratio": 0, "log_total_power": -12,
    "spectral_centroid": 0, "spectral_spread": 0, "spectral_entropy": 0, "rolloff_85": 0,
    "band_power_0.1_1": 0, "band_power_1_3": 0, "band_power_3_5": 0, "band_power_5_10": 0,
}  # fmt: skip
LEVEL = ("mean", "min", "max", "median")


def triad_catalogue(time: int, rate: float = 50.0) -> Catalogue:
    return build_catalogue(("x", "y", "z"), rate, time, (ACC,))


def columns(catalogue: Catalogue, windows: NDArray[np.generic]) -> dict[str, float]:
    """Named features of the first window."""
    return dict(zip(catalogue.names, catalogue.extract(windows)[0].tolist(), strict=True))


@pytest.mark.parametrize("time", [8, 9, 33, 128, 200])
@pytest.mark.parametrize("level", [0.0, 1.0, -9.81, 0.1, 1e6, 1e30, -1e30, 1e-30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_window_gives_the_documented_values(
    time: int, level: float, dtype: type
) -> None:
    windows = np.full((3, time, 3), level, dtype=dtype)
    row = columns(triad_catalogue(time), windows)
    single = np.float32(level)
    for signal in "xyz":
        assert {name: row[f"{signal}__{name}"] for name in CONSTANT} == CONSTANT
        assert [row[f"{signal}__{name}"] for name in LEVEL] == [single] * 4
        assert row[f"{signal}__rms"] == pytest.approx(abs(single))
    assert {name: row[f"acc_jerk_mag__{name}"] for name in (*CONSTANT, *LEVEL)} == CONSTANT | {
        name: 0 for name in LEVEL
    }
    assert [row[f"acc__{name}"] for name in ("corr_xy", "corr_xz", "corr_yz", "sma")] == [0] * 4


def test_without_gravity_every_angle_is_zero() -> None:
    row = columns(triad_catalogue(16), np.zeros((1, 16, 3)) * -1.0)
    assert [value for name, value in row.items() if "gravity" in name] == [0.0] * 5


def test_gravity_along_an_axis_gives_right_angles() -> None:
    row = columns(triad_catalogue(16), np.tile([0.0, 0.0, 9.81], (1, 16, 1)))
    right = pytest.approx(np.pi / 2)
    assert row["acc__gravity_angle_x"] == right
    assert row["acc__gravity_angle_y"] == right
    assert (row["acc__gravity_angle_z"], row["acc__gravity_pitch"]) == (0.0, 0.0)
    assert row["acc__gravity_roll"] == 0.0
    sideways = columns(triad_catalogue(16), np.tile([-2.0, 0.0, 0.0], (1, 16, 1)))
    assert sideways["acc__gravity_pitch"] == right
    assert sideways["acc__gravity_angle_x"] == pytest.approx(np.pi)


@pytest.mark.parametrize("scale", [1e30, 3e38, 1e-30, 1e-44])
@pytest.mark.parametrize("time", [8, 9, 31, 128])
def test_any_amplitude_keeps_the_features_without_a_unit(time: int, scale: float) -> None:
    rng = np.random.default_rng(time)
    shape = rng.integers(-8, 9, size=(8, time, 3)).astype(np.float64) / 8
    catalogue = triad_catalogue(time)
    got = catalogue.extract((shape * scale).astype(np.float32))
    assert np.isfinite(got).all()
    unitless = [
        i for i, name in enumerate(catalogue.names)
        if name[0] in "xyz" and name.split("__")[1] in (
            "skewness", "kurtosis", "spectral_entropy", "autocorr_peak", "dominant_freq"
        )
    ]  # fmt: skip
    # At 1e-44 float32 has three values left: only finiteness can be asked for.
    if scale > 1e-40:
        expected = catalogue.extract(shape.astype(np.float32))[:, unitless]
        np.testing.assert_allclose(got[:, unitless], expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("value", [5e-324, 1e-321, 1e-310, 1e-302, 1e-300])
@pytest.mark.parametrize("time", [8, 31, 128])
def test_values_below_what_float32_can_square_give_finite_features(time: int, value: float) -> None:
    windows = np.zeros((1, time, 3))
    windows[:, ::3] = value
    assert np.isfinite(triad_catalogue(time).extract(windows)).all()


def test_results_beyond_float32_saturate() -> None:
    windows = np.tile(np.array([LARGEST, -LARGEST]), 8)[None, :, None].repeat(3, axis=2)
    for dtype in (np.float32, np.float64):
        row = columns(triad_catalogue(16), windows.astype(dtype))
        assert row["x__peak_to_peak"] == LARGEST
        assert row["acc_mag__max"] == LARGEST
    row = columns(triad_catalogue(16), windows * 1e200)
    assert (row["x__max"], row["x__min"]) == (LARGEST, -LARGEST)


@settings(max_examples=60)
@given(
    hnp.arrays(
        st.sampled_from((np.float32, np.float64, np.int16, np.int64)),
        st.tuples(st.integers(1, 3), st.sampled_from((8, 9, 16)), st.just(3)),
        elements=None,
    ).filter(lambda windows: bool(np.isfinite(windows).all()))
)
def test_every_finite_window_has_finite_features_within_their_ranges(
    windows: NDArray[np.generic],
) -> None:
    catalogue = triad_catalogue(windows.shape[1], rate=10.0)
    got = catalogue.extract(windows)
    assert np.isfinite(got).all()
    table = dict(zip(catalogue.names, got.T, strict=True))
    for name, values in table.items():
        feature = name.split("__")[1]
        if feature.startswith(("band_power", "spectral_entropy", "dominant_power", "zero_cross")):
            assert ((values >= 0) & (values <= 1)).all(), name
        if feature.startswith(("corr_", "autocorr_peak")) and not feature.endswith("lag"):
            assert (np.abs(values) <= 1).all(), name
        if feature in ("std", "mad", "iqr", "rms", "peak_to_peak", "sma", "mean_abs_diff"):
            assert (values >= 0).all(), name


def test_crossings_follow_the_sign_and_count_a_stop_at_zero_twice() -> None:
    signal = np.array([1.0, 0.0, -1.0, 0.0] * 4)
    catalogue = build_catalogue(("x",), 50.0, 16, select=("*zero_crossing_rate",))
    assert catalogue.extract(signal[None, :, None])[0, 0] == 1.0


def test_windows_below_eight_samples_and_other_shapes_are_refused() -> None:
    with refused(ValueError, "8", "7"):
        build_catalogue(("x",), 50.0, 7)
    with refused(ValueError, "(2, 17, 3)", "(n, 16, 3)"):
        triad_catalogue(16).extract(np.zeros((2, 17, 3)))
    with refused(TypeError, "complex128"):
        triad_catalogue(16).extract(np.zeros((2, 16, 3), dtype=complex))


def test_no_window_gives_no_row() -> None:
    assert triad_catalogue(16).extract(np.zeros((0, 16, 3))).shape == (
        0,
        len(triad_catalogue(16).names),
    )
