"""Intervals of scores over groups."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from headrace.model.intervals import REPLICATES, group_intervals
from headrace.model.scores import summarise_confusion


def confusion_of(label: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    code = label * classes + predicted
    return np.bincount(code, minlength=classes**2).reshape(classes, classes)


def test_scores_of_replicates_are_those_of_scikit_learn() -> None:
    """Two groups: a replicate is one twice, the other twice, or both; the edges are the first."""
    rng = np.random.default_rng(1)
    groups = []
    for size, share in ((60, 0.9), (80, 0.3)):
        label = rng.integers(4, size=size)
        predicted = np.where(rng.random(size) < share, label, rng.integers(4, size=size))
        groups.append((label, predicted))
    found = group_intervals([confusion_of(*group, 4) for group in groups])
    for name, score in (
        ("accuracy", lambda y, p: float((y == p).mean())),
        ("macro_f1", lambda y, p: f1_score(y, p, average="macro", zero_division=0)),
        ("balanced_accuracy", balanced_accuracy_score),
    ):
        wanted = sorted(score(*group) for group in groups)
        np.testing.assert_allclose(found[name], wanted)


def test_intervals_hold_the_score_and_shrink_with_groups() -> None:
    rng = np.random.default_rng(2)
    widths = []
    for count in (6, 60):
        counts = rng.integers(1, 20, size=(count, 3, 3)) + 40 * np.eye(3, dtype=int)
        whole = summarise_confusion(counts.sum(axis=0), "abc")
        found = group_intervals(counts)
        for name, (low, high) in found.items():
            assert low <= whole[name] <= high
        widths.append(found["accuracy"][1] - found["accuracy"][0])
        assert found == group_intervals(counts)
    assert widths[1] < widths[0] / 2


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    rng, inside = np.random.default_rng(3), 0
    for _ in range(100):
        right = rng.binomial(50, rng.beta(8, 2, size=40))
        counts = np.zeros((40, 2, 2), int)
        counts[:, 0, 0], counts[:, 0, 1] = right, 50 - right
        low, high = group_intervals(counts)["accuracy"]
        inside += low <= 0.8 <= high
    assert 88 <= inside <= 99
    assert REPLICATES >= 1000


@pytest.mark.parametrize("groups", [0, 1])
def test_one_group_says_nothing_of_others(groups: int) -> None:
    counts = np.zeros((3, 2, 2), int)
    counts[:groups, 0, 0] = 5
    assert group_intervals(counts) == {}
