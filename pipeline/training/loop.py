"""The training itself: steps, validation, best weights, and the state it resumes from.

The loop is our own, not `fit`: a training goes on from any (epoch, step) with the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from headrace.model.figures import learning_curves
from headrace.model.optimisation import averaged_weights, training_variables
from headrace.model.targets.weights import class_weights
from headrace.pipeline.config.functions import users_code
from headrace.pipeline.rows.order import Position
from headrace.pipeline.rows.statistics import sampling
from headrace.pipeline.stream.training import training_stream
from headrace.pipeline.training.callbacks import Callbacks
from headrace.pipeline.training.devices import Devices
from headrace.pipeline.training.initial import shorter_state, take_initial
from headrace.pipeline.training.log import TIME_COLUMNS, TensorBoardLog, epoch_line, write_log
from headrace.pipeline.training.network import BUILD, model_to_save
from headrace.pipeline.training.prepare import Training, prepare, prepare_refit
from headrace.pipeline.training.state import Progress, Row, StateKeeper, TrainingState, read_state
from headrace.stores.errors import RunError
from headrace.stores.io import disk

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.console import Console
    from headrace.pipeline.console import Progress as EpochProgress
    from headrace.pipeline.memory.plan import MemoryPlan
    from headrace.pipeline.rows.split import Split
    from headrace.pipeline.runs.folder import RunFolder
    from headrace.stores import Store


MOST_LOSS = 1e6
"""Of a training that still learns: one that knows nothing of K classes has ln K."""


@dataclass
class Course:
    """How far a training is, the weights that are kept of it so far, and what it may hold."""

    progress: Progress
    best: list[np.ndarray[Any, Any]]
    callbacks: Callbacks
    plan: MemoryPlan


def train_network(
    run: RunFolder, store: Store, split: Split, config: Config, console: Console, plan: MemoryPlan
) -> MemoryPlan:
    """Train to the end from wherever the run's state stands, then write the model.

    With `train.refit` a second training, on training and validation folds, makes the weights.
    Returns the plan, with what the user's callbacks hold.

    Raises:
        UserError: the loss is no longer finite, the state is damaged, or the callbacks do not fit.
    """
    devices = Devices(config.train.devices)
    with devices.scope():
        training = prepare(run, store, split, config)
        known = _known_state(training) or shorter_state(run, training, split, config, console)
        found = fitted = _fit(training, known, run, store, config, console, devices, plan)
    if config.train.refit:
        console.say(
            f"Training again on the training and validation groups, {found.progress.epoch} epochs."
        )
        del training
        keras.backend.clear_session()
        keras.utils.set_random_seed(config.train.seed)
        with devices.scope():
            training = prepare_refit(run, store, split, config, found.progress.epoch)
            state = _known_state(training)
            fitted = _fit(training, state, run, store, config, console, devices, plan)
    disk.write_bytes(run.curves, learning_curves(found.progress.history))
    _write_model(run, training, fitted, config)
    return found.plan


def _fit(
    training: Training,
    state: TrainingState | None,
    run: RunFolder,
    store: Store,
    config: Config,
    console: Console,
    devices: Devices,
    plan: MemoryPlan,
) -> Course:
    if state is None:
        take_initial(training, config, console)
    callbacks = Callbacks(
        config, run.path, training.network, training.epochs, training.steps_per_epoch
    )
    course = Course(Progress(), [], callbacks, plan)
    if state is not None:
        course = Course(state.progress, list(state.best), callbacks, plan)
    progress = course.progress
    watched = training.validate is not None
    events = None
    if config.train.tensorboard and watched:
        events = TensorBoardLog(run.tensorboard, progress.history)
    batches, step = _steps(training, store, config, progress, devices)
    _restore(training, state, callbacks, console)
    course.plan = callbacks.planned(plan).require_fit()
    keeper = StateKeeper(training.state, config.train.state_steps)
    while progress.epoch < training.epochs and not progress.stopped:
        with users_code(config), _epoch_shown(training, progress, console, store) as shown:
            row = _run_epoch(training, batches, step, course, keeper, shown.advance)
        _finish_epoch(training, row, course)
        keeper.write(lambda: _state(training, course))
        write_log(training.log, progress.history)
        if events is not None:
            events.write(row)
        console.say(epoch_line(row, training.epochs, watched and progress.stale_epochs == 0))
    callbacks.tell("on_train_end", _logs(progress.history[-1]))
    if events is not None:
        events.close()
    return course


def _known_state(training: Training) -> TrainingState | None:
    """The state that the training goes on from, if there is one."""
    state = read_state(training.state)
    if state is not None and state.run not in ("", training.identity):
        raise RunError(
            f"{training.state} is the state of another run. Put this run's own back, or start the "
            "training afresh with --new."
        )
    return state


def _restore(
    training: Training, state: TrainingState | None, callbacks: Callbacks, console: Console
) -> None:
    """Put the variables and callbacks of a training back to what its state says."""
    if state is None:
        callbacks.begin((), ())
        return
    variables = training_variables(training.network)
    shapes = [(tuple(variable.shape), variable.dtype) for variable in variables]
    if shapes != [(value.shape, value.dtype.name) for value in state.variables]:
        raise RunError(
            f"{training.state} was written by another version of the network. Start the training "
            "afresh with --new."
        )
    for variable, value in zip(variables, state.variables, strict=True):
        variable.assign(value)
    callbacks.begin(state.callbacks, state.callback_arrays)
    progress = state.progress
    write_log(training.log, progress.history)
    where = f"epoch {progress.epoch}" + (f" and {progress.step} steps" if progress.step else "")
    console.say(f"Resuming after {where}.")


def _steps(
    training: Training, store: Store, config: Config, progress: Progress, devices: Devices
) -> tuple[Iterator[Any], Callable[[Any], Any]]:
    """Batches from where the training stands, and the compiled step that takes one."""
    counts = store.class_counts(training.folds)
    batches = training_stream(
        store,
        training.folds,
        config,
        training.normaliser,
        class_weights(counts, config.train.class_weight_power),
        sampling=sampling(store, training.folds, config.train.balance),
        heads=training.fitted.heads.names,
        start=Position(progress.epoch, progress.step),
    )
    fitted, take = training.fitted, devices.step(training.network)

    def taken(batch: Any) -> Any:
        return take(fitted.batch(batch))

    if training.network.run_eagerly:
        return iter(batches), taken
    # One signature for full and partial batches: traced, and compiled, once.
    step = tf.function(
        taken,
        input_signature=[batches.element_spec],
        autograph=False,
        jit_compile=bool(training.network.jit_compile),
    )
    if fitted.own:
        with users_code(config, BUILD):
            fitted.require_loss(step.get_concrete_function().structured_outputs)
    return iter(batches), step


def _run_epoch(
    training: Training,
    batches: Iterator[Any],
    step: Callable[[Any], Any],
    course: Course,
    keeper: StateKeeper,
    advance: Callable[[int], None],
) -> Row:
    """The rest of an epoch; its loss and accuracy are means over the whole of it."""
    progress, network, callbacks = course.progress, training.network, course.callbacks
    begun, waited, worked = time.perf_counter(), 0.0, time.process_time()
    if progress.step == 0:
        network.reset_metrics()
        callbacks.tell("on_epoch_begin", progress.epoch)
    while progress.step < training.steps_per_epoch and not callbacks.stopped:
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        callbacks.tell("on_train_batch_begin", progress.step)
        logs = training.fitted.logged(step(batch))
        callbacks.tell("on_train_batch_end", progress.step, logs)
        progress.step += 1
        advance(training.windows(progress.step) - training.windows(progress.step - 1))
        if progress.step < training.steps_per_epoch and keeper.due() and not callbacks.stopped:
            keeper.write(lambda: _state(training, course))
    return {
        "epoch": progress.epoch + 1,
        **{name: float(value) for name, value in logs.items()},
        "learning_rate": float(network.optimizer.learning_rate),
        "seconds": time.perf_counter() - begun,
        "wait_seconds": waited,
        **_processor_time("cpu_seconds", worked),
    }


def _processor_time(name: str, begun: float) -> Row:
    """What all threads have worked since; nothing where a GPU does the work, which it misses."""
    if tf.config.list_physical_devices("GPU"):
        return {}
    return {name: time.process_time() - begun}


def _epoch_shown(
    training: Training, progress: Progress, console: Console, store: Store
) -> AbstractContextManager[EpochProgress]:
    """What is left of an epoch, while it runs; its line follows."""
    name = f"epoch {progress.epoch + 1}/{training.epochs}"
    windows = training.windows(training.steps_per_epoch) - training.windows(progress.step)
    shapes = training.fitted.inputs.shapes
    row_bytes = 4 * len(store.feature_names) * ("features" in shapes)
    row_bytes += store.spec.stored_bytes * ("raw" in shapes)
    return console.progress(name, windows, row_bytes, passing=True)


def _finish_epoch(training: Training, row: Row, course: Course) -> None:
    """Validate the averaged weights, keep them if they are the best, move to the next epoch.

    Where nothing is validated the last average is kept.
    """
    progress, begun, worked = course.progress, time.perf_counter(), time.process_time()
    with averaged_weights(training.network):
        _refuse_divergence(training, row)
        if training.validate is not None:
            course.callbacks.tell("on_test_begin")
            row |= training.validate()
            course.callbacks.tell("on_test_end", _logs(row))
            _refuse_divergence(training, row)
        if training.validate is None or row["val_loss"] < progress.best_loss:
            progress.best_loss, progress.best_epoch = row.get("val_loss", 0.0), progress.epoch
            course.best = [weight.numpy() for weight in training.network.weights]
    row["val_seconds"] = time.perf_counter() - begun
    row["seconds"] += row["val_seconds"]
    row |= _processor_time("val_cpu_seconds", worked)
    progress.history.append(row)
    progress.epoch, progress.step = progress.epoch + 1, 0
    course.callbacks.tell("on_epoch_end", progress.epoch - 1, _logs(row))
    progress.stopped = (
        progress.stale_epochs >= training.options.patience or course.callbacks.stopped
    )


def _logs(row: Row) -> Row:
    """What callbacks are told of an epoch: all but how long it took."""
    return {
        name: value for name, value in row.items() if name != "epoch" and name not in TIME_COLUMNS
    }


def _refuse_divergence(training: Training, row: Row) -> None:
    """Stop a training that has come to nothing, before its network is asked for probabilities."""
    loss, weights = max(row["loss"], row.get("val_loss", 0.0)), training.network.weights
    sound = math.isfinite(row["loss"]) and all(np.isfinite(w.numpy()).all() for w in weights)
    if not (sound and (loss < MOST_LOSS or training.has_own_loss)):
        own = ", ".join(training.own_augmentations)
        first = f"Check that augment.custom ({own}) returns finite numbers, or lower" if own else ""
        raise RunError(
            f"The training diverges: the loss is {loss:g} in epoch {row['epoch']:.0f}. "
            f"{first or 'Lower'} train.learning_rate (now {training.options.learning_rate:g}) and "
            "train again."
        )


def _state(training: Training, course: Course) -> TrainingState:
    variables = [variable.numpy() for variable in training_variables(training.network)]
    return TrainingState(
        course.progress, variables, course.best, training.identity, *course.callbacks.state()
    )


def _write_model(run: RunFolder, training: Training, fitted: Course, config: Config) -> None:
    """Write the kept weights' model: its presence says that all is there."""
    model = model_to_save(training.fitted, training.normaliser, fitted.best, config)
    with disk.whole_file(run.model, ending=run.model.suffix) as draft:
        model.save(draft)
