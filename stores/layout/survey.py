"""The pass over a source's labels that decides the folds: groups, tallies, and what is dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import GroupError
from headrace.stores.layout.fold_index import FoldIndex
from headrace.stores.layout.folds import Fold, make_folds
from headrace.stores.layout.grow import KnownFolds, grown_folds
from headrace.stores.layout.layout import build_index
from headrace.stores.layout.non_finite import (
    NonFinite,
    described,
    find_non_finite,
    no_ranges,
    remedies,
)
from headrace.stores.source.candidates import Candidates
from headrace.stores.source.labels.classes import require_split
from headrace.stores.source.labels.labels import LabelRuns, Labels
from headrace.stores.source.source import Source
from headrace.stores.target import Target

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Survey:
    """What one pass over the labels found.

    Attributes:
        folds: the folds in row order.
        class_table: (F, B) sums of `Target.tally` over the windows of each fold.
        fold_of_group: (G,) number of the fold of each group, -1 for groups without windows.
        index: where the candidates of each fold are.
        dropped: (R, 2) ranges [start, stop) of candidates that the non-finite policy drops.
    """

    folds: tuple[Fold, ...]
    class_table: Integers
    fold_of_group: Integers
    index: FoldIndex
    dropped: Integers


def survey_source(
    source: Source,
    fold_count: int | None,
    by: str,
    test_groups: Sequence[str | int],
    block: int,
    advance: Callable[[int], None] = lambda windows: None,
    known: KnownFolds | None = None,
    target: Target | None = None,
) -> Survey:
    """Count groups and classes, make the folds and index them; O(groups + runs) in memory.

    Of recordings nothing is done for every window, as their runs are known when they are opened;
    but to drop windows, or split by window, each is looked at.

    Args:
        source: the source.
        fold_count, by, test_groups: of the config's section `folds`.
        block: consecutive windows that stay together.
        advance: told the windows that were looked at for NaN, for a progress bar.
        known: folds of the store that the source is added to.
        target: what windows are counted by; None: that of the source.

    Raises:
        UserError: nothing to tell apart, as fewer than two classes, or fewer than three groups, of
            a new store, an official split of it without train or test, unknown test groups, test
            groups beside an official split, more folds than groups, or a group that is in another
            official part of the store.
    """
    if known is None:
        require_split(source.parts)
    drops = source.options.non_finite == "drop"
    found = find_non_finite(source, advance) if drops else None
    dropped = no_ranges() if found is None else found.ranges
    target = target or source.target
    table, windows, part = _count(source, target, dropped)
    names = [str(name) for name in source.groups]
    # The store's test groups need not all be in what is added to it.
    every = names if known is None else [*names, *known.fold_of]
    part, parts = _with_test_groups(part, tuple(source.parts), names, test_groups, every)
    if known is None:
        _require_enough(table, windows, source, target, found)
        folds = make_folds(table, part, parts, fold_count, by, windows)
    else:
        folds = grown_folds(known, table, part, parts, names, target.tally_names, by, windows)
        _require_some(folds, source)
    class_table = np.stack([table[list(fold.groups)].sum(axis=0) for fold in folds])
    return survey_of_folds(source, folds, class_table, dropped, block)


def survey_of_folds(
    source: Candidates,
    folds: tuple[Fold, ...],
    class_table: Integers,
    dropped: Integers,
    block: int,
) -> Survey:
    """What a survey finds where the folds are known; see `Survey` and `survey_source`."""
    fold_of_group = np.full(len(source.groups), -1, np.int64)
    for number, fold in enumerate(folds):
        fold_of_group[list(fold.groups)] = number
    index = build_index(
        source.windows,
        len(folds),
        block,
        _fold_runs(source, fold_of_group, dropped),
        FoldReader(source, fold_of_group, dropped),
    )
    return Survey(folds, class_table, fold_of_group, index, dropped)


@dataclass(frozen=True)
class FoldReader:
    """(start, stop) -> fold number of each candidate window, -1 where it is dropped."""

    source: Candidates
    fold_of_group: Integers
    dropped: Integers

    def __call__(self, start: int, stop: int) -> Integers:
        """(stop - start,) fold numbers."""
        fold = self.fold_of_group[self.source.read_groups(start, stop)]
        fold[~kept_mask(self.dropped, start, stop)] = -1
        return fold


def kept_mask(dropped: Integers, start: int, stop: int) -> NDArray[np.bool_]:
    """(stop - start,) whether a candidate is outside all `dropped` ranges."""
    mask = np.ones(stop - start, dtype=bool)
    touching = (dropped[:, 0] < stop) & (dropped[:, 1] > start)
    for low, high in dropped[touching]:
        mask[max(low - start, 0) : high - start] = False
    return mask


def _count(
    source: Source, target: Target, dropped: Integers
) -> tuple[Integers, Integers, NDArray[np.int8]]:
    """Of each group: (G, B) what its windows count, (G,) windows, and (G,) its official part."""
    table = np.zeros((len(source.groups), len(target.tally_names)), dtype=np.int64)
    windows = np.zeros(len(source.groups), dtype=np.int64)
    part = np.full(len(source.groups), -1, dtype=np.int8)
    for start, stop, labels in _kept_runs(source.counted_runs(), dropped):
        which, column = target.marks(labels.label)
        np.add.at(table, (labels.group[which], column), (stop - start)[which])
        np.add.at(windows, labels.group, stop - start)
        part[labels.group] = labels.part
    return table, windows, part


def _fold_runs(
    source: Candidates, fold_of_group: Integers, dropped: Integers
) -> Iterator[Integers]:
    """Tables (R, 3) of fold, start and stop."""
    for start, stop, labels in _kept_runs(source.label_runs(), dropped):
        yield np.stack([fold_of_group[labels.group], start, stop], axis=1)


def signal_borders(source: Candidates, survey: Survey) -> Iterator[Integers]:
    """Tables (R, 2): fold, and number within it, of candidates before which a signal may end.

    They begin a run of one label in one recording, or follow what is dropped.
    """
    for table, _ in placed_runs(source, survey):
        yield table[:, :2]


def placed_runs(source: Candidates, survey: Survey) -> Iterator[tuple[Integers, Labels]]:
    """Tables (R, 3) of runs of kept candidates, and the labels of each, slice by slice.

    Columns: the fold, the number within it of the first, and how many they are.
    """
    before = np.zeros(len(survey.folds), np.int64)
    for start, stop, labels in _kept_runs(source.label_runs(), survey.dropped):
        fold, sizes = survey.fold_of_group[labels.group], stop - start
        order = np.argsort(fold, kind="stable")
        inside = np.cumsum(sizes[order]) - sizes[order]
        first = np.searchsorted(fold[order], fold[order])
        number = before[fold[order]] + inside - inside[first]
        yield np.stack([fold[order], number, sizes[order]], axis=1), labels.take(order)
        np.add.at(before, fold, sizes)


def _kept_runs(
    every: Iterator[LabelRuns], dropped: Integers
) -> Iterator[tuple[Integers, Integers, Labels]]:
    """Start, stop and labels of a source's runs, less what is dropped."""
    edges = dropped.ravel()
    for runs in every:
        low, high = int(runs.start[0]), int(runs.stop[-1])
        cuts = np.union1d(runs.start, edges[(edges > low) & (edges < high)])
        before = np.searchsorted(dropped[:, 0], cuts, side="right") - 1
        kept = (before < 0) | (cuts >= dropped[before, 1]) if len(dropped) else cuts >= low
        run = np.searchsorted(runs.start, cuts[kept], side="right") - 1
        yield cuts[kept], np.append(cuts[1:], high)[kept], runs.labels.take(run)


