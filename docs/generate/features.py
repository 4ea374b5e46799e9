"""Writes `docs/features.md` from the registry: `python -m docs.generate.features`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from headrace.pipeline.catalogue.registry import GRAVITY, SIGNAL, TRIAD, Definition

_INTRODUCTION = """# The features

Generated from `pipeline/catalogue/registry.py`; do not edit, run
`python -m docs.generate.features docs/features.md`.

Names are part of the store's format, and their number does not depend on the window's length.

- *Signals* are every channel as given and, for each declared triad, its magnitude
  `<triad>_mag` and the magnitude of its jerk `<triad>_jerk_mag`: the length of the first
  difference times the rate, one sample shorter than the window.
- A window has T samples x_t, t from 0; m is their mean and z_t = x_t - m. u is the signal's unit.
- P_k is |Z_k|^2, Z the discrete Fourier transform of z without a taper, for the bins
  k = 1 ... T // 2 at f_k = k rate / T (no DC); P is their sum.
- Columns are ordered: the features of each channel, then of the magnitude and the jerk magnitude
  of each triad, then those across each triad.
- Every value is finite for finite input. What lies beyond float32 saturates at its largest value;
  float64 input beyond float32 counts as the largest float32. A row depends on its window alone,
  to the last bit.
- Windows have at least 8 samples. Where no lag of the autocorrelation fits the window, the two
  autocorrelation features are 0.
- Sources: TSFEL is Barandas et al., SoftwareX 11 (2020) 100456; UCI HAR is the file
  `features_info.txt` of Anguita et al., ESANN 2013. A tilt angle's or a peak's convention that
  neither fixes is a textbook definition, as stated in the formula.

"Constant" is the value for a signal that does not change; a zero signal is one.
"""

_PEERS = """## Where other libraries differ

The tests compare with TSFEL 0.2, tsfresh 0.21 and pycatch22 1.0 (catch24) every feature of a
signal that these define too, by the equations below where there is one. Bands, rolloff and the
features across a triad have no counterpart there.
"""

_DIFFERENCES = (
    ("std", "pycatch22", "of the sample, T - 1: here = theirs sqrt((T - 1) / T)"),
    ("skewness", "tsfresh", "unbiased (pandas): here = theirs (T - 2) / sqrt(T (T - 1))"),
    ("kurtosis", "tsfresh",
     "unbiased (pandas): here = (theirs (T - 2) (T - 3) / (T - 1) - 6) / (T + 1)"),
    ("zero_crossing_rate", "TSFEL", "`zero_cross` is a count, of the signal as given"),
    ("zero_crossing_rate", "tsfresh", "`number_crossing_m` is a count; zero counts as below"),
    ("slope", "TSFEL, tsfresh", "per sample: here = theirs x rate"),
    ("autocorr_peak", "TSFEL", "`autocorr` is another thing: the first lag below 1 / e"),
    ("autocorr_peak", "tsfresh",
     "`autocorrelation` of a lag averages T - k products: r_k = theirs (T - k) / T"),
    ("spectral_centroid, spectral_spread", "TSFEL, tsfresh",
     "weighed by the amplitude, not the power, DC included; tsfresh's in bins"),
    ("spectral_entropy", "TSFEL",
     "over the logarithm of the bins that are not zero: often T // 2 + 1, with DC, not T // 2"),
    ("rolloff_85", "TSFEL", "95 % of the amplitudes, DC included"),
    ("dominant_freq", "TSFEL",
     "`fundamental_frequency` is the lowest peak above 0.3 of the largest amplitude"),
)  # fmt: skip
"""(feature, library, what it does otherwise); tests/pipeline/test_catalogue_peers.py converts."""


def feature_page() -> str:
    """The whole page, in Markdown."""
    parts = [
        _INTRODUCTION,
        _table(f"## Of every signal ({len(SIGNAL)}): `<signal>__<name>`", SIGNAL),
        _table(f"## Across every triad ({len(TRIAD)}): `<triad>__<name>`", TRIAD),
        _table(f"## Across an accelerometer's triad ({len(GRAVITY)}): `<triad>__<name>`", GRAVITY),
        _PEERS,
        _lines(("here", "library", "there"), [(f"`{d[0]}`", *d[1:]) for d in _DIFFERENCES]),
    ]
    return "\n".join(parts)


def _table(heading: str, definitions: Sequence[Definition]) -> str:
    columns = ("name", "formula", "unit", "range", "constant", "source")
    rows = [
        (f"`{d.name}`", d.formula, d.unit, d.range, d.degenerate, d.source) for d in definitions
    ]
    return f"{heading}\n\n{_lines(columns, rows)}"


def _lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the page to the one file named."""
    if len(arguments) != 1:
        print("Usage: python -m docs.generate.features FILE", file=sys.stderr)
        return 2
    Path(arguments[0]).write_text(feature_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
