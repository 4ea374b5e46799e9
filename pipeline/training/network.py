"""The network of a training, compiled: ours, or the user's own once it is seen to fit."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from headrace.model.interface import LABEL, NetworkInputs, NetworkTarget
from headrace.model.layers_by_name import freeze, fresh_names
from headrace.model.network import build_network, precision, with_normalisation
from headrace.model.optimisation import OwnFunctions, compile_heads, compile_network
from headrace.model.options import OptimiserOptions
from headrace.model.own_network import (
    Heads,
    NetworkFault,
    check_network,
    check_saved,
    own_objects,
    uncompiled_copy,
)
from headrace.model.targets.interface import NO_STATISTICS, TargetStatistics
from headrace.model.targets.registry import target_model
from headrace.pipeline.config.functions import (
    NO_GRADIENTS,
    load_named,
    loaded_modules,
    users_code,
)
from headrace.pipeline.runs.inputs import described
from headrace.stores.errors import ConfigError, FunctionError

if TYPE_CHECKING:
    from headrace.model.normaliser import Normaliser
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.config.training import TrainOptions
    from headrace.pipeline.runs.inputs import ModelInputs

BUILD = "model.build"


@dataclass(frozen=True)
class Fitted:
    """A compiled network and how it is handed a batch.

    Attributes:
        model: takes normalised inputs by name.
        inputs, target: what it is given and gives.
        heads: its outputs.
        own: it is the user's.
        compiled_by_user: so is its optimizer.
        weighted: batches have sample weights. Without class weights all are 1, but for sequences,
            and a `train_step` of the user's may unpack two parts of a batch.
        metrics: the user's, each called for a new one.
        metric_names: of these.
        statistics: of the target's training rows.
    """

    model: keras.Model
    inputs: NetworkInputs
    target: NetworkTarget
    heads: Heads
    own: bool
    compiled_by_user: bool
    weighted: bool
    metrics: tuple[Callable[[], keras.metrics.Metric], ...] = ()
    metric_names: tuple[str, ...] = ()
    statistics: TargetStatistics = NO_STATISTICS

    def batch(self, given: Any) -> Any:
        """Inputs, labels and weights of the stream as `train_step` takes them."""
        if not self.own:
            return given
        inputs, label, weight = given
        if self.heads.bare:
            label, weight = label[LABEL], weight[LABEL]
        return (inputs, label, weight) if self.weighted else (inputs, label)

    def logged(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        """What a step logs: `accuracy`, not `label_accuracy`.

        Of ours the loss, the target's metrics and those of the user's; of the user's own all.
        """
        brief = {name: name.removeprefix(f"{LABEL}_") for name in logs}
        named = {name if short in logs else short: logs[name] for name, short in brief.items()}
        kept = {"loss", *target_model(self.target).metric_names, *self.metric_names}
        return {name: value for name, value in named.items() if self.own or name in kept}

    def require_loss(self, logs: Mapping[str, Any]) -> None:
        """Check what a `train_step` of the user's returns.

        Raises:
            FunctionError: a dict with `loss` is needed.
        """
        if not isinstance(logs, Mapping) or "loss" not in logs:
            found = ", ".join(logs) if isinstance(logs, Mapping) else type(logs).__name__
            raise FunctionError(
                f"{BUILD}: the train_step of the network returns {found or 'nothing'}; a dict "
                "with loss is wanted."
            )

    def for_use(self, normaliser: Normaliser) -> keras.Model:
        """The model in units, with the weights of the moment."""
        return self.in_units(self.model, normaliser)

    def in_units(self, network: keras.Model, normaliser: Normaliser) -> keras.Model:
        """A network that is like the model, from inputs in units to a target in units."""
        decode = target_model(self.target).decode(self.statistics)
        return with_normalisation(network, normaliser, self.inputs.shapes, decode)


def make_network(
    config: Config,
    inputs: ModelInputs,
    steps_per_epoch: int,
    epochs: int,
    statistics: TargetStatistics = NO_STATISTICS,
) -> Fitted:
    """Build and compile the network, with every variable that its training will change.

    Args:
        config: resolved.
        inputs: of the store.
        steps_per_epoch, epochs: of the training.
        statistics: of the target's training rows.

    Raises:
        UserError: the user's network, loss or metrics fail, or do not fit.
    """
    given, target = described(inputs, config.model.inputs), inputs.target
    options, metrics = optimiser_options(config.train), _own_metrics(config)
    own = OwnFunctions(_own_loss(config, target), tuple(make() for make in metrics))
    measured: dict[str, Any] = {
        "metrics": metrics,
        "metric_names": tuple(each.name for each in own.metrics),
        "statistics": statistics,
    }
    if config.model.build is None:
        time, channels = inputs.spec.shape
        network = build_network(config.model, time, channels, len(inputs.features), target)
        _freeze(network, config)
        with users_code(config, "train.loss"):
            compile_network(network, target, config.model, options, steps_per_epoch, epochs, own)
        heads = Heads(tuple(network.output), bare=False)
        return Fitted(network, given, target, heads, False, False, weighted=True, **measured)
    network, heads = _own_network(config, given, target)
    compiled = bool(network.compiled)
    _freeze(network, config)
    if not compiled:
        outputs = None if heads.bare else list(heads.names)
        compile_heads(network, outputs, target, config.model, options, steps_per_epoch, epochs, own)
    elif config.train.loss or metrics:
        key = "train.loss" if config.train.loss else "train.metrics"
        raise FunctionError(
            f"{key} plays no part: {config.model.build} returns a network that is compiled. Leave "
            "it out, or do not compile."
        )
    # Steps without a label weigh nothing.
    weighted = config.train.class_weight_power > 0 or target.keeps_time
    fitted = Fitted(network, given, target, heads, True, compiled, weighted, **measured)
    with users_code(config, BUILD):
        # What `fit` does before its first step: variables of the loss, metrics and optimizer.
        network._symbolic_build(data_batch=_symbolic_batch(fitted))
    return fitted


def _freeze(network: keras.Model, config: Config) -> None:
    try:
        freeze(network, config.train.freeze)
    except ValueError as error:
        raise ConfigError(f"train.freeze: {error}.") from error


def require_savable(fitted: Fitted, normaliser: Normaliser, config: Config) -> None:
    """Check that the user's network can be a run's model, before it is trained.

    Raises:
        UserError: a layer of it cannot be saved, or not be loaded again.
    """
    if not fitted.own:
        return
    objects = own_objects(loaded_modules(config))
    try:
        copy = _saved_form(fitted, objects)
        check_saved(fitted.in_units(copy, normaliser), objects)
    except Exception as error:
        raise FunctionError(
            f"The network of {config.model.build} cannot be saved and loaded again "
            f"({_short(error)}). Layers of your own need get_config, and no Lambda is loaded: "
            "https://keras.io/guides/serialization_and_saving"
        ) from error


def model_to_save(
    fitted: Fitted, normaliser: Normaliser, weights: list[Any], config: Config
) -> keras.Model:
    """A copy with these weights that knows nothing of its training, in units.

    Whoever loads the model would need the training's optimizer.
    """
    copy = _saved_form(fitted, own_objects(loaded_modules(config)) if fitted.own else {})
    copy.set_weights(weights)
    return fitted.in_units(copy, normaliser)


def _saved_form(fitted: Fitted, objects: Mapping[str, Any]) -> keras.Model:
    if not fitted.own:
        return keras.Model.from_config(fitted.model.get_config())
    with keras.saving.custom_object_scope(dict(objects)):
        return uncompiled_copy(fitted.model, fitted.inputs)


def _own_network(
    config: Config, inputs: NetworkInputs, target: NetworkTarget
) -> tuple[keras.Model, Heads]:
    reference = config.model.build
    assert reference is not None
    build = load_named(config, BUILD, reference)
    with _fits(config, BUILD, reference):
        with precision(config.model.mixed_precision), fresh_names():
            network = build(inputs, target)
        return network, check_network(network, inputs, target)


@contextmanager
def _fits(config: Config, key: str, reference: str) -> Iterator[None]:
    file = inspect.getsourcefile(load_named(config, key, reference))
    with users_code(config, key):
        try:
            yield
        except NetworkFault as error:
            raise FunctionError(f"{key}: {reference} ({file}) {error}.") from error


def _own_loss(config: Config, target: NetworkTarget) -> Any:
    if config.train.loss is None:
        return None
    function = load_named(config, "train.loss", config.train.loss)
    with users_code(config, "train.loss"):
        loss = function() if takes_nothing(function) else function
        if callable(loss):  # Keras takes names too.
            _require_gradient(loss, target)
    return loss


def _require_gradient(loss: Callable[..., Any], target: NetworkTarget) -> None:
    """Check that a loss depends on outputs; a regularised network would train without.

    Raises:
        ValueError: as Keras' optimizers, of a network without regularisation.
    """
    labels = tf.constant(example_batch(target, target.count)[0])
    given = tf.fill(labels.shape, 1 / target.count)
    with tf.GradientTape() as tape:
        tape.watch(given)
        found = loss(labels, given)
    if tape.gradient(found, given) is None:
        raise ValueError(NO_GRADIENTS)


def _own_metrics(config: Config) -> tuple[Callable[[], keras.metrics.Metric], ...]:
    key = "train.metrics"

    def maker(reference: str) -> Callable[[], keras.metrics.Metric]:
        function = load_named(config, key, reference)

        def make() -> keras.metrics.Metric:
            with users_code(config, key):
                made = function() if takes_nothing(function) else function
            if isinstance(made, keras.metrics.Metric):
                return made
            if callable(made):
                return keras.metrics.MeanMetricWrapper(made, name=made.__name__)
            raise FunctionError(f"{key}: {reference} gives no metric, but {made!r}.")

        return make

    return tuple(maker(reference) for reference in config.train.metrics)


def takes_nothing(function: Callable[..., Any]) -> bool:
    """Whether it can be called without arguments: it then makes what is wanted."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return not any(
        each.default is inspect.Parameter.empty and each.kind in kinds
        for each in inspect.signature(function).parameters.values()
    )


