"""How the network is fitted: losses, AdamW with its schedule, and the average of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from headrace.model.interface import LABEL, NetworkTarget
from headrace.model.options import NetworkOptions, OptimiserOptions
from headrace.model.targets.registry import target_model


@dataclass(frozen=True)
class OwnFunctions:
    """What a training of the user's own loss and metrics takes in place of, or beside, ours."""

    loss: Any = None
    """A Keras loss, or a function of encoded labels and outputs; None: that of the target."""
    metrics: tuple[Any, ...] = ()
    """Keras metrics, or such functions."""


NO_FUNCTIONS = OwnFunctions()


def compile_network(
    network: keras.Model,
    target: NetworkTarget,
    network_options: NetworkOptions,
    options: OptimiserOptions,
    steps_per_epoch: int,
    epochs: int,
    own: OwnFunctions = NO_FUNCTIONS,
) -> None:
    """Compile for `epochs` x `steps_per_epoch` steps on encoded labels (batch, *target.shape).

    Labels and sample weights reach every output through `targets`. Loss and metrics are those of
    the target's kind; metrics are of the output that counts, weighted like the loss. Class weights
    are sample weights: Keras' `class_weight` would take the argmax of a soft label.
    """
    outputs = list(network.output)
    compile_heads(network, outputs, target, network_options, options, steps_per_epoch, epochs, own)
    _build_metrics(network)
    # Variables that are made while the first step is traced would have it traced twice.
    network.optimizer.build(network.trainable_variables)


def compile_heads(
    network: keras.Model,
    outputs: Sequence[str] | None,
    target: NetworkTarget,
    network_options: NetworkOptions,
    options: OptimiserOptions,
    steps_per_epoch: int,
    epochs: int,
    own: OwnFunctions = NO_FUNCTIONS,
) -> None:
    """Compile a network of the outputs named so; None: of one output without a name."""
    model = target_model(target)
    metrics = [*model.metrics(), *own.metrics]

    def loss(name: str) -> Any:
        return own.loss or model.loss(options.label_smoothing, name)

    weights = {
        name: 1.0 if name == LABEL else network_options.auxiliary_weight for name in outputs or ()
    }
    network.compile(
        optimizer=_optimizer(network, options, steps_per_epoch, epochs),
        loss=loss(LABEL) if outputs is None else {name: loss(name) for name in outputs},
        loss_weights=None if outputs is None else weights,
        weighted_metrics=metrics if outputs is None else {LABEL: metrics},
        # XLA on a CPU was measured at 54-70 ms a step against 2-4 ms without.
        jit_compile="auto" if tf.config.list_physical_devices("GPU") else False,
    )


def targets(
    network: keras.Model, label: tf.Tensor, weight: tf.Tensor
) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    """Give label (batch, ...) and sample weight (batch, ...) to every output of `network`."""
    return dict.fromkeys(network.output, label), dict.fromkeys(network.output, weight)


def training_variables(network: keras.Model) -> list[keras.Variable]:
    """Everything that a training changes, in an order fixed by the network's build.

    Weights, batch normalisation's moments, seed generators, the optimizer's step, slots and
    weight average, metrics. Restoring all of them restores the training exactly; a `.keras` file
    was seen to lose the seeds. Raises ValueError before `compile_network`.
    """
    if not network.compiled:
        raise ValueError("The network is not compiled, so it has no optimizer to save.")
    optimizer = network.optimizer
    if not optimizer.built:  # As `fit` leaves it before its first step.
        optimizer.build(network.trainable_variables)
    seen: dict[int, keras.Variable] = {}
    for variable in [*network.variables, *optimizer.variables, *network.metrics_variables]:
        seen.setdefault(id(variable), variable)
    return list(seen.values())


