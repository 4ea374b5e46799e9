"""The stream: tf.data datasets of batches out of the store, for training and for evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from headrace.model.normalisation_layers import normalise_raw
from headrace.model.normaliser import Normaliser
from headrace.pipeline.augmentations.chance import Sample
from headrace.pipeline.augmentations.registry import Setting
from headrace.pipeline.rows.order import BEGINNING, Order, Position, training_order
from headrace.pipeline.rows.ranges import cut_ranges, first_rows, merge_ranges
from headrace.pipeline.rows.sampling import Sampling
from headrace.pipeline.rows.split import fold_ranges
from headrace.pipeline.stream.augment import (
    augmentations_in_units,
    augmentations_once_normalised,
    augments,
    augments_in_units,
    partners,
)
from headrace.pipeline.stream.buffers import (
    EVALUATION_CHUNKS,
    LEAST_PREFETCHED,
    PREPARE_CALLS,
    block_rows,
    buffer_rows,
    evaluation_buffers,
    evaluation_rows,
    stream_buffers,
    window_shape,
)
from headrace.pipeline.stream.gather import gather, gather_features, gather_raw
from headrace.pipeline.stream.graph import call_from_graph
from headrace.stores.errors import StoreError

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.config.sections import StreamOptions
    from headrace.stores import Store
COPY_BITS = 48
"""Lower bits of a source index in the stream: the candidate's number. Above: which copy it is, so
that the copies of a window are augmented each in its own way."""


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

    The order is `training_order`; values depend on (seed, epoch, source_index) alone, so a stream
    that starts at a later position gives the same bits as one that arrives there.

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
        rank: which of the consumers of this training the stream is for, from 0.
        ranks: their number: their rows are disjoint, and together the epoch. With
            `stream.drop_remainder` all get the same number of batches.

    Returns:
        Dataset of (inputs, labels, weights): inputs a dict of float32 `raw` (B, T, C) and
        `features` (B, F), normalised, those that `model.inputs` names; labels and weights dicts
        with an entry a head, float32 (B, K) (one-hot, or mixed) and (B,).

    Raises:
        UserError: the folds hold no windows or not one batch, or features are asked for and the
            store has none.
    """
    order = training_order(store, folds, config, rank, ranks)
    steps = order.steps(
        config.train.batch, config.stream.drop_remainder, config.train.steps_per_epoch
    )
    first_buffer, skipped = order.locate(
        start.epoch, min(start.step * config.train.batch, order.rank_rows(start.epoch))
    )
    delivered = (start.epoch, first_buffer, skipped)
    read = _buffer_reader(store, order, config, normaliser, delivered, sampling)
    rows = _block_rows(store, config)
    cut = _block_cutter(rows, partners(config.augment))
    prepare = _preparation(store, config, normaliser, class_weights, heads, rows)

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        resumed = epoch == start.epoch
        first = tf.where(resumed, tf.constant(first_buffer, tf.int64), 0)
        remaining = steps - tf.where(resumed, tf.constant(start.step, tf.int64), 0)
        return (
            tf.data.Dataset.range(first, order.buffers)
            .map(
                lambda buffer: read(epoch, buffer),
                num_parallel_calls=config.stream.read_threads,
                deterministic=True,
            )
            .flat_map(cut)
            .map(prepare, num_parallel_calls=PREPARE_CALLS, deterministic=True)
            # Inside the epoch, so that no batch crosses into the next one.
            .rebatch(config.train.batch, drop_remainder=config.stream.drop_remainder)
            .take(remaining)
        )

    last = config.train.epochs if epochs is None else epochs
    return _fixed(
        tf.data.Dataset.range(start.epoch, last).flat_map(epoch_batches),
        config.stream,
        config.stream.prefetch_batches,
        stream_buffers(config, window_shape(store, config), buffer_rows(config, store)),
    )