def _symbolic_batch(fitted: Fitted) -> Any:
    inputs = {
        name: keras.KerasTensor((None, *shape), fitted.inputs.dtype)
        for name, shape in fitted.inputs.shapes.items()
    }
    label, weight = (
        keras.KerasTensor((None, *each.shape[1:]), "float32")
        for each in example_batch(fitted.target, 1)
    )
    names = fitted.heads.names
    return fitted.batch((inputs, dict.fromkeys(names, label), dict.fromkeys(names, weight)))


def example_batch(target: NetworkTarget, rows: int) -> tuple[Any, Any]:
    """Encoded labels of noise and their weights (rows, ...), float32, to try a network on."""
    model = target_model(target)
    return model.encode_arrays(model.example(rows), unit_statistics(target))


def unit_statistics(target: NetworkTarget) -> TargetStatistics:
    """Those of labels of mean 0 and deviation 1."""
    return TargetStatistics.fit([0.0] * target.count, [1.0] * target.count)


def _short(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"


def optimiser_options(options: TrainOptions) -> OptimiserOptions:
    """The optimiser's part of the training options."""
    return OptimiserOptions(
        learning_rate=options.learning_rate,
        final_fraction=options.final_learning_rate,
        warmup_epochs=options.warmup_epochs,
        weight_decay=options.weight_decay,
        clip_norm=options.clip_norm,
        average=options.average,
        label_smoothing=options.label_smoothing,
        settable=bool(options.callbacks),
    )
