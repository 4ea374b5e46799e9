"""Splits name folds: every fold in one part, and a way out when there are too few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline.config.sections import SplitOptions
from headrace.pipeline.rows.split import Split, choose_split, crossval_splits
from headrace.stores.errors import UserError
from headrace.stores.layout.folds import Fold


def folds_named(*names: str) -> list[Fold]:
    return [Fold(name, 10 * i, 10 * i + 10, (i,)) for i, name in enumerate(names)]


def numbered(count: int) -> list[Fold]:
    return folds_named(*(str(i) for i in range(count)))


OFFICIAL = folds_named("train/0", "train/1", "train/2", "train/3", "test/0", "test/1")


def test_test_fold_is_followed_by_the_validation_fold_and_the_rest_train() -> None:
    split = choose_split(numbered(10), SplitOptions(folds=5, test_fold=1))
    assert split == Split(("0", "1", "5", "6", "7", "8", "9"), ("4",), ("2", "3"))


def test_validation_of_the_last_test_fold_is_the_first_fold() -> None:
    split = choose_split(numbered(5), SplitOptions(folds=5, test_fold=4))
    assert (split.validation, split.test) == (("0",), ("4",))


def test_stored_folds_divide_unevenly_at_rounded_down_shares() -> None:
    parts = [split.test for split in crossval_splits(numbered(10), SplitOptions(folds=4))]
    assert parts == [("0", "1"), ("2", "3", "4"), ("5", "6"), ("7", "8", "9")]


def test_official_test_part_is_tested_whole_and_the_first_training_fold_validates() -> None:
    split = choose_split(OFFICIAL, SplitOptions(test_fold=3))
    assert split == Split(("train/1", "train/2", "train/3"), ("train/0",), ("test/0", "test/1"))


def test_crossvalidation_never_touches_an_official_test_part() -> None:
    splits = crossval_splits(OFFICIAL, SplitOptions(folds=4))
    used = {name for s in splits for part in (s.train, s.validation, s.test) for name in part}
    assert used == {"train/0", "train/1", "train/2", "train/3"}


def test_a_split_inside_the_training_part_is_that_of_the_crossvalidation() -> None:
    options = SplitOptions(folds=4, test_fold=2, inside_training=True)
    assert choose_split(OFFICIAL, options) == crossval_splits(OFFICIAL, options)[2]


@given(st.integers(3, 40), st.data())
def test_each_split_uses_every_fold_once_and_each_fold_is_tested_once(
    count: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(3, count))
    splits = crossval_splits(numbered(count), SplitOptions(folds=k))
    names = [str(i) for i in range(count)]
    for split in splits:
        assert sorted(split.train + split.validation + split.test, key=int) == names
        assert split.train
        assert split.validation
        assert split.test
    assert [name for split in splits for name in split.test] == names


def test_more_folds_asked_for_than_stored_is_refused_with_the_way_out() -> None:
    with pytest.raises(UserError, match=r"Set split\.folds = 4, or folds\.count = 5"):
        choose_split(numbered(4), SplitOptions(folds=5))


def test_an_official_validation_part_validates() -> None:
    folds = folds_named("train/0", "train/1", "test/0", "validation/0", "validation/1")
    split = choose_split(folds, SplitOptions())
    assert split == Split(("train/0", "train/1"), ("validation/0", "validation/1"), ("test/0",))


@pytest.mark.parametrize(("stored", "k"), [(3, 3), (4, 4), (10, 5)])
def test_k_is_five_or_the_stored_folds_if_fewer(stored: int, k: int) -> None:
    assert len(crossval_splits(numbered(stored), SplitOptions())) == k


def test_a_test_fold_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match=r"split\.test_fold = 4 must be below split\.folds = 4"):
        choose_split(numbered(4), SplitOptions(test_fold=4))


def test_fewer_than_three_stored_folds_are_refused_with_the_way_out() -> None:
    with pytest.raises(UserError, match=r"has 2 to divide.*folds\.count = 3"):
        choose_split(numbered(2), SplitOptions())


def test_an_official_training_part_of_one_fold_is_refused() -> None:
    with pytest.raises(UserError, match=r"folds\.count = 2 or more"):
        choose_split(folds_named("train/0", "test/0"), SplitOptions())
