"""Folds of a part that is added to a store: known groups keep theirs, new ones are spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import GroupError
from headrace.stores.layout.folds import Fold, cheapest_fold
from headrace.stores.target import Target
from headrace.stores.text import shown


@dataclass(frozen=True)
class KnownFolds:
    """Folds of the store that grows.

    Attributes:
        names: of its F folds, in their order.
        classes: names of what windows are counted by, its K classes or else `tally_names`.
        table: (F, K) windows of each class in each fold.
        fold_of: name of the fold of each group, by the group's name.
        target: of the store.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    table: NDArray[np.int64]
    fold_of: Mapping[str, str]
    target: Target | None = None

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Official parts of its split; () without one."""
        found = dict.fromkeys(map(_part_of, self.names))
        return tuple(part for part in found if part)


def grown_folds(
    known: KnownFolds,
    table: NDArray[np.int64],
    part_of_group: NDArray[np.int8],
    parts: Sequence[str],
    groups: Sequence[str],
    classes: Sequence[str],
    by: str,
    windows: NDArray[np.int64] | None = None,
) -> tuple[Fold, ...]:
    """Put the groups of one more part into the folds of a store, one fold after another.

    A group of the store keeps its fold. The others go, the largest first, where they even out
    the classes most, as when a store is made (`make_folds`), within their official part; or each
    to a fold of its own.

    Args:
        known: the folds that there are.
        table: (G, K') windows of each group in each class.
        part_of_group: (G,) number of the official part, -1 when there is none.
        parts: names of the official parts.
        groups, classes: G and K' names.
        by: "balance", or "group" for one fold a group.
        windows: (G,) of each group; None: the sums of `table`.

    Returns:
        Folds in row order, those that get windows, with numbers of these groups.

    Raises:
        UserError: a group stands in another official part than in the store, or in one that the
            store has not.
    """
    windows = table.sum(axis=1) if windows is None else windows
    places = [parts[number] if parts else "" for number in part_of_group.tolist()]
    present = np.flatnonzero(windows > 0).tolist()
    for group in present:
        _require_part(known, places[group], groups[group])
    filled, own = _shares(known, table, classes)
    members: dict[str, list[int]] = {}
    held, number = (
        Counter(known.fold_of.values()),
        {name: at for at, name in enumerate(known.names)},
    )
    count = [held[name] for name in known.names]
    by_size = sorted(present, key=lambda group: (-int(windows[group]), group))
    for group in (each for each in present if groups[each] in known.fold_of):
        fold = known.fold_of[groups[group]]
        filled[number[fold]] += own[group]
        members.setdefault(fold, []).append(group)
    new = [group for group in by_size if groups[group] not in known.fold_of]
    if by == "group":
        return _laid_down(known.names, members | _one_each(known.names, new, places), windows)
    for group in new:
        inside = [at for at, name in enumerate(known.names) if _part_of(name) == places[group]]
        best = cheapest_fold(filled, own[group], count, inside)
        filled[best] += own[group]
        count[best] += 1
        members.setdefault(known.names[best], []).append(group)
    return _laid_down(known.names, members, windows)


def _shares(
    known: KnownFolds, table: NDArray[np.int64], classes: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of all windows of each class, the share that each fold has, and each group brings."""
    every = list(dict.fromkeys([*known.classes, *classes]))
    filled, own = np.zeros((len(known.names), len(every))), np.zeros((len(table), len(every)))
    filled[:, : len(known.classes)] = known.table
    own[:, [every.index(name) for name in classes]] = table
    totals = np.maximum(filled.sum(axis=0) + own.sum(axis=0), 1)
    return filled / totals, own / totals


def _one_each(
    names: Sequence[str], groups: Sequence[int], places: Sequence[str]
) -> dict[str, list[int]]:
    """A new fold for each group, numbered on within its official part."""
    last: dict[str, int] = {}
    for name in names:
        part, _, number = name.rpartition("/")
        last[part] = max(last.get(part, -1), int(number))
    found = {}
    for group in groups:
        part = places[group]
        last[part] = last.get(part, -1) + 1
        found[f"{part}/{last[part]}" if part else str(last[part])] = [group]
    return found


def _part_of(fold: str) -> str:
    return fold.rpartition("/")[0]


def _laid_down(
    names: Sequence[str], members: Mapping[str, list[int]], windows: NDArray[np.int64]
) -> tuple[Fold, ...]:
    """The folds that have members, one after another: those of `names`, then new ones."""
    folds: list[Fold] = []
    start = 0
    for name in dict.fromkeys([*names, *members]):
        if name in members:
            stop = start + int(windows[members[name]].sum())
            folds.append(Fold(name, start, stop, tuple(sorted(members[name]))))
            start = stop
    return tuple(folds)


def _require_part(known: KnownFolds, part: str, group: str) -> None:
    """Check that a group's official part is that of the store.

    Raises:
        UserError: it is another, or the store has no such part.
    """
    fold = known.fold_of.get(group)
    here = f"in the part {part!r}" if part else "in no official part"
    if fold is not None and _part_of(fold) != part:
        raise GroupError(
            f"Group {group} is in fold {fold} of the store, and {here} of the new recordings: it "
            "would be tested by what was trained on it. Correct the split of the new recordings."
        )
    if part not in (known.parts or ("",)):
        has = f"the parts {shown(known.parts)}" if known.parts else "no official split"
        raise GroupError(
            f"Group {group} of the new recordings is {here}, and the store has {has}. Give the new "
            "recordings the split of the store (source.split, folds.test_groups)."
        )
