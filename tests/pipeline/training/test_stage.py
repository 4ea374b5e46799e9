"""The train stage: what it leaves, and that an interruption changes nothing of it."""

from __future__ import annotations

import csv
import dataclasses
import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import keras
import numpy as np
import pytest

from headrace import stores
from headrace.model.targets.weights import class_weights
from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_bytes
from headrace.pipeline.console import Console
from headrace.pipeline.request import Request
from headrace.pipeline.rows.split import choose_split, fold_ranges
from headrace.pipeline.rows.statistics import fit_normaliser
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.record import recorded_config
from headrace.pipeline.runs.resolve import resolved_config
from headrace.pipeline.training import state as training_state
from headrace.pipeline.training.log import COLUMNS, epoch_line
from headrace.pipeline.training.loop import _refuse_divergence
from headrace.pipeline.training.prepare import prepare
from headrace.pipeline.training.stage import run_train
from headrace.pipeline.training.state import Progress, StateKeeper, TrainingState, read_state
from headrace.stores.errors import BudgetError, DamageError, RunError
from headrace.stores.store import open_store
from tests.conftest import changed
from tests.pipeline.trained import assert_same_result, log_of, weights_of, without_times
from tests.refusals import assert_refused, refused


def request_for(config: Config, store: Path, run: Path | None, new: bool = False) -> Request:
    return Request(config, None, store, run, Console(quiet=True), new)


def test_a_complete_run_holds_what_was_trained_on_and_with(
    complete_run: RunFolder, stateful_config: Config, tiny_store: Path
) -> None:
    recorded = recorded_config(complete_run)
    assert recorded.run_keys() == stateful_config.run_keys()
    assert recorded.paths.store == tiny_store
    assert recorded.stream.buffer_chunks == stateful_config.stream.buffer_chunks
    rows = log_of(complete_run)
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert complete_run.curves.read_bytes().startswith(b"\x89PNG")
    assert complete_run.versions.is_file()


def test_the_model_takes_rows_of_the_store_and_learnt_something(
    complete_run: RunFolder, tiny_store: Path, stateful_config: Config
) -> None:
    store = stores.open(tiny_store)
    fold = store.fold(
        choose_split(store.folds, store.class_table, stateful_config.split).validation[0]
    )
    rows = store.read_many(["raw", "features"], [(fold.start, fold.stop)])
    raw = rows["raw"] * np.array(store.spec.scale, np.float32)
    model = keras.saving.load_model(complete_run.model, safe_mode=True)
    probability = model.predict({"raw": raw, "features": rows["features"]}, verbose=0)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    losses = [float(row["loss"]) for row in log_of(complete_run)]
    assert losses[-1] < losses[0]


def test_the_model_carries_nothing_of_its_training(complete_run: RunFolder) -> None:
    with zipfile.ZipFile(complete_run.model) as archive:
        assert b"optimizer" not in archive.read("config.json")


def test_the_best_epoch_is_the_one_of_the_lowest_validation_loss(complete_run: RunFolder) -> None:
    state = read_state(complete_run.state)
    assert state is not None
    losses = [float(row["val_loss"]) for row in log_of(complete_run)]
    assert state.progress.best_epoch == int(np.argmin(losses))
    assert state.progress.best_loss == min(losses)


def test_a_complete_run_is_left_alone(
    complete_run: RunFolder, stateful_config: Config, tiny_store: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in complete_run.path.rglob("*")}
    summary = run_train(request_for(stateful_config, tiny_store, complete_run.path))
    assert not summary["trained"]
    assert {path: path.stat().st_mtime_ns for path in complete_run.path.rglob("*")} == before


KILLED = """
import os, signal
from headrace.pipeline.training import state as training_state
write, left = training_state.write_state, [5]
def write_and_die(*given):
    write(*given)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
training_state.write_state = write_and_die
from headrace.pipeline.launch import main
main()
"""
"""A training that is killed when its state has been written so many times."""


