"""Callbacks of Keras and of the user's own in our loop, killed and resumed."""

from __future__ import annotations

import csv
import gc
import importlib.util
import io
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from headrace import stores
from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.pipeline.evaluation.memory import plan_evaluate
from headrace.pipeline.experiments.memory import plan_crossval
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.training.memory import plan_train
from headrace.pipeline.training.stage import run_train
from headrace.pipeline.training.state import StateKeeper, TrainingState, read_state
from headrace.stores.errors import BudgetError, FunctionError
from tests.conftest import request_for
from tests.pipeline.own.networks import config_of
from tests.pipeline.trained import assert_same_result, log_of
from tests.refusals import assert_names, refused

pytestmark = pytest.mark.usefixtures("measured_here")

CALLBACKS = """
import keras
import numpy as np
from keras import callbacks



def network(inputs, target):
    given = inputs.tensors()
    x = keras.layers.Dropout(0.3)(keras.layers.Dense(4, "relu")(given["features"]))
    made = keras.Model(given, keras.layers.Dense(target.count, activation="softmax")(x))
    made.compile(keras.optimizers.Adam(0.05), "categorical_crossentropy", metrics=["accuracy"])
    return made


def stopping():
    return callbacks.EarlyStopping("val_accuracy", min_delta=1, patience=9, start_from_epoch=1)


def plateau():
    return callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10, cooldown=1)


def table(run):
    return callbacks.CSVLogger(run / "mine.csv", append=True)


def board(run):
    return callbacks.TensorBoard(run / "mine", histogram_freq=0)


class Counting(callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.heard, self.sums, self.pair = [], np.zeros(2, np.float32), (1, 2)

    def on_epoch_begin(self, epoch, logs=None):
        self.heard.append(f"begin {epoch}")

    def on_train_batch_end(self, batch, logs=None):
        assert set(logs) == {"loss", "accuracy"}, logs
        self.sums += [1, logs["loss"]]

    def on_epoch_end(self, epoch, logs=None):
        assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(logs), logs
        self.heard.append(f"end {epoch}")


class Stops(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == 1


class Fails(callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise KeyError("mine")


class Hoards(callbacks.Callback):
    def on_train_begin(self, logs=None):
        self._held = np.ones(96 << 20, np.uint8)


def none():
    return 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(CALLBACKS)
    return tmp_path


def config_with(folder: Path, base: Config, *names: str, build: str | None = "network") -> Config:
    train = {"callbacks": [f"mine:{each}" for each in names], "epochs": 4, "steps_per_epoch": 3}
    model = {"inputs": "features"} | ({"build": f"mine:{build}"} if build else {})
    return config_of(folder, base, model=model, train={**train, "state_steps": 1})


class Stopped(Exception):
    """Stands for a kill at one place in the program."""


# A file that Keras' CSVLogger has open when the training is stopped.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "stops",
    [
        pytest.param([2], id="within an epoch"),
        pytest.param([2, 4], id="and at the end of one", marks=pytest.mark.own),
    ],
)
def test_a_killed_training_goes_on_with_its_callbacks_to_the_same_bits(
    stops: list[int],
    folder: Path,
    tiny_config: Config,
    tiny_store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = config_with(folder, tiny_config, "stopping", "plateau", "table", "Counting")
    whole, cut = RunFolder(folder / "whole"), RunFolder(folder / "cut")
    run_train(request_for(config, None, tiny_store, whole.path))
    write, left = StateKeeper.write, [0]

    def write_and_stop(keeper: StateKeeper, state: Callable[[], TrainingState]) -> None:
        write(keeper, state)
        left[0] -= 1
        if not left[0]:
            raise Stopped

    for count in stops:
        left[0] = count
        with monkeypatch.context() as patch:
            patch.setattr(StateKeeper, "write", write_and_stop)
            with pytest.raises(Stopped):
                run_train(request_for(config, None, tiny_store, cut.path))
    run_train(request_for(config, None, tiny_store, cut.path))
    assert_same_result(cut, whole)
    states = [read_state(run.state) for run in (whole, cut)]
    one, two = (state for state in states if state is not None)
    assert one.callbacks == two.callbacks
    assert [each["class"] for each in one.callbacks][:2] == ["EarlyStopping", "ReduceLROnPlateau"]
    assert one.callbacks[0]["attributes"]["wait"] > 0
    heard = one.callbacks[3]["attributes"]["heard"]
    assert heard == [f"{word} {epoch}" for epoch in range(4) for word in ("begin", "end")]
    for first, second in zip(one.callback_arrays, two.callback_arrays, strict=True):
        assert first.tobytes() == second.tobytes()
    # Here, where its warning is expected, not in some later test.
    gc.collect()
    rates = [float(row["learning_rate"]) for row in log_of(whole)]
    assert rates[0] > rates[-1]
    with (cut.path / "mine.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(rows[0])


@pytest.mark.own
def test_a_callback_may_stop_a_training_and_write_into_its_run(
    folder: Path, tiny_config: Config, tiny_store: Path
) -> None:
    board = ["board"] if importlib.util.find_spec("tensorboard") else []
    config = config_with(folder, tiny_config, "Stops", *board, build=None)
    run = RunFolder(folder / "run")
    summary = run_train(request_for(config, None, tiny_store, run.path))
    assert summary["epochs"] == 1
    assert "train.callbacks" in summary["memory"]
    assert run.complete
    assert not board or list((run.path / "mine" / "train").iterdir())


def test_callbacks_that_hold_more_than_the_budget_leaves_are_refused_before_a_step(
    folder: Path, tiny_config: Config, tiny_store: Path
) -> None:
    config, run = config_with(folder, tiny_config, "Hoards", build=None), folder / "run"
    room = plan_train(config, stores.open(tiny_store)).projected + (48 << 20)
    config = config.changed("memory", budget=room)
    with refused(BudgetError, "train.callbacks", "memory.budget"):
        run_train(request_for(config, None, tiny_store, run))
    assert not RunFolder(run).log.exists()


def test_what_callbacks_hold_is_said_to_come_on_top_until_they_are_measured(
    folder: Path, tiny_config: Config, tiny_store: Path
) -> None:
    config, store = config_with(folder, tiny_config, "none"), stores.open(tiny_store)
    small = config.changed("memory", budget=1 << 20)
    for plan in (plan_train(small, store), plan_crossval(small, store, baseline=False)):
        with refused(BudgetError, "train.callbacks"):
            plan.require_fit()
    with refused(BudgetError, "memory.budget") as error:
        plan_evaluate(small, store, baseline=False).require_fit()
    assert "train.callbacks" not in str(error.value)
    console = Console()
    with redirect_stdout(io.StringIO()) as said:
        console.memory_plan("train", plan_train(config, store))
    assert_names(said.getvalue(), "train.callbacks")


@pytest.mark.parametrize(
    ("name", "named"),
    [
        pytest.param("Fails", ("mine.py", "KeyError", "mine"), marks=pytest.mark.own),
        ("none", ("mine:none", "int")),
    ],
)
def test_a_callback_that_fails_is_named_with_its_line(
    name: str, named: tuple[str, ...], folder: Path, tiny_config: Config, tiny_store: Path
) -> None:
    config = config_with(folder, tiny_config, name, build=None)
    with refused(FunctionError, *named):
        run_train(request_for(config, None, tiny_store, folder / "run"))
    assert "mine" not in sys.modules
