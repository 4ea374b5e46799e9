"""Scores agree with scikit-learn however the windows are cut into batches."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from headrace.model.scores import BINS, Scores, summarise_confusion
from tests.refusals import refused

CLASSES, GROUPS = ("walk", "sit", "fall", "lie"), ("a", "b", "c")


def predictions(
    count: int, seed: int = 0, classes: int = 4, groups: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(len(CLASSES)), size=count)
    label = rng.integers(classes, size=count)
    return probability, label, rng.integers(groups, size=count), rng.permutation(count)


def scored(rows: tuple[np.ndarray, ...], step: int = 1_000, mistakes: int = 20) -> Scores:
    scores = Scores(CLASSES, GROUPS, mistakes=mistakes)
    for start in range(0, len(rows[1]), step):
        scores.update(*(column[start : start + step] for column in rows))
    return scores


@settings(max_examples=40)
@given(seed=st.integers(0, 1_000), count=st.integers(1, 60), classes=st.integers(1, 4))
def test_scores_equal_those_of_scikit_learn(seed: int, count: int, classes: int) -> None:
    rows = predictions(count, seed, classes)
    label, predicted = rows[1], rows[0].argmax(axis=1)
    found = scored(rows, step=7).summary()
    every = list(range(len(CLASSES)))
    assert found["accuracy"] == pytest.approx(accuracy_score(label, predicted))
    assert found["macro_f1"] == pytest.approx(
        f1_score(label, predicted, average="macro", zero_division=0)
    )
    present = label[:, None] == np.unique(label)
    recalls = [np.mean(predicted[rows_of] == label[rows_of]) for rows_of in present.T]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    np.testing.assert_array_equal(
        found["confusion"], confusion_matrix(label, predicted, labels=every)
    )
    expected = precision_recall_fscore_support(label, predicted, labels=every, zero_division=0)
    for column, name in enumerate(("precision", "recall", "f1", "windows")):
        ours = [found["per_class"][each][name] for each in CLASSES]
        np.testing.assert_allclose(ours, expected[column])


def test_balanced_accuracy_equals_scikit_learns_when_every_prediction_has_a_label() -> None:
    rows = predictions(300)
    expected = balanced_accuracy_score(rows[1], rows[0].argmax(axis=1))
    assert scored(rows).summary()["balanced_accuracy"] == pytest.approx(expected)


def test_a_class_without_windows_is_named() -> None:
    found = scored(predictions(50, classes=2)).summary()
    assert found["absent_classes"] == ["fall", "lie"]


def test_group_scores_are_those_of_the_group_alone() -> None:
    rows = predictions(200)
    found = scored(rows).summary()
    for number, name in enumerate(GROUPS):
        inside = rows[2] == number
        alone = scored(tuple(column[inside] for column in rows)).summary()
        assert found["per_group"][name]["windows"] == inside.sum()
        for key in ("accuracy", "macro_f1"):
            assert found["per_group"][name][key] == alone[key]
    accuracies = [found["per_group"][name]["accuracy"] for name in GROUPS]
    spread = found["group_accuracy"]
    assert spread["mean"] == pytest.approx(np.mean(accuracies))
    assert spread["sd"] == pytest.approx(np.std(accuracies, ddof=1))
    assert spread["least"] == min(accuracies)


def test_a_group_without_windows_is_left_out() -> None:
    assert list(scored(predictions(50, groups=2)).summary()["per_group"]) == ["a", "b"]


@given(step=st.integers(1, 120))
@settings(max_examples=20)
def test_cutting_into_batches_changes_nothing(step: int) -> None:
    rows = predictions(100)
    whole, cut = scored(rows).summary(), scored(rows, step).summary()
    assert cut.pop("ece") == pytest.approx(whole.pop("ece"))
    for key in ("calibration", "group_accuracy", "group_macro_f1"):
        assert len(cut.pop(key)) == len(whole.pop(key))
    assert cut == whole


def test_mistakes_are_the_most_confident_ones_in_order() -> None:
    rows = predictions(400)
    probability, label, _, index = rows
    predicted = probability.argmax(axis=1)
    confidence = probability.max(axis=1)
    wrong = np.flatnonzero(predicted != label)
    worst = wrong[np.argsort(-confidence[wrong])][:5]
    found = scored(rows, step=33, mistakes=5).summary()["mistakes"]
    assert [each["source_index"] for each in found] == index[worst].tolist()
    assert [each["label"] for each in found] == [CLASSES[label[row]] for row in worst]
    assert [each["predicted"] for each in found] == [CLASSES[predicted[row]] for row in worst]
    np.testing.assert_allclose([each["confidence"] for each in found], confidence[worst])


def test_equally_confident_mistakes_are_kept_by_source_index() -> None:
    probability = np.tile([0.1, 0.7, 0.1, 0.1], (6, 1))
    rows = (probability, np.zeros(6, int), np.zeros(6, int), np.array([5, 3, 4, 0, 2, 1]))
    for step in (1, 4, 6):
        found = scored(rows, step, mistakes=3).summary()["mistakes"]
        assert [each["source_index"] for each in found] == [0, 1, 2]


def test_calibration_error_is_the_mean_gap_of_confidence_and_accuracy() -> None:
    probability = np.tile([0.9, 0.1, 0.0, 0.0], (10, 1))
    label = np.array([0] * 6 + [1] * 4)
    found = scored((probability, label, np.zeros(10, int), np.arange(10))).summary()
    assert found["ece"] == pytest.approx(0.3)
    assert found["calibration"] == [
        {"windows": 10, "confidence": pytest.approx(0.9), "accuracy": pytest.approx(0.6)}
    ]


def test_certain_predictions_fall_into_the_last_bin() -> None:
    probability = np.eye(4)
    rows = (probability, np.arange(4), np.zeros(4, int), np.arange(4))
    assert len(scored(rows).summary()["calibration"]) == 1
    assert BINS == 15


def test_a_bin_is_closed_above() -> None:
    # 0.4 = 6 / 15 ends the sixth bin.
    probability = np.array([[0.39, 0.21, 0.2, 0.2], [0.4, 0.2, 0.2, 0.2], [0.41, 0.2, 0.2, 0.19]])
    found = scored((probability, np.zeros(3, int), np.zeros(3, int), np.arange(3))).summary()
    assert [each["windows"] for each in found["calibration"]] == [2, 1]


def test_a_summary_is_json() -> None:
    json.dumps(scored(predictions(30)).summary())
    json.dumps(scored(predictions(0)).summary())


def test_pooled_confusion_is_summarised_as_one() -> None:
    first, second = scored(predictions(40, 1)), scored(predictions(60, 2))
    pooled = summarise_confusion(first.confusion.sum(0) + second.confusion.sum(0), CLASSES)
    both = tuple(
        np.concatenate(pair) for pair in zip(predictions(40, 1), predictions(60, 2), strict=True)
    )
    assert pooled.items() <= scored(both).summary().items()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({0: np.full((1, 3), 1 / 3)}, ("(1, 4)", "(1, 3)")),
        ({0: np.full((1, 4), np.nan)}, ()),
        ({1: np.array([4])}, ("4", "3")),
        ({1: np.array([-1])}, ("-1", "3")),
        ({2: np.array([3])}, ("3", "2")),
        ({3: np.array([0, 1])}, ("1", "2")),
    ],
)
def test_unfit_rows_are_refused(change: dict[int, np.ndarray], named: tuple[str, ...]) -> None:
    rows = list(predictions(1))
    for place, column in change.items():
        rows[place] = column
    with refused(ValueError, *named):
        Scores(CLASSES, GROUPS).update(*rows)
