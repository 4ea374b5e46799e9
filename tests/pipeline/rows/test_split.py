"""Splits name folds: every fold in one part, and a way out when there are too few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.pipeline.config.sections import SplitOptions
from headrace.pipeline.rows.split import (
    Split,
    choose_split,
    crossval_splits,
    unvalidated_classes,
)
from headrace.stores.errors import GroupError
from headrace.stores.layout.folds import Fold
from tests.refusals import refused


def folds_named(*names: str) -> list[Fold]:
    return [Fold(name, 10 * i, 10 * i + 10, (i,)) for i, name in enumerate(names)]


def numbered(count: int) -> list[Fold]:
    return folds_named(*(str(i) for i in range(count)))


def split_of(folds: list[Fold], options: SplitOptions) -> Split:
    """The split where every fold holds every class."""
    return choose_split(folds, np.ones((len(folds), 2), np.int64), options)


def splits_of(folds: list[Fold], options: SplitOptions) -> list[Split]:
    return crossval_splits(folds, np.ones((len(folds), 2), np.int64), options)


OFFICIAL = folds_named("train/0", "train/1", "train/2", "train/3", "test/0", "test/1")


def test_test_fold_is_followed_by_the_validation_fold_and_the_rest_train() -> None:
    split = split_of(numbered(10), SplitOptions(folds=5, test_fold=1))
    assert split == Split(("0", "1", "5", "6", "7", "8", "9"), ("4",), ("2", "3"))


def test_validation_of_the_last_test_fold_is_the_first_fold() -> None:
    split = split_of(numbered(5), SplitOptions(folds=5, test_fold=4))
    assert (split.validation, split.test) == (("0",), ("4",))


def test_stored_folds_divide_unevenly_at_rounded_down_shares() -> None:
    parts = [split.test for split in splits_of(numbered(10), SplitOptions(folds=4))]
    assert parts == [("0", "1"), ("2", "3", "4"), ("5", "6"), ("7", "8", "9")]


def test_official_test_part_is_tested_whole_and_the_first_training_fold_validates() -> None:
    split = split_of(OFFICIAL, SplitOptions(test_fold=3))
    assert split == Split(("train/1", "train/2", "train/3"), ("train/0",), ("test/0", "test/1"))


def test_crossvalidation_never_touches_an_official_test_part() -> None:
    splits = splits_of(OFFICIAL, SplitOptions(folds=4))
    used = {name for s in splits for part in (s.train, s.validation, s.test) for name in part}
    assert used == {"train/0", "train/1", "train/2", "train/3"}


def test_a_split_inside_the_training_part_is_that_of_the_crossvalidation() -> None:
    options = SplitOptions(folds=4, test_fold=2, inside_training=True)
    assert split_of(OFFICIAL, options) == splits_of(OFFICIAL, options)[2]


@given(st.integers(3, 40), st.data())
def test_each_split_uses_every_fold_once_and_each_fold_is_tested_once(
    count: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(3, count))
    splits = splits_of(numbered(count), SplitOptions(folds=k))
    names = [str(i) for i in range(count)]
    for split in splits:
        assert sorted(split.train + split.validation + split.test, key=int) == names
        assert split.train
        assert split.validation
        assert split.test
    assert [name for split in splits for name in split.test] == names


def test_more_folds_asked_for_than_stored_is_refused_with_the_way_out() -> None:
    with refused(GroupError, "split.folds = 4", "folds.count = 5"):
        split_of(numbered(4), SplitOptions(folds=5))


def test_an_official_validation_part_validates() -> None:
    folds = folds_named("train/0", "train/1", "test/0", "validation/0", "validation/1")
    split = split_of(folds, SplitOptions())
    assert split == Split(("train/0", "train/1"), ("validation/0", "validation/1"), ("test/0",))


@pytest.mark.parametrize(("stored", "k"), [(3, 3), (4, 4), (10, 5)])
def test_k_is_five_or_the_stored_folds_if_fewer(stored: int, k: int) -> None:
    assert len(splits_of(numbered(stored), SplitOptions())) == k


def test_a_test_fold_that_is_not_there_is_refused() -> None:
    with refused(GroupError, "split.test_fold = 4", "split.folds = 4"):
        split_of(numbered(4), SplitOptions(test_fold=4))


def test_fewer_than_three_stored_folds_are_refused_with_the_way_out() -> None:
    with refused(GroupError, "2", "folds.count = 3"):
        split_of(numbered(2), SplitOptions())


def test_an_official_training_part_of_one_fold_is_refused() -> None:
    with refused(GroupError, "folds.count = 2"):
        split_of(folds_named("train/0", "test/0"), SplitOptions())


def one_class_each(*classes: int) -> NDArray[np.int64]:
    """(F, K) table of folds of ten windows of one class."""
    return 10 * np.eye(max(classes) + 1, dtype=np.int64)[list(classes)]


def test_training_folds_join_validation_until_every_class_of_the_training_is_there() -> None:
    table = one_class_each(0, 0, 1, 1, 2, 2, 0, 1)
    split = choose_split(numbered(8), table, SplitOptions(folds=8))
    assert split == Split(("3", "5", "6", "7"), ("1", "2", "4"), ("0",))


def test_the_next_folds_join_validation_cyclically() -> None:
    table = one_class_each(1, 1, 0, 0, 0, 1)
    split = choose_split(numbered(6), table, SplitOptions(folds=6, test_fold=2))
    assert split == Split(("0", "1", "4"), ("3", "5"), ("2",))


def test_one_fold_of_several_missing_classes_joins_in_place_of_several() -> None:
    table = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1]])
    split = choose_split(numbered(6), table, SplitOptions(folds=6))
    assert split == Split(("2", "3", "5"), ("1", "4"), ("0",))


def test_a_fold_that_later_ones_make_needless_goes_back_to_training() -> None:
    first, second, third = [0, 0, 1, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1]
    spare = [first, second, third]
    table = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 0], first, second, third, *spare])
    split = choose_split(numbered(len(table)), table, SplitOptions(folds=len(table)))
    assert split.validation == ("1", "3", "4")


def test_the_only_training_fold_of_a_class_stays_and_the_class_is_named() -> None:
    table = one_class_each(0, 1, 0, 1, 2, 0)
    split = choose_split(numbered(6), table, SplitOptions(folds=6))
    assert split == Split(("3", "4", "5"), ("1", "2"), ("0",))
    assert unvalidated_classes(split, numbered(6), table) == [2]


def test_an_official_validation_part_is_taken_as_it_is() -> None:
    folds = folds_named("train/0", "train/1", "train/2", "test/0", "validation/0")
    table = one_class_each(0, 1, 1, 0, 0)
    split = choose_split(folds, table, SplitOptions())
    assert split == Split(("train/0", "train/1", "train/2"), ("validation/0",), ("test/0",))
    assert unvalidated_classes(split, folds, table) == [1]


def test_an_official_test_part_lends_validation_nothing() -> None:
    table = one_class_each(0, 1, 1, 0, 1, 0)
    split = choose_split(OFFICIAL, table, SplitOptions())
    assert split == Split(("train/2", "train/3"), ("train/0", "train/1"), ("test/0", "test/1"))


def tables() -> st.SearchStrategy[list[list[int]]]:
    def of(classes: int) -> st.SearchStrategy[list[list[int]]]:
        row = st.lists(st.sampled_from([0, 0, 5]), min_size=classes, max_size=classes)
        return st.lists(row.filter(any), min_size=3, max_size=9)

    return st.integers(2, 5).flatmap(of)


@given(tables(), st.data())
def test_validation_takes_what_it_needs_and_never_a_class_from_the_training(
    rows: list[list[int]], data: st.DataObject
) -> None:
    table, folds = np.array(rows), numbered(len(rows))
    options = SplitOptions(folds=len(rows), test_fold=data.draw(st.integers(0, len(rows) - 1)))
    plain, split = split_of(folds, options), choose_split(folds, table, options)

    def classes(names: tuple[str, ...]) -> set[int]:
        return set(np.flatnonzero(table[[int(name) for name in names]].sum(axis=0)).tolist())

    assert split == crossval_splits(folds, table, options)[options.test_fold]
    assert split.test == plain.test
    assert sorted(split.train + split.validation) == sorted(plain.train + plain.validation)
    assert classes(split.train) == classes(plain.train)
    if classes(plain.train) <= classes(plain.validation):
        assert split == plain
    for name in set(split.validation) - set(plain.validation):
        fewer = tuple(each for each in split.validation if each != name)
        assert classes(fewer) < classes(split.validation)
    for lacking in unvalidated_classes(split, folds, table):
        assert lacking not in classes(split.validation)
        for name in split.train:
            rest = tuple(each for each in split.train if each != name)
            assert not (lacking in classes((name,)) and classes(rest) == classes(split.train))
