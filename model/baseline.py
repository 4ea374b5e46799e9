"""The classic baseline that the network must beat: extremely randomised trees on features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

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

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probabilities, as `predict_proba`."""
        return self.predict_proba(features)


@dataclass(frozen=True)
class LabelBaseline:
    """A fitted forest of K labels."""

    forest: ExtraTreesClassifier
    labels: int

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """The probability of each label (n, K) of features (n, F)."""
        if not len(features):
            return np.zeros((0, self.labels))
        found = self.forest.predict_proba(features)
        # Of a single label scikit-learn makes no list.
        several = found if self.labels > 1 else [found]
        known = self.forest.classes_ if self.labels > 1 else [self.forest.classes_]
        return np.stack(
            [each[:, codes == 1].sum(axis=1) for each, codes in zip(several, known, strict=True)],
            axis=1,
        )


@dataclass(frozen=True)
class ValueBaseline:
    """A fitted forest of K values."""

    forest: ExtraTreesRegressor
    mean: NDArray[np.float64]
    """(K,) of the training rows, in units."""
    deviation: NDArray[np.float64]
    """(K,), 1 for a constant value."""

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Values (n, K), in units, of features (n, F)."""
        if not len(features):
            return np.zeros((0, len(self.mean)))
        found = np.asarray(self.forest.predict(features), np.float64)
        return found.reshape(-1, len(self.mean)) * self.deviation + self.mean


@dataclass(frozen=True)
class SequenceBaseline:
    """A fitted forest of the class that most of a window has."""

    forest: Baseline
    length: int

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probabilities (n, length, K) of features (n, F), the same at all steps."""
        found = self.forest.predict_proba(features)
        return np.repeat(found[:, None], self.length, axis=1)


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

    _require_rows(features, label)
    if not 0 <= label.min() <= label.max() < class_count:
        raise ValueError(
            f"A label is out of range: {label.min()} to {label.max()}, not 0 to {class_count - 1}."
        )
    forest = ExtraTreesClassifier(n_estimators=trees, n_jobs=threads, random_state=seed)
    return Baseline(forest.fit(features, label), class_count)


def fit_label_baseline(
    features: NDArray[np.floating],
    label: NDArray[Any],
    seed: int = 0,
    trees: int | None = None,
    threads: int = 2,
) -> LabelBaseline:
    """Fit to labels (n, K) of 0 and 1, all in the same trees. Raises ValueError without a row."""
    from sklearn.ensemble import ExtraTreesClassifier

    _require_rows(features, label)
    forest = ExtraTreesClassifier(trees or TREES, n_jobs=threads, random_state=seed)
    return LabelBaseline(_in_order(forest.fit(features, _columns(label))), label.shape[1])


def fit_value_baseline(
    features: NDArray[np.floating],
    label: NDArray[np.floating],
    seed: int = 0,
    trees: int | None = None,
    threads: int = 2,
) -> ValueBaseline:
    """Fit to values (n, K), all in the same trees. Raises ValueError without a row.

    A split is judged by the mean of the values' variances, so each value is standardised.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    _require_rows(features, label)
    values = label.astype(np.float64)
    mean, spread = values.mean(axis=0), values.std(axis=0)
    deviation = np.where(spread > 0, spread, 1.0)
    forest = ExtraTreesRegressor(trees or TREES, n_jobs=threads, random_state=seed)
    fitted = forest.fit(features, _columns((values - mean) / deviation))
    return ValueBaseline(_in_order(fitted), mean, deviation)


def fit_sequence_baseline(
    features: NDArray[np.floating],
    label: NDArray[np.integer],
    class_count: int,
    seed: int = 0,
    trees: int | None = None,
    threads: int = 2,
) -> SequenceBaseline:
    """Fit to the class that most samples of each window have, of labels (n, length), -1 for none.

    Windows without a label are left out; of classes as frequent the first counts. Raises
    ValueError when no window has a label.
    """
    counts = np.stack([(label == code).sum(axis=1) for code in range(class_count)], axis=1)
    labelled = counts.any(axis=1)
    most = counts.argmax(axis=1)[labelled]
    forest = fit_baseline(features[labelled], most, class_count, seed, trees or TREES, threads)
    return SequenceBaseline(forest, label.shape[1])


def _require_rows(features: NDArray[np.floating], label: NDArray[Any]) -> None:
    if len(label) == 0 or len(features) != len(label):
        raise ValueError(f"A baseline needs rows: got {len(features)} and {len(label)} labels.")


def _in_order(forest: Any) -> Any:
    """A fitted forest whose trees are summed one after another.

    Threads add theirs as they come: values were seen to differ in their last bits.
    """
    return forest.set_params(n_jobs=1)


def _columns(label: NDArray[Any]) -> NDArray[Any]:
    """(n, K), or (n,) where K is 1: scikit-learn warns of columns alone."""
    return label[:, 0] if label.shape[1] == 1 else label
