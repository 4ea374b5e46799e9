"""Measures what making a store takes before any data, in processes of their own."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_bytes
from headrace.pipeline.config.sections import StoreOptions
from headrace.pipeline.memory.measured import keep_worker_reserved
from headrace.pipeline.runs.measure import MARGIN, run_measured
from headrace.stores.datasets.synthetic import write_synthetic
from headrace.stores.source.options import SourceOptions

if TYPE_CHECKING:
    from headrace.stores.manifest import Manifest

FEW = 512
"""Windows that the features stage is measured with."""


def measure_worker_reserved(config: Config, manifest: Manifest) -> None:
    """Run the features stage on a few windows, with one worker process and with two.

    Kept is what the second adds, and what is left of the first run without it.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "few.toml").write_bytes(config_bytes(_few_windows(config, manifest)))
        write_synthetic(
            folder / "few.h5",
            FEW,
            manifest.time,
            len(manifest.channels),
            groups=3,
            layout="recordings" if _resampled(manifest) else "windows",
            rate_hz=2 * manifest.rate_hz,
        )
        one, two = (_peak_of_features(folder, workers) for workers in (1, 2))
    # The margin is of the peaks, not of their small difference.
    worker = max(int(MARGIN * two - one / MARGIN), 0)
    keep_worker_reserved(manifest, max(int(MARGIN * one) - worker, 0), worker)


def _few_windows(config: Config, manifest: Manifest) -> Config:
    """The stage's config for windows of the same shape in shards of hardly a byte."""
    resampled = _resampled(manifest)
    source = SourceOptions(
        channels=list(manifest.channels),
        rate_hz=2 * manifest.rate_hz if resampled else manifest.rate_hz,
        target_rate_hz=manifest.rate_hz if resampled else None,
        window_samples=manifest.time if resampled else None,
    )
    store = StoreOptions(chunk_windows=FEW // 32, shard_windows=FEW // 16)
    return Config(features=config.features, source=source, store=store)


def _resampled(manifest: Manifest) -> bool:
    """Whether workers resample, which loads more of SciPy."""
    return manifest.config["source"]["target_rate_hz"] is not None


def _peak_of_features(folder: Path, workers: int) -> int:
    command = ["features", "--json", "--config", str(folder / "few.toml")]
    command += ["--data", str(folder / "few.h5"), "--store", str(folder / f"{workers}.zarr")]
    summary = json.loads(
        run_measured("headrace.pipeline.launch", [*command, "--set", f"features.workers={workers}"])
    )
    return int(summary["memory"]["measured_peak"])
