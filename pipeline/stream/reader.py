"""One buffer of a stream: rows read, drawn, put in their order, normalised; no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.model.normaliser import Normaliser
from headrace.model.targets.interface import NO_STATISTICS, TargetStatistics
from headrace.pipeline.rows.sampling import Sampling
from headrace.pipeline.stream.gather import Gather, gather, gather_features, gather_raw
from headrace.pipeline.stream.jitter import moved, room
from headrace.pipeline.stream.route import Route
from headrace.stores.shards.cut import CutWindows

if TYPE_CHECKING:
    from headrace.pipeline.rows.ranges import Range
    from headrace.stores import Store

COPY_BITS = 48
"""Lower bits of a source index in the stream: the candidate's number. Above: which copy it is, so
that the copies of a window are augmented each in its own way."""
FIRST = "raw_first"
"""Column of a buffer of stretches: where each window begins among all of their values."""
ReadBuffer = Callable[[int, int, int], dict[str, NDArray[Any]]]
"""Function (epoch, buffer, rows to skip) -> name -> (n, ...): what a block is cut from."""


class BufferOrder(Protocol):
    """Which rows each buffer of an epoch holds, in which order: `Order`, or `InOrder`."""

    @property
    def buffers(self) -> int:
        """Buffers of an epoch."""

    def rank_rows(self, epoch: int) -> int:
        """Rows of an epoch."""

    def steps(self, batch: int, drop_remainder: bool, limit: int | None = None) -> int:
        """Batches of an epoch."""

    def buffer_ranges(self, epoch: int, buffer: int) -> list[Range]:
        """Row ranges of a buffer, in the order they are read."""

    def row_order(self, epoch: int, buffer: int, rows: int) -> NDArray[np.int64]:
        """Order in which a buffer delivers its rows: int64 (rows,)."""

    def draw_offset(self, epoch: int, buffer: int) -> float:
        """Chance of a buffer in [0, 1)."""

    def locate(self, epoch: int, row: int) -> tuple[int, int]:
        """Buffer that delivers the epoch's row number `row`, and the rows of it that precede."""


@dataclass(frozen=True, eq=False)
class Delivery:
    """What the batches of a stream hold of a window, beside its inputs.

    Attributes:
        normaliser: fitted to the training folds, in units.
        units: whether inputs stay in units.
        class_weights: that the target looks sample weights up in; None for 1.
        one_hot: labels as the target's loss takes them; else as they are stored.
        heads: names of the network's outputs, which all get the same label; None: one, unnamed.
        sampling: how the rows of a buffer are drawn; None for each once.
    """

    normaliser: Normaliser
    units: bool = False
    class_weights: NDArray[np.float32] | None = None
    one_hot: bool = True
    heads: tuple[str, ...] | None = ("label",)
    sampling: Sampling | None = None
    statistics: TargetStatistics = NO_STATISTICS
    """Of the labels of the training folds."""


def buffer_reader(
    store: Store,
    order: BufferOrder,
    route: Route,
    gathers: Mapping[str, Gather],
    sampling: Sampling | None,
) -> ReadBuffer:
    """Function that reads a buffer's columns, in the order that they are delivered in.

    Windows of a store of stretches are not cut yet: `raw` holds the stretches, and `FIRST` says
    where each window begins.

    With mixing on, the first row follows the last: it is its partner. With balanced sampling as
    many rows are drawn as the buffer has, and the upper bits of a source index say which copy of
    its row each is.

    Args:
        store: where the windows are.
        order: which rows, in which order.
        route: what is read, and whether partners follow.
        gathers: of arrays that are normalised while their rows are put in order.
        sampling: how rows are drawn; None for each once.
    """
    names = route.carried
    needed = (*names, "group") if sampling is not None and sampling.column == "group" else names

    def read(epoch: int, buffer: int, skipped: int) -> dict[str, NDArray[Any]]:
        ranges = order.buffer_ranges(epoch, buffer)
        columns = store.read_buffer(needed, ranges)
        rows = order.row_order(epoch, buffer, sum(stop - start for start, stop in ranges))
        if route.partners:
            rows = np.append(rows, rows[:1])
        rows, copy = rows[skipped:], np.zeros(1, np.int64)
        if sampling is not None:
            offset = order.draw_offset(epoch, buffer)
            drawn, copies = sampling.draw(columns[sampling.column], offset)
            rows, copy = drawn[rows], copies[rows]
        delivered: dict[str, NDArray[Any]] = {}
        if route.jitter_seed is not None:
            # Before rows are left out: what a buffer holds is the same wherever it is resumed.
            before, after = room(columns["raw"], columns["label"], store.manifest.step)
        for name in names:
            # Popped, so that what was read is given back as soon as it is in order.
            column = columns.pop(name)
            if isinstance(column, CutWindows):
                delivered |= {name: column.stretches, FIRST: column.first[rows]}
            else:
                delivered[name] = gathers.get(name, gather)(column, rows)
        if "source_index" in names:
            delivered["source_index"] |= copy << COPY_BITS
        if route.jitter_seed is not None:
            place = delivered[FIRST], (before[rows], after[rows]), delivered["source_index"]
            channels = len(store.spec.channels)
            delivered[FIRST] = moved(*place, route.jitter_seed, epoch, channels)
        return delivered

    return read


def early_gathers(route: Route, store: Store, delivery: Delivery) -> dict[str, Gather]:
    """What normalises while rows are put in order: features always, raw where nothing hinders."""
    gathers = {}
    if not delivery.units:
        gathers["features"] = gather_features(delivery.normaliser)
        if route.scaled_early:
            gathers["raw"] = gather_raw(delivery.normaliser, store.spec.time, store.spec.scale)
    return gathers


def channel_deviations(normaliser: Normaliser) -> NDArray[np.float32]:
    """Standard deviations of the channels, float32 (C,), in units; 0 where one is constant."""
    spread = normaliser.raw_scale > 0
    return np.where(spread, 1 / np.where(spread, normaliser.raw_scale, 1), 0).astype(np.float32)
