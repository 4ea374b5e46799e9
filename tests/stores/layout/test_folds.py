"""How groups become folds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stores.errors import GroupError
from headrace.stores.layout.folds import Fold, make_folds, named_folds
from tests.refusals import refused

NO_PART = np.full(40, -1, np.int8)


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**32))
def test_every_group_is_in_one_fold_and_no_fold_is_empty(
    groups: int, classes: int, seed: int
) -> None:
    table = np.random.default_rng(seed).integers(1, 500, (groups, classes))
    folds = make_folds(table, NO_PART[:groups], (), None, "balance")
    assert len(folds) == min(10, groups)
    assert sorted(g for fold in folds for g in fold.groups) == list(range(groups))
    assert folds[0].start == 0
    assert [fold.start for fold in folds[1:]] == [fold.stop for fold in folds[:-1]]
    assert all(f.stop - f.start == table[list(f.groups)].sum() > 0 for f in folds)


def test_a_rare_class_is_spread_over_the_folds() -> None:
    """24 of 38 groups have the rare class; random folds would often miss it."""
    table = np.stack([np.full(38, 100), np.where(np.arange(38) < 24, 30, 0)], axis=1)
    folds = make_folds(table, NO_PART[:38], (), 10, "balance")
    rare = [table[list(fold.groups), 1].sum() for fold in folds]
    assert min(rare) >= 60
    sizes = [fold.stop - fold.start for fold in folds]
    assert max(sizes) / min(sizes) < 1.7


def test_merged_neighbours_are_even() -> None:
    """A k-fold split of ten one-group folds pairs large groups with small ones."""
    table = (100 + 20 * np.arange(10))[:, None]
    folds = make_folds(table, NO_PART[:10], (), None, "balance")
    sizes = np.array([fold.stop - fold.start for fold in folds]).reshape(5, 2).sum(axis=1)
    assert sizes.max() == sizes.min()


def test_official_parts_are_divided_one_by_one() -> None:
    table = np.full((6, 2), 10)
    part = np.array([0, 1, 0, 1, 0, 0], np.int8)
    folds = make_folds(table, part, ("train", "test"), None, "balance")
    names = [fold.name for fold in folds]
    assert names == ["train/0", "train/1", "train/2", "train/3", "test/0", "test/1"]
    assert {g for fold in folds[4:] for g in fold.groups} == {1, 3}


def test_one_fold_a_group_on_demand() -> None:
    folds = make_folds(np.full((13, 1), 3), NO_PART[:13], (), None, "group")
    assert [fold.groups for fold in folds] == [(g,) for g in range(13)]


def test_more_folds_than_groups_is_refused() -> None:
    with refused(GroupError, "folds.count", "5", "3"):
        make_folds(np.full((3, 1), 3), NO_PART[:3], (), 5, "balance")


FOUR = tuple(Fold(name, 0, 0, ()) for name in ("train/0", "train/1", "test/0", "test/1"))


def test_named_folds_are_those_and_no_other_in_the_order_of_the_store() -> None:
    assert named_folds(FOUR, ["test/0", "train/1"]) == (FOUR[1], FOUR[2])
    assert named_folds(FOUR, iter(["test/1"])) == FOUR[3:]
    assert named_folds(FOUR, []) == ()


def test_a_number_stands_for_the_fold_of_its_digits() -> None:
    folds = tuple(Fold(str(number), 0, 0, ()) for number in range(12))
    assert named_folds(folds, [11, "1"]) == (folds[1], folds[11])


def test_an_unknown_fold_is_named_with_those_that_there_are() -> None:
    with refused(GroupError, "'validation/0'", "'train/2'", *(fold.name for fold in FOUR)):
        named_folds(FOUR, ["train/0", "validation/0", "train/2"])


@pytest.mark.parametrize("names", ["1", "train/0", ""])
def test_one_text_is_no_list_of_folds(names: str) -> None:
    with pytest.raises(GroupError):
        named_folds(FOUR, names)


def test_a_fold_named_twice_is_refused_by_name() -> None:
    with refused(GroupError, "'test/1'"):
        named_folds(FOUR, ["test/1", "train/0", "test/1"])
