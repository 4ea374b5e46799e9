"""What each feature is: name, formula, unit, range and source. Part of the store's format.

The order of the tables is the order of the columns. Kernels write by the positions defined here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Family = Literal["moments", "order", "temporal", "autocorrelation", "spectrum", "triad", "gravity"]

TSFEL: Final = "TSFEL (Barandas et al. 2020)"
TSFEL_POWER: Final = "after TSFEL, of the power"
UCI: Final = "UCI HAR features_info (Anguita et al. 2013)"
TEXTBOOK: Final = "textbook definition"

AUTOCORR_SECONDS: Final = (0.2, 1.5)
"""Shortest and longest lag searched for a peak of the autocorrelation, in seconds, inclusive."""

BANDS_HZ: Final = ((0.1, 1.0), (1.0, 3.0), (3.0, 5.0), (5.0, 10.0))
"""Frequency bands [low, high) in Hz."""

ROLLOFF: Final = 0.85
"""Share of the total power that lies at or below ``rolloff_85``."""

LOG_FLOOR: Final = 1e-12
"""Added to the total power before its logarithm, in squared signal units."""


@dataclass(frozen=True)
class Definition:
    """One feature. ``unit`` is in terms of the signal's unit u; ``range`` holds for every input.

    ``degenerate`` is the value for a constant signal (a zero signal is one).
    """

    name: str
    family: Family
    formula: str
    unit: str
    range: str
    degenerate: str
    source: str


def _moments(
    name: str, formula: str, unit: str, limits: str, degenerate: str, source: str = TSFEL
) -> Definition:
    return Definition(name, "moments", formula, unit, limits, degenerate, source)


def _spectrum(
    name: str, formula: str, unit: str, limits: str, degenerate: str = "0", source: str = TSFEL
) -> Definition:
    return Definition(name, "spectrum", formula, unit, limits, degenerate, source)


def _band(low: float, high: float) -> Definition:
    label = f"{low:g}_{high:g}"
    formula = f"sum of P_k with {low:g} <= f_k < {high:g} Hz, over P; 0 above Nyquist"
    return _spectrum(f"band_power_{label}", formula, "-", "[0, 1]", source=UCI)


SIGNAL: Final[tuple[Definition, ...]] = (
    _moments("mean", "m = sum(x_t) / T", "u", "any", "the constant", UCI),
    _moments("std", "sqrt(sum(z_t^2) / T), ddof 0", "u", ">= 0", "0", UCI),
    _moments("min", "smallest x_t", "u", "any", "the constant", UCI),
    _moments("max", "largest x_t", "u", "any", "the constant", UCI),
    Definition("median", "order", "middle of the sorted x (mean of the two middle ones when T is "
               "even)", "u", "any", "the constant", TSFEL),
    Definition("mad", "order", "median of |x_t - median|, unscaled", "u", ">= 0", "0", UCI),
    Definition("iqr", "order", "75th less 25th percentile, linear interpolation", "u", ">= 0",
               "0", UCI),
    _moments("rms", "sqrt(sum(x_t^2) / T)", "u", ">= 0", "its absolute value"),
    _moments("skewness", "m3 / m2^1.5, m_j = sum(z_t^j) / T", "-", "|s| <= sqrt(T)", "0", UCI),
    _moments("kurtosis", "m4 / m2^2 - 3 (excess)", "-", "[-2, T]", "0", UCI),
    _moments("peak_to_peak", "max - min", "u", ">= 0", "0"),
    Definition("zero_crossing_rate", "temporal", "count of sign(z_t) != sign(z_(t+1)), over T - 1; "
               "sign(0) is a sign of its own", "-", "[0, 1]", "0", TSFEL),
    Definition("mean_abs_diff", "temporal", "sum(|x_(t+1) - x_t|) / (T - 1)", "u per sample",
               ">= 0", "0", TSFEL),
    Definition("slope", "temporal", "least squares: rate * sum((t - (T-1)/2) z_t) / "
               "sum((t - (T-1)/2)^2)", "u/s", "any", "0", TSFEL),
    Definition("autocorr_peak", "autocorrelation", "largest r_k with r_(k-1) < r_k > r_(k+1), "
               "0.2 s <= k / rate <= 1.5 s, k <= T - 2; r_k = sum(z_t z_(t+k)) / sum(z_t^2); "
               "0 without a peak", "-", "[-1, 1]", "0", TEXTBOOK),
    Definition("autocorr_peak_lag", "autocorrelation", "k / rate of that peak (the shortest if "
               "equal); 0 without a peak", "s", "0 or [0.2, 1.5]", "0", TEXTBOOK),
    _spectrum("dominant_freq", "f_k of the largest P_k (the lowest if equal)", "Hz",
              "[0, rate/2]", source=UCI),
    _spectrum("dominant_power_ratio", "largest P_k / P", "-", "[0, 1]", source=TEXTBOOK),
    _spectrum("log_total_power", "log10(P + 1e-12)", "log10 u^2", ">= -12", "-12",
              source=TEXTBOOK),
    _spectrum("spectral_centroid", "c = sum(f_k P_k) / P", "Hz", "[0, rate/2]",
              source=TSFEL_POWER),
    _spectrum("spectral_spread", "sqrt(sum((f_k - c)^2 P_k) / P)", "Hz", "[0, rate/2]",
              source=TSFEL_POWER),
    _spectrum("spectral_entropy", "-sum(p_k log p_k) / log(number of bins), p_k = P_k / P", "-",
              "[0, 1]"),
    _spectrum("rolloff_85", "lowest f_k with P_1 + ... + P_k >= 0.85 P", "Hz", "[0, rate/2]",
              source=TSFEL_POWER),
    *(_band(low, high) for low, high in BANDS_HZ),
)  # fmt: skip
"""The features of one signal, in column order."""

TRIAD: Final[tuple[Definition, ...]] = (
    *(
        Definition(f"corr_{a}{b}", "triad",
                   f"sum({a}_t {b}_t) / sqrt(sum({a}_t^2) sum({b}_t^2)), mean removed", "-",
                   "[-1, 1]", "0", UCI)
        for a, b in ("xy", "xz", "yz")
    ),
    Definition("sma", "triad", "sum(|x_t| + |y_t| + |z_t|) / T, mean removed", "u", ">= 0", "0",
               UCI),
)  # fmt: skip
"""The features across the channels of every triad, in column order."""

GRAVITY: Final[tuple[Definition, ...]] = tuple(
    Definition(f"gravity_{name}", "gravity", formula, "rad", limits, degenerate, source)
    for name, formula, limits, degenerate, source in (
        ("pitch", "atan2(-gx, sqrt(gy^2 + gz^2)), g = window mean", "[-pi/2, pi/2]",
         "from the constant; 0 when g = 0", TEXTBOOK),
        ("roll", "atan2(gy, gz)", "[-pi, pi]", "from the constant; 0 when gy = gz = 0", TEXTBOOK),
        ("angle_x", "arccos(gx / |g|)", "[0, pi]", "from the constant; 0 when g = 0", UCI),
        ("angle_y", "arccos(gy / |g|)", "[0, pi]", "from the constant; 0 when g = 0", UCI),
        ("angle_z", "arccos(gz / |g|)", "[0, pi]", "from the constant; 0 when g = 0", UCI),
    )
)  # fmt: skip
"""The features across the channels of an accelerometer triad, in column order."""

SIGNAL_POSITION: Final = {definition.name: i for i, definition in enumerate(SIGNAL)}
"""Column of each feature within the block of one signal."""
