"""A few steps of a stage's network on noise; prints the peak of memory: `measure_reserved`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.memory.watch import watch_memory
from headrace.pipeline.process import interrupts
from headrace.pipeline.process.ending import end
from headrace.pipeline.tensorflow_setup import set_up_tensorflow

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
    end(code)


def _measure(task: dict[str, Any]) -> None:
    config = config_from_table(task["config"], "the task")
    with watch_memory() as use:
        set_up_tensorflow(config.train)
        _run(task["stage"], config, task["shape"])
    print(use.peak)


def _run(stage: str, config: Config, shape: dict[str, int]) -> None:
    import tensorflow as tf

    from headrace.model.network import build_network
    from headrace.model.optimisation import compile_network
    from headrace.pipeline.training.network import optimiser_options

    network = build_network(config.model, **shape)
    if stage == "train":
        compile_network(network, config.model, optimiser_options(config.train), STEPS, 1)
        batch = _batch(config.train.batch, shape, list(network.input), list(network.output))
        batches = tf.data.Dataset.from_tensors(batch).repeat(STEPS)
        step = tf.function(network.train_step, input_signature=[batches.element_spec])
        for each in batches:
            step(each)
        _gather(config, shape)
    views = 1 if stage == "train" else len(config.evaluate.views)
    inputs, _, _ = _batch(config.evaluate.batch, shape, list(network.input), ["label"])
    predict = tf.function(lambda given: tf.stack([network(given)["label"] for _ in range(views)]))
    for _ in range(STEPS):
        predict(inputs).numpy()
    _finish(stage, network, shape["classes"])


def _gather(config: Config, shape: dict[str, int]) -> None:
    """What puts the rows of a training in order: compiled code, and its compiler's library."""
    from headrace.model.normaliser import Normaliser
    from headrace.pipeline.stream.gather import gather_features, gather_raw

    count, channels = shape["features"], shape["channels"]
    sample = np.random.default_rng(0).normal(size=(GATHERED, count))
    moments = np.zeros(channels), np.ones(channels), np.zeros(count), np.ones(count)
    normaliser = Normaliser.fit(*moments, sample, config.model.feature_scaling)
    rows = np.arange(GATHERED)
    gather_features(normaliser)(sample.astype(np.float32), rows)
    raw = np.zeros((GATHERED, shape["time"], channels), np.float32)
    gather_raw(normaliser, shape["time"])(raw, rows)


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
    rows: int, shape: dict[str, int], inputs: list[str], heads: list[str]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(0)
    columns = {"raw": (shape["time"], shape["channels"]), "features": (shape["features"],)}
    given = {name: rng.normal(size=(rows, *columns[name])).astype(np.float32) for name in inputs}
    labels = np.eye(shape["classes"], dtype=np.float32)[rng.integers(shape["classes"], size=rows)]
    weights = np.ones(rows, np.float32)
    return given, dict.fromkeys(heads, labels), dict.fromkeys(heads, weights)
