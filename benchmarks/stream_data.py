"""The store, the configuration and the stream that benchmarks of batches compare with others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks.stage import source_of
from benchmarks.stream_peers import BATCH
from headrace import stores
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.console import Console
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.request import Request
from headrace.pipeline.rows.statistics import fit_normaliser
from headrace.pipeline.stream.training import training_stream
from headrace.stores import Store

TRIAD = {"acc": ["ch0", "ch1", "ch2"]}
SELECT = ["*", "!ch?__mad", "!ch?__iqr"]
"""301 features less 18: 283."""
PLAIN = {"mask_probability": 0.0, "scale_probability": 0.0, "noise_probability": 0.0}


def make_config(inputs: str = "hybrid", augment: bool = False, scaling: str = "standard") -> Config:
    """The default configuration, but for what is compared."""
    return config_from_table(
        {
            "features": {"triads": TRIAD, "select": SELECT},
            "augment": {} if augment else PLAIN,
            "model": {"inputs": inputs, "feature_scaling": scaling},
            "train": {"batch": BATCH},
        },
        "the benchmark",
    )


def make_store(windows: int, folder: Path) -> tuple[Store, Path]:
    """The store of a synthetic source, made if it is not there, and the source."""
    source, target = source_of(windows, folder), folder / f"stream-{windows}.zarr"
    if not target.exists():
        run_features(Request(make_config(), source, target, None, Console(quiet=True)))
    return stores.open(target), source


def ours(store: Any, config: Config) -> tf.data.Dataset:
    """One epoch of the training stream over all folds, as TensorFlow tensors."""
    folds = [fold.name for fold in store.folds]
    normaliser = fit_normaliser(store, folds, config)
    return training_stream(store, folds, config, normaliser, epochs=1)
