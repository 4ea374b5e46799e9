"""The extra trees that a network is compared with."""

from __future__ import annotations

import numpy as np
import pytest

from headrace.model.baseline import fit_baseline
from tests.refusals import refused


def rows(count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=count)
    return rng.normal(size=(count, 4)).astype(np.float32) + 2 * label[:, None], label


def test_it_learns_what_features_tell() -> None:
    features, label = rows()
    fitted = fit_baseline(features[:80], label[:80], 3, trees=30)
    found = fitted.predict_proba(features[80:]).argmax(axis=1)
    assert np.mean(found == label[80:]) > 0.7


def test_a_class_that_was_never_seen_has_a_column_of_zeros() -> None:
    features, label = rows()
    fitted = fit_baseline(features, np.where(label == 1, 3, label), 5, trees=5)
    probability = fitted.predict_proba(features)
    assert probability.shape == (len(features), 5)
    np.testing.assert_array_equal(probability[:, [1, 4]], 0)
    np.testing.assert_allclose(probability.sum(axis=1), 1)


def test_the_same_seed_gives_the_same_forest_whatever_the_threads() -> None:
    features, label = rows()
    one, two = (
        fit_baseline(features, label, 3, seed=4, trees=10, threads=threads) for threads in (1, 2)
    )
    np.testing.assert_array_equal(one.predict_proba(features), two.predict_proba(features))


def test_no_window_gives_no_probability() -> None:
    features, label = rows()
    assert fit_baseline(features, label, 3, trees=2).predict_proba(features[:0]).shape == (0, 3)


@pytest.mark.parametrize(("label", "named"), [([], ("0",)), ([0, 3], ("3", "2"))])
def test_unfit_rows_are_refused(label: list[int], named: tuple[str, ...]) -> None:
    with refused(ValueError, *named):
        fit_baseline(np.zeros((len(label), 2)), np.array(label, int), 3)
