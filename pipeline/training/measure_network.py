"""A few steps of a stage's network on noise; prints its peak and the bytes of its weights."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.memory.watch import MemoryUse, watch_memory
from headrace.pipeline.process import interrupts
from headrace.pipeline.process.ending import end
from headrace.pipeline.process.exit_codes import OVER_BUDGET, USERS_INPUT
from headrace.pipeline.runs.inputs import inputs_from_table
from headrace.pipeline.tensorflow_setup import set_up_tensorflow
from headrace.stores.errors import UserError
from headrace.stores.text import in_one_line

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.runs.inputs import ModelInputs
    from headrace.pipeline.training.network import Fitted

GATHERED = 64
"""Rows that the kernels are tried on."""
STEPS = 5


def main() -> NoReturn:
    """Read the task from standard input; print bytes."""
    interrupts.catch()
    code = 0
    try:
        with interrupts.unwinding():
            _measure(json.load(sys.stdin))
    except KeyboardInterrupt as error:
        code = interrupts.say(error)
    except UserError as error:
        print(in_one_line(str(error)), file=sys.stderr)
        code = USERS_INPUT
    end(code)


def _measure(task: dict[str, Any]) -> None:
    config = config_from_table(task["config"], "the task")
    inputs = inputs_from_table(task["inputs"], Path("the task"))
    with watch_memory() as use:
        if task["limit"]:
            threading.Thread(target=_end_above, args=(use, task["limit"]), daemon=True).start()
        set_up_tensorflow(config.train)
        weights = _run(task["stage"], config, inputs)
    print(use.peak, weights)


def _end_above(use: MemoryUse, limit: int) -> None:
    """A network that nobody has measured yet is not let take all of the machine."""
    while use.held <= limit:
        time.sleep(0.02)
    os._exit(OVER_BUDGET)


def _run(stage: str, config: Config, inputs: ModelInputs) -> int:
    """Steps of the stage; returns the bytes of the network's weights."""
    import tensorflow as tf

    from headrace.pipeline.config.functions import users_code
    from headrace.pipeline.training.network import (
        BUILD,
        make_network,
        require_savable,
        unit_statistics,
    )

    fitted = make_network(config, inputs, STEPS, 1, unit_statistics(inputs.target))
    network, heads = fitted.model, list(fitted.heads.names)
    with users_code(config, BUILD):
        if stage == "train":
            require_savable(fitted, _normaliser(config, inputs), config)
            batches = tf.data.Dataset.from_tensors(_batch(config.train.batch, fitted, heads))
            batches = batches.repeat(STEPS)
            step = tf.function(
                lambda given: network.train_step(fitted.batch(given)),
                input_signature=[batches.element_spec],
                autograph=False,
            )
            if fitted.own:
                fitted.require_loss(step.get_concrete_function().structured_outputs)
            for each in batches:
                step(each)
            _gather(config, inputs)
        views = 1 if stage == "train" else len(config.evaluate.views)
        given, _, _ = _batch(config.evaluate.batch, fitted, heads)

        def seen(batch: Any) -> Any:
            found = network(batch)
            return found if fitted.heads.bare else found["label"]

        predict = tf.function(
            lambda batch: tf.stack([seen(batch) for _ in range(views)]), autograph=False
        )
        for _ in range(STEPS):
            predict(given).numpy()
    _finish(stage, network, fitted.target.count)
    return sum(variable.numpy().nbytes for variable in network.weights)


def _normaliser(config: Config, inputs: ModelInputs) -> Any:
    """One of noise."""
    from headrace.model.normaliser import Normaliser

    count, (_, channels) = len(inputs.features), inputs.spec.shape
    sample = np.random.default_rng(0).normal(size=(GATHERED, count))
    moments = np.zeros(channels), np.ones(channels), np.zeros(count), np.ones(count)
    return Normaliser.fit(*moments, sample, config.model.feature_scaling)


def _gather(config: Config, inputs: ModelInputs) -> None:
    """What puts the rows of a training in order: compiled code, and its compiler's library."""
    from headrace.pipeline.stream.gather import gather_features, gather_raw

    normaliser, time = _normaliser(config, inputs), inputs.spec.time
    rows = np.arange(GATHERED)
    sample = np.random.default_rng(0).normal(size=(GATHERED, len(inputs.features)))
    gather_features(normaliser)(sample.astype(np.float32), rows)
    raw = np.zeros((GATHERED, *inputs.spec.shape), np.float32)
    gather_raw(normaliser, time)(raw, rows)


def _finish(stage: str, network: Any, classes: int) -> None:
    """What a stage does at its end, with the libraries that it loads for it."""
    from headrace.model.figures import confusion_matrix, learning_curves

    learning_curves([{"epoch": 1.0, "loss": 1.0}])
    if stage == "evaluate":
        confusion_matrix(np.eye(classes), [str(number) for number in range(classes)])
        return
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder) / "model.keras")


def _batch(
    rows: int, fitted: Fitted, heads: list[str]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    from headrace.pipeline.training.network import example_batch

    rng = np.random.default_rng(0)
    given = {
        name: rng.normal(size=(rows, *shape)).astype(np.float32)
        for name, shape in fitted.inputs.shapes.items()
    }
    labels, weights = example_batch(fitted.target, rows)
    return given, dict.fromkeys(heads, labels), dict.fromkeys(heads, weights)
