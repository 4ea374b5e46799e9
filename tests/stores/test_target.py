"""What is predicted: how it is stored, counted and told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter

from headrace.stores.moments import merge_all
from headrace.stores.target import NO_LABEL, UNLABELLED, Target, class_target

NAMES = ("walk", "sit", "stairs")
KINDS = {
    "class": class_target(NAMES),
    "labels": Target("labels", NAMES),
    "value": Target("value", ("pulse", "speed"), ("bpm", "")),
    "sequence": Target("sequence", NAMES, every=2, length=5),
}


def labels_of(target: Target, count: int, seed: int) -> NDArray[Any]:
    """Labels (n, *shape) as a store holds them."""
    draw, shape = np.random.default_rng(seed), (count, *target.shape)
    if target.kind == "value":
        return draw.normal(size=shape).astype(target.dtype)
    low, high = {"class": (0, 3), "labels": (0, 2), "sequence": (-1, 3)}[target.kind]
    return draw.integers(low, high, shape).astype(target.dtype)


targets = st.sampled_from([*KINDS.values()])


@given(targets, st.integers(0, 60), st.integers(0, 9))
def test_counts_are_the_sum_of_tallies_however_windows_are_cut(
    target: Target, count: int, seed: int
) -> None:
    label = labels_of(target, count, seed)
    target = target.with_edges(label)
    tally = target.tally(label)
    assert tally.shape == (count, len(target.tally_names))
    np.testing.assert_array_equal(tally.sum(axis=0), target.counts(label))
    parts = [target.counts(part) for part in np.array_split(label, 3)]
    np.testing.assert_array_equal(sum(parts), target.counts(label))
    assert target.is_known(label).all()
    assert not target.is_missing(label).any()


@given(targets, st.integers(1, 60), st.integers(0, 9))
def test_every_window_counts_as_much(target: Target, count: int, seed: int) -> None:
    label = labels_of(target, count, seed)
    sums = target.with_edges(label).tally(label).sum(axis=1)
    each = {"class": 1, "value": 2, "sequence": 5}.get(target.kind)
    if each is None:
        np.testing.assert_array_equal(sums, np.maximum(label.sum(axis=1), 1))
    else:
        assert (sums == each).all()


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=200))
def test_bins_of_values_hold_all_and_none_is_empty(values: list[float]) -> None:
    label = np.array(values, np.float32)[:, None]
    target = Target("value", ("v",), ("",)).with_edges(label)
    counts = target.counts(label)
    assert counts.sum() == len(values)
    assert (counts > 0).all()
    assert (target.differ(counts, len(values)) > 1) == (len(set(label[:, 0].tolist())) > 1)
    codes, names = target.categories(label)
    assert len(names) == len(counts) == len(set(names))
    np.testing.assert_array_equal(np.bincount(codes, minlength=len(names)), counts)


@given(targets, st.integers(0, 9))
def test_it_survives_json_and_no_other_key_is_taken(target: Target, seed: int) -> None:
    target = target.with_edges(labels_of(target, 50, seed))
    adapter = TypeAdapter(Target)
    text = adapter.dump_json(target)
    assert adapter.validate_json(text) == target
    with pytest.raises(ValueError, match="other"):
        adapter.validate_python(json.loads(text) | {"other": 1})


@given(st.integers(1, 80), st.integers(0, 9))
def test_moments_of_values_merge_to_those_of_all(count: int, seed: int) -> None:
    target = KINDS["value"]
    label = labels_of(target, count, seed)
    merged = merge_all(map(target.moments, np.array_split(label, 4)), 2)
    np.testing.assert_allclose(merged.mean, label.mean(axis=0, dtype="f8"), atol=1e-6)
    np.testing.assert_allclose(merged.std, label.std(axis=0, dtype="f8"), atol=1e-6)
    assert KINDS["labels"].moments(labels_of(KINDS["labels"], 3, 0)).mean.shape == (0,)


@given(st.sampled_from(["class", "sequence"]), st.permutations(range(3)), st.integers(0, 9))
def test_codes_of_names_in_another_order_mean_the_same(
    kind: str, order: list[int], seed: int
) -> None:
    target = KINDS[kind]
    label = labels_of(target, 20, seed)
    other = target.reordered([NAMES[at] for at in order])
    codes = np.array([other.names.index(name) for name in NAMES], np.int32)
    assert other.texts(other.recoded(label, codes)) == target.texts(label)


def test_it_is_told_as_people_read_it() -> None:
    assert KINDS["class"].texts(np.array([1])) == ["sit"]
    assert KINDS["labels"].texts(np.array([[1, 0, 1], [0, 0, 0]])) == ["walk, stairs", NO_LABEL]
    assert KINDS["value"].texts(np.array([[61.25, 1.5]])) == ["pulse 61.25 bpm, speed 1.5"]
    (text,) = KINDS["sequence"].texts(np.array([[0, 0, 0, 1, -1]]))
    assert text.startswith("walk 60 %")
    assert f"{UNLABELLED} 20 %" in text


def test_what_windows_of_one_kind_alone_have_is_nothing_to_tell_apart() -> None:
    labels = KINDS["labels"]
    every = np.tile([1, 0, 0], (4, 1))
    assert labels.differ(labels.counts(every), 4) < 2
    every[0, 1] = 1
    assert labels.differ(labels.counts(every), 4) == 2
    sequence = KINDS["sequence"]
    assert sequence.differ(sequence.counts(np.full((3, 5), -1)), 3) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"names": ("a", "a")},
        {"units": ("bpm",)},
        {"length": 3},
        {"kind": "value"},
        {"kind": "sequence"},
        {"every": 0},
        {"edges": ((1.0, 2.0),)},
    ],
)
def test_parts_that_do_not_fit_each_other_make_no_target(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        replace(KINDS["class"], **changes)


def test_edges_ascend_and_values_are_counted_in_those_of_another() -> None:
    one = KINDS["value"].with_edges(labels_of(KINDS["value"], 40, 0))
    other = KINDS["value"].with_edges(labels_of(KINDS["value"], 40, 1))
    assert one.counted_like(other) == other
    assert one.counted_like(KINDS["class"]) == one
    with pytest.raises(ValueError, match="ascend"):
        replace(one, edges=((2.0, 1.0), ()))
