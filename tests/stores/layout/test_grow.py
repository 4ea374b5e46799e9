"""Folds of a part that is added to a store: known groups keep theirs, new ones even them out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.stores.errors import GroupError
from headrace.stores.layout.folds import Fold, make_folds
from headrace.stores.layout.grow import KnownFolds, grown_folds
from tests.refusals import refused

Table = NDArray[np.int64]


def names_of(groups: int, first: int = 0) -> list[str]:
    return [f"g{number}" for number in range(first, first + groups)]


def classes_of(count: int) -> tuple[str, ...]:
    return tuple(f"c{number}" for number in range(count))


def known_of(table: Table, count: int | None, by: str = "balance") -> KnownFolds:
    """A store of groups g0, g1, ... with those windows of each class."""
    folds = make_folds(table, np.full(len(table), -1, np.int8), (), count, by)
    fold_of = {f"g{group}": fold.name for fold in folds for group in fold.groups}
    sums = np.stack([table[list(fold.groups)].sum(axis=0) for fold in folds])
    return KnownFolds(tuple(f.name for f in folds), classes_of(table.shape[1]), sums, fold_of)


def grow(
    known: KnownFolds, table: Table, groups: list[str], by: str = "balance"
) -> tuple[Fold, ...]:
    part = np.full(len(table), -1, np.int8)
    return grown_folds(known, table, part, (), groups, classes_of(table.shape[1]), by)


def badness(table: Table, fold_of: NDArray[np.int64], count: int) -> float:
    """What making folds minimises: squared shares of the classes, over folds and classes."""
    shares = table / np.maximum(table.sum(axis=0), 1)
    filled = np.zeros((count, table.shape[1]))
    np.add.at(filled, fold_of, shares)
    return float(np.square(filled).sum())


@settings(max_examples=40)
@given(
    st.integers(3, 20), st.integers(1, 20), st.integers(1, 4), st.integers(2, 8),
    st.integers(0, 2**32),
)  # fmt: skip
def test_folds_are_about_as_even_as_if_all_groups_had_come_at_once(
    old: int, new: int, classes: int, count: int, seed: int
) -> None:
    rng, count = np.random.default_rng(seed), min(count, old)
    table = rng.integers(50, 150, (old + new, classes))
    known = known_of(table[:old], count)
    folds = grow(known, table[old:], names_of(new, old))
    assert folds == grow(known, table[old:], names_of(new, old))
    assert sorted(group for fold in folds for group in fold.groups) == list(range(new))
    assert folds[0].start == 0
    assert [fold.start for fold in folds[1:]] == [fold.stop for fold in folds[:-1]]
    assert all(f.windows == table[old:][list(f.groups)].sum() > 0 for f in folds)
    number = known.names.index
    fold_of = np.array([number(known.fold_of[f"g{group}"]) for group in range(old)] + [0] * new)
    for fold in folds:
        fold_of[old + np.array(fold.groups)] = number(fold.name)
    at_once = make_folds(table, np.full(len(table), -1, np.int8), (), count, "balance")
    best = np.zeros(old + new, np.int64)
    for place, fold in enumerate(at_once):
        best[list(fold.groups)] = place
    # The largest group is what one fold may have more than another.
    largest = float(np.square(table / table.sum(axis=0)).sum(axis=1).max())
    excess = badness(table, fold_of, count) - badness(table, best, count)
    assert excess <= 2 * largest + 1e-9


@settings(max_examples=40)
@given(st.integers(3, 12), st.integers(1, 12), st.integers(0, 2**32))
def test_known_groups_keep_their_folds_whatever_comes_with_them(
    old: int, new: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    known = known_of(rng.integers(1, 500, (old, 2)), None)
    groups = [*rng.permutation(names_of(old))[: rng.integers(0, old + 1)], *names_of(new, old)]
    order = rng.permutation(len(groups)).tolist()
    groups = [str(groups[number]) for number in order]
    folds = grow(known, rng.integers(1, 500, (len(groups), 2)), groups)
    found = {groups[group]: fold.name for fold in folds for group in fold.groups}
    assert set(found) == set(groups)
    assert all(found[name] == known.fold_of[name] for name in found if name in known.fold_of)
    assert set(found.values()) <= set(known.names)


def test_a_class_that_one_fold_lacks_is_brought_to_it() -> None:
    known = known_of(np.array([[100, 50], [100, 50], [100, 0]]), 3)
    (fold,) = grow(known, np.array([[0, 40]]), ["g9"])
    assert fold.name == known.fold_of["g2"]


def test_classes_are_told_by_their_names() -> None:
    known = known_of(np.array([[100, 50], [100, 50], [100, 0]]), 3)
    part = np.array([-1], np.int8)
    (fold,) = grown_folds(known, np.array([[40, 1]]), part, (), ["g9"], ("c1", "new"), "balance")
    assert fold.name == known.fold_of["g2"]


def test_groups_without_windows_are_in_no_fold() -> None:
    known = known_of(np.full((3, 2), 10), None)
    folds = grow(known, np.array([[0, 0], [5, 5]]), ["g0", "g8"])
    assert [fold.groups for fold in folds] == [(1,)]


def test_each_new_group_has_a_fold_of_its_own_on_demand() -> None:
    known = known_of(np.full((3, 2), 10), None, "group")
    folds = grow(known, np.full((3, 2), 7), ["g7", "g1", "g8"], "group")
    assert {fold.name: fold.groups for fold in folds} == {"1": (1,), "3": (0,), "4": (2,)}


@pytest.mark.parametrize("by", ["balance", "group"])
def test_groups_stay_in_their_official_part(by: str) -> None:
    names = ("train/0", "train/1", "test/0")
    fold_of = {"a": "train/0", "b": "train/1", "c": "test/0"}
    known = KnownFolds(names, ("c0",), np.array([[9], [9], [1]]), fold_of)
    part = np.array([0, 1, 0], np.int8)
    groups, table = ["x", "y", "a"], np.array([[5], [4], [3]])
    folds = grown_folds(known, table, part, ("train", "test"), groups, ("c0",), by)
    found = {groups[group]: fold.name for fold in folds for group in fold.groups}
    assert found["a"] == "train/0"
    assert found["x"].startswith("train/")
    assert found["y"] == ("test/0" if by == "balance" else "test/1")
    if by == "group":
        assert found["x"] == "train/2"
    with refused(GroupError, "a", "train/0", "test"):
        grown_folds(known, table, 1 - part, ("train", "test"), groups, ("c0",), by)
