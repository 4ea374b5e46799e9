"""The classic baseline that the network must beat: extremely randomised trees on features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesClassifier

TREES = 300


@dataclass(frozen=True)
class Baseline:
    """A fitted forest that answers for all K classes, those it never saw included."""

    forest: ExtraTreesClassifier
    class_count: int

    def predict_proba(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probabilities (n, K) of features (n, F); 0 for a class without a training row."""
        probability = np.zeros((len(features), self.class_count))
        if len(features):
            probability[:, self.forest.classes_] = self.forest.predict_proba(features)
        return probability


def fit_baseline(
    features: NDArray[np.floating],
    label: NDArray[np.integer],
    class_count: int,
    seed: int = 0,
    trees: int = TREES,
    threads: int = 2,
) -> Baseline:
    """Fit to features (n, F) and labels (n,) of training rows; the caller bounds n.

    The features need no normalisation. The same rows and seed give the same forest, whatever
    `threads`. Raises ValueError when there is no row or a label is not in 0..class_count-1.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    if len(label) == 0 or len(features) != len(label):
        raise ValueError(f"A baseline needs rows: got {len(features)} and {len(label)} labels.")
    if not 0 <= label.min() <= label.max() < class_count:
        raise ValueError(
            f"A label is out of range: {label.min()} to {label.max()}, not 0 to {class_count - 1}."
        )
    forest = ExtraTreesClassifier(n_estimators=trees, n_jobs=threads, random_state=seed)
    return Baseline(forest.fit(features, label), class_count)
