"""Batches as NumPy arrays: the rows and the bits of the tf.data stream, without TensorFlow."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from headrace.model.targets.registry import target_model
from headrace.pipeline.augmentations.registry import ApplyArrays, Setting, Stage, chosen
from headrace.pipeline.rows.order import Position
from headrace.pipeline.stream.buffers import block_rows, window_shape
from headrace.pipeline.stream.gather import gather_in_units, gather_raw, standardise_in_place
from headrace.pipeline.stream.reader import (
    FIRST,
    BufferOrder,
    Delivery,
    buffer_reader,
    channel_deviations,
    early_gathers,
)
from headrace.pipeline.stream.route import route_of
from headrace.pipeline.stream.target import network_target
from headrace.stores.errors import ConfigError
from headrace.stores.shards.cut import CutWindows

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store

Made = TypeVar("Made")
Columns = dict[str, NDArray[Any]]
ArrayBatch = tuple[Columns, NDArray[Any], NDArray[np.float32]]
"""Inputs by name, labels and sample weights."""


def array_batches(
    store: Store,
    order: BufferOrder,
    config: Config,
    delivery: Delivery,
    start: Position,
    epochs: int | None,
) -> Iterator[ArrayBatch]:
    """Batches of `order`, as `stream.training.batch_stream` delivers them, as arrays.

    `stream.read_threads` buffers are made ahead. A batch is a view of its buffer where it can be:
    it keeps the whole of it alive.

    Args:
        store: where the windows are.
        order: which rows, in which order.
        config: its sections stream, augment, model (inputs) and train.
        delivery: what batches hold.
        start: the first batch that is delivered.
        epochs: number of the epoch to stop before; None: never.

    Raises:
        UserError: an augmentation is on that is for tf.data alone; a chunk is damaged.
    """
    maker = _BufferMaker(store, order, config, delivery)
    batch, options = config.train.batch, config.stream
    steps = order.steps(batch, options.drop_remainder, config.train.steps_per_epoch)
    epoch, step = start.epoch, start.step
    with ThreadPoolExecutor(options.read_threads, "headrace-read") as pool:
        while epochs is None or epoch < epochs:
            rows = min(step * batch, order.rank_rows(epoch))
            first, skipped = order.locate(epoch, rows)
            numbers = range(first, order.buffers)
            places = ((epoch, each, skipped * (each == first)) for each in numbers)
            buffers = maker.made(pool, places, options.read_threads)
            for number, found in enumerate(_cut(buffers, batch, options.drop_remainder), step):
                if number >= steps:
                    break
                yield found
            epoch, step = epoch + 1, 0


def _made_ahead(
    pool: ThreadPoolExecutor,
    make: Callable[..., Made],
    places: Iterator[tuple[Any, ...]],
    ahead: int,
) -> Iterator[Made]:
    """What is made of the places in order, so many in work or waiting."""
    waiting: deque[Future[Made]] = deque()
    try:
        for place in places:
            waiting.append(pool.submit(make, *place))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for each in waiting:
            each.cancel()


def _cut(buffers: Iterator[ArrayBatch], batch: int, drop_remainder: bool) -> Iterator[ArrayBatch]:
    """Batches of `batch` rows of buffers one after another; the last may be smaller."""
    rest: list[ArrayBatch] = []
    held = 0
    for buffer in buffers:
        count, at = len(buffer[1]), 0
        if rest:
            at = min(batch - held, count)
            rest.append(_rows(buffer, 0, at))
            held += at
            if held < batch:
                continue
            yield _joined(rest)
            rest, held = [], 0
        while at + batch <= count:
            yield _rows(buffer, at, at + batch)
            at += batch
        if at < count:
            rest, held = [_rows(buffer, at, count)], count - at
    if rest and not drop_remainder:
        yield _joined(rest)


def _rows(buffer: ArrayBatch, start: int, stop: int) -> ArrayBatch:
    inputs, label, weight = buffer
    cut = {name: values[start:stop] for name, values in inputs.items()}
    return cut, label[start:stop], weight[start:stop]


def _joined(parts: list[ArrayBatch]) -> ArrayBatch:
    if len(parts) == 1:
        return parts[0]
    inputs = {name: np.concatenate([part[0][name] for part in parts]) for name in parts[0][0]}
    label, weight = (np.concatenate([part[each] for part in parts]) for each in (1, 2))
    return inputs, label, weight


class _BufferMaker:
    """Makes inputs, labels and weights of the rows of buffers."""

    def __init__(
        self, store: Store, order: BufferOrder, config: Config, delivery: Delivery
    ) -> None:
        """Of `order`; raises UserError: an augmentation is on that is for tf.data alone."""
        self._route, self._time = route_of(store, config), store.spec.time
        self._target, self._delivery = target_model(network_target(store.target)), delivery
        blended = (*self._route.inputs, "label", "weight")
        deviations = channel_deviations(delivery.normaliser)
        setting = Setting(store.spec.time, deviations, config.train.seed, blended)
        self._augment, in_units = _on_raw(store, config, delivery, setting)
        gathers = early_gathers(self._route, store, delivery)
        if in_units:
            gathers["raw"] = gather_in_units(store.spec)
        else:
            gathers["raw"] = gather_raw(delivery.normaliser, store.spec.time, store.spec.scale)
        self._gather_raw = gathers["raw"]
        self._read = buffer_reader(store, order, self._route, gathers, delivery.sampling)
        self._pairs = _augmentations(config, setting, Stage.PAIRS)
        if config.augment.custom:
            raise ConfigError(
                f"The augmentation {config.augment.custom[0]} is for tf.data alone: use tf(), or "
                "leave augment.custom out."
            )

    def made(
        self, pool: ThreadPoolExecutor, places: Iterator[tuple[int, int, int]], ahead: int
    ) -> Iterator[ArrayBatch]:
        """Buffers in order; of stretches, blocks of them: their windows are cut then, not before.

        Args:
            pool: of `ahead` threads.
            places: (epoch, buffer, rows to skip) of each.
            ahead: how many are in work or waiting.
        """
        if not self._route.cuts:
            return _made_ahead(pool, self._whole, places, ahead)
        buffers = _made_ahead(pool, lambda *place: (self._read(*place), place[0]), places, ahead)
        return _made_ahead(pool, self._block, self._blocks(buffers), ahead)

    def _whole(self, epoch: int, buffer: int, skipped: int) -> ArrayBatch:
        return self._finished(self._read(epoch, buffer, skipped), epoch)

    def _blocks(
        self, buffers: Iterator[tuple[Columns, int]]
    ) -> Iterator[tuple[Columns, int, int, int]]:
        partners = self._route.partners
        for columns, epoch in buffers:
            rows = len(columns["label"]) - partners
            for start in range(0, rows, self._route.rows):
                yield columns, epoch, start, min(start + self._route.rows, rows) + partners

    def _block(self, columns: Columns, epoch: int, start: int, stop: int) -> ArrayBatch:
        block = {name: columns[name][start:stop] for name in columns if name not in ("raw", FIRST)}
        windows = CutWindows(columns["raw"], columns[FIRST][start:stop], self._time)
        block["raw"] = self._gather_raw(windows, np.arange(stop - start))
        # What is mixed in place is another block's partner.
        if self._pairs:
            block = {
                name: values if name == "raw" else values.copy() for name, values in block.items()
            }
        return self._finished(block, epoch)

    def _finished(self, columns: Columns, epoch: int) -> ArrayBatch:
        self._augment(columns, epoch)
        encoded, columns["weight"] = self._target.encode_arrays(
            columns["label"], self._delivery.statistics, self._delivery.class_weights
        )
        if self._delivery.one_hot:
            columns["label"] = encoded
        for blend in self._pairs:
            blend(columns, epoch)
        kept = len(columns["label"]) - self._route.partners
        given = {name: columns[name][:kept] for name in self._route.inputs}
        return given, columns["label"][:kept], columns["weight"][:kept]


def _on_raw(
    store: Store, config: Config, delivery: Delivery, setting: Setting
) -> tuple[ApplyArrays, bool]:
    """What is done to raw once its rows are in order, and whether it takes it in units.

    Augmented in units, it is normalised here, a block that fits a core's cache at a time.
    """
    has_raw = "raw" in setting.blended
    early = _augmentations(config, setting, Stage.UNITS) if has_raw else []
    late = _augmentations(config, setting, Stage.NORMALISED) if has_raw else []
    steps = [*early, *late]
    if early and not delivery.units:
        normalise = standardise_in_place(delivery.normaliser, setting.time)
        steps = [*early, lambda sample, _: normalise(sample["raw"]), *late]
    rows = block_rows(window_shape(store, config), config.train.batch)

    def apply(columns: Columns, epoch: int) -> None:
        for at in range(0, len(columns["label"]) if steps else 0, rows):
            block = {name: columns[name][at : at + rows] for name in ("raw", "source_index")}
            for step in steps:
                step(block, epoch)

    return apply, bool(early) or delivery.units


def _augmentations(config: Config, setting: Setting, stage: Stage) -> list[ApplyArrays]:
    """Those of a stage that are on, for arrays.

    Raises:
        UserError: one is for tf.data alone.
    """
    found = []
    for each, options in chosen(config.augment, stage):
        if each.arrays is None:
            raise ConfigError(
                f"The augmentation {each.name} is for tf.data alone: use tf(), or set "
                f"{each.name}_probability = 0."
            )
        found.append(each.arrays(options, setting))
    return found
