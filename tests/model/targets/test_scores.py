"""Scores of each kind against scikit-learn's and by hand, whatever the batches."""

from __future__ import annotations

import itertools
import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
)

from headrace.model.interface import NetworkTarget
from headrace.model.targets.interface import TargetStatistics
from headrace.model.targets.ranking import BINS, bins_of, curve
from headrace.model.targets.registry import target_model
from headrace.model.targets.segments import segment_counts, segment_f1
from tests.model.targets.streams import GROUPS, STATISTICS, TARGETS, rows, scored
from tests.refusals import refused

KINDS = pytest.mark.parametrize("kind", list(TARGETS))
OTHERS = ("labels", "value", "sequence")


@KINDS
def test_a_summary_is_json_and_holds_the_headlines_with_their_intervals(kind: str) -> None:
    model, found = target_model(TARGETS[kind]), scored(kind, rows(kind)).summary()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for headline in model.headlines:
        low, high = found["intervals"][headline.key]
        assert low <= found[headline.key] <= high
        assert str(headline.text(found[headline.key], (low, high))).count("[") == 1
    mean, count = model.paired
    assert set(found["per_group"]) == set(GROUPS)
    pooled = [(each[mean], each[count]) for each in found["per_group"].values()]
    total = sum(number for _, number in pooled)
    assert sum(each * number for each, number in pooled) / total == pytest.approx(found[mean])


@KINDS
def test_without_a_window_scores_are_numbers_still(kind: str) -> None:
    scores = target_model(TARGETS[kind]).scores(GROUPS, 5, STATISTICS)
    empty = tuple(each[:0] for each in rows(kind))
    scores.update(*empty)
    found = scores.summary()
    assert found["windows"] == 0
    assert found["intervals"] == {}
    assert found["per_group"] == {}
    json.dumps(found, allow_nan=False)


@given(
    kind=st.sampled_from(OTHERS),
    cuts=st.lists(st.integers(0, 60), max_size=8).map(sorted),
)
def test_scores_do_not_depend_on_how_windows_are_cut_into_batches(
    kind: str, cuts: list[int]
) -> None:
    columns = rows(kind, 60)
    one, other = scored(kind, columns), scored(kind, columns, cuts)
    assert one.summary(intervals=False) == other.summary(intervals=False)
    assert one.chosen() == other.chosen()


@KINDS
def test_scores_of_disjoint_groups_are_pooled_to_those_of_all(kind: str) -> None:
    model, columns = target_model(TARGETS[kind]), rows(kind, 600)
    first = columns[2] < 2
    parts = [scored(kind, tuple(each[these] for each in columns)) for these in (first, ~first)]
    found = model.pooled([each.summary(intervals=False) for each in parts])
    whole = scored(kind, columns).summary(intervals=False)
    assert json.loads(json.dumps(found)) == found
    loose = {"average_precision", "auroc", "rmse"} if kind != "class" else set()
    for key in ("windows", *(each.key for each in model.headlines)):
        assert found[key] == pytest.approx(whole[key], rel=0.03 if key in loose else 1e-6)
    (table,) = (key for key in found if key.startswith("per_"))
    for name, each in found[table].items():
        wanted = {key: whole[table][name][key] for key in each}
        assert each.pop("unit", "") == wanted.pop("unit", "")
        assert each == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("kind", OTHERS)
def test_scores_hold_no_more_after_more_windows(kind: str) -> None:
    def held(count: int) -> int:
        scores = scored(kind, rows(kind, count))
        arrays = [each for each in vars(scores).values() if isinstance(each, np.ndarray)]
        kept = [vars(scores)[name].rows for name in ("_worst", "_sample") if name in vars(scores)]
        return sum(each.nbytes for each in (*arrays, *kept))

    assert held(2000) == held(4000)


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("fault", ["prediction", "group", "nan", "indices"])
def test_what_does_not_fit_is_refused(kind: str, fault: str) -> None:
    prediction, label, group, index = rows(kind, 10)
    if fault == "prediction":
        prediction = prediction[..., :-1]
    elif fault == "group":
        group = group + len(GROUPS)
    elif fault == "nan":
        prediction[3] = np.nan
    else:
        index = index[1:]
    scores = target_model(TARGETS[kind]).scores(GROUPS)
    with refused(ValueError):
        scores.update(prediction, label, group, index)


@pytest.mark.parametrize(("kind", "code"), [("labels", 2), ("sequence", 3), ("sequence", -2)])
def test_a_label_out_of_range_is_refused(kind: str, code: int) -> None:
    prediction, label, group, index = rows(kind, 10)
    label = label.astype(np.int32)
    label[4, 1] = code
    with refused(ValueError, str(code)):
        scored(kind, (prediction, label, group, index))


