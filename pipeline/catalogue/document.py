"""Writes ``docs/features.md`` from the registry: ``python -m pipeline.catalogue.document FILE``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.catalogue.registry import GRAVITY, SIGNAL, TRIAD, Definition

_INTRODUCTION = """# The features

Generated from `pipeline/catalogue/registry.py`; do not edit, run
`python -m pipeline.catalogue.document docs/features.md`.

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


def feature_page() -> str:
    """The whole page, in Markdown."""
    parts = [
        _INTRODUCTION,
        _table(f"## Of every signal ({len(SIGNAL)}): `<signal>__<name>`", SIGNAL),
        _table(f"## Across every triad ({len(TRIAD)}): `<triad>__<name>`", TRIAD),
        _table(f"## Across an accelerometer's triad ({len(GRAVITY)}): `<triad>__<name>`", GRAVITY),
    ]
    return "\n".join(parts)


def _table(heading: str, definitions: Sequence[Definition]) -> str:
    lines = [
        heading,
        "",
        "| name | formula | unit | range | constant | source |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        "| "
        + " | ".join(
            cell.replace("|", "\\|")
            for cell in (
                f"`{d.name}`", d.formula, d.unit, d.range, d.degenerate, d.source,
            )
        )
        + " |"
        for d in definitions
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the page to the one file named."""
    if len(arguments) != 1:
        print("Usage: python -m pipeline.catalogue.document FILE", file=sys.stderr)
        return 2
    Path(arguments[0]).write_text(feature_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
