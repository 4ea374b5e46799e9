"""A training before its first step: the network, its normalisation and how it is validated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from headrace.model.normaliser import Normaliser
from headrace.model.targets.interface import TargetModel, TargetStatistics
from headrace.model.targets.registry import target_model
from headrace.pipeline.config.config import digest
from headrace.pipeline.config.functions import users_code
from headrace.pipeline.evaluation.predictor import Updated, predictor, score_batches
from headrace.pipeline.rows.order import training_order
from headrace.pipeline.rows.statistics import fit_normaliser
from headrace.pipeline.runs.folder import run_digest
from headrace.pipeline.runs.inputs import inputs_of
from headrace.pipeline.stream.evaluation import evaluation_stream
from headrace.pipeline.stream.target import target_statistics
from headrace.pipeline.training.network import Fitted, make_network, require_savable
from headrace.pipeline.training.state import Row

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.config.training import TrainOptions
    from headrace.pipeline.rows.split import Split
    from headrace.pipeline.runs.folder import RunFolder
    from headrace.stores import Store

VALIDATED = "val_"
"""Begins the name of what is measured on the validation folds."""


@dataclass(frozen=True)
class Training:
    """One training: what is fitted, on what, for how long, and how it is validated."""

    folds: tuple[str, ...]
    epochs: int
    options: TrainOptions
    fitted: Fitted
    normaliser: Normaliser
    steps_per_epoch: int
    rows: int
    """Windows of an epoch, unless it is truncated."""
    validate: Callable[[], Row] | None
    """Scores the validation folds with the weights of the moment; None: nothing is validated."""
    state: Path
    log: Path
    own_augmentations: tuple[str, ...]
    """The user's, by name."""
    identity: str
    """Digest of what decides the result; a state of another one is not resumed."""

    def windows(self, steps: int) -> int:
        """How many windows so many steps of an epoch take: the last may take fewer."""
        return min(steps * self.options.batch, self.rows)

    @property
    def has_own_loss(self) -> bool:
        """Whether it is the user's, which may be of any size."""
        return self.fitted.own or self.options.loss is not None

    @property
    def network(self) -> keras.Model:
        """What is trained; it takes normalised inputs."""
        return self.fitted.model


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
    order = training_order(store, folds, config)
    steps = order.steps(
        config.train.batch, config.stream.drop_remainder, config.train.steps_per_epoch
    )
    statistics = target_statistics(store, folds)
    fitted = make_network(config, inputs_of(store), steps, epochs, statistics)
    require_savable(fitted, normaliser, config)
    kept = fitted.for_use(normaliser)
    return Training(
        folds=folds,
        epochs=epochs,
        options=config.train,
        fitted=fitted,
        normaliser=normaliser,
        steps_per_epoch=steps,
        rows=order.rows,
        validate=_validation(kept, fitted, store, validation, config) if validation else None,
        state=state,
        log=log,
        own_augmentations=config.augment.custom,
        identity=digest({"run": run_digest(config, store.fingerprint), "folds": folds}),
    )


@dataclass(frozen=True)
class _OwnMetrics:
    """Metrics of the user's, updated like scores."""

    metrics: tuple[keras.metrics.Metric, ...]
    target: TargetModel
    statistics: TargetStatistics
    config: Config

    def update(
        self, prediction: NDArray[Any], label: NDArray[Any], group: NDArray[Any], index: Any
    ) -> None:
        encoded, weight = self.target.encode_arrays(label, self.statistics)
        given = self.target.as_given(prediction, self.statistics).astype(np.float32)
        # Of a window all count alike; of a sequence the steps that have a label.
        weights = (weight,) if self.target.weight_shape else ()
        with users_code(self.config, "train.metrics"):
            for each in self.metrics:
                each.update_state(encoded, given, *weights)


def _validation(
    kept: keras.Model, fitted: Fitted, store: Store, folds: tuple[str, ...], config: Config
) -> Callable[[], Row]:
    """A function that scores the validation folds with the weights of the moment."""
    batches = evaluation_stream(store, folds, config)
    predict = predictor(kept, [dict], batches)
    target, statistics = target_model(fitted.target), fitted.statistics
    shown = [key for key in target.curves if key.startswith(VALIDATED)]

    def validate() -> Row:
        scores = target.scores(store.groups, statistics=statistics)
        own = _OwnMetrics(tuple(make() for make in fitted.metrics), target, statistics, config)
        wanted: dict[str, tuple[Updated, list[int]]] = {"plain": (scores, [0])}
        if own.metrics:
            wanted["own"] = own, [0]
        loss = score_batches(predict, batches, wanted, target, statistics)["plain"]
        found = scores.summary(intervals=False)
        return {
            "val_loss": loss,
            **{key: found[key.removeprefix(VALIDATED)] for key in shown},
            **{f"{VALIDATED}{each.name}": float(each.result()) for each in own.metrics},
        }

    return validate
