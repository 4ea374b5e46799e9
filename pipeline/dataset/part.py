"""A part of a data set: its batches from any step on, for TensorFlow, NumPy and torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from headrace.pipeline.dataset.arguments import folder_of, one_of, own_names, whole
from headrace.pipeline.dataset.held import Feed, fitted_to_budget, held_buffers
from headrace.pipeline.dataset.position import State, step_of, stream_identity
from headrace.pipeline.rows.in_order import rows_in_order
from headrace.pipeline.rows.order import Position, training_order
from headrace.pipeline.rows.split import fold_ranges
from headrace.pipeline.stream.arrays import ArrayBatch, array_batches
from headrace.pipeline.stream.buffers import evaluation_rows
from headrace.pipeline.stream.reader import BufferOrder, Delivery
from headrace.pipeline.stream.route import input_shapes
from headrace.stores.errors import ConfigError

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.pipeline.config.config import Config
    from headrace.pipeline.dataset.checkpoint import Checkpoint
    from headrace.pipeline.dataset.torch_batches import TorchBatches
    from headrace.stores import Store

Labels = Literal["codes", "one-hot"]
FOREVER = 2**62
"""Epochs of a stream that does not end."""


class Part:
    """Batches `(inputs, target, weight)` of some folds: see `Dataset`.

    Attributes:
        name: "train", "validation", "test", or the folds.
        store: where the windows are.
        folds: names of its folds.
        shuffled: whether it is for training: in an order of its own in each epoch, without end.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        folds: tuple[str, ...],
        labels: Labels,
        units: bool,
        config: Config,
        delivery: Callable[[], Delivery],
        shuffled: bool,
        rank: tuple[int, int],
    ) -> None:
        """A `Dataset` makes its parts.

        Args:
            name, store, folds: see the attributes.
            labels: what a target is.
            units: whether inputs are in units.
            config: sections stream, augment, model, train and memory.
            delivery: what batches hold; asked once, as it reads statistics.
            shuffled: whether it is for training.
            rank: which of how many processes this is.
        """
        self.name, self.store, self.folds = name, store, folds
        self._labels, self._units = labels, units
        self._config, self._make_delivery = config, delivery
        self.shuffled, self._rank = shuffled, rank
        self._fitted_configs: dict[Feed, Config] = {}
        self.resumed_step = 0
        """Step that an iterator of `tf()` begins at which names none: a checkpoint sets it."""
        self.begun: list[int | None] = []
        """Of each iterator of `tf()` that was begun, the step that it was told to begin at."""

    @property
    def windows(self) -> int:
        """Windows of its folds."""
        return sum(stop - start for start, stop in fold_ranges(self.store, self.folds))

    @property
    def batch(self) -> int:
        """Windows of a batch."""
        return self._config.train.batch

    def __len__(self) -> int:
        """Batches of an epoch, for this rank."""
        stream, train = self._config.stream, self._config.train
        return self._order.steps(train.batch, stream.drop_remainder, train.steps_per_epoch)

    def __repr__(self) -> str:
        """What it is, in one line."""
        return (
            f"<Part {self.name} of {self.store.path}: {self.counted()}, {len(self):,} batches of "
            f"{self.batch}>"
        )

    def counted(self) -> str:
        """Its windows in words; with ranks, how many of them this one gets in an epoch."""
        if self._rank[1] == 1:
            return f"{self.windows:,} windows"
        own = min(self._order.rank_rows(0), len(self) * self.batch)
        return f"{own:,} of {self.windows:,} windows"

    def numpy(
        self, start: int | State | None = None, epochs: int | None = 1
    ) -> Iterator[ArrayBatch]:
        """Batches as NumPy arrays. Loads no TensorFlow.

        A batch is a view of a buffer where it can be: copy what you keep for long.

        Args:
            start: batches to leave out, counted from the first epoch's first, or a `state`.
            epochs: how many to deliver, the rest of the one begun being the first; None: without
                end.

        Raises:
            UserError: the state is another part's; the budget is too small; an augmentation is for
                tf.data alone; a chunk is damaged.
        """
        epochs = None if epochs is None else whole("epochs", epochs, 1)
        at = self.position(start)
        last = None if epochs is None else at.epoch + epochs
        if not self.shuffled and epochs is not None:
            last = epochs  # All windows once: whoever has had them is done.
        config, order = self._fitted("numpy"), self._order
        return array_batches(self._held_store("numpy"), order, config, self._delivery, at, last)

    def tf(self, start: int | State | None = None, epochs: int | None = None) -> tf.data.Dataset:
        """Batches as a tf.data.Dataset, for `fit` and your own loops.

        Args:
            start: batches to leave out, or a `state`; None: none, or where a `checkpoint` of this
                part goes on.
            epochs: how many to deliver; None: of training without end (give `fit`
                `steps_per_epoch=len(part)`), else one.

        Raises:
            UserError: the state is another part's; the budget is too small.
        """
        import tensorflow as tf

        from headrace.pipeline.stream.training import batch_stream

        given = None if start is None else self.position(start)
        epochs = None if epochs is None else whole("epochs", epochs, 1)
        if epochs is None and not self.shuffled:
            epochs = 1
        at, steps = given or Position(), len(self)
        last = FOREVER
        if epochs is not None:
            last = epochs + (at.epoch if self.shuffled else 0)

        def begin() -> Position:
            self.begun.append(None if given is None else given.epoch * steps + given.step)
            return given or self.position(self.resumed_step)

        data = batch_stream(
            self._held_store("tf"), self._order, self._fitted("tf"), self._delivery, begin, last
        )
        left = tf.data.INFINITE_CARDINALITY
        if epochs is not None:
            left = max(0, (last - at.epoch) * steps - at.step)
        return data.apply(tf.data.experimental.assert_cardinality(left))

    def torch(self, start: int | State | None = None) -> TorchBatches:
        """Batches as an IterableDataset of torch tensors, an epoch each time it is gone through.

        For `DataLoader(part.torch(), batch_size=None)`. Reading is threaded already: leave
        `num_workers` at 0.

        Args:
            start: batches to leave out, or a `state`.

        Raises:
            UserError: the state is another part's.
        """
        try:
            from headrace.pipeline.dataset.torch_batches import TorchBatches
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ConfigError(
                'torch() needs PyTorch, which is not installed: pip install "headrace[torch]".'
            ) from error

        return TorchBatches(self, step_of(start, self._identity))

    def state(self, step: int) -> State:
        """Where a loop stands that has taken `step` batches, all epochs together: JSON-able.

        Raises:
            UserError: `step` is no whole number from 0.
        """
        return cast(State, {"step": whole("step", step, 0), **self._identity})

    def position(self, start: int | State | None) -> Position:
        """Epoch and step of a state, or of a number of batches.

        Raises:
            UserError: the state is another part's, of other options, or of another store.
        """
        return Position(*divmod(step_of(start, self._identity), len(self)))

    def memory(self, feed: Feed = "tf") -> dict[str, int]:
        """Bytes that iterating holds at most, by name: TensorFlow and your network are not in it.

        Args:
            feed: "tf", or "numpy", which torch takes too.

        Raises:
            UserError: that is more than the budget.
        """
        one_of("feed", feed, ("tf", "numpy"))
        return held_buffers(self._fitted(feed), self.store, feed, self.shuffled)

    def checkpoint(self, folder: str | Path, every: int = 100) -> Checkpoint:
        """A Keras callback that lets a killed `fit` of this part go on, to the bit.

        It saves weights, optimiser, metrics, seeds of layers, of Python and of NumPy, the position
        in the data, and plain attributes of the other callbacks.

        Args:
            folder: where the state is kept: one for each `fit`.
            every: steps from one writing to the next; the end of an epoch is written too.

        Returns:
            For `model.fit(part.tf(), steps_per_epoch=len(part), callbacks=[...])`.

        Raises:
            UserError: this is not the training part; `every` or `folder` is none.
        """
        from headrace.pipeline.dataset.checkpoint import Checkpoint

        if not self.shuffled:
            raise ConfigError(
                f'A checkpoint keeps a fit of the training part: data["train"], not {self.name}.'
            )
        return Checkpoint(self, folder_of("folder", folder), whole("every", every, 1))

    def empty_batch(self) -> ArrayBatch:
        """A batch of zeros, of the shapes and dtypes that batches have."""
        given = {
            name: np.zeros((self.batch, *shape), np.float32)
            for name, shape in input_shapes(self.store, self._config).items()
        }
        one_hot = self._labels == "one-hot"
        shape = (self.batch, len(self.store.classes)) if one_hot else (self.batch,)
        label = np.zeros(shape, np.float32 if one_hot else np.int32)
        return given, label, np.zeros(self.batch, np.float32)

    def _fitted(self, feed: Feed) -> Config:
        """The configuration, reading ahead as much as the budget allows."""
        if feed not in self._fitted_configs:
            self._fitted_configs[feed] = fitted_to_budget(
                self._config, self.store, feed, self.shuffled
            )
        return self._fitted_configs[feed]

    @cached_property
    def _order(self) -> BufferOrder:
        if self.shuffled:
            with own_names():
                return training_order(self.store, self.folds, self._config, *self._rank)
        return rows_in_order(self.store, self.folds, evaluation_rows(self.store), *self._rank)

    @cached_property
    def _delivery(self) -> Delivery:
        return self._make_delivery()

    @cached_property
    def _identity(self) -> dict[str, Any]:
        delivered = {"labels": self._labels, "units": self._units, "rank": list(self._rank)}
        return stream_identity(self.store, self.folds, self._config, delivered)

    def _held_store(self, feed: Feed) -> Store:
        return self.store.with_index_cache(self._fitted(feed).stream.index_cache)
