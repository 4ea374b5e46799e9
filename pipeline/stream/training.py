"""The stream of a training: batches out of the store in their order, for TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from headrace.model.normalisation_layers import normalise_raw
from headrace.model.normaliser import Normaliser
from headrace.pipeline.augmentations.chance import Sample
from headrace.pipeline.augmentations.registry import Setting
from headrace.pipeline.rows.order import BEGINNING, Order, Position, training_order
from headrace.pipeline.rows.sampling import Sampling
from headrace.pipeline.stream.augment import augmentations_in_units, augmentations_once_normalised
from headrace.pipeline.stream.buffers import (
    PREPARE_CALLS,
    buffer_rows,
    stream_buffers,
    window_shape,
)
from headrace.pipeline.stream.gather import gather, gather_features, gather_raw
from headrace.pipeline.stream.graph import columns_from_graph, in_units, with_bounds
from headrace.pipeline.stream.route import Route, route_of

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store

Batch = tuple[Sample, Sample, Sample]
"""Inputs, labels and sample weights, by name."""
COPY_BITS = 48
"""Lower bits of a source index in the stream: the candidate's number. Above: which copy it is, so
that the copies of a window are augmented each in its own way."""


@dataclass(frozen=True)
class Resumed:
    """Where a stream begins: at a position, in a buffer of its epoch, past rows of that buffer."""

    start: Position
    buffer: int
    rows: int


def training_stream(
    store: Store,
    folds: Sequence[str],
    config: Config,
    normaliser: Normaliser,
    class_weights: ArrayLike | None = None,
    start: Position = BEGINNING,
    epochs: int | None = None,
    heads: Sequence[str] = ("label",),
    sampling: Sampling | None = None,
    rank: int = 0,
    ranks: int = 1,
) -> tf.data.Dataset:
    """Batches of a whole training, from `start` to the end of its last epoch.

    The order is `training_order`; values depend on (seed, epoch, source_index) alone: a stream that
    starts at a later position gives the same bits as one that arrives there.

    Args:
        store: where the windows are.
        folds: names of the training folds.
        config: its sections stream, augment, model (inputs) and train.
        normaliser: fitted to the training folds, in units.
        class_weights: (K,) sample weight of each class; None for 1.
        start: first batch delivered.
        epochs: number of the epoch to stop before; None for `train.epochs`.
        heads: names of the network's outputs, which all get the same label.
        sampling: how the rows of a buffer are drawn; None for each once.
        rank, ranks: which of how many consumers the stream is for, from 0. Their rows are disjoint
            and together the epoch; with `stream.drop_remainder` all get as many batches.

    Returns:
        Dataset of `Batch`: inputs float32 `raw` (B, T, C) and `features` (B, F), normalised, those
        that `model.inputs` names; labels (B, K) (one-hot, or mixed) and weights (B,) of each head.

    Raises:
        UserError: the folds hold not one batch, or features are asked for that the store lacks.
    """
    order, batch = training_order(store, folds, config, rank, ranks), config.train.batch
    route = route_of(store, config)
    before = min(start.step * batch, order.rank_rows(start.epoch))
    resumed = Resumed(start, *order.locate(start.epoch, before))
    read = _buffer_reader(store, order, route, normaliser, resumed, sampling)
    prepare = _preparation(store, config, route, normaliser, class_weights, heads)
    batches = _epoch_batches(config, order, resumed, read, _block_cutter(route), prepare)
    last = config.train.epochs if epochs is None else epochs
    epochs_batches = tf.data.Dataset.range(start.epoch, last).flat_map(batches)
    held = stream_buffers(config, window_shape(store, config), buffer_rows(config, store))
    return with_bounds(epochs_batches, config.stream, config.stream.prefetch_batches, held)


def _epoch_batches(
    config: Config,
    order: Order,
    resumed: Resumed,
    read: Callable[[tf.Tensor, tf.Tensor], Sample],
    cut: Callable[[Sample], tf.data.Dataset],
    prepare: Callable[[tf.Tensor, Sample], Batch],
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """Function epoch -> dataset of its batches, those that were delivered before left out."""
    options, batch, start = config.stream, config.train.batch, resumed.start
    steps = order.steps(batch, options.drop_remainder, config.train.steps_per_epoch)

    def batches(epoch: tf.Tensor) -> tf.data.Dataset:
        is_resumed = epoch == start.epoch
        first = tf.where(is_resumed, tf.constant(resumed.buffer, tf.int64), 0)
        remaining = steps - tf.where(is_resumed, tf.constant(start.step, tf.int64), 0)
        return (
            tf.data.Dataset.range(first, order.buffers)
            .map(
                lambda buffer: read(epoch, buffer),
                num_parallel_calls=options.read_threads,
                deterministic=True,
            )
            .flat_map(cut)
            .map(prepare, num_parallel_calls=PREPARE_CALLS, deterministic=True)
            # Inside the epoch, so that no batch crosses into the next one.
            .rebatch(batch, drop_remainder=options.drop_remainder)
            .take(remaining)
        )

    return batches


def channel_deviations(normaliser: Normaliser) -> NDArray[np.float32]:
    """Standard deviations of the channels, float32 (C,), in units; 0 where one is constant."""
    spread = normaliser.raw_scale > 0
    return np.where(spread, 1 / np.where(spread, normaliser.raw_scale, 1), 0).astype(np.float32)


def _buffer_reader(
    store: Store,
    order: Order,
    route: Route,
    normaliser: Normaliser,
    resumed: Resumed,
    sampling: Sampling | None,
) -> Callable[[tf.Tensor, tf.Tensor], Sample]:
    """Function (epoch, buffer) -> the buffer's columns, in the order that they are delivered in.

    What is not augmented in units is normalised here, on the way: features always. Of the buffer
    that is resumed the rows are left out that were delivered before. With mixing on, the
    first row follows the last: it is its partner. With balanced sampling as many rows are drawn as
    the buffer has, and the upper bits of a source index say which copy of its row each is.
    """
    names = route.carried
    needed = (*names, "group") if sampling is not None and sampling.column == "group" else names
    gathers = {"features": gather_features(normaliser)}
    if route.scaled_early:
        gathers["raw"] = gather_raw(normaliser, store.spec.time)

    def read(epoch: np.int64, buffer: np.int64) -> list[NDArray[Any]]:
        place = int(epoch), int(buffer)
        ranges = order.buffer_ranges(*place)
        columns = store.read_many(needed, ranges)
        rows = order.row_order(*place, sum(stop - start for start, stop in ranges))
        if route.partners:
            rows = np.append(rows, rows[:1])
        rows = rows[resumed.rows if place == (resumed.start.epoch, resumed.buffer) else 0 :]
        copy = np.zeros(1, np.int64)
        if sampling is not None:
            drawn, copies = sampling.draw(columns[sampling.column], order.draw_offset(*place))
            rows, copy = drawn[rows], copies[rows]
        # Popped, so that what was read is given back as soon as it is in order.
        delivered = {name: gathers.get(name, gather)(columns.pop(name), rows) for name in names}
        if "source_index" in names:
            delivered["source_index"] |= copy << COPY_BITS
        return [delivered[name] for name in names]

    def tensors(epoch: tf.Tensor, buffer: tf.Tensor) -> Sample:
        return columns_from_graph(store, names, read, [epoch, buffer]) | {"epoch": epoch}

    return tensors


def _block_cutter(route: Route) -> Callable[[Sample], tf.data.Dataset]:
    """Function buffer -> dataset of blocks: where each begins, and the whole buffer.

    Under op determinism a data set of tensors in here, which needs no function and is made sooner,
    would make tf.data run all maps of the stream one call at a time.
    """

    def cut(buffer: Sample) -> tf.data.Dataset:
        count = tf.size(buffer["label"], tf.int64)
        starts = tf.data.Dataset.range(0, count - route.partners, route.rows)
        return starts.map(lambda start: (start, buffer))

    return cut


def _preparation(
    store: Store,
    config: Config,
    route: Route,
    normaliser: Normaliser,
    class_weights: ArrayLike | None,
    heads: Sequence[str],
) -> Callable[[tf.Tensor, Sample], Batch]:
    """Function (start, buffer) -> (inputs, labels, weights) of a block: augmented, mixed.

    A block is small enough for a core's cache. With mixing on, it ends with the partner of its
    last row.
    """
    inputs = route.inputs
    classes, time, seed = len(store.classes), store.spec.time, config.train.seed
    weights = np.ones(classes) if class_weights is None else np.asarray(class_weights)
    blended = (*inputs, "label", "weight")
    setting = Setting(time, channel_deviations(normaliser), seed, blended)
    early = augmentations_in_units(config.augment, setting) if "raw" in inputs else []
    late = augmentations_once_normalised(config.augment, setting)
    statistics = _for_each_sample(normaliser, time)
    held = route.rows + route.partners

    def prepare(start: tf.Tensor, buffer: Sample) -> Batch:
        sample = {"epoch": buffer["epoch"]}
        own = slice(start, start + held)
        for name in route.carried:
            sample[name] = buffer[name][own]
        if route.scaled_late:
            sample["raw"] = in_units(sample["raw"], store.spec)
        for augment in early:
            sample = augment(sample)
        if route.scaled_late:
            sample["raw"] = normalise_raw(sample["raw"], statistics)
        sample["weight"] = tf.gather(tf.constant(weights, tf.float32), sample["label"])
        sample["label"] = tf.one_hot(sample["label"], classes)
        for augment in late:
            sample = augment(sample)
        return (
            {name: sample[name] for name in inputs},
            {head: sample["label"] for head in heads},
            {head: sample["weight"] for head in heads},
        )

    return prepare


def _for_each_sample(normaliser: Normaliser, time: int) -> Normaliser:
    """The same statistics, those of raw repeated as (T, C).

    TensorFlow broadcasts over windows six times as fast as over the samples of a window.
    """
    shape = (time, normaliser.raw_mean.size)
    return dataclasses.replace(
        normaliser,
        raw_mean=np.broadcast_to(normaliser.raw_mean, shape),
        raw_scale=np.broadcast_to(normaliser.raw_scale, shape),
    )
