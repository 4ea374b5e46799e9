"""Scores made from counts, for tests of what is done with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from headrace.model.scores import Scores
from headrace.pipeline.evaluation.metrics import ClassifierScores, Metrics


def scored(
    confusion: ArrayLike, groups: Sequence[str] = (), classes: Sequence[str] = ()
) -> ClassifierScores:
    """Of counts (G, K, K) by group, label and prediction; names are numbers, unless given."""
    counts = np.asarray(confusion)
    groups, classes = (
        given or [str(number) for number in range(size)]
        for given, size in ((groups, counts.shape[0]), (classes, counts.shape[1]))
    )
    scores = Scores(classes, groups)
    scores.confusion += counts
    return ClassifierScores.model_validate(scores.summary(intervals=False))


def evaluated(scores: ClassifierScores, baseline: ClassifierScores | None = None) -> Metrics:
    """A run of which every view has these scores."""
    return Metrics(
        digest="",
        plain=scores,
        tta=scores,
        views=["identity"],
        test_groups=list(scores.per_group),
        notes=[],
        baseline=baseline,
    )
