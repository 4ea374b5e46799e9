"""Which stored folds train, validate and test: a split names folds, it never copies rows.

Validation chooses the best epoch, so it must see every class that is trained. Where the fold that
validates lacks one, training folds follow it into validation, as few as do, unless a class would
leave the training with them. A validation part of the source's own stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import GroupError
from headrace.stores.layout.folds import named_folds

if TYPE_CHECKING:
    from headrace.pipeline.config.sections import SplitOptions
    from headrace.stores import Store
    from headrace.stores.layout.folds import Fold

LEAST_FOLDS = 3
"""One fold to test, one to validate, at least one to train."""
DEFAULT_FOLDS = 5
"""k unless the config says otherwise, or the stored folds if they are fewer."""
VALIDATION = "validation/"
"""Begins the names of the folds of an official validation part."""


@dataclass(frozen=True)
class Split:
    """Names of the stored folds of each part, in store order; no fold is in two parts."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def choose_split(folds: Sequence[Fold], table: NDArray[np.int64], options: SplitOptions) -> Split:
    """The split that `train` uses.

    A source with an official test part is tested on all of it, validated on its validation part
    or else on `train/0`, and trained on the rest, unless `options.inside_training` keeps it
    inside its training part. Any other source gets fold `options.test_fold` of `options.folds`.

    Args:
        folds: the store's folds, in row order.
        table: (F, K) windows of each class in each fold: `Store.class_table`.
        options: k, the test fold and whether an official test part is left alone.

    Raises:
        UserError: there are too few folds to train, validate and test.
    """
    training, testing = _parts(folds)
    if testing and not options.inside_training:
        return _validating_every_class(_official_split(training, testing), folds, table)
    k = _fold_count(training, options)
    return _validating_every_class(_rotated_split(training, k, options.test_fold), folds, table)


def crossval_splits(
    folds: Sequence[Fold], table: NDArray[np.int64], options: SplitOptions
) -> list[Split]:
    """The k splits of a cross-validation; every fold of the training part is tested once.

    Args:
        folds: the store's folds, in row order; an official test part is never touched.
        table: (F, K) windows of each class in each fold.
        options: k; `test_fold` plays no role.

    Raises:
        UserError: there are too few folds to train, validate and test.
    """
    training, _ = _parts(folds)
    k = _fold_count(training, options)
    return [
        _validating_every_class(_rotated_split(training, k, fold), folds, table)
        for fold in range(k)
    ]


def unvalidated_classes(split: Split, folds: Sequence[Fold], table: NDArray[np.int64]) -> list[int]:
    """Numbers of the classes that are trained and have no window in the validation folds."""
    trained, validated = (
        table[[fold.name in part for fold in folds]].any(axis=0)
        for part in (split.train, split.validation)
    )
    return np.flatnonzero(trained & ~validated).tolist()


def is_own_validation(split: Split) -> bool:
    """Whether the source itself says which part validates."""
    return split.validation[0].startswith(VALIDATION)


def is_official(folds: Sequence[Fold]) -> bool:
    """Whether the source has a test part of its own."""
    return bool(_parts(folds)[1])


def fold_ranges(store: Store, folds: Sequence[str]) -> list[tuple[int, int]]:
    """Row ranges [start, stop) of the named folds, fold by fold in the order of the store.

    Raises:
        UserError: as `named_folds`.
    """
    return [each for fold in named_folds(store.folds, folds) for each in fold.ranges]


def group_names(store: Store, folds: Sequence[str]) -> list[str]:
    """Names of the groups of the named folds, in the order of the store.

    Raises:
        UserError: as `named_folds`.
    """
    return [
        store.groups[group] for fold in named_folds(store.folds, folds) for group in fold.groups
    ]


def _parts(folds: Sequence[Fold]) -> tuple[list[str], list[str]]:
    """Names of the folds that may train, and of those of an official test part."""
    names = [fold.name for fold in folds]
    training = [name for name in names if not name.startswith("test/")]
    return training, [name for name in names if name.startswith("test/")]


def _fold_count(names: list[str], options: SplitOptions) -> int:
    return options.folds or max(LEAST_FOLDS, min(DEFAULT_FOLDS, len(names)))


def _official_split(training: list[str], testing: list[str]) -> Split:
    validation = tuple(name for name in training if name.startswith(VALIDATION))
    if validation and len(validation) < len(training):
        train = tuple(name for name in training if name not in validation)
        return Split(train=train, validation=validation, test=tuple(testing))
    if len(training) < LEAST_FOLDS - 1:
        raise GroupError(
            "A split needs one fold to validate and one to train, but the training part of this "
            f"store has {len(training)}. Lay down a new store with folds.count = 2 or more; a "
            "fold needs at least one group."
        )
    return Split(train=tuple(training[1:]), validation=(training[0],), test=tuple(testing))


def _rotated_split(names: list[str], k: int, test_fold: int) -> Split:
    """Fold `test_fold` of k tests, the next stored fold (cyclically) validates, the rest train."""
    _check_folds(len(names), k)
    if test_fold >= k:
        raise GroupError(f"split.test_fold = {test_fold} must be below split.folds = {k}.")
    stop = (test_fold + 1) * len(names) // k
    test = tuple(names[test_fold * len(names) // k : stop])
    validation = (names[stop % len(names)],)
    return Split(
        train=tuple(name for name in names if name not in test and name not in validation),
        validation=validation,
        test=test,
    )


def _validating_every_class(split: Split, folds: Sequence[Fold], table: NDArray[np.int64]) -> Split:
    """The split with training folds moved to validation until each class of the training is there.

    The fold that brings most missing classes goes first, of several the next one in the order of
    the store, cyclically. A fold stays that alone holds a class of the training.
    """
    if is_own_validation(split):
        return split
    holds, names = table > 0, [fold.name for fold in folds]
    validation = [names.index(name) for name in split.validation]
    train = [(validation[-1] + step) % len(names) for step in range(1, len(names))]
    train = [fold for fold in train if names[fold] in split.train]
    while True:
        held = holds[train].sum(axis=0)
        missing = (held > 0) & ~holds[validation].any(axis=0)
        needed = (holds & (held == 1)).any(axis=1)
        gains = [0 if needed[fold] else int((holds[fold] & missing).sum()) for fold in train]
        if not max(gains):
            break
        validation.append(train.pop(gains.index(max(gains))))
    for fold in validation[len(split.validation) :]:  # One may do for several that went before it.
        rest = [each for each in validation if each != fold]
        if (holds[rest].any(axis=0) == holds[validation].any(axis=0)).all():
            validation = rest
    kept = {names[fold] for fold in validation}
    return Split(
        train=tuple(name for name in split.train if name not in kept),
        validation=tuple(name for name in names if name in kept),
        test=split.test,
    )


def _check_folds(stored: int, k: int) -> None:
    if stored < LEAST_FOLDS:
        raise GroupError(
            f"A split needs {LEAST_FOLDS} folds (to train, to validate, to test), but the store "
            f"has {stored} to divide. Lay down a new store with folds.count = {LEAST_FOLDS} or "
            "more; a fold needs at least one group."
        )
    if k > stored:
        raise GroupError(
            f"split.folds = {k} is above the {stored} folds of the store. Set split.folds = "
            f"{stored}, or folds.count = {k} for a new store."
        )
