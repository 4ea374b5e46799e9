"""The training itself: steps, validation, best weights, and the state it resumes from.

The loop is our own, not `fit`: a training goes on from any (epoch, step) with the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from model.figures import learning_curves
from model.network import build_network, with_normalisation
from model.normaliser import Normaliser
from model.optimisation import averaged_weights, compile_network, training_variables
from model.options import OptimiserOptions
from model.scores import Scores
from pipeline.order import Position
from pipeline.prediction import predictor, score_batches
from pipeline.stream import evaluation_stream, training_order, training_stream
from pipeline.training_log import TensorBoardLog, epoch_line, write_log
from pipeline.training_state import Progress, Row, TrainingState, read_state, write_state
from pipeline.training_statistics import class_weights, fit_normaliser
from stores import disk
from stores.errors import UserError

if TYPE_CHECKING:
    from pipeline.config import Config, TrainOptions
    from pipeline.console import Console
    from pipeline.run_folder import RunFolder
    from pipeline.split import Split
    from stores import Store


@dataclass(frozen=True)
class Training:
    """One training: what is fitted, on what, and how it is validated."""

    options: TrainOptions
    network: keras.Model
    kept: keras.Model
    """The network behind its normalisation: what is validated and saved. Shares its weights."""
    normaliser: Normaliser
    steps_per_epoch: int
    validate: Callable[[], Row]


def train_network(
    run: RunFolder, store: Store, split: Split, config: Config, console: Console
) -> Progress:
    """Train to the end from wherever the run's state stands, then write the model.

    Raises:
        UserError: the loss is no longer finite, or the state is damaged.
    """
    training = prepare(store, split, config)
    progress, best = _resume(run, training, console)
    batches, step = _steps(training, store, split, config, progress)
    events = TensorBoardLog(run.tensorboard, progress.history) if config.train.tensorboard else None
    while progress.epoch < config.train.epochs and not progress.stopped:
        row = _run_epoch(training, batches, step, progress)
        best = _finish_epoch(training, row, progress, best)
        write_state(run.state, TrainingState(progress, _values(training), best))
        write_log(run, progress.history)
        if events is not None:
            events.write(row)
        console.say(epoch_line(row, config.train.epochs, progress.stale_epochs == 0))
    if events is not None:
        events.close()
    _write_model(run, training, progress, best)
    return progress


def prepare(store: Store, split: Split, config: Config) -> Training:
    """Build and compile the network, with every variable that the training will change."""
    normaliser = fit_normaliser(store, split.train, config)
    network = build_network(
        config.model,
        store.time,
        len(store.channels),
        len(store.feature_names),
        len(store.classes),
    )
    order = training_order(store, split.train, config)
    steps = order.steps(
        config.train.batch, config.stream.drop_remainder, config.train.steps_per_epoch
    )
    compile_network(
        network, config.model, _optimiser_options(config.train), steps, config.train.epochs
    )
    kept = with_normalisation(network, normaliser)
    return Training(
        options=config.train,
        network=network,
        kept=kept,
        normaliser=normaliser,
        steps_per_epoch=steps,
        validate=_validation(kept, store, split, config),
    )


def _optimiser_options(options: TrainOptions) -> OptimiserOptions:
    return OptimiserOptions(
        learning_rate=options.learning_rate,
        final_fraction=options.final_learning_rate,
        warmup_epochs=options.warmup_epochs,
        weight_decay=options.weight_decay,
        clip_norm=options.clip_norm,
        average=options.average,
        label_smoothing=options.label_smoothing,
    )


def _validation(kept: keras.Model, store: Store, split: Split, config: Config) -> Callable[[], Row]:
    """A function that scores the validation folds with the weights of the moment."""
    batches = evaluation_stream(store, split.validation, config)
    predict = predictor(kept, [dict], batches)

    def validate() -> Row:
        scores = Scores(store.classes, store.groups)
        loss = score_batches(predict, batches, {"plain": (scores, [0])})["plain"]
        found = scores.summary()
        return {
            "val_loss": loss,
            "val_accuracy": found["accuracy"],
            "val_macro_f1": found["macro_f1"],
        }

    return validate


def _resume(
    run: RunFolder, training: Training, console: Console
) -> tuple[Progress, list[np.ndarray[Any, Any]]]:
    """Restore the run's state, if there is one."""
    state = read_state(run.state)
    if state is None:
        return Progress(), []
    variables = training_variables(training.network)
    shapes = [(tuple(variable.shape), variable.dtype) for variable in variables]
    if shapes != [(value.shape, value.dtype.name) for value in state.variables]:
        raise UserError(
            f"{run.state} was written by another version of the network. Start the training "
            "afresh with --new."
        )
    for variable, value in zip(variables, state.variables, strict=True):
        variable.assign(value)
    progress = state.progress
    write_log(run, progress.history)
    console.say(f"Resuming {run.path} after epoch {progress.epoch}.")
    return progress, list(state.best)


