"""Some rows of a store for people: one window with all that is known of it, and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import StoreError
from headrace.stores.views.store_html import window_html

if TYPE_CHECKING:
    import pandas as pd

    from headrace.stores.store import Store

Rows = slice | Sequence[int]
"""Rows of a store: a slice, or their numbers in any order; negative ones count from the end."""
MOST_TABLE_BYTES = 1 << 30
"""Of a table in memory, before rows have to be named."""
_ROW_BYTES = 64
"""Of a table's row, beside its features."""


@dataclass(frozen=True, repr=False)
class Window:
    """One window and all that the store knows of it.

    Attributes:
        row: its row in the store.
        raw: (T, C) float64, in units.
        time_s: (T,) seconds since its first sample.
        channels, units: C names and units; "" where unknown.
        features: name -> value; empty where the store holds none.
        label, group, fold: names; of several labels, values or a sequence what is to be read.
        target: as it is stored: a code, or an array (K,) of 0 and 1, of values, or of codes.
        source_index: its number among the windows of the source; of several parts those of
            earlier ones come before.
        recording, start: its row in the table of recordings of its part's source, and its first
            row in `signals`; None for a source of windows.
        part: number of the part of the store that it stands in, from 0 on.
    """

    row: int
    raw: NDArray[np.float64]
    time_s: NDArray[np.float64]
    channels: tuple[str, ...]
    units: tuple[str, ...]
    features: dict[str, float]
    label: str
    group: str
    fold: str
    source_index: int
    recording: int | None
    start: int | None
    part: int = 0
    target: Any = None

    def __repr__(self) -> str:
        time, channels = self.raw.shape
        return f"<Window {self.title}: {time} x {channels}, {len(self.features)} features>"

    def _repr_html_(self) -> str:
        return window_html(self)

    @property
    def title(self) -> str:
        """What it is, in one line."""
        return (
            f"row {self.row:,}: {self.label}, group {self.group}, fold {self.fold}, "
            f"source window {self.source_index:,}"
        )


def read_window(store: Store, row: int) -> Window:
    """Row `row` of the store.

    Raises:
        IndexError: there is no such row.
        UserError: its chunk is missing or damaged.
    """
    (row,) = row_numbers(store, [row])
    names = [array.name for array in store.manifest.arrays()]
    read = {name: each[0] for name, each in store.read_many(names, [(row, row + 1)]).items()}
    values = read["features"].tolist() if "features" in read else []
    return Window(
        row=row,
        raw=read["raw"].astype(np.float64) * store.spec.scale,
        time_s=np.arange(store.spec.time) / store.spec.rate_hz,
        channels=store.spec.channels,
        units=store.spec.units,
        features=dict(zip(store.feature_names, values, strict=True)),
        label=store.target.texts(read["label"][None])[0],
        group=store.groups[read["group"]],
        fold=fold_names(store, np.array([row]))[0],
        source_index=int(read["source_index"]),
        recording=int(read["recording"]) if "recording" in read else None,
        start=int(read["start"]) if "start" in read else None,
        part=int(np.searchsorted(store.part_starts, row, side="right")) - 1,
        target=read["label"],
    )


def features_table(store: Store, rows: Rows | None) -> pd.DataFrame:
    """Features of some rows, and what the rows are.

    Args:
        store: the store.
        rows: a slice, or numbers; None: all.

    Returns:
        One row a window, its index called `row`: label, group and fold (categorical),
        source_index, a column for each of several labels or values, and a float32 column a
        feature. `label` is the class; of several labels all of them, of values the bin of the
        first, of a sequence the class of most samples.

    Raises:
        IndexError: there is no such row.
        UserError: `rows` is None and the table would not fit, or a chunk is damaged.
    """
    import pandas as pd

    size = store.windows * (4 * len(store.feature_names) + _ROW_BYTES)
    if rows is None and size > MOST_TABLE_BYTES:
        raise StoreError(
            f"The features of all {store.windows:,} windows take {size / 2**30:.1f} GiB. Name "
            "rows, such as rows=slice(0, 10_000), or take them lazily with to_xarray()."
        )
    numbers = row_numbers(store, slice(None) if rows is None else rows)
    wanted = ["label", "group", "source_index", *(["features"] if store.feature_names else [])]
    read = store.read_many(wanted, row_ranges(numbers))
    codes, names = store.target.categories(read["label"])
    table = {
        "label": pd.Categorical.from_codes(codes, categories=pd.Index(names)),
        "group": pd.Categorical.from_codes(read["group"], categories=pd.Index(store.groups)),
        "fold": pd.Categorical(
            fold_names(store, numbers), categories=[fold.name for fold in store.folds]
        ),
        "source_index": read["source_index"],
        **store.target.columns(read["label"]),
    }
    index = pd.Index(numbers, name="row")
    described = pd.DataFrame(table, index=index)
    if not store.feature_names:
        return described
    features = pd.DataFrame(read["features"], index=index, columns=list(store.feature_names))
    return pd.concat([described, features], axis=1)


def row_numbers(store: Store, rows: Rows) -> NDArray[np.int64]:
    """The numbers behind `rows`, from 0 on.

    Raises:
        IndexError: there is no such row.
    """
    if isinstance(rows, slice):
        return np.arange(*rows.indices(store.windows), dtype=np.int64)
    numbers = np.asarray(rows, dtype=np.int64).reshape(-1)
    wrong = numbers[(numbers < -store.windows) | (numbers >= store.windows)]
    if len(wrong):
        raise IndexError(
            f"Row {wrong[0]} is not one of the {store.windows:,} rows of {store.path}."
        )
    return np.where(numbers < 0, numbers + store.windows, numbers)


def row_ranges(numbers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(start, stop) of the stretches of consecutive numbers, in their order."""
    edges = np.flatnonzero(np.diff(numbers) != 1) + 1
    for part in np.split(numbers, edges):
        if len(part):
            yield int(part[0]), int(part[-1]) + 1


def fold_names(store: Store, numbers: NDArray[np.int64]) -> list[str]:
    """The fold of each row."""
    ranges = sorted((stop, fold.name) for fold in store.folds for _, stop in fold.ranges)
    places = np.searchsorted([stop for stop, _ in ranges], numbers, side="right")
    return [ranges[place][1] for place in places]


def evenly(store: Store, most: int) -> NDArray[np.int64]:
    """Rows of whole chunks, evenly spread over the store, `most` at most or one chunk.

    Rows are shuffled within their folds, so a chunk is a sample of its own.
    """
    chunk = store.chunk_windows
    count = max(1, min(most // chunk, -(-store.windows // chunk)))
    firsts = np.linspace(0, -(-store.windows // chunk), count, endpoint=False).astype(np.int64)
    rows: NDArray[Any] = (firsts[:, None] * chunk + np.arange(chunk)).reshape(-1)
    return rows[rows < store.windows]