def evaluation_stream(
    store: Store,
    folds: Sequence[str],
    config: Config,
    max_windows: int | None = None,
    batch: int | None = None,
) -> tf.data.Dataset:
    """Every window of the folds once, in the order of the store, neither augmented nor normalised.

    Args:
        store: where the windows are.
        folds: names of the folds.
        config: its sections stream, model (inputs) and evaluate.
        max_windows: take the first windows of each fold, in proportion, this many in all.
        batch: windows of a batch; None for `evaluate.batch`.

    Returns:
        Finite dataset of dicts: float32 `raw` (B, T, C) in units and `features` (B, F), those that
        `model.inputs` names, `label` and `group` (B,) int32, `source_index` (B,) int64.

    Raises:
        UserError: features are asked for and the store has none.
    """
    names = (*input_names(store, config), "label", "group", "source_index")
    chosen = first_rows(fold_ranges(store, folds), max_windows)
    pieces = cut_ranges(merge_ranges(chosen), EVALUATION_CHUNKS * store.chunk_windows)

    def read(number: np.int64) -> list[NDArray[Any]]:
        columns = store.read_many(names, [pieces[int(number)]])
        return [columns[name] for name in names]

    def in_units(sample: Sample) -> Sample:
        return {name: _in_units(store, name, value) for name, value in sample.items()}

    return _fixed(
        tf.data.Dataset.range(len(pieces))
        .map(
            lambda number: _tensors(store, names, read, [number]),
            num_parallel_calls=config.stream.read_threads,
            deterministic=True,
        )
        .rebatch(batch or config.evaluate.batch)
        .map(in_units, num_parallel_calls=PREPARE_CALLS, deterministic=True),
        config.stream,
        LEAST_PREFETCHED,
        evaluation_buffers(config, window_shape(store, config), evaluation_rows(store)),
    )


def channel_deviations(normaliser: Normaliser) -> NDArray[np.float32]:
    """Standard deviations of the channels, float32 (C,), in units; 0 where one is constant."""
    spread = normaliser.raw_scale > 0
    return np.where(spread, 1 / np.where(spread, normaliser.raw_scale, 1), 0).astype(np.float32)


def input_names(store: Store, config: Config) -> tuple[str, ...]:
    """Arrays that the network of `model.inputs` takes: `raw`, `features` or both.

    Raises:
        UserError: features are asked for and the store has none.
    """
    inputs = config.model.inputs
    if inputs != "raw" and not store.feature_names:
        raise StoreError(
            f'model.inputs = "{inputs}" needs features, and {store.path} holds none. Set '
            'model.inputs = "raw", or features.select = ["*"] for a new store.'
        )
    return {"hybrid": ("raw", "features"), "raw": ("raw",), "features": ("features",)}[inputs]


def _buffer_reader(
    store: Store,
    order: Order,
    config: Config,
    normaliser: Normaliser,
    resumed: tuple[int, int, int],
    sampling: Sampling | None,
) -> Callable[[tf.Tensor, tf.Tensor], Sample]:
    """Function (epoch, buffer) -> the buffer's columns, in the order that they are delivered in.

    What is not augmented in units is normalised here, on the way: features always. Of the resumed
    (epoch, buffer, rows) the rows are left out that were delivered before. With mixing on, the
    first row follows the last: it is its partner. With balanced sampling as many rows are drawn as
    the buffer has, and the upper bits of a source index say which copy of its row each is.
    """
    names = _carried(store, config)
    needed = (*names, "group") if sampling is not None and sampling.column == "group" else names
    shared = partners(config.augment)
    gathers = {"features": gather_features(normaliser)}
    if _is_scaled_early(store, config):
        gathers["raw"] = gather_raw(normaliser, store.spec.time)

    def read(epoch: np.int64, buffer: np.int64) -> list[NDArray[Any]]:
        place = int(epoch), int(buffer)
        ranges = order.buffer_ranges(*place)
        columns = store.read_many(needed, ranges)
        rows = order.row_order(*place, sum(stop - start for start, stop in ranges))
        if shared:
            rows = np.append(rows, rows[:1])
        rows = rows[resumed[2] if place == resumed[:2] else 0 :]
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
        return _tensors(store, names, read, [epoch, buffer]) | {"epoch": epoch}

    return tensors


def _is_scaled_early(store: Store, config: Config) -> bool:
    """Whether raw needs no conversion to units, and nothing augments it there."""
    ready = store.spec.dtype == np.float32 and all(factor == 1 for factor in store.spec.scale)
    return ready and not augments_in_units(config.augment)