def test_scores_of_labels_are_those_of_scikit_learn() -> None:
    probability, label, _, _ = columns = rows("labels", 3000)
    found = scored("labels", columns).summary()
    predicted = probability >= 0.5
    assert found["macro_f1"] == pytest.approx(f1_score(label, predicted, average="macro"))
    assert found["micro_f1"] == pytest.approx(f1_score(label, predicted, average="micro"))
    assert found["exact_match"] == np.mean((label == predicted).all(axis=1))
    assert found["label_accuracy"] == pytest.approx(np.mean(label == predicted))
    for at, each in enumerate(found["per_label"].values()):
        true, p = label[:, at], probability[:, at]
        for key, score in (
            ("average_precision", average_precision_score),
            ("auroc", roc_auc_score),
        ):
            assert abs(each[key] - score(true, p)) <= each[f"{key}_error"] + 1e-12
            assert each[f"{key}_error"] < 2e-3
    assert found["auroc"] == pytest.approx(roc_auc_score(label, probability), abs=1e-4)


def test_labels_of_few_distinct_probabilities_are_ranked_exactly() -> None:
    rng = np.random.default_rng(3)
    label = rng.integers(2, size=(500, 3)).astype(np.uint8)
    probability = np.round(np.clip(0.4 * label + rng.random((500, 3)) * 0.6, 0, 1), 2)
    zeros = np.zeros(500, int)
    found = scored("labels", (probability, label, zeros, np.arange(500))).summary()
    for at, each in enumerate(found["per_label"].values()):
        wanted = average_precision_score(label[:, at], probability[:, at])
        assert each["average_precision"] == pytest.approx(wanted, rel=1e-12)
        assert each["auroc"] == pytest.approx(roc_auc_score(label[:, at], probability[:, at]))


def test_bins_tell_sure_probabilities_apart() -> None:
    sure = np.array([0, 1e-8, 1e-6, 1e-4, 0.5, 1 - 1e-4, 1 - 1e-6, 1 - 1e-8, 1])
    bins = bins_of(sure)
    assert (np.diff(bins) > 0).all()
    assert bins[0] == 0
    assert bins[-1] == BINS - 1


def test_thresholds_are_those_with_the_largest_f1_on_validation() -> None:
    probability, label, _, _ = columns = rows("labels", 60, seed=4)
    chosen = scored("labels", columns).chosen()
    for at, threshold in enumerate(chosen["thresholds"]):
        best = max(
            f1_score(label[:, at], probability[:, at] >= each) for each in probability[:, at]
        )
        assert f1_score(label[:, at], probability[:, at] >= threshold) == pytest.approx(best)
    model = target_model(TARGETS["labels"])
    scores = model.scores(GROUPS, chosen=chosen)
    scores.update(*columns)
    found = [each["threshold"] for each in scores.summary()["per_label"].values()]
    assert found == chosen["thresholds"]
    assert model.predictions(probability, chosen)["sit"].mean() == pytest.approx(
        np.mean(probability[:, 0] >= chosen["thresholds"][0])
    )


def test_labels_that_never_or_always_occur_are_named_and_rank_nothing() -> None:
    label = np.zeros((6, 3), np.uint8)
    label[:, 1], label[:3, 2] = 1, 1
    probability = np.tile(np.linspace(1, 0, 6)[:, None], (1, 3))
    scores = scored("labels", (probability, label, np.zeros(6, int), np.arange(6)))
    found = scores.summary()
    assert found["absent_labels"] == ["sit"]
    assert found["auroc"] == 1
    assert found["average_precision"] == 1
    assert scores.chosen()["thresholds"][0] == 0.5
    assert curve(scores.ranks[0]) == []
    assert curve(scores.ranks[2])[-1] == [1.0, 1.0]