def _require_some(folds: Sequence[Fold], source: Source) -> None:
    if not folds:
        raise GroupError(
            f'source.non_finite = "drop" leaves none of the {source.windows:,} windows of '
            f"{source.path}. Correct the file."
        )


def _with_test_groups(
    part: NDArray[np.int8],
    parts: tuple[str, ...],
    names: Sequence[str],
    test_groups: Sequence[str | int],
    every: Sequence[str],
) -> tuple[NDArray[np.int8], tuple[str, ...]]:
    if not test_groups:
        return part, parts
    if parts:
        raise GroupError(
            f"The source has an official split ({', '.join(parts)}) and folds.test_groups names "
            "another. Remove one: folds.test_groups, or source.split."
        )
    unknown = [str(name) for name in test_groups if str(name) not in every]
    if unknown:
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise GroupError(
            f"folds.test_groups names {', '.join(unknown)}, which no window has. Groups: {shown}."
        )
    wanted = {str(name) for name in test_groups}
    return np.array([name in wanted for name in names], dtype=np.int8), ("train", "test")


def _require_enough(
    table: Integers, windows: Integers, source: Source, target: Target, found: NonFinite | None
) -> None:
    kept = int(windows.sum())
    classes, groups = target.differ(table.sum(axis=0), kept), int((windows > 0).sum())
    needed, has = target.told_apart(classes)
    if source.unlabelled:
        classes = max(classes, 2)  # Nothing was to be told apart.
    if (classes < 2 or groups < 3) and found is not None and len(found.ranges):
        ways = remedies(source, found.shares)
        raise GroupError(
            f'source.non_finite = "drop" leaves {kept:,} of the {source.windows:,} '
            f"windows of {source.path}, with {has} and {groups} of {len(source.groups)} groups; "
            f"{needed} and three groups are needed. NaN or infinity is in "
            f"{described(source, found.shares) or 'source.labels'}. Correct the file"
            f"{f', or {ways}' if ways else ''}."
        )
    if classes < 2:
        raise GroupError(
            f"Training needs {needed}; the {source.windows:,} windows of {source.path} have "
            f"{has}. Look at source.labels, source.class_map and source.exclude_labels."
        )
    if groups < 3:
        raise GroupError(
            f"Training, validation and test need a group each; {source.path} has {groups}. "
            "Name another column with source.groups, or set source.split_by_window = true, "
            "which leaks when windows overlap."
        )
