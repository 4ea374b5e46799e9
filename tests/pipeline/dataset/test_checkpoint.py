"""A killed `fit` goes on to the bit, in the middle of an epoch too."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import headrace
from headrace.stores.errors import ConfigError, RunError
from tests.refusals import refused

EPOCHS = 3


class Killed(BaseException):
    """What stands for the end of the process."""


class KillAt(keras.callbacks.Callback):
    """Ends the training after so many of its steps."""

    def __init__(self, step: int) -> None:
        super().__init__()
        # No plain attribute: it plays no part in the training's state.
        self._steps = itertools.count(1 - step)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if next(self._steps) == 0:
            raise Killed


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    tf.config.experimental.enable_op_determinism()
    yield
    keras.backend.clear_session()


def network(data: headrace.Dataset, units: int = 6, compiled: bool = False) -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = {name: keras.Input(shape, name=name) for name, shape in data.inputs.items()}
    raw = keras.layers.GlobalAveragePooling1D()(keras.layers.Conv1D(units, 5)(inputs["raw"]))
    joined = keras.layers.Concatenate()([raw, keras.layers.Dropout(0.3)(inputs["features"])])
    output = keras.layers.Dense(len(data.classes), activation="softmax")(
        keras.layers.BatchNormalization()(joined)
    )
    model = keras.Model(inputs, output)
    # XLA has a program to make for each `fit`.
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=compiled
    )
    return model


def recompiled(model: keras.Model) -> keras.Model:
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=5)
    model.compile(keras.optimizers.Adam(0.5), loss, metrics=["accuracy"], jit_compile=False)
    return model


def callbacks() -> list[keras.callbacks.Callback]:
    """Each of them knows something between two epochs."""
    return [
        keras.callbacks.ReduceLROnPlateau(patience=1, min_delta=9.0),
        keras.callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True),
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
    ]


def fit(
    store: Path,
    folder: Path | None,
    *more: Any,
    epochs: int = EPOCHS,
    compiled: bool = False,
    **options: Any,
) -> tuple[list[bytes], dict[str, list[float]]]:
    """Weights and history of a training, as a script that is started would make them."""
    data = headrace.Dataset(store, **{"batch": 32, "folds": 4, "buffer_chunks": 4} | options)
    model, train = network(data, compiled=compiled), data["train"]
    kept = [] if folder is None else [train.checkpoint(folder, every=3)]
    history = model.fit(
        train.tf(),
        validation_data=data["validation"].tf(),
        steps_per_epoch=len(train),
        epochs=epochs,
        callbacks=[*kept, *callbacks(), *more],
        shuffle=False,
        verbose=0,
    )
    return [variable.numpy().tobytes() for variable in model.variables], history.history


@pytest.mark.parametrize("steps", [[10], pytest.param([5, 10], marks=pytest.mark.cases)])
def test_a_training_that_is_ended_again_and_again_ends_with_the_same_bits(
    steps: list[int], tiny_store: Path, tmp_path: Path
) -> None:
    whole = fit(tiny_store, None)
    # In the midst of the second epoch, and in the first before.
    for step in steps:
        with pytest.raises(Killed):
            fit(tiny_store, tmp_path, KillAt(step))
        random.random()
        np.random.random()
    assert fit(tiny_store, tmp_path) == whole
    # Started once more there is nothing left to do.
    assert fit(tiny_store, tmp_path, KillAt(1)) == whole


@pytest.mark.faults
def test_more_epochs_go_on_from_the_last(tiny_store: Path, tmp_path: Path) -> None:
    fit(tiny_store, tmp_path, epochs=2)
    _, history = fit(tiny_store, tmp_path, epochs=EPOCHS)
    assert len(history["loss"]) == EPOCHS


def test_the_state_of_another_training_is_refused(tiny_store: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        fit(tiny_store, tmp_path, KillAt(5))
    with refused(RunError, "seed", "state.npz"):
        fit(tiny_store, tmp_path, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        smaller = network
        patch.setitem(globals(), "network", lambda data, compiled: smaller(data, units=5))
        with refused(RunError, "variables"):
            fit(tiny_store, tmp_path)
        patch.setitem(globals(), "network", lambda data, compiled: recompiled(smaller(data)))
        with refused(RunError, "optimizer.learning_rate", "0.5", "loss"):
            fit(tiny_store, tmp_path)
    (tmp_path / "state.npz").write_bytes(b"torn")
    with refused(RunError, "state.npz"):
        fit(tiny_store, tmp_path)


def test_a_checkpoint_works_within_fit_alone(tiny_store: Path, tmp_path: Path) -> None:
    train = headrace.Dataset(tiny_store, folds=4)["train"]
    with refused(ConfigError, "fit", "state(step)"):
        train.checkpoint(tmp_path).set_model(keras.Sequential())
    with refused(ConfigError, "every", "0"):
        train.checkpoint(tmp_path, every=0)


def test_a_checkpoint_keeps_a_fit_of_its_own_part_alone(tiny_store: Path, tmp_path: Path) -> None:
    data = headrace.Dataset(tiny_store, batch=32, folds=4, buffer_chunks=4)
    train, model = data["train"], network(data)
    other = data.folds(data.split.train).tf()
    for batches, named in ((other, "train"), (train.tf(start=3), "3")):
        with refused(ConfigError, named):
            kept = train.checkpoint(tmp_path)
            model.fit(batches, steps_per_epoch=2, callbacks=[kept], shuffle=False, verbose=0)
        assert not list(tmp_path.iterdir())


SCRIPT = """
import hashlib, sys
import keras, tensorflow as tf
import headrace
from tests.pipeline.dataset.test_checkpoint import fit
from pathlib import Path
tf.config.experimental.enable_op_determinism()
print("begun", flush=True)
weights, history = fit(Path(sys.argv[1]), Path(sys.argv[2]), epochs=12, compiled=True)
print(hashlib.sha256(b"".join(weights)).hexdigest(), history)
"""


@pytest.mark.faults
def test_a_script_killed_at_twenty_random_moments_ends_with_the_same_bits(
    tiny_store: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tiny_store)]
    # Of the checkout, where the package is.
    options = {"text": True, "stdout": subprocess.PIPE, "env": os.environ | {"PYTHONPATH": "."}}
    expected = subprocess.run([*command, str(tmp_path / "whole")], check=True, **options).stdout
    moments, kills, ended = random.Random(0), 0, ""
    while kills < 20:
        child = subprocess.Popen([*command, str(tmp_path / "killed")], **options)
        assert child.stdout is not None
        child.stdout.readline()
        try:
            ended, _ = child.communicate(timeout=moments.uniform(2, 9))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.communicate()
            kills += 1
        else:
            assert child.returncode == 0
            assert ended.splitlines()[-1] == expected.splitlines()[-1]
            (tmp_path / "killed" / "state.npz").unlink()
    ended = subprocess.run([*command, str(tmp_path / "killed")], check=True, **options).stdout
    assert ended.splitlines()[-1] == expected.splitlines()[-1]
