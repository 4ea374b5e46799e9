"""What a run learns from the counts of its training folds before the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.normaliser import SAMPLE_ROWS, Normaliser
from headrace.pipeline.rows.ranges import cut_ranges, first_rows
from headrace.pipeline.rows.sampling import Sampling
from headrace.pipeline.rows.split import fold_ranges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.pipeline.config.config import Config
    from headrace.stores import Store

SLICE = 1 << 18
"""Rows whose groups are read at a time: 1 MiB."""


def fit_normaliser(store: Store, folds: Sequence[str], config: Config) -> Normaliser:
    """Moments merged from those of the folds; quantiles from the folds' first rows.

    Rows are shuffled within a fold, so its first rows are a fixed and fair sample: at most
    `SAMPLE_ROWS`, 10,000 x 283 float32 = 11 MiB.
    """
    moments = store.moments(folds)
    scaling = config.model.feature_scaling
    sample = None
    if store.feature_names and scaling == "quantile":
        sample = sample_rows(store, folds, ("features",), SAMPLE_ROWS)["features"]
    return Normaliser.fit(
        moments.raw_mean,
        moments.raw_std,
        moments.feature_mean,
        moments.feature_std,
        sample,
        scaling,
    )


def sample_rows(
    store: Store, folds: Sequence[str], names: Sequence[str], limit: int
) -> dict[str, NDArray[Any]]:
    """The arrays' first rows of each fold, in proportion to its size, `limit` rows in all."""
    return store.read_many(names, first_rows(fold_ranges(store, folds), limit))


def sampling(store: Store, folds: Sequence[str], balance: str) -> Sampling | None:
    """How `train.balance` draws rows: a row weighs 1 / the windows of its class or group.

    Groups are counted in the rows of the folds, SLICE of them at a time.
    """
    if balance == "none":
        return None
    if balance == "class":
        counts = store.class_counts(folds)
    else:
        counts = np.zeros(len(store.groups), np.int64)
        for start, stop in cut_ranges(fold_ranges(store, folds), SLICE):
            counts += np.bincount(store.read("group", start, stop), minlength=len(counts))
    column = "label" if balance == "class" else "group"
    return Sampling(column, np.where(counts > 0, 1 / np.maximum(counts, 1), 0.0))
