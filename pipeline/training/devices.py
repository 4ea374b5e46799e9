"""Training on several devices: each takes its rows of every batch, and all take one step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import tensorflow as tf

from headrace.stores.errors import RunError


def claim_devices(count: int) -> None:
    """Let TensorFlow see `count` devices; without a GPU they are parts of this CPU, to try it out.

    Raises:
        UserError: there are fewer GPUs, or TensorFlow runs already with fewer parts of the CPU.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if count == 1 or len(gpus) >= count:
        return
    if gpus:
        raise RunError(f"train.devices = {count}, and this machine has {len(gpus)} GPUs. Lower it.")
    (cpu,) = tf.config.list_physical_devices("CPU")
    try:
        parts = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
        tf.config.set_logical_device_configuration(cpu, parts)
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise RunError(
                f"TensorFlow runs in this process already, with fewer devices than train.devices = "
                f"{count}. Start this stage in a process of its own."
            ) from error


class Devices:
    """The devices of a training, with the same weights on each."""

    def __init__(self, count: int) -> None:
        """The first `count` GPUs, or parts of the CPU; see `claim_devices`."""
        self._strategy = None
        if count > 1:
            kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
            names = [device.name for device in tf.config.list_logical_devices(kind)[:count]]
            # Sums in the order of the devices: the same bits every time.
            reduction = tf.distribute.ReductionToOneDevice()
            self._strategy = tf.distribute.MirroredStrategy(names, cross_device_ops=reduction)

    def scope(self) -> AbstractContextManager[Any]:
        """Networks and optimizers that are made inside are on all devices."""
        return nullcontext() if self._strategy is None else self._strategy.scope()

    def step(self, network: keras.Model) -> Callable[[Any], Any]:
        """Function of a batch that takes a training step of `network`, and returns its logs.

        Each device takes a stretch of the batch's rows. One that they cannot share alike, as the
        last of an epoch may be, each takes whole: the step is the same, and the means of loss and
        accuracy that are shown count it once for each device.
        """
        strategy = self._strategy
        if strategy is None:
            return lambda batch: network.train_step(batch)
        count = strategy.num_replicas_in_sync

        def own(batch: Any) -> Any:
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            with tf.device("CPU:0"):
                rows = tf.shape(tf.nest.flatten(batch)[0])[0]
                alike = rows % count == 0
                size = tf.where(alike, rows // count, rows)
                first = tf.where(alike, tf.cast(number, tf.int32) * size, 0)
                return tf.nest.map_structure(lambda each: each[first : first + size], batch)

        def step(batch: Any) -> Any:
            logs = strategy.run(lambda whole: network.train_step(own(whole)), args=(batch,))
            return {
                name: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)
                for name, value in logs.items()
            }

        return step
