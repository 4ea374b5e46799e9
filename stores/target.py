"""What is predicted of a window: its kind, names and units, how it is stored and how it is counted.

`class`: one of K. `labels`: any of K. `value`: K numbers. `sequence`: one of K classes for each
sample of the window, or each k-th. No other module of this package asks which it is, but for those
that read labels from a source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from headrace.stores.bins import bin_edges, bin_names
from headrace.stores.moments import Moments, column_moments, empty_moments

Integers = NDArray[np.int64]
Kind = Literal["class", "labels", "value", "sequence"]
UNLABELLED = "unlabelled"
"""What samples of a sequence are counted as that no class is said of."""
NO_LABEL = "no label"
"""What windows are counted as that have none of several labels."""
COUNTED = 1 << 16
"""Labels that are counted at a time."""
_WORDS = {
    "class": ("class", "Classes", "windows"),
    "labels": ("label", "Labels", "windows"),
    "value": ("value", "Values", "windows"),
    "sequence": ("class", "Classes", "samples"),
}


@dataclass(frozen=True)
class Target:
    """What a window of a source, a store or a run is labelled with.

    Attributes:
        kind: class, labels, value or sequence.
        names: of K classes, labels or values.
        units: of K values, "" where unknown; else ().
        every: samples of a window for each label of a sequence; else 1.
        length: L, labels of a window of a sequence; else 0.
        edges: of each of K values, ascending bounds of the bins that windows are counted in, bin b
            being from edge b - 1 on to before edge b; else ().
    """

    kind: Kind = "class"
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    every: int = 1
    length: int = 0
    edges: tuple[tuple[float, ...], ...] = ()

    # Where a manifest is read, no other key is taken.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """Raise ValueError unless the parts fit each other."""
        of_values = self.kind == "value"
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"names come twice: {self.names}")
        if len(self.units) != len(self.names) * of_values:
            raise ValueError(f"{len(self.names)} names and {len(self.units)} units")
        if len(self.edges) not in (0, len(self.units)):
            raise ValueError(f"edges of {len(self.edges)} of {len(self.units)} values")
        if any(list(each) != sorted(set(each)) for each in self.edges):
            raise ValueError("edges do not ascend")
        if (self.length > 0) != (self.kind == "sequence") or self.every < 1 or self.length < 0:
            raise ValueError(f"{self.length} labels of a window, each of {self.every} samples")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row of `label`: (), (K,), (K,) or (L,)."""
        several = (len(self.names),)
        return {"class": (), "labels": several, "value": several, "sequence": (self.length,)}[
            self.kind
        ]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of `label`: i4 codes, u1 of 0 and 1, f4, or i4 codes with -1 where unlabelled."""
        return np.dtype({"class": "i4", "labels": "u1", "value": "f4", "sequence": "i4"}[self.kind])

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the dimensions of `label`."""
        inner = {"class": (), "labels": ("label_name",), "value": ("value",), "sequence": ("step",)}
        return ("window", *inner[self.kind])

    @property
    def missing(self) -> float:
        """What stands in the place of a label that is not there."""
        return {"class": -1, "labels": 0, "value": np.nan, "sequence": -1}[self.kind]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names that codes or columns of 0 and 1 stand for; () of values."""
        return () if self.kind == "value" else self.names

    @property
    def moment_names(self) -> tuple[str, ...]:
        """Columns of `label` whose mean and deviation are kept: those of values."""
        return self.names if self.kind == "value" else ()

    @property
    def tally_names(self) -> tuple[str, ...]:
        """What windows are counted by, B names: see `tally`."""
        if self.kind == "value":
            return tuple(
                name
                for value, unit, edges in zip(self.names, self.units, self._bounds, strict=True)
                for name in bin_names(value, unit, edges)
            )
        more = {"class": (), "labels": (NO_LABEL,), "sequence": (UNLABELLED,)}[self.kind]
        return (*self.names, *more)

    @property
    def is_class(self) -> bool:
        """Whether it is one class, as all stores held before format 4."""
        return self.kind == "class"

    @property
    def _bounds(self) -> tuple[tuple[float, ...], ...]:
        return self.edges or ((),) * len(self.names)

    def marks(self, label: NDArray[Any]) -> tuple[Integers, Integers]:
        """What is counted of windows, one by one: (m,) the window, and (m,) which of B names.

        Args:
            label: (n, *shape).
        """
        window = np.arange(len(label))
        if self.kind == "class":
            return window, label.astype(np.int64)
        if self.kind == "labels":
            found, which = np.nonzero(label)
            none = np.flatnonzero(~label.any(axis=1))
            return (
                np.concatenate([found, none]),
                np.concatenate([which, np.full(len(none), len(self.names))]),
            )
        if self.kind == "sequence":
            codes = np.where(label < 0, len(self.names), label).astype(np.int64)
            return window.repeat(self.length), codes.reshape(-1)
        bins = [np.zeros((len(label), 0), np.int64)]
        before = 0
        for number, edges in enumerate(self._bounds):
            place = np.searchsorted(np.asarray(edges), label[:, number], side="right")
            bins.append(before + place[:, None])
            before += len(edges) + 1
        return window.repeat(len(self.names)), np.concatenate(bins, axis=1).reshape(-1)

    def tally(self, label: NDArray[Any]) -> Integers:
        """(n, B) what each window counts: what folds are balanced in.

        Of classes, one a class; of labels, one a label, and one for windows with none; of values,
        one a bin; of sequences, samples of each class, and unlabelled ones.

        Args:
            label: (n, *shape).
        """
        found = np.zeros((len(label), len(self.tally_names)), np.int64)
        np.add.at(found, self.marks(label), 1)
        return found

    def counts(self, label: NDArray[Any]) -> Integers:
        """(B,) the sum of `tally` over windows, without holding it."""
        found = np.zeros(len(self.tally_names), np.int64)
        step = max(1, COUNTED // max(1, prod(self.shape)))
        for at in range(0, len(label), step):
            which = self.marks(label[at : at + step])[1]
            found += np.bincount(which, minlength=len(found))
        return found

    def moments(self, label: NDArray[Any]) -> Moments:
        """Of the columns of `moment_names`."""
        return column_moments(label) if self.moment_names else empty_moments(0)

    def is_missing(self, label: NDArray[Any]) -> NDArray[np.bool_]:
        """(n,) whether a window has no label to learn from, as a value is NaN or infinite."""
        if self.kind != "value":
            return np.zeros(len(label), dtype=bool)
        return np.asarray(~np.isfinite(label).all(axis=1))

    def is_known(self, label: NDArray[Any]) -> NDArray[np.bool_]:
        """(n,) whether all codes of a window stand for a name, as those of a sound store do."""
        if self.kind == "value":
            return np.ones(len(label), dtype=bool)
        most = {"class": len(self.names), "labels": 2, "sequence": len(self.names)}[self.kind]
        least = -1 if self.kind == "sequence" else 0
        inside = (label >= least) & (label < most)
        return np.asarray(inside.all(axis=tuple(range(1, label.ndim))))

    def differ(self, counts: Integers, windows: int) -> int:
        """How many things there are to tell apart, in so many windows: less than 2 is no task.

        Args:
            counts: (B,) of all windows.
            windows: their number.
        """
        if self.kind == "labels":
            known = counts[:-1]
            return 1 + int(((known > 0) & (known < windows)).any())
        if self.kind == "value":
            ends = np.cumsum([len(edges) + 1 for edges in self._bounds])
            return max(int((part > 0).sum()) for part in np.split(counts, ends[:-1]))
        return int((counts[: len(self.names)] > 0).sum())

    def told_apart(self, differ: int) -> tuple[str, str]:
        """What a task needs, and what there is of it: see `differ`."""
        if self.kind == "labels":
            return "a label that some windows have and others have not", "none"
        if self.kind == "value":
            return "values that differ", "one alone"
        return "two classes", f"{differ} of {len(self.names)}"

    def recoded(self, label: NDArray[Any], codes: NDArray[np.int32]) -> NDArray[Any]:
        """Labels whose codes are those of other names: code c becomes `codes[c]`."""
        if self.kind in ("labels", "value") or not len(codes):
            return label
        return np.where(label < 0, label, codes[np.maximum(label, 0)]).astype(label.dtype)

    def reordered(self, names: Sequence[str]) -> Target:
        """The same with its names, if codes stand for them, in another order or more of them."""
        return self if self.kind in ("labels", "value") else replace(self, names=tuple(names))

    @property
    def grows(self) -> bool:
        """Whether parts of a store may have names that others have not, as classes."""
        return self.kind in ("class", "sequence")

    @property
    def fixed(self) -> Target:
        """What parts of a store agree in: without the names of classes that parts may add."""
        return replace(self, names=()) if self.grows else self

    def counted_like(self, other: Target | None) -> Target:
        """The same, counted in the bins of another target of the same values."""
        if other is None or not other.edges or self.names != other.names:
            return self
        return replace(self, edges=other.edges) if self.kind == "value" else self

    def with_edges(self, values: NDArray[Any]) -> Target:
        """The same, with bins that hold about as many of these values (n, K) each."""
        if self.kind != "value":
            return self
        return replace(self, edges=tuple(bin_edges(column) for column in values.T))

    def texts(self, label: NDArray[Any]) -> list[str]:
        """What each of n windows is labelled with, for people: `AF, ST`, `rul 12.5 cycles`.

        Args:
            label: (n, *shape).
        """
        if self.kind == "class":
            return [self.names[code] for code in label.tolist()]
        if self.kind == "labels":
            marked = ([self.names[at] for at in np.flatnonzero(row)] for row in label)
            return [", ".join(each) or NO_LABEL for each in marked]
        if self.kind == "value":
            return [
                ", ".join(
                    f"{name} {value:.4g}{f' {unit}' if unit else ''}"
                    for name, unit, value in zip(self.names, self.units, row, strict=True)
                )
                for row in label.tolist()
            ]
        return [_of_sequence(self, row) for row in label]

    def categories(self, label: NDArray[Any]) -> tuple[Integers, tuple[str, ...]]:
        """(n,) which of some names each window is one of, for tables and plots: its class, its
        labels together, the bin of its first value, or the class of most of its samples.
        """
        if self.kind == "class":
            return label.astype(np.int64), self.names
        if self.kind == "labels":
            texts, codes = np.unique(np.array(self.texts(label), dtype=str), return_inverse=True)
            return codes.astype(np.int64), tuple(map(str, texts.tolist()))
        if self.kind == "value":
            names = bin_names(self.names[0], self.units[0], self._bounds[0])
            return np.searchsorted(np.asarray(self._bounds[0]), label[:, 0], side="right"), names
        counts = self.tally(label)[:, : len(self.names)]
        most = np.where(counts.any(axis=1), counts.argmax(axis=1), len(self.names))
        return most, self.tally_names

    def columns(self, label: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Columns of a table, beside `categories`: of labels whether each is there, and values."""
        if self.kind not in ("labels", "value"):
            return {}
        values = label.astype(bool) if self.kind == "labels" else label
        return dict(zip(self.names, values.T, strict=True))

    @property
    def described(self) -> str:
        """What it is, in a line: `12 classes`, `6 labels`, `value rul (cycles)`."""
        if self.kind == "value":
            shown = (
                f"{name}{f' ({unit})' if unit else ''}"
                for name, unit in zip(self.names, self.units, strict=True)
            )
            return f"value{'s' * (len(self.names) > 1)} {', '.join(shown)}"
        count, word = len(self.names), "label" if self.kind == "labels" else "class"
        several = f"{count} {word}{('es' if word == 'class' else 's') * (count != 1)}"
        return several + f", {self.length} of each window" * (self.length > 0)

    @property
    def column_names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names and units of the columns of `label`; () where it has codes."""
        return (self.names, self.units) if self.kind in ("labels", "value") else ((), ())

    @property
    def sample_of_step(self) -> Integers:
        """(L,) which sample of the window each label of a sequence is of: the middle of `every`."""
        return np.arange(self.length) * self.every + self.every // 2

    @property
    def words(self) -> tuple[str, str, str]:
        """What a tally is of, its plural, and what is counted: class, Classes, windows."""
        return _WORDS[self.kind]

    @property
    def attributes(self) -> dict[str, Any]:
        """What an outsider needs to read `label`, as attributes of the array."""
        found: dict[str, Any] = {"names": list(self.names)}
        if self.kind == "value":
            found["units"] = list(self.units)
        if self.kind == "sequence":
            found["every"] = self.every
        return found if self.kind == "class" else found | {"kind": self.kind}

    def as_table(self) -> dict[str, Any]:
        """JSON-able."""
        lists = {"names": list(self.names), "units": list(self.units)}
        return asdict(self) | lists | {"edges": [list(each) for each in self.edges]}


def class_target(classes: Sequence[str]) -> Target:
    """One of these classes."""
    return Target(names=tuple(classes))


def _of_sequence(target: Target, row: NDArray[Any]) -> str:
    """`walk 75 %, sit 25 %`: shares of a window's samples, the most first."""
    counts = target.counts(row[None])
    parts = sorted(zip(-counts, target.tally_names, strict=True))
    return ", ".join(f"{name} {-100 * n / len(row):.0f} %" for n, name in parts if n)
