"""Predictions of each kind, and scores of them fed in batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace.model.interface import NetworkTarget
from headrace.model.targets.interface import TargetScores, TargetStatistics
from headrace.model.targets.registry import target_model

GROUPS = ("anna", "ben", "cleo", "dora")
TARGETS = {
    "class": NetworkTarget(("sit", "walk", "run")),
    "labels": NetworkTarget(("sit", "walk", "run"), kind="labels"),
    "value": NetworkTarget(kind="value", names=("rate", "speed"), units=("bpm", "m/s")),
    "sequence": NetworkTarget(("sit", "walk", "run"), kind="sequence", length=8, every=2),
}
STATISTICS = TargetStatistics.fit([60.0, 1.0], [20.0, 0.5])


def rows(kind: str, count: int = 400, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Predictions that are often right, labels, groups and source indices."""
    rng, target = np.random.default_rng(seed + 100), TARGETS[kind]
    model = target_model(target)
    label = model.example(count, seed)
    shape = (count, *target.shape)
    if kind == "labels":
        prediction = 1 / (1 + np.exp(1.5 - 3.0 * label - rng.normal(0, 2, shape)))
    elif kind == "value":
        prediction = label + rng.normal(0.1, 0.5, shape)
    else:
        truth = np.eye(target.count + 1)[:, 1:][label + 1]
        prediction = rng.dirichlet(np.ones(target.count), shape[:-1]) + 0.6 * truth
        prediction /= prediction.sum(axis=-1, keepdims=True)
    index = rng.permutation(10 * count)[:count]
    return prediction.astype(np.float32), label, rng.integers(len(GROUPS), size=count), index


def scored(kind: str, columns: tuple[np.ndarray, ...], cuts: Any = ()) -> TargetScores:
    """Scores of the columns, fed in the batches that the cuts make."""
    scores = target_model(TARGETS[kind]).scores(GROUPS, 5, STATISTICS)
    for part in zip(*(np.split(each, cuts) for each in columns), strict=True):
        scores.update(*part)
    return scores
