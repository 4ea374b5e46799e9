"""Folds of a part that is added to a store: known groups keep theirs, new ones are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import GroupError
from headrace.stores.layout.folds import Fold, cheapest_fold
from headrace.stores.text import shown


@dataclass(frozen=True)
class KnownFolds:
    """Folds of the store that grows.

    Attributes:
        names: of its F folds, in their order.
        classes: names of its K classes.
        table: (F, K) windows of each class in each fold.
        fold_of: name of the fold of each group, by the group's name.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    table: NDArray[np.int64]
    fold_of: Mapping[str, str]

    @property
    def parts(self) -> tuple[str, ...]:
        """Official parts of its split; () without one."""
        found = dict.fromkeys(name.rpartition("/")[0] for name in self.names)
        return tuple(part for part in found if part)


def grown_folds(
    known: KnownFolds,
    table: NDArray[np.int64],
    part_of_group: NDArray[np.int8],
    parts: Sequence[str],
    groups: Sequence[str],
    classes: Sequence[str],
    by: str,
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

    Returns:
        Folds in row order, those that get windows, with numbers of these groups.

    Raises:
        UserError: a group stands in another official part than in the store, or in one that the
            store has not.
    """
    names = [*known.names]
    every = list(dict.fromkeys([*known.classes, *classes]))
    columns = [every.index(name) for name in classes]
    filled = np.zeros((len(names), len(every)))
    filled[:, : len(known.classes)] = known.table
    own = np.zeros((len(groups), len(every)))
    own[:, columns] = table
    present = np.flatnonzero(table.sum(axis=1) > 0).tolist()
    totals = np.maximum(filled.sum(axis=0) + own[present].sum(axis=0), 1)
    filled, own = filled / totals, own / totals
    members: dict[str, list[int]] = {}
    count = [sum(fold == name for fold in known.fold_of.values()) for name in names]
    new: list[int] = []
    for group in present:
        part = parts[part_of_group[group]] if parts else ""
        _require_part(known, part, groups[group])
        fold = known.fold_of.get(groups[group])
        if fold is None:
            new.append(group)
            continue
        filled[names.index(fold)] += own[group]
        members.setdefault(fold, []).append(group)
    for group in sorted(new, key=lambda each: (-int(table[each].sum()), each)):
        part = parts[part_of_group[group]] if parts else ""
        inside = [at for at, name in enumerate(names) if name.rpartition("/")[0] == part]
        if by == "group":
            names.append(_next_name(part, [names[at] for at in inside]))
            members[names[-1]] = [group]
            continue
        best = cheapest_fold(filled, own[group], count, inside)
        filled[best] += own[group]
        count[best] += 1
        members.setdefault(names[best], []).append(group)
    folds: list[Fold] = []
    start = 0
    for name in names:
        if name in members:
            stop = start + int(table[members[name]].sum())
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
    if fold is not None and fold.rpartition("/")[0] != part:
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


def _next_name(part: str, names: Sequence[str]) -> str:
    last = max((int(name.rpartition("/")[2]) for name in names), default=-1)
    return f"{part}/{last + 1}" if part else str(last + 1)
