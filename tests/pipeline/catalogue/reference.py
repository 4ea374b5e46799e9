"""The catalogue's definitions as plain float64 formulas, one window and one signal at a time."""

from __future__ import annotations

import numpy as np
import scipy.signal
import scipy.stats
from numpy.typing import NDArray

from headrace.pipeline.catalogue import Triad


def reference_signal(x: NDArray[np.float64], rate: float) -> dict[str, float]:
    """The 27 features of one signal by scalar NumPy and SciPy formulas."""
    time = len(x)
    z = x - x.mean()
    low, high = np.percentile(x, [25, 75])
    steps = np.arange(time) / rate
    values = {
        "mean": x.mean(),
        "std": x.std(),
        "min": x.min(),
        "max": x.max(),
        "median": np.median(x),
        "mad": scipy.stats.median_abs_deviation(x),
        "iqr": high - low,
        "rms": np.sqrt(np.mean(x**2)),
        "skewness": scipy.stats.skew(x),
        "kurtosis": scipy.stats.kurtosis(x),
        "peak_to_peak": np.ptp(x),
        "zero_crossing_rate": np.count_nonzero(np.diff(np.sign(z))) / (time - 1),
        "mean_abs_diff": np.abs(np.diff(x)).mean(),
        "slope": np.polyfit(steps, z, 1)[0],
    }
    return values | reference_autocorrelation(z, rate) | reference_spectrum(z, rate)


def reference_autocorrelation(z: NDArray[np.float64], rate: float) -> dict[str, float]:
    time = len(z)
    r = np.correlate(z, z, "full")[time - 1 :] / np.sum(z**2)
    peaks = [k for k in scipy.signal.find_peaks(r)[0] if 0.2 <= k / rate <= 1.5 and k <= time - 2]
    best = max(peaks, key=lambda k: r[k], default=None)
    return {
        "autocorr_peak": 0.0 if best is None else r[best],
        "autocorr_peak_lag": 0.0 if best is None else best / rate,
    }


def reference_spectrum(z: NDArray[np.float64], rate: float) -> dict[str, float]:
    frequency = np.fft.rfftfreq(len(z), 1 / rate)[1:]
    power = np.abs(np.fft.rfft(z)[1:]) ** 2
    total = power.sum()
    centroid = np.sum(frequency * power) / total
    values = {
        "dominant_freq": frequency[power.argmax()],
        "dominant_power_ratio": power.max() / total,
        "log_total_power": np.log10(total + 1e-12),
        "spectral_centroid": centroid,
        "spectral_spread": np.sqrt(np.sum((frequency - centroid) ** 2 * power) / total),
        "spectral_entropy": scipy.stats.entropy(power) / np.log(len(power)),
        "rolloff_85": frequency[np.argmax(np.cumsum(power) >= 0.85 * total)],
    }
    for low, high, label in ((0.1, 1, "0.1_1"), (1, 3, "1_3"), (3, 5, "3_5"), (5, 10, "5_10")):
        inside = (frequency >= low) & (frequency < high)
        values[f"band_power_{label}"] = power[inside].sum() / total
    return values


def reference_across(x: NDArray[np.float64], accelerometer: bool) -> dict[str, float]:
    """The features across one triad, ``x`` is (time, 3)."""
    corr = np.corrcoef(x.T)
    values = {
        "corr_xy": corr[0, 1],
        "corr_xz": corr[0, 2],
        "corr_yz": corr[1, 2],
        "sma": np.abs(x - x.mean(axis=0)).sum() / len(x),
    }
    if accelerometer:
        g = x.mean(axis=0)
        values["gravity_pitch"] = np.arctan2(-g[0], np.hypot(g[1], g[2]))
        values["gravity_roll"] = np.arctan2(g[1], g[2])
        for axis, component in zip("xyz", g, strict=True):
            values[f"gravity_angle_{axis}"] = np.arccos(component / np.linalg.norm(g))
    return values


def reference(
    window: NDArray[np.float64], names: tuple[str, ...], rate: float, triads: tuple[Triad, ...]
) -> dict[str, float]:
    """All columns of one window (time, channel), in the catalogue's order."""
    signals = {name: window[:, i] for i, name in enumerate(names)}
    across: dict[str, float] = {}
    for triad in triads:
        three = window[:, list(triad.channels)]
        signals[f"{triad.name}_mag"] = np.sqrt((three**2).sum(axis=1))
        jerk = np.diff(three, axis=0) * rate
        signals[f"{triad.name}_jerk_mag"] = np.sqrt((jerk**2).sum(axis=1))
        for key, value in reference_across(three, triad.accelerometer).items():
            across[f"{triad.name}__{key}"] = value
    columns = {
        f"{name}__{key}": value
        for name, x in signals.items()
        for key, value in reference_signal(x, rate).items()
    }
    return columns | across