def test_scores_of_values_are_those_of_scikit_learn_in_units() -> None:
    rng = np.random.default_rng(5)
    label = (rng.normal(size=(900, 2)) * [20, 0.5] + [1e5, 1]).astype(np.float32)
    predicted = (label + rng.normal(1, 3, size=label.shape)).astype(np.float32)
    columns = (predicted, label, rng.integers(4, size=900), np.arange(900))
    found = scored("value", columns).summary()
    true, given_ = label.astype(float), predicted.astype(float)
    scaled = []
    for at, each in enumerate(found["per_value"].values()):
        error = given_[:, at] - true[:, at]
        assert each["mae"] == pytest.approx(mean_absolute_error(true[:, at], given_[:, at]))
        assert each["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
        assert each["bias"] == pytest.approx(error.mean())
        assert each["r2"] == pytest.approx(r2_score(true[:, at], given_[:, at]), rel=1e-6)
        assert each["median_error"] == pytest.approx(np.median(np.abs(error)), rel=0.1)
        assert each["error_90"] == pytest.approx(np.quantile(np.abs(error), 0.9), rel=0.1)
        scaled.append(each["mae"] * STATISTICS.scale[at])
    assert found["mae"] == pytest.approx(np.mean(scaled))
    assert found["r2"] == pytest.approx(r2_score(true, given_), rel=1e-6)
    group = found["per_group"]["ben"]["per_value"]["speed"]
    chosen = columns[2] == 1
    assert group["r2"] == pytest.approx(r2_score(true[chosen, 1], given_[chosen, 1]), rel=1e-6)


def test_one_value_is_scored_in_its_unit_whatever_the_statistics() -> None:
    target = NetworkTarget(kind="value", names=("life",), units=("cycles",))
    model = target_model(target)
    scores = model.scores(["a", "b"], 2, TargetStatistics.fit([60.0], [40.0]))
    label = np.array([[10], [20], [30.0]], np.float32)
    off = np.array([[1], [-2], [9.0]])
    scores.update(label + off, label, np.array([0, 0, 1]), np.array([7, 8, 9]))
    found = scores.summary()
    assert found["mae"] == 4
    assert found["bias"] == pytest.approx(8 / 3)
    assert model.headlines[0].text(found["mae"]) == "4 cycles"
    assert [each["source_index"] for each in found["mistakes"]] == [9, 8]
    bins = found["residuals"]["life"]
    assert sum(number for _, _, number in bins) == 3
    for (low, high, _), residual in zip(bins, (-2, 1, 9), strict=True):
        assert low <= residual <= high


@pytest.mark.parametrize(("off", "r2"), [(0.0, 1.0), (0.5, 0.0)])
def test_r2_of_values_that_are_all_the_same_follows_scikit_learn(off: float, r2: float) -> None:
    label = np.full((5, 2), 61.3, np.float32)
    columns = (label.astype(float) + off, label, np.zeros(5, int), np.arange(5))
    assert scored("value", columns).summary()["r2"] == r2


def brute(label: list[int], predicted: list[int]) -> list[list[int]]:
    """Lea et al.'s counting, segment by segment."""

    def runs(codes: list[int]) -> list[tuple[int, set[int]]]:
        found, at = [], 0
        for code, each in itertools.groupby(codes):
            size = len(list(each))
            if code >= 0:
                found.append((code, set(range(at, at + size))))
            at += size
        return found

    true = runs(label)
    seen = runs([p if t >= 0 else -1 for p, t in zip(predicted, label, strict=True)])
    counts = []
    for least in (0.1, 0.25, 0.5):
        used, found = set(), 0
        for code, samples in seen:
            fits = [
                len(samples & other) / len(samples | other) if code == kind else 0.0
                for kind, other in true
            ]
            best = int(np.argmax(fits)) if fits else -1
            if best >= 0 and fits[best] >= least and best not in used:
                used.add(best)
                found += 1
        counts.append([found, len(seen) - found, len(true) - found])
    return counts


@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 2), st.integers(1, 4)), max_size=12))
def test_segments_are_counted_as_one_by_one(pieces: list[tuple[int, int, int]]) -> None:
    label = [t for t, _, size in pieces for _ in range(size)]
    predicted = [p for _, p, size in pieces for _ in range(size)]
    found = segment_counts(np.array(label, int), np.array(predicted, int))
    assert found.tolist() == [brute(label, predicted)]


def test_segments_by_hand() -> None:
    label = np.array([0] * 10 + [1] * 10)
    predicted = np.array([0] * 4 + [1] * 2 + [0] * 4 + [1] * 10)
    # 0 is found once, its other half and the short 1 are made up: 4 of 10 is below .5.
    found = segment_counts(label, predicted)[0]
    assert found.tolist() == [[2, 2, 0], [2, 2, 0], [1, 3, 1]]
    np.testing.assert_allclose(segment_f1(found), [2 / 3, 2 / 3, 1 / 3])


def test_sequences_are_scored_where_they_are_labelled_and_segments_end_with_a_window() -> None:
    label = np.array([[0] * 8, [0] * 4 + [-1] * 4], np.int32)
    predicted = np.array([[0] * 8, [0] * 4 + [2] * 4])
    probability = np.eye(3)[predicted]
    found = scored("sequence", (probability, label, np.array([0, 1]), np.arange(2))).summary()
    assert found["samples"] == 12
    assert found["unlabelled"] == 4
    assert found["windows"] == 2
    assert found["accuracy"] == 1
    assert found["segment_f1_50"] == 1
    assert found["mistakes"] == []
    assert found["per_group"]["ben"]["samples"] == 4


def test_scores_and_statistics_load_no_tensorflow() -> None:
    import subprocess

    code = (
        "import sys, headrace.model.targets.registry\n"
        "assert not {'tensorflow', 'keras', 'sklearn', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
