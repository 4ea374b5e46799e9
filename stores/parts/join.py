"""What several parts are together: one list of classes, groups and folds, if they agree."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import GroupError, StoreError
from headrace.stores.layout.folds import Fold, GrownFold
from headrace.stores.manifest import Manifest
from headrace.stores.parts.part import StorePart
from headrace.stores.source.files.record import most_shared
from headrace.stores.target import Target
from headrace.stores.text import counted, listed, shown, shown_value

Codes = NDArray[np.int32]
"""(n,) what a part's own code is among the names of all; None where it is the same."""
REMEDIES = {
    "kind of target": "target.kind",
    "target": "the same names, units and target.every",
    "samples of a window": "source.window_samples",
    "channels": "source.use_channels, which chooses and orders them",
    "units": "source.units, or convert the values",
    "type of raw": "store.raw_dtype",
    "scale of the channels": "source.scale, or convert the values",
    "features": "features.select",
    "store.stretch_windows": "store.stretch_windows",
    "store.chunk_windows": "store.chunk_windows",
    "raw": "store.raw",
}
"""Keys by which a store that is built again would agree."""
ALIKE: dict[str, Callable[[Manifest], Any]] = {
    "kind of target": lambda each: each.target.kind,
    "target": lambda each: each.target.fixed.as_table(),
    "samples of a window": lambda each: each.time,
    "channels": lambda each: each.channels,
    "units": lambda each: each.units,
    "type of raw": lambda each: each.raw_dtype,
    "scale of the channels": lambda each: each.channel_scale,
    "features": lambda each: each.features,
    "options of features": lambda each: {**each.config["features"], "select": ()},
    "groups (source.split_by_window)": lambda each: each.grouped,
    "source.layout": lambda each: "recordings" if each.located else "windows",
    "raw": lambda each: "stretches" if each.stretches else "windows",
    "store.stretch_windows": lambda each: each.stretch,
    "step (source.step_s)": lambda each: each.step,
    "store.chunk_windows": lambda each: each.chunk,
}
"""What parts of one store have in common."""
SAME_RATE = 1e-3
"""Relative difference of rates that are one: those that are found from times differ by what clocks
do, 0.01 % as a rule."""
AGREE = "Stores that are read as one, and parts of one, agree in it."


@dataclass(frozen=True)
class Joined:
    """Names of several parts together.

    Attributes:
        classes, groups: those of the first part, then what the others add, in order.
        target: with these classes.
        folds: with their rows in all parts.
        part_folds: folds of each part, one part after another: with rows and groups as here.
        labels, members: of each part, what its codes of `label` and `group` are here.
    """

    classes: tuple[str, ...]
    groups: tuple[str, ...]
    target: Target
    folds: tuple[Fold, ...]
    part_folds: tuple[Fold, ...]
    labels: tuple[Codes | None, ...]
    members: tuple[Codes | None, ...]


def join_names(parts: Sequence[StorePart]) -> Joined:
    """The names of all parts; see `require_one` for what they have to agree in.

    Raises:
        UserError: a group stands in different folds.
    """
    manifests = [part.manifest for part in parts]
    classes = tuple(dict.fromkeys(name for each in manifests for name in each.classes))
    groups = tuple(dict.fromkeys(name for each in manifests for name in each.groups))
    target = manifests[0].target.reordered(classes)
    if len(parts) == 1:
        folds = manifests[0].folds
        return Joined(classes, groups, target, folds, folds, (None,), (None,))
    labels = tuple(_codes(each.classes, classes) for each in manifests)
    members = tuple(_codes(each.groups, groups) for each in manifests)
    inside = _part_folds(manifests, members)
    folds = _join_folds([(part, own) for part, each in zip(parts, inside, strict=True)
                         for own in each], groups)  # fmt: skip
    return Joined(
        classes, groups, target, folds, tuple(chain.from_iterable(inside)), labels, members
    )


def require_one(stores: Sequence[Sequence[StorePart]], new_classes: bool) -> None:
    """Check that stores can be read as one.

    Args:
        stores: the parts of each.
        new_classes: whether later stores may have classes that the first has not. Parts of one
            store may: they were added so.

    Raises:
        UserError: they differ; names in what, and both values. Or they have a part in common.
    """
    first, *others = [part for parts in stores for part in parts]
    for part in others:
        _require_alike(first, part)
    known = tuple(dict.fromkeys(name for part in stores[0] for name in part.manifest.classes))
    where_of: dict[str, StorePart] = {}
    for number, parts in enumerate(stores):
        for part in parts:
            if number and not new_classes:
                refuse_new_classes(known, part.manifest.classes, str(part.path))
            same = where_of.setdefault(part.fingerprint, part)
            if same is not part:
                raise StoreError(
                    f"{same.path} and {part.path} hold the same windows. Name each store once."
                )
            for other in chain.from_iterable(stores[:number]):
                _refuse_shared(other, part)
        refuse_spellings(groups_of(stores[:number]), groups_of([parts]), str(parts[0].path))


def groups_of(stores: Iterable[Sequence[StorePart]]) -> set[str]:
    """Names of all groups of some stores."""
    return {name for parts in stores for part in parts for name in part.manifest.groups}


def refuse_spellings(known: Iterable[str], found: Iterable[str], where: str) -> None:
    """Check that no group of `where` is one that is known in another spelling: 2 and 02, a and A.

    Raises:
        UserError: one is: its windows would be those of another person or machine.
    """
    spelling = {_spelled(name): name for name in known}
    for name in found:
        other = spelling.get(_spelled(name), name)
        if other != name:
            raise GroupError(
                f"{where} has the group {name!r}, and the store has {other!r}: one group in two "
                "spellings would be in two folds. Write it as the store does."
            )


