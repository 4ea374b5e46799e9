"""Cross-validation: each fold a training of its own, summed up over folds and groups."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headrace import stores
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import load_config
from headrace.pipeline.console import Console
from headrace.pipeline.evaluation.metrics import read_metrics
from headrace.pipeline.evaluation.stage import run_evaluate
from headrace.pipeline.experiments.child_stages import StageFailed, raise_for
from headrace.pipeline.experiments.crossval import fold_config, run_crossval
from headrace.pipeline.experiments.crossval_page import write_page
from headrace.pipeline.experiments.crossval_result import read_crossval, summarise
from headrace.pipeline.request import Request
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.training.stage import run_train
from headrace.stores.errors import RunError
from tests.conftest import ROOT
from tests.in_process import stages_here
from tests.pipeline.evaluation.scored import evaluated, scored
from tests.refusals import refused


def request_for(config: Config, store: Path, run: Path | None = None) -> Request:
    return Request(config, None, store, run, Console(quiet=True))


@pytest.fixture(scope="module")
def config(tiny_config: Config) -> Config:
    """Three folds of the cheapest network, and the fewest views."""
    model = {"inputs": "features", "feature_units": (4,)}
    return tiny_config.model_copy(
        update={
            "train": tiny_config.train.model_copy(update={"epochs": 1}),
            "split": tiny_config.split.model_copy(update={"folds": 3}),
            "model": tiny_config.model.model_copy(update=model),
            "evaluate": tiny_config.evaluate.model_copy(update={"views": ("identity",)}),
        }
    )


def test_folds_are_summed_up_and_complete_ones_left_alone(
    config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    folder, store = tmp_path / "crossval", stores.open(tiny_store)
    for number in range(3):
        fold = request_for(fold_config(config, number), tiny_store, folder / f"fold-{number}")
        run_train(fold)
        if number < 2:
            run_evaluate(fold)
    kept = (folder / "fold-0" / "model.keras").stat().st_mtime_ns
    # Only the last fold is left to evaluate.
    with stages_here():
        result = run_crossval(request_for(config, tiny_store, folder))
    assert (folder / "fold-0" / "model.keras").stat().st_mtime_ns == kept
    written = json.loads((folder / "crossval.json").read_text())
    assert [fold["run"] for fold in written["folds"]] == [
        str(folder / f"fold-{number}") for number in range(3)
    ]
    tested = [name for fold in written["folds"] for name in fold["test_groups"]]
    assert sorted(tested) == sorted(store.groups)
    assert sorted(written["tta"]["per_group"]) == sorted(store.groups)
    assert written["plain"]["pooled"]["windows"] == store.windows
    values = [fold["plain"]["accuracy"] for fold in written["folds"]]
    assert result["plain"]["accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert result["plain"]["accuracy"]["sd"] == pytest.approx(np.std(values, ddof=1))
    assert "baseline" not in result
    assert result["report"] == str(folder / "crossval.html")
    page = (folder / "crossval.html").read_bytes()
    runs = {fold["run"]: read_metrics(RunFolder(Path(fold["run"]))) for fold in written["folds"]}
    parsed, shared = read_crossval(folder), load_config(folder / "fold-0.toml")
    again = shared.changed("stream", read_threads=7)
    assert write_page(folder, store, again, runs, parsed).read_bytes() == page


def test_a_fold_that_is_refused_refuses_the_whole(
    config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    """By a process of its own."""
    occupied = tmp_path / "crossval" / "fold-0"
    occupied.mkdir(parents=True)
    (occupied / "letter.txt").write_text("dear reader")
    with refused(RunError, "train"):
        run_crossval(request_for(config, tiny_store, tmp_path / "crossval"))
    assert not (tmp_path / "crossval" / "crossval.json").exists()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (2, RunError),
        (130, KeyboardInterrupt),
        (-signal.SIGINT, KeyboardInterrupt),
        (1, StageFailed),
        (-signal.SIGKILL, StageFailed),
    ],
)
def test_exit_codes_of_folds_pass_through(code: int, error: type[BaseException]) -> None:
    raise_for(0, "train")
    with pytest.raises(error):
        raise_for(code, "train")


def test_summary_pools_confusion_counts_over_folds() -> None:
    classes = ["walk", "rest"]
    folds = {
        "a": evaluated(scored([[[8, 2], [0, 0]]], ["p"], classes)),
        "b": evaluated(scored([[[0, 0], [6, 4]]], ["q"], classes)),
    }
    found = summarise(folds, classes)
    assert [fold["run"] for fold in found["folds"]] == ["a", "b"]
    plain = found["plain"]
    assert plain["accuracy"]["folds"] == [0.8, 0.4]
    assert plain["accuracy"]["mean"] == pytest.approx(0.6)
    assert plain["pooled"]["accuracy"] == pytest.approx(12 / 20)
    assert {name: group["accuracy"] for name, group in plain["per_group"].items()} == {
        "p": 0.8,
        "q": 0.4,
    }


def test_the_parent_imports_no_tensorflow() -> None:
    program = (
        "import sys, headrace.pipeline.experiments.crossval, headrace.pipeline.training.stage;"
        "import headrace.pipeline.evaluation.stage;"
        "sys.exit(sorted({'tensorflow', 'keras', 'sklearn', 'matplotlib'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