@contextmanager
def averaged_weights(network: keras.Model) -> Iterator[None]:
    """Swap the weight average in, and the weights back after; nothing happens without one.

    Validate, and keep the best weights, inside. Swapping copies both sides, so the training's
    state is bit for bit what it was.
    """
    # Mixed precision wraps the optimizer in one that scales the loss.
    optimizer = getattr(network.optimizer, "inner_optimizer", network.optimizer)
    if not optimizer.use_ema or not optimizer.built or not int(optimizer.iterations.numpy()):
        yield
        return
    weights = network.trainable_variables
    kept = [variable.numpy() for variable in weights]
    optimizer.finalize_variable_values(weights)
    try:
        yield
    finally:
        for variable, value in zip(weights, kept, strict=True):
            variable.assign(value)


def _build_metrics(network: keras.Model) -> None:
    """Make the metrics' variables, which Keras leaves to the first step: a state lists them."""
    nothing = {name: tf.zeros((1, *tensor.shape[1:])) for name, tensor in network.output.items()}
    weight = dict.fromkeys(nothing, tf.zeros(1))
    network.compute_loss(None, nothing, nothing, weight, training=False)
    network.compute_metrics(None, nothing, nothing, weight)
    network.reset_metrics()


@keras.saving.register_keras_serializable(package="headrace")
class AveragingAdamW(keras.optimizers.AdamW):
    """AdamW whose weight average lengthens with the steps, up to `ema_momentum`.

    At step t its momentum is at most (1 + t) / (10 + t), so that a training of a few hundred
    steps is averaged too, and not still full of the weights it started from.
    """

    def apply(
        self,
        grads: Sequence[tf.Tensor],
        trainable_variables: Sequence[keras.Variable] | None = None,
    ) -> None:
        """Update the variables. Of several devices' gradients the sum is clipped, not each.

        Keras clips before it sums: devices that disagree would take a longer step together.
        """
        context = tf.distribute.get_replica_context()
        longest: float | None = vars(self)["clipnorm"]
        if context is None or context.num_replicas_in_sync == 1 or not longest:
            super().apply(grads, trainable_variables)
            return
        count = context.num_replicas_in_sync
        joined = context.all_reduce(tf.distribute.ReduceOp.SUM, list(grads))
        # Keras sums what it is given: each device gives its share.
        shares = [tf.clip_by_norm(each, longest) / count for each in joined]
        self.clipnorm = None
        try:
            super().apply(shares, trainable_variables)
        finally:
            self.clipnorm = longest

    @property
    def ema_momentum(self) -> keras.KerasTensor:
        """Momentum of the coming update."""
        step = keras.ops.cast(self.iterations, "float32")
        return keras.ops.minimum(self._longest, (1.0 + step) / (10.0 + step))

    @ema_momentum.setter
    def ema_momentum(self, longest: float) -> None:
        self._longest = longest

    def get_config(self) -> dict[str, Any]:
        """Config of the optimizer, with the momentum it tends to."""
        return {**super().get_config(), "ema_momentum": self._longest}


def _optimizer(
    network: keras.Model, options: OptimiserOptions, steps_per_epoch: int, epochs: int
) -> keras.optimizers.Optimizer:
    warmup = round(options.warmup_epochs * steps_per_epoch)
    learning_rate: Any = options.learning_rate
    if not (options.settable and warmup == 0 and options.final_fraction == 1):
        learning_rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=options.learning_rate / max(warmup, 1),
            warmup_target=options.learning_rate,
            warmup_steps=max(warmup, 1),
            decay_steps=max(steps_per_epoch * epochs - warmup, 1),
            alpha=options.final_fraction,
        )
    optimizer = AveragingAdamW(
        learning_rate=learning_rate,
        weight_decay=options.weight_decay,
        clipnorm=options.clip_norm,
        use_ema=options.average > 0,
        ema_momentum=options.average,
    )
    optimizer.exclude_from_weight_decay(
        [variable for variable in network.trainable_variables if len(variable.shape) < 2]
    )
    return optimizer
