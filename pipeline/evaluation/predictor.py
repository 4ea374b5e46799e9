"""Streams rows once through a model, view by view, and scores them; nothing is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headrace.model.normalisation_layers import FeatureNormalisation, RawNormalisation
from headrace.model.own_network import own_objects
from headrace.model.targets.interface import NO_STATISTICS, TargetModel, TargetStatistics
from headrace.pipeline.config.functions import loaded_modules
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.record import recorded_config
from headrace.stores.errors import ARCHIVE_ERRORS, FunctionError, RunError, first_line

if TYPE_CHECKING:
    from headrace.pipeline.runs.inputs import ModelInputs


class Updated(Protocol):
    """What takes the predictions of a batch, as `Scores` does."""

    def update(
        self,
        probability: NDArray[np.float64],
        label: NDArray[np.int32],
        group: NDArray[np.int32],
        index: NDArray[np.int64],
    ) -> None:
        """Probabilities (n, K); the rest (n,)."""


Batch = dict[str, tf.Tensor]
View = Callable[[Batch], Batch]
Predictor = Callable[[Batch], tf.Tensor]


def load_model(path: Path) -> keras.Model:
    """The model of a complete run: raw and features as the store holds them, to probabilities.

    Layers of Keras and of this program are made, and no function of the file's is run. Where the
    network has layers of the user's own, the run's copy of their files is.

    Raises:
        UserError: the file is damaged, or not a model of this program.
    """
    try:
        try:
            model = _loaded(path, {})
        except ARCHIVE_ERRORS:
            objects = _own_objects(path)
            if not objects:
                raise
            model = _loaded(path, objects)
    except FunctionError:
        raise
    except ARCHIVE_ERRORS as error:
        raise RunError(
            f"{path} is damaged or no model of this program ({first_line(error)}). Train again: "
            "headrace train --new."
        ) from error
    if not isinstance(model, keras.Model) or not isinstance(model.input, dict):
        raise RunError(
            f"{path} is no model of this program: it does not take raw and features by name. "
            "Train again: headrace train --new."
        )
    return model


def _loaded(path: Path, objects: Mapping[str, Any]) -> keras.Model:
    known = {each.__name__: each for each in (RawNormalisation, FeatureNormalisation)}
    with keras.saving.custom_object_scope(dict(objects)):
        return keras.saving.load_model(path, custom_objects=known, compile=False, safe_mode=True)


def _own_objects(path: Path) -> dict[str, Any]:
    """Classes and functions of the user's that the run of a model names; none without a run."""
    run = RunFolder(path.parent)
    if not run.config.is_file():
        return {}
    return own_objects(loaded_modules(recorded_config(run)))


def predictor(model: keras.Model, views: Sequence[View], batches: tf.data.Dataset) -> Predictor:
    """A compiled function of one of `batches`, in units: float32 probabilities (views, n, K).

    It is traced once, for full and partial batches. All views of a batch are held together.
    """
    names = list(model.input)

    @tf.function(input_signature=[batches.element_spec], autograph=False)
    def predict(batch: Batch) -> tf.Tensor:
        seen = [view(batch) for view in views]
        return tf.stack([model({name: each[name] for name in names}) for each in seen])

    return predict


def block_predictor(
    path: Path, batch: int, inputs: ModelInputs
) -> Callable[[NDArray[np.float32], NDArray[np.float32] | None], NDArray[np.float32]]:
    """A function of the windows of a block: their probabilities (n, K) float32.

    Args:
        path: of the model.
        batch: windows that the network sees at a time; the last may be fewer.
        inputs: what it takes: raw (n, T, C) in units and features (n, F), float32.

    Raises:
        UserError: the file is damaged, or no model of this program.
    """
    model = load_model(path)
    shapes = {"raw": inputs.spec.shape, "features": (len(inputs.features),)}
    names = list(model.input)

    # One signature for full and partial batches: traced once.
    signature = [{n: tf.TensorSpec((None, *shapes[n])) for n in names}]

    @tf.function(input_signature=signature, autograph=False)
    def probabilities(given: Batch) -> tf.Tensor:
        return model(given)

    def predict(
        raw: NDArray[np.float32], features: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        columns: dict[str, Any] = {"raw": raw, "features": features}
        found = np.empty((len(raw), len(inputs.classes)), np.float32)
        for at in range(0, len(raw), batch):
            rows = slice(at, at + batch)
            given = {name: tf.constant(columns[name][rows]) for name in names}
            found[rows] = probabilities(given).numpy()
        return found

    return predict


def score_batches(
    predict: Predictor,
    batches: Iterable[Batch],
    scores: Mapping[str, tuple[Updated, Sequence[int]]],
    target: TargetModel,
    statistics: TargetStatistics = NO_STATISTICS,
    advance: Callable[[int], None] = lambda windows: None,
) -> dict[str, float]:
    """Run all batches through `predict` and update every score with the mean of its views.

    Args:
        predict: made by `predictor`.
        batches: of an evaluation stream: `label`, `group`, `source_index` (n,) too.
        scores: name -> the scores to update, and which of the views they average.
        target: what is predicted.
        statistics: of its training rows.
        advance: told the windows of each batch, for a progress bar.

    Returns:
        Name -> the target's loss, of classes cross-entropy in nats: the mean over all labels.

    Raises:
        ValueError: there was no window.
    """
    loss, labelled = dict.fromkeys(scores, 0.0), dict.fromkeys(scores, 0)
    windows = 0
    for batch in batches:
        seen = predict(batch).numpy()
        label, group, index = (batch[n].numpy() for n in ("label", "group", "source_index"))
        for name, (score, views) in scores.items():
            probability = seen[list(views)].mean(axis=0, dtype=np.float64)
            score.update(probability, label, group, index)
            total, count = target.loss_sum(probability, label, statistics)
            loss[name] += total
            labelled[name] += count
        windows += len(label)
        advance(len(label))
    if not windows:
        raise ValueError("There is no window to score: the folds are empty.")
    return {name: total / max(labelled[name], 1) for name, total in loss.items()}