def _spelled(name: str) -> str:
    """What names that differ in zeros before a number, in case or in blanks have in common."""
    return re.sub(r"0+(?=[0-9])", "", " ".join(name.casefold().split()))


def _refuse_shared(one: StorePart, other: StorePart) -> None:
    if shared := most_shared(one.manifest.source, other.manifest.source):
        raise StoreError(
            f"{one.path} and {other.path} are made of {counted(shared, 'file')} that are the same: "
            "their windows would be read twice. Build one of them from the other files alone."
        )


def _require_alike(first: StorePart, other: StorePart) -> None:
    refuse_unlike(first.manifest, other.manifest, str(first.path), str(other.path))
    official = [any("/" in fold.name for fold in each.manifest.folds) for each in (first, other)]
    if official[0] != official[1]:
        with_one, without = (first, other) if official[0] else (other, first)
        raise StoreError(
            f"{with_one.path} has an official split, and {without.path} has none: their folds "
            f"cannot be joined. {AGREE}"
        )


def refuse_unlike(first: Manifest, other: Manifest, one: str, two: str) -> None:
    """Check that two stores hold the same kind of rows; `one` and `two` are what to call them.

    Raises:
        UserError: they differ; names in what, and both values.
    """
    if not math.isclose(first.rate_hz, other.rate_hz, rel_tol=SAME_RATE):
        raise StoreError(
            f"{one} and {two} differ in sampling rate (Hz): {first.rate_hz}, and "
            f"{other.rate_hz}. {AGREE} Build a store of its own from one of them with "
            "source.target_rate_hz, and read both: --store A --store B."
        )
    for name, of in ALIKE.items():
        if of(first) != of(other):
            mine, theirs = shown_differences(of(first), of(other))
            way = (
                f" Build a store of its own with {REMEDIES[name]}, and read both: --store A "
                "--store B."
                if name in REMEDIES
                else ""
            )
            raise StoreError(
                f"{one} and {two} differ in {name}: {mine}, and {theirs}. {AGREE}{way}"
            )


def refuse_new_classes(known: Iterable[str], found: Iterable[str], where: str) -> None:
    """Check that `where` has no class that is not known.

    Raises:
        UserError: it has.
    """
    new = sorted(set(found) - set(known))
    if new:
        raise GroupError(
            f"{where} has the class{'es' * (len(new) > 1)} {listed(new)}, and the store has "
            f'{shown(list(known))}. Add them with store.new_classes = "add"; or build a store of '
            "its own from these recordings, with source.class_map or source.exclude_labels, and "
            "read both: --store A --store B."
        )


def shown_differences(one: Any, other: Any) -> tuple[str, str]:
    """Two values that differ; of tuples and tables the first entry that does."""
    if isinstance(one, tuple) and isinstance(other, tuple) and one and other:
        if len(one) != len(other):
            return f"{len(one)} ({shown([str(each) for each in one])})", f"{len(other)}"
        place = next(at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
        return f"{one[place]!r}", f"{other[place]!r} (number {place + 1} of {len(one)})"
    if isinstance(one, dict) and isinstance(other, dict):
        key = next(each for each in sorted({*one, *other}) if one.get(each) != other.get(each))
        return f"{key} {shown_value(one.get(key))}", shown_value(other.get(key))
    return shown_value(one), shown_value(other)


def _codes(own: Sequence[str], names: Sequence[str]) -> Codes | None:
    if tuple(own) == tuple(names[: len(own)]):
        return None
    place = {name: number for number, name in enumerate(names)}
    return np.array([place[name] for name in own], np.int32)


def _part_folds(manifests: Sequence[Manifest], members: Sequence[Codes | None]) -> list[list[Fold]]:
    """The folds of each part, by the rows and groups of all parts."""
    starts = accumulate((each.windows for each in manifests), initial=0)
    return [
        [
            Fold(
                fold.name,
                start + fold.start,
                start + fold.stop,
                fold.groups if codes is None else tuple(codes[list(fold.groups)].tolist()),
            )
            for fold in each.folds
        ]
        for each, codes, start in zip(manifests, members, starts, strict=False)
    ]


def _join_folds(
    inside: Sequence[tuple[StorePart, Fold]], groups: Sequence[str]
) -> tuple[Fold, ...]:
    """Folds of the same name together; the first part's come first within each official part."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    members: dict[str, set[int]] = {}
    fold_of: dict[int, tuple[str, StorePart]] = {}
    for part, fold in inside:
        ranges.setdefault(fold.name, []).append((fold.start, fold.stop))
        members.setdefault(fold.name, set()).update(fold.groups)
        for group in fold.groups:
            known, where = fold_of.setdefault(group, (fold.name, part))
            if known != fold.name:
                raise GroupError(
                    f"Group {groups[group]} is in fold {known} of {where.path}, and in fold "
                    f"{fold.name} of {part.path}: it would be tested by what was trained on "
                    "it. Append its recordings with headrace features --append, which keeps "
                    "the folds of groups."
                )
    kinds = list(dict.fromkeys(name.rpartition("/")[0] for name in ranges))
    names = sorted(ranges, key=lambda name: kinds.index(name.rpartition("/")[0]))
    return tuple(
        GrownFold(name, ranges[name][0][0], ranges[name][-1][1], tuple(sorted(members[name])),
                  tuple(ranges[name]))
        for name in names
    )  # fmt: skip
