"""Which columns cannot vary, whatever the signal: at this rate, and in windows this long."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.pipeline.catalogue.columns import Triad, signal_names
from headrace.pipeline.catalogue.plan import band_bins, searched_lags
from headrace.pipeline.catalogue.registry import BANDS_HZ


def constant_columns(
    names: Sequence[str],
    channels: Sequence[str],
    triads: Sequence[Triad],
    rate_hz: float,
    time: int,
) -> tuple[str, ...]:
    """Those of the columns `names` that are the same for every window but one of no change.

    A band that no frequency of the window lies in has no power, and one that all lie in has all of
    it; where no lag has a neighbour on each side within 0.2 to 1.5 s, there is no peak.

    Args:
        names: columns of a catalogue.
        channels, triads, rate_hz, time: of its windows.
    """
    whole, jerk = (_constant(length, rate_hz) for length in (time, time - 1))
    known = {
        f"{signal}__{feature}"
        for signal in signal_names(channels, triads)
        for feature in (jerk if signal.endswith("_jerk_mag") and signal not in channels else whole)
    }
    return tuple(name for name in names if name in known)


def _constant(time: int, rate_hz: float) -> list[str]:
    """Features of one signal of `time` samples that cannot vary."""
    bins, bands = time // 2, band_bins(time, rate_hz)
    found = [
        f"band_power_{low:g}_{high:g}"
        for (low, high), (first, stop) in zip(BANDS_HZ, bands.tolist(), strict=True)
        if max(0, stop - first) in (0, bins)
    ]
    lags = searched_lags(time, rate_hz)
    # The lag 0 is 1, above every other: a peak at 1 there is none.
    if lags.last < max(lags.first, 2):
        found += ["autocorr_peak", "autocorr_peak_lag"]
    return found
