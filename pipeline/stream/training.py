"""The stream of a training: batches out of the store in their order, for TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from headrace.model.normalisation_layers import normalise_raw
from headrace.model.normaliser import Normaliser
from headrace.model.targets.registry import target_model
from headrace.pipeline.augmentations.chance import Sample
from headrace.pipeline.augmentations.registry import Setting
from headrace.pipeline.rows.order import BEGINNING, Position, training_order
from headrace.pipeline.rows.sampling import Sampling
from headrace.pipeline.stream.augment import augmentations_in_units, augmentations_once_normalised
from headrace.pipeline.stream.buffers import (
    PREPARE_CALLS,
    buffer_rows,
    stream_buffers,
    window_shape,
)
from headrace.pipeline.stream.gather import Gather, gather
from headrace.pipeline.stream.graph import (
    call_from_graph,
    column_kinds,
    in_units,
    with_bounds,
)
from headrace.pipeline.stream.own_augment import own_augmentations, own_faults
from headrace.pipeline.stream.reader import (
    FIRST,
    BufferOrder,
    Delivery,
    ReadBuffer,
    buffer_reader,
    channel_deviations,
    early_gathers,
)
from headrace.pipeline.stream.route import Route, route_of
from headrace.pipeline.stream.target import network_target, target_statistics
from headrace.stores.shards.cut import CutWindows

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store

Batch = tuple[Sample, Any, Any]
"""Inputs, labels and sample weights, by name."""
Start = Callable[[], Position]
"""Asked whenever an iterator begins: the first batch that it delivers."""


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
        class_weights: that the target looks sample weights up in; None for 1.
        start: first batch delivered.
        epochs: number of the epoch to stop before; None for `train.epochs`.
        heads: names of the network's outputs, which all get the same label.
        sampling: how the rows of a buffer are drawn; None for each once.
        rank, ranks: which of how many consumers the stream is for, from 0. Their rows are disjoint
            and together the epoch; with `stream.drop_remainder` all get as many batches, and at
            most ranks * batch - 1 rows of an epoch are left out.

    Returns:
        Dataset of `Batch`: inputs float32 `raw` (B, T, C) and `features` (B, F), normalised, those
        that `model.inputs` names; labels as the target encodes them (of classes (B, K), one-hot or
        mixed) and weights of each head.

    Raises:
        UserError: the folds hold not one batch, or features are asked for that the store lacks.
    """
    order = training_order(store, folds, config, rank, ranks)
    weights = None if class_weights is None else np.asarray(class_weights, np.float32)
    delivery = Delivery(
        normaliser,
        class_weights=weights,
        heads=tuple(heads),
        sampling=sampling,
        statistics=target_statistics(store, folds),
    )
    last = config.train.epochs if epochs is None else epochs
    return batch_stream(store, order, config, delivery, lambda: start, last)


def batch_stream(
    store: Store,
    order: BufferOrder,
    config: Config,
    delivery: Delivery,
    start: Start,
    epochs: int,
) -> tf.data.Dataset:
    """Batches of `order`, from where `start` says to the end of the epoch before `epochs`.

    Args:
        store: where the windows are.
        order: which rows, in which order.
        config: its sections stream, augment, model (inputs) and train.
        delivery: what batches hold.
        start: asked by each iterator as it begins.
        epochs: number of the epoch to stop before.

    Returns:
        Dataset of `Batch`, as `training_stream`; without heads labels and weights are tensors.

    Raises:
        UserError: as `training_stream`.
    """
    route = route_of(store, config)
    gathers = early_gathers(route, store, delivery)
    read = _tensor_reader(
        store,
        route,
        buffer_reader(store, order, route, gathers, delivery.sampling),
    )
    prepare = _preparation(store, config, route, delivery, gathers.get("raw", gather))
    steps = order.steps(
        config.train.batch, config.stream.drop_remainder, config.train.steps_per_epoch
    )
    batches = _epoch_batches(config, order.buffers, steps, read, _block_cutter(route), prepare)

    def begin(_: Any) -> list[NDArray[Any]]:
        at = start()
        rows = min(at.step * config.train.batch, order.rank_rows(at.epoch))
        return [
            np.array([each], np.int64)
            for each in (at.epoch, at.step, *order.locate(at.epoch, rows))
        ]

    columns = [(name, (), np.dtype(np.int64)) for name in ("epoch", "step", "buffer", "rows")]

    # All that it calls, the user's Python too, is run as it stands, with its `if` and `for`.
    @tf.autograph.experimental.do_not_convert
    def resumed(number: tf.Tensor) -> tf.data.Dataset:
        found = call_from_graph(begin, [number], columns)
        at = {name: value[0] for name, value in found.items()}
        return tf.data.Dataset.range(at["epoch"], epochs).flat_map(lambda epoch: batches(epoch, at))

    held = stream_buffers(config, window_shape(store, config), buffer_rows(config, store))
    with own_faults():
        every = tf.data.Dataset.range(1).flat_map(resumed)
    return with_bounds(every, config.stream, config.stream.prefetch_batches, held)


