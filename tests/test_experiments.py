"""The page on Optuna, MLflow and W&B: its scripts do what it says, with the real libraries.

These are no dependencies: they are installed, from the network, into an environment of their own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sqlite3
import subprocess
import sys
import sysconfig
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.experiments, pytest.mark.timeout(3600)]

PAGE = ROOT / "docs" / "howto" / "experiments.md"
LIBRARIES = ("optuna", "mlflow-skinny", "sqlalchemy", "alembic", "wandb")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_ERROR_REPORTING": "false", "DO_NOT_TRACK": "1"}
PRUNES = """
import sys
from pathlib import Path

import optuna
import tune

class Impatient:
    def report(self, value, step):
        self.step = step

    def should_prune(self):
        return self.step >= 2

try:
    tune.train(Impatient(), Path("runs/pruned"), tune.FIXED | {"train.epochs": 400})
except optuna.TrialPruned:
    sys.exit(7)
"""
STOPS = """
import optuna
import tune_fit

class Impatient(optuna.trial.FixedTrial):
    epochs = []

    def report(self, value, step):
        self.epochs.append(step)

    def should_prune(self):
        return len(self.epochs) == 2

try:
    tune_fit.objective(Impatient({"units": 8, "rate": 0.001}))
except optuna.TrialPruned:
    print(Impatient.epochs)
"""
LOGGED = """
import json, mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
client = mlflow.MlflowClient()
(experiment,) = [each for each in client.search_experiments() if each.name == "gait"]
print(json.dumps([
    {
        "tags": each.data.tags, "params": each.data.params, "metrics": each.data.metrics,
        "epochs": len(client.get_metric_history(each.info.run_id, "val_loss")),
        "files": [file.path for file in client.list_artifacts(each.info.run_id)],
    }
    for each in client.search_runs([experiment.experiment_id])
]))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the libraries, and `headrace` beside it."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("no pip in this environment: python -m ensurepip")
    folder = tmp_path_factory.mktemp("libraries") / "environment"
    checked(sys.executable, "-m", "venv", "--without-pip", folder)
    found = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", found)
    checked(*pip, "install", "--quiet", *LIBRARIES)
    command = folder / "bin" / "headrace"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m headrace "$@"\n')
    command.chmod(0o755)
    return found


@pytest.fixture(scope="module")
def home(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after the page's commands, with its scripts, and one evaluated run."""
    folder = tmp_path_factory.mktemp("home")
    for language, text in BLOCK.findall(PAGE.read_text()):
        if language == "sh":
            run(python, folder, "bash", "-euc", text)
        if language == "python":
            name = text.splitlines()[0].removeprefix("# ")
            (folder / name).write_text(text)
    options = ("--data", "gait.h5", "--run", "runs/one")
    small = ("--set", "train.epochs=2", "--set", "model.inputs=features")
    run(python, folder, "headrace", "train", *options, *small)
    run(python, folder, "headrace", "evaluate", "--run", "runs/one")
    return folder


def run(
    python: Path, folder: Path, *command: str, code: int = 0, python_path: str | None = None
) -> str:
    """Run a command with the environment's programs first; returns its standard output."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "WANDB", "MLFLOW"))}
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=kept | QUIET | {"PATH": path} | ({"PYTHONPATH": python_path} if python_path else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def checked(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_finished_runs_are_logged_to_mlflow_once(python: Path, home: Path) -> None:
    metrics = json.loads((home / "runs" / "one" / "metrics.json").read_text())
    for _ in range(2):
        run(python, home, "python", "log_mlflow.py")
    found: list[dict[str, Any]] = json.loads(run(python, home, "python", "-c", LOGGED))
    (one,) = [each for each in found if each["tags"]["headrace.run"] == "runs/one"]
    assert one["params"]["train.epochs"] == "2"
    assert one["metrics"]["test.accuracy"] == metrics["plain"]["accuracy"]
    assert one["epochs"] == 2
    assert one["files"] == ["report.html"]


def test_finished_runs_are_logged_to_wandb_without_a_network(python: Path, home: Path) -> None:
    run(python, home, "python", "log_wandb.py")
    (kept,) = home.glob("wandb/offline-run-*-runs-one/*.wandb")
    assert b"test.accuracy" in kept.read_bytes()


def test_a_search_runs_its_trials_and_evaluates_the_best(python: Path, home: Path) -> None:
    said = run(python, home, "python", "tune.py")
    with closing(sqlite3.connect(home / "tune.db")) as database:
        states = [state for (state,) in database.execute("select state from trials")]
        values = database.execute("select max(value) from trial_values").fetchone()
    assert len(states) == 4
    assert set(states) <= {"COMPLETE", "PRUNED"}
    best = home / said.split()[0]
    assert (best / "metrics.json").is_file()
    assert 0 < values[0] <= 1


def test_a_pruned_training_is_ended_and_can_go_on(python: Path, home: Path) -> None:
    run(python, home, "python", "-c", PRUNES, code=7)
    pruned = home / "runs" / "pruned"
    assert not (pruned / "model.keras").exists()
    done = len((pruned / "log.csv").read_text().splitlines()) - 1
    assert done >= 2
    again = ("--config", str(pruned / "config.toml"), "--run", str(pruned))
    run(python, home, "headrace", "train", *again)
    assert (pruned / "model.keras").is_file()
    assert len((pruned / "log.csv").read_text().splitlines()) - 1 > done


def test_a_callback_prunes_in_a_loop_of_the_users_own(python: Path, home: Path) -> None:
    """Headrace and what it needs come first here, as where Optuna is installed beside it."""
    beside = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    said = run(python, home, "python", "-c", STOPS, python_path=beside)
    assert said.splitlines()[-1] == "[0, 1]"
    said = run(python, home, "python", "tune_fit.py", python_path=beside)
    assert re.search(r"'units': \d+", said)
