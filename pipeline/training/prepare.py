"""A training before its first step: the network, its normalisation and how it is validated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from headrace.model.network import build_network, with_normalisation
from headrace.model.normaliser import Normaliser
from headrace.model.optimisation import compile_network
from headrace.model.options import OptimiserOptions
from headrace.model.scores import Scores
from headrace.pipeline.config.config import digest
from headrace.pipeline.evaluation.predictor import predictor, score_batches
from headrace.pipeline.memory.measured import network_shape
from headrace.pipeline.rows.order import training_order
from headrace.pipeline.rows.statistics import fit_normaliser
from headrace.pipeline.runs.folder import run_digest
from headrace.pipeline.stream.evaluation import evaluation_stream
from headrace.pipeline.training.state import Row

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.config.sections import TrainOptions
    from headrace.pipeline.rows.split import Split
    from headrace.pipeline.runs.folder import RunFolder
    from headrace.stores import Store


@dataclass(frozen=True)
class Training:
    """One training: what is fitted, on what, for how long, and how it is validated."""

    folds: tuple[str, ...]
    epochs: int
    options: TrainOptions
    network: keras.Model
    normaliser: Normaliser
    steps_per_epoch: int
    validate: Callable[[], Row] | None
    """Scores the validation folds with the weights of the moment; None: nothing is validated."""
    state: Path
    log: Path
    identity: str
    """Digest of what decides the result; a state of another one is not resumed."""


def prepare(run: RunFolder, store: Store, split: Split, config: Config) -> Training:
    """The training that validation watches."""
    return _prepare(
        store, split.train, split.validation, config, config.train.epochs, run.state, run.log
    )


def prepare_refit(
    run: RunFolder, store: Store, split: Split, config: Config, epochs: int
) -> Training:
    """The training on all groups but the test groups, for `epochs`."""
    both = {*split.train, *split.validation}
    folds = tuple(fold.name for fold in store.folds if fold.name in both)
    return _prepare(store, folds, (), config, epochs, run.refit_state, run.refit_log)


def _prepare(
    store: Store,
    folds: tuple[str, ...],
    validation: tuple[str, ...],
    config: Config,
    epochs: int,
    state: Path,
    log: Path,
) -> Training:
    """Build and compile the network, with every variable that the training will change."""
    normaliser = fit_normaliser(store, folds, config)
    network = build_network(config.model, **network_shape(store))
    order = training_order(store, folds, config)
    steps = order.steps(
        config.train.batch, config.stream.drop_remainder, config.train.steps_per_epoch
    )
    compile_network(network, config.model, optimiser_options(config.train), steps, epochs)
    kept = with_normalisation(network, normaliser)
    return Training(
        folds=folds,
        epochs=epochs,
        options=config.train,
        network=network,
        normaliser=normaliser,
        steps_per_epoch=steps,
        validate=_validation(kept, store, validation, config) if validation else None,
        state=state,
        log=log,
        identity=digest({"run": run_digest(config, store.fingerprint), "folds": folds}),
    )


def _validation(
    kept: keras.Model, store: Store, folds: tuple[str, ...], config: Config
) -> Callable[[], Row]:
    """A function that scores the validation folds with the weights of the moment."""
    batches = evaluation_stream(store, folds, config)
    predict = predictor(kept, [dict], batches)

    def validate() -> Row:
        scores = Scores(store.classes, store.groups)
        loss = score_batches(predict, batches, {"plain": (scores, [0])})["plain"]
        found = scores.summary(intervals=False)
        return {
            "val_loss": loss,
            "val_accuracy": found["accuracy"],
            "val_macro_f1": found["macro_f1"],
        }

    return validate


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
    )