def _block_rows(store: Store, config: Config) -> int:
    """Rows that are prepared together: more if that leaves raw and features alone.

    A quarter of a buffer then: fewer calls, and no more buffers are held than otherwise.
    """
    names = _carried(store, config)
    is_ready = "source_index" not in names and (
        "raw" not in names or _is_scaled_early(store, config)
    )
    usual, batch = block_rows(window_shape(store, config), config.train.batch), config.train.batch
    return max(usual, buffer_rows(config, store) // 4 // batch * batch) if is_ready else usual


def _carried(store: Store, config: Config) -> tuple[str, ...]:
    """Arrays that a training reads: source indices are what chance is hashed from, if any is on."""
    hashed = ("source_index",) if augments(config.augment) else ()
    return (*input_names(store, config), "label", *hashed)


def _tensors(
    store: Store,
    names: Sequence[str],
    read: Callable[..., list[NDArray[Any]]],
    arguments: list[tf.Tensor],
) -> Sample:
    """Call `read` from the graph, and say what it returns: a dict of columns (n, ...)."""
    kinds = {
        "raw": (store.spec.shape, store.spec.dtype),
        "features": ((len(store.feature_names),), np.dtype(np.float32)),
        "label": ((), np.dtype(np.int32)),
        "group": ((), np.dtype(np.int32)),
        "source_index": ((), np.dtype(np.int64)),
    }
    columns = [(name, *kinds[name]) for name in names]
    return call_from_graph(read, arguments, columns)


def _block_cutter(rows: int, shared: int) -> Callable[[Sample], tf.data.Dataset]:
    """Function buffer -> dataset of blocks: where each begins, and the whole buffer.

    Under op determinism a data set of tensors in here, which needs no function and is made sooner,
    would make tf.data run all maps of the stream one call at a time.
    """

    def cut(buffer: Sample) -> tf.data.Dataset:
        count = tf.size(buffer["label"], tf.int64)
        starts = tf.data.Dataset.range(0, count - shared, rows)
        return starts.map(lambda start: (start, buffer))

    return cut


def _preparation(
    store: Store,
    config: Config,
    normaliser: Normaliser,
    class_weights: ArrayLike | None,
    heads: Sequence[str],
    rows: int,
) -> Callable[[tf.Tensor, Sample], tuple[Sample, Sample, Sample]]:
    """Function (start, buffer) -> (inputs, labels, weights) of a block: augmented, mixed.

    A block is small enough for a core's cache. With mixing on, it ends with the partner of its
    last row.
    """
    inputs = input_names(store, config)
    classes, time, seed = len(store.classes), store.spec.time, config.train.seed
    weights = np.ones(classes) if class_weights is None else np.asarray(class_weights)
    blended = (*inputs, "label", "weight")
    setting = Setting(time, channel_deviations(normaliser), seed, blended)
    in_units = augmentations_in_units(config.augment, setting) if "raw" in inputs else []
    normalised = augmentations_once_normalised(config.augment, setting)
    statistics = _for_each_sample(normaliser, time)
    scaled_late = "raw" in inputs and not _is_scaled_early(store, config)
    held = rows + partners(config.augment)
    carried = _carried(store, config)

    def prepare(start: tf.Tensor, buffer: Sample) -> tuple[Sample, Sample, Sample]:
        sample = {"epoch": buffer["epoch"]}
        own = slice(start, start + held)
        for name in carried:
            sample[name] = buffer[name][own]
        if scaled_late:
            sample["raw"] = _in_units(store, "raw", sample["raw"])
        for augment in in_units:
            sample = augment(sample)
        if scaled_late:
            sample["raw"] = normalise_raw(sample["raw"], statistics)
        sample["weight"] = tf.gather(tf.constant(weights, tf.float32), sample["label"])
        sample["label"] = tf.one_hot(sample["label"], classes)
        for augment in normalised:
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


def _in_units(store: Store, name: str, value: tf.Tensor) -> tf.Tensor:
    """Raw as float32 in units; any other column as it is."""
    if name != "raw":
        return value
    raw = tf.cast(value, tf.float32)
    scale = np.tile(np.array(store.spec.scale, np.float32), (store.spec.time, 1))
    return raw if (scale == 1).all() else raw * scale


def _fixed(
    dataset: tf.data.Dataset, options: StreamOptions, prefetched: int, held: Mapping[str, int]
) -> tf.data.Dataset:
    """Prefetch a few batches, and let nothing grow or reorder.

    Threads of its own, as many as it makes calls at a time, keep reads that wait for the disk from
    holding up the network's. One thread a call: blocks are small, and are prepared side by side.
    """
    settings = tf.data.Options()
    settings.autotune.enabled = False
    # Half of the machine's memory unless it is said.
    settings.autotune.ram_budget = sum(held.values())
    settings.deterministic = True
    settings.threading.private_threadpool_size = options.read_threads + PREPARE_CALLS
    settings.threading.max_intra_op_parallelism = 1
    return dataset.prefetch(prefetched).with_options(settings)