def _steps(
    training: Training, store: Store, split: Split, config: Config, progress: Progress
) -> tuple[Iterator[Any], Callable[[Any], Any]]:
    """Batches from where the training stands, and the compiled step that takes one."""
    counts = store.class_counts(split.train)
    batches = training_stream(
        store,
        split.train,
        config,
        training.normaliser,
        class_weights(counts, config.train.class_weight_power),
        heads=tuple(training.network.output),
        start=Position(progress.epoch, progress.step),
    )
    # One signature for full and partial batches: traced, and compiled, once.
    step = tf.function(
        lambda batch: training.network.train_step(batch),
        input_signature=[batches.element_spec],
        jit_compile=bool(training.network.jit_compile),
    )
    return iter(batches), step


def _run_epoch(
    training: Training, batches: Iterator[Any], step: Callable[[Any], Any], progress: Progress
) -> Row:
    """The rest of an epoch; its loss and accuracy are means over the whole of it."""
    network, begun, waited = training.network, time.perf_counter(), 0.0
    if progress.step == 0:
        network.reset_metrics()
    while progress.step < training.steps_per_epoch:
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        logs = step(batch)
        progress.step += 1
    row = {name: float(value) for name, value in logs.items()}
    return {
        "epoch": progress.epoch + 1,
        "loss": row["loss"],
        "accuracy": row.get("label_accuracy", row.get("accuracy", math.nan)),
        "learning_rate": float(network.optimizer.learning_rate),
        "seconds": time.perf_counter() - begun,
        "wait_seconds": waited,
    }


def _finish_epoch(
    training: Training,
    row: Row,
    progress: Progress,
    best: list[np.ndarray[Any, Any]],
) -> list[np.ndarray[Any, Any]]:
    """Validate the averaged weights, keep them if they are the best, move to the next epoch."""
    begun = time.perf_counter()
    with averaged_weights(training.network):
        row |= training.validate()
        _refuse_divergence(training, row)
        if row["val_loss"] < progress.best_loss:
            progress.best_loss, progress.best_epoch = row["val_loss"], progress.epoch
            best = [weight.numpy() for weight in training.network.weights]
    row["seconds"] += time.perf_counter() - begun
    progress.history.append(row)
    progress.epoch, progress.step = progress.epoch + 1, 0
    progress.stopped = progress.stale_epochs >= training.options.patience
    return best


def _refuse_divergence(training: Training, row: Row) -> None:
    if not (math.isfinite(row["loss"]) and math.isfinite(row["val_loss"])):
        raise UserError(
            f"The loss is {row['loss']} in epoch {row['epoch']:.0f}. Lower train.learning_rate "
            f"(now {training.options.learning_rate:g}) and train again."
        )


def _values(training: Training) -> list[np.ndarray[Any, Any]]:
    return [variable.numpy() for variable in training_variables(training.network)]


def _write_model(
    run: RunFolder, training: Training, progress: Progress, best: list[np.ndarray[Any, Any]]
) -> None:
    """Write the curves, then the best weights' model: its presence says that all is there."""
    disk.write_bytes(run.curves, learning_curves(progress.history))
    # A copy that was never compiled, for `clone_model` compiles: whoever loads the model would
    # need the training's optimizer.
    network = keras.Model.from_config(training.network.get_config())
    network.set_weights(best)
    draft = run.state.with_name("draft.keras")
    with_normalisation(network, training.normaliser).save(draft)
    disk.write_bytes(run.model, draft.read_bytes())
    draft.unlink()