class Stopped(Exception):
    """Stands for a kill at one place in the program."""


def test_a_training_stopped_at_a_step_ends_with_the_same_bits(
    cheap_run: RunFolder, cheap_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    run, write, written = RunFolder(tmp_path / "stopped"), StateKeeper.write, []

    def write_and_stop(keeper: StateKeeper, state: Callable[[], TrainingState]) -> None:
        write(keeper, state)
        written.append(keeper)
        if len(written) == 5:
            raise Stopped

    config = changed(cheap_config, train={"state_steps": 1})
    with patch.object(StateKeeper, "write", write_and_stop), pytest.raises(Stopped):
        run_train(request_for(config, tiny_store, run.path))
    state = read_state(run.state)
    assert state is not None
    assert (state.progress.epoch, state.progress.step) == (0, 5)
    run_train(request_for(cheap_config, tiny_store, run.path))
    assert_same_result(run, cheap_run)


@pytest.mark.cases
def test_a_training_killed_at_any_step_ends_with_the_same_bits(
    cheap_run: RunFolder, cheap_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    file, run = tmp_path / "tiny.toml", RunFolder(tmp_path / "killed")
    file.write_bytes(config_bytes(cheap_config))
    options = ["train", "--quiet", "--config", str(file), "--store", str(tiny_store)]
    options += ["--run", str(run.path), "--set", "train.state_steps=1"]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    killed = subprocess.run([sys.executable, "-c", KILLED, *options], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not list(temporary.iterdir())
    state = read_state(run.state)
    assert state is not None
    assert (state.progress.epoch, state.progress.step) == (0, 5)
    assert not run.complete
    run_train(request_for(cheap_config, tiny_store, run.path))
    assert_same_result(run, cheap_run)


@pytest.mark.faults
@pytest.mark.parametrize("mix", [0.0, 0.5])
def test_a_training_stopped_at_each_step_goes_on_from_that_very_step(
    cheap_config: Config,
    tiny_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mix: float,
) -> None:
    config = changed(cheap_config, augment={"mix_probability": mix}, train={"state_steps": 2})
    whole, run = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "stopped")
    run_train(request_for(config, tiny_store, whole.path))
    write = StateKeeper.write

    def write_and_stop(keeper: StateKeeper, state: Callable[[], TrainingState]) -> None:
        write(keeper, state)
        raise Stopped

    places = []
    with monkeypatch.context() as patch:
        patch.setattr(StateKeeper, "write", write_and_stop)
        for _ in range(7):
            with pytest.raises(Stopped):
                run_train(request_for(config, tiny_store, run.path))
            state = read_state(run.state)
            assert state is not None
            places.append((state.progress.epoch, state.progress.step))
    assert len(set(places)) == 7
    assert {epoch for epoch, _ in places} >= {0, 1}
    run.log.unlink(missing_ok=True)
    run_train(request_for(config, tiny_store, run.path))
    assert_same_result(run, whole)


def test_the_state_is_written_every_so_many_steps_or_for_a_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = StateKeeper(tmp_path / "state.npz", steps=3)
    assert [keeper.due() for _ in range(3)] == [False, False, True]
    keeper.write(lambda: TrainingState(Progress(step=3), [np.zeros(3)], []))
    assert [keeper.due() for _ in range(3)] == [False, False, True]
    now = 0.0
    monkeypatch.setattr(training_state.time, "monotonic", lambda: now)
    keeper = StateKeeper(tmp_path / "state.npz", steps=None)
    assert not keeper.due()
    now = 5.0
    assert keeper.due()

    def slow(path: Path, state: TrainingState) -> None:
        nonlocal now
        now += 2

    monkeypatch.setattr(training_state, "write_state", slow)
    keeper.write(lambda: TrainingState(Progress(step=9), [], []))
    written = now
    now = written + 399
    assert not keeper.due()
    now = written + 2 / 0.005
    assert keeper.due()


def test_damage_of_the_store_is_named_in_one_line(
    cheap_config: Config, tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, file = tmp_path / "damaged.zarr", tmp_path / "cheap.toml"
    shutil.copytree(tiny_store, store)
    for shard in (store / "features").glob("c.*"):
        data = bytearray(shard.read_bytes())
        data[40] ^= 1
        shard.write_bytes(data)
    file.write_bytes(config_bytes(cheap_config))
    command = ["train", "--quiet", "--config", str(file), "--store", str(store)]
    command += ["--run", str(tmp_path / "run"), "--set", "model.feature_scaling=standard"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert_refused(said, DamageError, "damaged.zarr", "headrace verify")
    assert said.count("\n") == 1


def test_training_stops_early_and_another_run_stands_beside(
    cheap_config: Config, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train = {"epochs": 60, "patience": 2, "learning_rate": 0.1, "average": 0.0, "tensorboard": True}
    config = cheap_config.model_copy(update={"train": cheap_config.train.model_copy(update=train)})
    first = run_train(request_for(config, tiny_store, None))
    assert first["epochs"] == int(first["best"]["epoch"]) + 2 < 60
    assert list((Path(first["run"]) / "tensorboard").iterdir())

    def train_alike(run: RunFolder, *given: object) -> object:
        shutil.copytree(first["run"], run.path, dirs_exist_ok=True)
        return given[-1]

    with patch("headrace.pipeline.training.stage._train", train_alike):
        second = run_train(request_for(config, tiny_store, None, new=True))
    assert second["run"] == f"{first['run']}-2"
    assert run_train(request_for(config, tiny_store, None))["run"] == second["run"]


def test_statistics_see_the_training_folds_only(tiny_store: Path, tiny_config: Config) -> None:
    store = stores.open(tiny_store)
    split = choose_split(store.folds, store.class_table, tiny_config.split)
    normaliser = fit_normaliser(store, split.train, tiny_config)
    rows = store.read_many(
        ["raw"], [(store.fold(name).start, store.fold(name).stop) for name in split.train]
    )
    raw = rows["raw"].astype(np.float64) * store.spec.scale
    np.testing.assert_allclose(normaliser.raw_mean, raw.mean(axis=(0, 1)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(normaliser.raw_scale, 1 / raw.std(axis=(0, 1)), rtol=1e-5)


def test_class_weights_are_one_on_average_and_spare_absent_classes() -> None:
    counts = np.array([100, 400, 0])
    assert class_weights(counts, 0.0) is None
    weights = class_weights(counts, 0.5)
    assert weights is not None
    assert weights[2] == 0
    assert weights[0] == pytest.approx(2 * weights[1])
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1)


def test_a_config_that_contradicts_the_store_is_refused(
    cheap_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    features = cheap_config.features.model_copy(update={"select": ("*rms",)})
    other = Config.model_validate(
        cheap_config.model_dump(exclude_unset=True) | {"features": {"select": ["*rms"]}}
    )
    assert other.features.select == features.select
    with refused(RunError, "features.select", "['*rms']"):
        run_train(request_for(other, tiny_store, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_run_records_what_the_store_was_made_with(tiny_store: Path) -> None:
    plain = Config.model_validate({"train": {"epochs": 1}})
    resolved = resolved_config(request_for(plain, tiny_store, None), stores.open(tiny_store))
    assert resolved.store.chunk_windows == 16
    assert resolved.features.accelerometers == ("acc",)


def test_a_budget_that_is_too_small_is_refused_before_anything_is_made(
    stateful_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    memory = stateful_config.memory.model_copy(update={"budget": 2**20})
    with refused(BudgetError, "memory.budget", "1 MiB"):
        run_train(
            request_for(
                stateful_config.model_copy(update={"memory": memory}), tiny_store, tmp_path / "run"
            )
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.faults
def test_a_second_training_sees_every_group_but_the_tested_and_resumes_alike(
    cheap_run: RunFolder, cheap_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    train = cheap_config.train.model_copy(update={"refit": True})
    config = cheap_config.model_copy(update={"train": train})
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    run_train(request_for(config, tiny_store, whole.path))
    with whole.refit_log.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == [row["epoch"] for row in log_of(whole)]
    assert {row["val_loss"] for row in rows} == {""}
    assert without_times(log_of(cheap_run)) == without_times(log_of(whole))
    store = stores.open(tiny_store)
    split = choose_split(store.folds, store.class_table, config.split)
    both = store.moments([*split.train, *split.validation])
    assert both.count > store.moments(split.train).count
    # Killed after the first training: its state stands, the second begins in a new process.
    shutil.copytree(whole.path, cut.path)
    for left in (cut.model, cut.refit_state, cut.refit_log):
        left.unlink()
    run_train(request_for(config, tiny_store, cut.path))
    for one, two in zip(weights_of(whole), weights_of(cut), strict=True):
        np.testing.assert_array_equal(one, two, strict=True)
    assert any(
        not np.array_equal(one, two)
        for one, two in zip(weights_of(whole), weights_of(cheap_run), strict=True)
    )


@pytest.mark.parametrize("rate", [1e30, pytest.param(1e6, marks=pytest.mark.faults)])
def test_a_training_that_diverges_is_stopped_and_lets_go_of_the_stream_at_once(
    rate: float, cheap_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    """A stream that is left to the garbage collector crashes Python 3.12."""

    def iterators() -> int:
        return sum(type(each).__name__ == "OwnedIterator" for each in gc.get_objects())

    train = {"learning_rate": rate, "warmup_epochs": 0, "average": 0.0}
    config = changed(cheap_config, train=train)
    gc.collect()
    before = iterators()
    gc.disable()
    try:
        with refused(RunError, "train.learning_rate") as raised:
            run_train(request_for(config, tiny_store, tmp_path / "run"))
        assert iterators() == before
        assert raised.value.__traceback__ is not None
    finally:
        gc.enable()


def test_a_prepared_training_counts_its_last_batch_and_knows_what_else_may_make_it_diverge(
    cheap_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    store = open_store(tiny_store)
    config = changed(cheap_config, train={"batch": 50, "steps_per_epoch": None})
    config = resolved_config(request_for(config, tiny_store, tmp_path), store)
    split = choose_split(store.folds, store.class_table, config.split)
    training = prepare(RunFolder(tmp_path), store, split, config)
    rows = sum(stop - start for start, stop in fold_ranges(store, split.train))
    assert rows % 50
    assert training.windows(training.steps_per_epoch) == rows
    assert training.windows(2) == 100
    own = dataclasses.replace(training, own_augmentations=("mine:noisy",))
    for each, named in ((training, ()), (own, ("augment.custom", "mine:noisy"))):
        with refused(RunError, "train.learning_rate", *named):
            _refuse_divergence(each, {"loss": float("nan"), "epoch": 1.0})


def test_the_end_of_a_training_says_what_was_kept_and_what_comes_next(
    cheap_run: RunFolder,
) -> None:
    said = " ".join(cheap_run.path.with_name("said.txt").read_text().split())
    assert re.search(r"\b[123] of 3 epochs\b", said), said
    assert f"headrace evaluate --run {cheap_run.path}" in said


def test_the_line_of_an_epoch_says_how_long_the_rest_takes_at_most() -> None:
    row = {"epoch": 2.0, "loss": 0.5, "accuracy": 0.9, "seconds": 30.0, "wait_seconds": 0.1}
    line = epoch_line(row, 10, best=False)
    assert line.endswith("30.0 s (0.1 s waiting for data)  4 min 0 s left at most")
    assert epoch_line(row | {"epoch": 10.0}, 10, best=True).endswith("waiting for data)  best")
