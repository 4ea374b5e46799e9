"""Folds: contiguous ranges of rows made of whole groups, chosen so that classes are spread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import GroupError
from headrace.stores.text import listed

DEFAULT_FOLDS = 10
SHOWN_FOLDS = 12
"""Known names that a refusal lists: a store may have a fold for each of hundreds of groups."""


@dataclass(frozen=True)
class Fold:
    """Rows [start, stop) of the store, which hold all windows of `groups` and no other.

    Attributes:
        name: "0", "1", ...; with an official test part "train/0", ..., "test/0", ....
        groups: numbers of its groups, ascending.
    """

    name: str
    start: int
    stop: int
    groups: tuple[int, ...]

    # Where a manifest is read, no other key is taken.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """(start, stop) of its rows: one range, but for a store of several parts."""
        return ((self.start, self.stop),)

    @property
    def windows(self) -> int:
        """Number of its rows."""
        return sum(stop - start for start, stop in self.ranges)

    @property
    def rows(self) -> slice | NDArray[np.int64]:
        """Its rows in the store; numbers, (n,), if they stand in several parts."""
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class GrownFold(Fold):
    """A fold whose rows stand in several parts of a store, from `start` to before `stop`.

    Attributes:
        inside: (start, stop) of its rows in each part that has some.
    """

    inside: tuple[tuple[int, int], ...] = ()

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """See `Fold`."""
        return self.inside

    @property
    def rows(self) -> slice | NDArray[np.int64]:
        """See `Fold`."""
        if len(self.inside) == 1:
            return slice(*self.inside[0])
        return np.concatenate([np.arange(start, stop) for start, stop in self.inside])


def named_folds(folds: Sequence[Fold], names: Iterable[str | int]) -> tuple[Fold, ...]:
    """Return the folds of those names, in the order of the store.

    Args:
        folds: all folds of the store, in row order.
        names: of some of them, in any order; a number stands for its digits.

    Raises:
        UserError: `names` is one text, or holds a name that no fold has, or a name twice.
    """
    known = listed([fold.name for fold in folds], SHOWN_FOLDS)
    if isinstance(names, str):
        raise GroupError(
            f"Folds are named in a list, not in one text: [{names!r}] or more of {known}."
        )
    wanted = [str(name) for name in names]
    unknown = sorted(set(wanted) - {fold.name for fold in folds})
    if unknown:
        raise GroupError(f"The store has no fold {', '.join(map(repr, unknown))}; it has {known}.")
    repeated = sorted({name for name in wanted if wanted.count(name) > 1})
    if repeated:
        raise GroupError(
            f"Fold {', '.join(map(repr, repeated))} is named more than once. Name each fold once; "
            f"the store has {known}."
        )
    return tuple(fold for fold in folds if fold.name in wanted)


def make_folds(
    table: NDArray[np.int64],
    part_of_group: NDArray[np.int8],
    parts: Sequence[str],
    count: int | None,
    by: str,
    windows: NDArray[np.int64] | None = None,
) -> tuple[Fold, ...]:
    """Divide the groups into folds, part by part, and lay the folds out one after another.

    Args:
        table: (G, B) what is spread over the folds: sums of `Target.tally` over each group's
            windows, which of classes are windows in each.
        part_of_group: (G,) number of the official part, -1 when there is none.
        parts: names of the official parts, in the order they are stored; may be empty.
        count: folds of each part; None for 10, or the number of groups if that is less.
        by: "balance", or "group" for one fold a group.
        windows: (G,) of each group; None: the sums of `table`.

    Returns:
        Folds in row order; groups without windows are in none.

    Raises:
        UserError: an explicit `count` is above the number of groups.
    """
    windows = table.sum(axis=1) if windows is None else windows
    folds: list[Fold] = []
    start = 0
    for number, part in enumerate(parts or ("",)):
        inside = part_of_group == number if parts else np.ones(len(table), dtype=bool)
        groups = np.flatnonzero(inside & (windows > 0))
        wanted = _fold_count(len(groups), count, by, part)
        for j, members in enumerate(_assign(table, windows, groups, wanted, by)):
            stop = start + int(windows[list(members)].sum())
            folds.append(Fold(f"{part}/{j}" if part else str(j), start, stop, members))
            start = stop
    return tuple(folds)


def _fold_count(groups: int, count: int | None, by: str, part: str) -> int:
    if by == "group":
        return groups
    if count is None:
        return min(DEFAULT_FOLDS, groups)
    if count > groups:
        where = f" of the {part} part" if part else ""
        raise GroupError(
            f"A fold is made of whole groups: folds.count = {count} is above the {groups} "
            f"groups{where}. Set folds.count = {groups} or less."
        )
    return count


def _assign(
    table: NDArray[np.int64],
    windows: NDArray[np.int64],
    groups: NDArray[np.intp],
    count: int,
    by: str,
) -> list[tuple[int, ...]]:
    """Greedy and deterministic: largest group first, to the fold that it evens out most.

    A fold's badness is the sum over classes, or what else is counted, of its squared share of
    each. Folds with fewer groups win ties, then the first.
    """
    if by == "group":
        return [(int(group),) for group in groups]
    totals = np.maximum(table[groups].sum(axis=0), 1)
    shares = table / totals
    filled = np.zeros((count, table.shape[1]))
    members: list[list[int]] = [[] for _ in range(count)]
    by_size = groups[np.argsort(-windows[groups], kind="stable")]
    for left, group in zip(range(len(by_size), 0, -1), by_size, strict=True):
        empty = [fold for fold in range(count) if not members[fold]]
        open_folds = empty if len(empty) >= left else list(range(count))
        best = cheapest_fold(filled, shares[group], [len(each) for each in members], open_folds)
        filled[best] += shares[group]
        members[best].append(int(group))
    return _alternated([tuple(sorted(fold)) for fold in members], windows)


def cheapest_fold(
    filled: NDArray[np.float64],
    share: NDArray[np.float64],
    sizes: Sequence[int],
    among: Sequence[int],
) -> int:
    """The fold that a group evens out most, of those `among` all.

    Args:
        filled: (F, K) shares of the classes that folds have.
        share: (K,) of the group.
        sizes: groups of each fold.
        among: numbers of the folds that it may go to.
    """
    cost = np.square(filled + share).sum(axis=1) - np.square(filled).sum(axis=1)
    return min(among, key=lambda fold: (round(float(cost[fold]), 12), sizes[fold], fold))


def _alternated(folds: list[tuple[int, ...]], windows: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Largest, smallest, second largest, ...: a k-fold split merges neighbours into even parts."""
    falling = sorted(folds, key=lambda fold: (-int(windows[list(fold)].sum()), fold))
    return [falling[i // 2] if i % 2 == 0 else falling[-1 - i // 2] for i in range(len(falling))]