def _epoch_batches(
    config: Config,
    buffers: int,
    steps: int,
    read: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Sample],
    cut: Callable[[Sample], tf.data.Dataset],
    prepare: Callable[[tf.Tensor, Sample], Batch],
) -> Callable[[tf.Tensor, Sample], tf.data.Dataset]:
    """Function (epoch, where it began) -> its batches, those that were delivered before left out.

    Of the buffer that is resumed the rows are left out that were delivered before.
    """
    options, batch = config.stream, config.train.batch

    def batches(epoch: tf.Tensor, at: Sample) -> tf.data.Dataset:
        first, step, skipped = (
            tf.where(epoch == at["epoch"], at[name], 0) for name in ("buffer", "step", "rows")
        )
        return (
            tf.data.Dataset.range(first, buffers)
            .map(
                lambda buffer: read(epoch, buffer, tf.where(buffer == first, skipped, 0)),
                num_parallel_calls=options.read_threads,
                deterministic=True,
            )
            .flat_map(cut)
            .map(prepare, num_parallel_calls=PREPARE_CALLS, deterministic=True)
            # Inside the epoch, so that no batch crosses into the next one.
            .rebatch(batch, drop_remainder=options.drop_remainder)
            .take(steps - step)
        )

    return batches


def _tensor_reader(
    store: Store, route: Route, read: ReadBuffer
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Sample]:
    """`read`, from the graph."""
    names = route.carried
    kinds = column_kinds(store)
    if route.cuts:
        manifest = store.manifest
        kinds["raw"] = (manifest.raw_time, len(manifest.channels)), store.spec.dtype
        kinds[FIRST] = (), np.dtype(np.int64)
        names = (*names, FIRST)
    columns = [(name, *kinds[name]) for name in names]

    def read_columns(*place: np.int64) -> list[NDArray[Any]]:
        found = read(*map(int, place))
        return [found[name] for name in names]

    def tensors(epoch: tf.Tensor, buffer: tf.Tensor, skipped: tf.Tensor) -> Sample:
        place = [epoch, buffer, skipped]
        return call_from_graph(read_columns, place, columns) | {"epoch": epoch}

    return tensors


def _block_cutter(route: Route) -> Callable[[Sample], tf.data.Dataset]:
    """Function buffer -> dataset of blocks: where each begins, and the whole buffer.

    Under op determinism a data set of tensors in here, which needs no function and is made sooner,
    would make tf.data run all maps of the stream one call at a time.
    """

    def cut(buffer: Sample) -> tf.data.Dataset:
        count = tf.shape(buffer["label"], tf.int64)[0]
        starts = tf.data.Dataset.range(0, count - route.partners, route.rows)
        return starts.map(lambda start: (start, buffer))

    return cut


def _preparation(
    store: Store, config: Config, route: Route, delivery: Delivery, gather_raw: Gather
) -> Callable[[tf.Tensor, Sample], Batch]:
    """Function (start, buffer) -> (inputs, labels, weights) of a block: augmented, mixed.

    A block is small enough for a core's cache. With mixing on, it ends with the partner of its
    last row.
    """
    inputs, heads = route.inputs, delivery.heads
    time, seed = store.spec.time, config.train.seed
    target = target_model(network_target(store.target))
    blended = (*inputs, "label", "weight")
    setting = Setting(time, channel_deviations(delivery.normaliser), seed, blended)
    early = augmentations_in_units(config.augment, setting) if "raw" in inputs else []
    own = own_augmentations(config, inputs)
    late = augmentations_once_normalised(config.augment, setting, own)
    statistics = _for_each_sample(delivery.normaliser, time)
    held = route.rows + route.partners
    cut = _window_cutter(store, route, gather_raw)

    def prepare(start: tf.Tensor, buffer: Sample) -> Batch:
        sample = {"epoch": buffer["epoch"]}
        own = slice(start, start + held)
        for name in route.carried:
            if name == "raw" and route.cuts:
                sample[name] = cut(buffer["raw"], buffer[FIRST][own])
            else:
                sample[name] = buffer[name][own]
        if route.scaled_late:
            sample["raw"] = in_units(sample["raw"], store.spec)
        for augment in early:
            sample = augment(sample)
        if route.scaled_late and not delivery.units:
            sample["raw"] = normalise_raw(sample["raw"], statistics)
        encoded, sample["weight"] = target.encode(
            sample["label"], delivery.statistics, delivery.class_weights
        )
        if delivery.one_hot:
            sample["label"] = encoded
        for augment in late:
            sample = augment(sample)
        given = {name: sample[name] for name in inputs}
        if heads is None:
            return given, sample["label"], sample["weight"]
        return given, dict.fromkeys(heads, sample["label"]), dict.fromkeys(heads, sample["weight"])

    return prepare


def _window_cutter(
    store: Store, route: Route, gather_raw: Gather
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Function (stretches, where windows begin) -> windows (n, T, C), by `gather_raw`."""
    dtype = np.dtype(np.float32) if route.scaled_early else store.spec.dtype
    columns = [("raw", store.spec.shape, dtype)]

    def cut(stretches: NDArray[Any], first: NDArray[np.int64]) -> list[NDArray[Any]]:
        windows = CutWindows(stretches, first, store.spec.time)
        return [gather_raw(windows, np.arange(len(first)))]

    return lambda stretches, first: call_from_graph(cut, [stretches, first], columns)["raw"]


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
