"""Features agree with TSFEL, tsfresh and pycatch22 wherever these define the same quantity.

Where a library differs by a known factor, or by what it looks at, the test converts: the
conversions are those that docs/features.md states.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pycatch22
import pytest
from numpy.typing import NDArray

from headrace.pipeline.catalogue import build_catalogue

RATE = 50.0
SIGNALS = [(time, seed) for time in (64, 127, 200) for seed in range(4)]


@pytest.fixture(params=SIGNALS, ids=lambda p: f"T{p[0]}-{p[1]}", scope="module")
def case(request: pytest.FixtureRequest) -> tuple[NDArray[np.float64], dict[str, float]]:
    """One signal, and its features by name."""
    time, seed = request.param
    rng = np.random.default_rng([time, seed])
    steps = np.arange(time) / RATE
    x = rng.normal() + np.sin(2 * np.pi * rng.uniform(1, 4) * steps + rng.uniform(0, 6))
    x = (x + 0.4 * rng.normal(size=time) + rng.normal() * steps).astype(np.float32)
    catalogue = build_catalogue(("x",), RATE, time)
    row = catalogue.extract(x[None, :, None])[0]
    return x.astype(np.float64), {
        name.removeprefix("x__"): float(value)
        for name, value in zip(catalogue.names, row, strict=True)
    }


def close(value: float) -> Any:
    return pytest.approx(value, rel=2e-5, abs=2e-6)


def test_tsfel_statistics_and_time_domain(
    case: tuple[NDArray[np.float64], dict[str, float]],
) -> None:
    import tsfel.feature_extraction.features as tsfel  # seconds, where every process collects it

    x, got = case
    same = {
        "mean": tsfel.calc_mean,
        "std": tsfel.calc_std,
        "min": tsfel.calc_min,
        "max": tsfel.calc_max,
        "median": tsfel.calc_median,
        "mad": tsfel.median_abs_deviation,
        "iqr": tsfel.interq_range,
        "rms": tsfel.rms,
        "skewness": tsfel.skewness,
        "kurtosis": tsfel.kurtosis,
        "peak_to_peak": tsfel.pk_pk_distance,
        "mean_abs_diff": tsfel.mean_abs_diff,
    }
    for name, theirs in same.items():
        assert got[name] == close(theirs(x)), name
    # A slope per sample, crossings as a count and of the signal as given.
    assert got["slope"] == close(tsfel.slope(x) * RATE)
    assert got["zero_crossing_rate"] == close(tsfel.zero_cross(x - x.mean()) / (len(x) - 1))


def test_tsfel_spectrum(case: tuple[NDArray[np.float64], dict[str, float]]) -> None:
    import tsfel.feature_extraction.features as tsfel

    x, got = case
    time = len(x)
    z = x - x.mean()
    # TSFEL weighs by the amplitude: a signal whose amplitudes are our powers makes it ours.
    powers = np.abs(np.fft.rfft(z)) ** 2
    powers[0] = 0.0
    as_amplitudes = np.fft.irfft(powers, n=time)
    assert got["spectral_centroid"] == close(tsfel.spectral_centroid(as_amplitudes, RATE))
    assert got["spectral_spread"] == close(tsfel.spectral_spread(as_amplitudes, RATE))
    # TSFEL divides by the logarithm of the bins that are not exactly zero: DC often is not.
    z_power = np.abs(np.fft.rfft(z - z.mean())) ** 2
    bins = np.count_nonzero(z_power / z_power.sum())
    entropy = tsfel.spectral_entropy(z, RATE) * np.log(bins) / np.log(time // 2)
    assert got["spectral_entropy"] == close(entropy)


def test_tsfresh(case: tuple[NDArray[np.float64], dict[str, float]]) -> None:
    import tsfresh.feature_extraction.feature_calculators as tsfresh

    x, got = case
    n = len(x)
    same = {
        "mean": tsfresh.mean,
        "std": tsfresh.standard_deviation,
        "min": tsfresh.minimum,
        "max": tsfresh.maximum,
        "median": tsfresh.median,
        "rms": tsfresh.root_mean_square,
        "mean_abs_diff": tsfresh.mean_abs_change,
    }
    for name, theirs in same.items():
        assert got[name] == close(theirs(x)), name
    assert got["iqr"] == close(tsfresh.quantile(x, 0.75) - tsfresh.quantile(x, 0.25))
    trend = dict(tsfresh.linear_trend(x, [{"attr": "slope"}]))
    assert got["slope"] == close(trend['attr_"slope"'] * RATE)
    crossings = tsfresh.number_crossing_m(x, x.mean())
    assert got["zero_crossing_rate"] == close(crossings / (n - 1))
    # tsfresh corrects both for the bias of a small sample (pandas): G1 and G2, not g1 and g2.
    g1 = tsfresh.skewness(x) * (n - 2) / np.sqrt(n * (n - 1))
    g2 = (tsfresh.kurtosis(x) * (n - 2) * (n - 3) / (n - 1) - 6) / (n + 1)
    assert got["skewness"] == close(g1)
    assert got["kurtosis"] == close(g2)
    # tsfresh divides a lag's sum by the products in it, not by T: r_k = theirs (T - k) / T.
    r = np.array([tsfresh.autocorrelation(x, k) * (n - k) / n for k in range(n - 1)])
    lags = [k for k in range(10, min(75, n - 2) + 1) if r[k - 1] < r[k] > r[k + 1]]
    best = max(lags, key=lambda k: r[k])
    assert got["autocorr_peak_lag"] == close(best / RATE)
    assert got["autocorr_peak"] == close(r[best])
    coefficients = [{"coeff": k, "attr": "abs"} for k in range(n // 2 + 1)]
    amplitudes = np.array([value for _, value in tsfresh.fft_coefficient(x, coefficients)])
    assert got["dominant_freq"] == close((1 + amplitudes[1:].argmax()) * RATE / n)
    total = np.sum(amplitudes[1:] ** 2)
    assert got["dominant_power_ratio"] == close(amplitudes[1:].max() ** 2 / total)
    assert got["log_total_power"] == close(np.log10(total))


def test_pycatch22(case: tuple[NDArray[np.float64], dict[str, float]]) -> None:
    x, got = case
    found = pycatch22.catch22_all(x.tolist(), catch24=True)
    theirs = dict(zip(found["names"], found["values"], strict=True))
    assert got["mean"] == close(theirs["DN_mean"])
    # Its deviation is the sample's, with T - 1.
    assert got["std"] == close(theirs["DN_Spread_std"] * np.sqrt((len(x) - 1) / len(x)))
