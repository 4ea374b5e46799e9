"""`headrace.FeatureExtractor` is one of scikit-learn's transformers."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import headrace
from headrace.stores.errors import ArrayError
from tests.refusals import refused

EXPECTED_FAILURES = {
    "check_n_features_in": "columns are no features of windows: window_shape_ is their shape",
    "check_n_features_in_after_fitting": "the same",
    "check_estimators_nan_inf": "fit reads no value; transform refuses them",
    "check_estimators_empty_data_messages": "no windows have no features, which is no error",
    "check_dtype_object": "objects are refused, not converted: a copy of all would be made",
    "check_complex_data": "refused, in words of our own",
    "check_estimator_sparse_tag": "refused for its two axes",
    "check_estimator_sparse_array": "the same",
    "check_estimator_sparse_matrix": "the same",
}
"""Of scikit-learn's checks for two axes, and why."""


class OnColumns(headrace.FeatureExtractor):
    """Takes two axes, as nearly all checks give: each value is a window's value for 8 samples."""

    def fit(self, X: Any, y: Any = None) -> OnColumns:
        return super().fit(three_axes(X), y)

    def transform(self, X: Any) -> NDArray[np.float32]:
        return super().transform(three_axes(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


def three_axes(given: Any) -> Any:
    array = np.asarray(given)
    return np.repeat(array[:, :, None], 8, axis=1) if array.ndim == 2 else array


@headrace.feature_function("highest")
def highest(windows: NDArray[np.float32], rate_hz: float) -> NDArray[np.float32]:
    return windows.max(axis=(1, 2))[:, None]


def labelled(n: int = 60) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Windows of two amplitudes, which of them, and three groups."""
    label = np.arange(n) % 2
    noise = np.random.default_rng(0).normal(size=(n, 16, 3))
    return (noise * (1 + 3 * label)[:, None, None]).astype(np.float32), label, np.arange(n) % 3


def test_it_keeps_scikit_learns_contract() -> None:
    done = check_estimator(
        OnColumns(rate_hz=20), expected_failed_checks=EXPECTED_FAILURES, on_skip=None
    )
    failed = {each["check_name"] for each in done if each["status"] == "xfail"}
    assert failed == set(EXPECTED_FAILURES)
    assert sum(each["status"] == "passed" for each in done) > 30


def test_it_says_that_it_takes_three_axes() -> None:
    tags = headrace.FeatureExtractor().__sklearn_tags__()
    assert (tags.input_tags.three_d_array, tags.input_tags.two_d_array) == (True, False)


def test_a_clone_and_a_pickled_one_give_the_same() -> None:
    windows, _, _ = labelled()
    extractor = headrace.FeatureExtractor(
        rate_hz=20,
        triads={"acc": ["ch0", "ch1", "ch2"]},
        accelerometers=["acc"],
        custom=[highest],
    )
    expected = extractor.fit_transform(windows)
    assert clone(extractor).get_params() == extractor.get_params()
    assert np.array_equal(clone(extractor).fit_transform(windows), expected)
    assert np.array_equal(pickle.loads(pickle.dumps(extractor)).transform(windows), expected)


def test_options_are_set_and_hold_from_the_next_fit() -> None:
    windows, _, _ = labelled()
    extractor = headrace.FeatureExtractor(rate_hz=20, select=["*__rms"]).fit(windows)
    extractor.set_params(select=["*__mean"])
    assert list(extractor.get_feature_names_out()) == ["ch0__rms", "ch1__rms", "ch2__rms"]
    names = extractor.fit(windows).get_feature_names_out()
    assert list(names) == ["ch0__mean", "ch1__mean", "ch2__mean"]


def test_before_it_is_fitted_it_says_so() -> None:
    extractor = headrace.FeatureExtractor(rate_hz=20)
    windows, _, _ = labelled()
    for ask in (
        lambda: extractor.transform(windows),
        extractor.get_feature_names_out,
        extractor.scratch_bytes,
    ):
        with pytest.raises(NotFittedError):
            ask()


def test_a_data_frame_has_the_names_of_the_columns() -> None:
    windows, _, _ = labelled()
    extractor = headrace.FeatureExtractor(rate_hz=20, channels=["x", "y", "z"], custom=[highest])
    frame = extractor.set_output(transform="pandas").fit_transform(windows)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(extractor.get_feature_names_out(["x", "y", "z"]))
    assert np.array_equal(frame["highest"], windows.max(axis=(1, 2)))
    with refused(ArrayError, "input_features", "x", "y", "z"):
        extractor.get_feature_names_out(["a", "b", "c"])


def test_a_pipeline_is_cross_validated_by_group() -> None:
    """In other processes: the page about features does."""
    windows, label, groups = labelled()
    extractor = headrace.FeatureExtractor(rate_hz=20, select=["*__rms"], custom=[highest])
    model = make_pipeline(extractor, StandardScaler(), LogisticRegression())
    scores = cross_val_score(model, windows, label, groups=groups, cv=GroupKFold(3))
    assert scores.tolist() == [1.0] * 3
