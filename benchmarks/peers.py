"""Feature libraries side by side: windows/s of one process on one core.

    python -m benchmarks.peers [--rounds 5]

Each contender gets the same windows of 128 x 9 (float32, 50 Hz) in the form that it wants, so many
at a time that a call takes tenths of a second. What they compute differs: columns are in the
table. The
loop is what a user writes today: this catalogue's own definitions, one window and one signal at a
time, with NumPy and SciPy.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.kernels import SHAPES
from benchmarks.timing import machine, on_one_core, table, version
from tests.pipeline.catalogue.reference import reference

ROUNDS = 5
Windows = NDArray[np.float32]


@dataclass(frozen=True)
class Peer:
    """A contender: what it is called, what it does to windows, and how many it is given."""

    name: str
    extract: Callable[[Windows], Any]
    windows: int
    columns: int


def ours() -> Peer:
    """The catalogue: every feature of every channel."""
    catalogue = SHAPES[0].catalogue()
    return Peer("headrace", catalogue.extract, 4096, len(catalogue.names))


def loop() -> Peer:
    """The same features, one window at a time."""
    names = SHAPES[0].catalogue().channels

    def extract(windows: Windows) -> NDArray[np.float64]:
        rows = [list(reference(w, names, 50.0, ()).values()) for w in windows.astype(np.float64)]
        return np.array(rows)

    return Peer("the same features, window by window", extract, 16, 27 * len(names))


def tsfel_peer(domains: tuple[str, ...], windows: int) -> Peer:
    """TSFEL's own extractor, in one process."""
    import tsfel

    chosen: dict[str, Any] = {}
    for domain in domains:
        chosen |= tsfel.get_features_by_domain(domain)

    def extract(given: Windows) -> Any:
        return tsfel.time_series_features_extractor(
            chosen, list(given), fs=50, verbose=0, n_jobs=None
        )

    name = "TSFEL, " + (", ".join(domains) if len(domains) < 4 else "all domains")
    return Peer(name, extract, windows, extract(SHAPES[0].windows(1)).shape[1])


def tsfresh_peer(settings: str, windows: int) -> Peer:
    """tsfresh's own extractor, in one process."""
    import pandas
    import tsfresh
    from tsfresh.feature_extraction import settings as known

    parameters = getattr(known, f"{settings}FCParameters")()

    def extract(given: Windows) -> Any:
        n, length, channels = given.shape
        frame = pandas.DataFrame(given.reshape(-1, channels).astype(np.float64))
        frame["id"] = np.repeat(np.arange(n), length)
        return tsfresh.extract_features(
            frame, column_id="id", default_fc_parameters=parameters, n_jobs=0,
            disable_progressbar=True,
        )  # fmt: skip

    name = f"tsfresh, {settings}"
    return Peer(name, extract, windows, extract(SHAPES[0].windows(1)).shape[1])


def pycatch22_peer() -> Peer:
    """pycatch22 (C), signal by signal."""
    import pycatch22

    def extract(given: Windows) -> NDArray[np.float64]:
        signals = given.transpose(0, 2, 1).reshape(-1, given.shape[1]).tolist()
        return np.array([pycatch22.catch22_all(signal)["values"] for signal in signals])

    return Peer("pycatch22", extract, 128, 22 * 9)


def seglearn_peer(which: str, windows: int) -> Peer:
    """seglearn's feature functions, over all windows at once."""
    from seglearn import feature_functions
    from seglearn.transform import FeatureRep

    representation = FeatureRep(features=getattr(feature_functions, f"{which}_features")())
    representation.fit(SHAPES[0].windows(8))

    def extract(given: Windows) -> Any:
        return representation.transform(given)

    columns = extract(SHAPES[0].windows(8)).shape[1]
    return Peer(f"seglearn, {which} features", extract, windows, columns)


def speed(peer: Peer) -> float:
    """Windows/s of one call."""
    given = SHAPES[0].windows(peer.windows)
    begun = time.process_time()
    peer.extract(given)
    return peer.windows / (time.process_time() - begun)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    on_one_core()
    warnings.simplefilter("ignore")
    peers = [
        ours(),
        loop(),
        tsfel_peer(("statistical", "temporal"), 16),
        tsfel_peer(("statistical", "temporal", "spectral", "fractal"), 4),
        tsfresh_peer("Minimal", 64),
        tsfresh_peer("Efficient", 4),
        pycatch22_peer(),
        seglearn_peer("base", 1024),
        seglearn_peer("all", 128),
    ]
    found: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for number in range(given.rounds + 1):
        for peer in peers:
            value = speed(peer)
            if number:
                found[peer.name].append(value)
    best = statistics.median(found[peers[0].name])
    rows = []
    for peer in peers:
        median = statistics.median(found[peer.name])
        rows.append((peer.name, str(peer.columns), f"{median:,.0f}" if median > 20 else
                     f"{median:.1f}", f"{best / median:,.1f}"))  # fmt: skip
    print(f"{machine()}; {version('tsfel', 'tsfresh', 'pycatch22', 'seglearn', 'numpy')}\n")
    titles = ("library", "columns", "windows/s", "ours over it")
    print(table(f"{SHAPES[0].name}, one core", titles, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
