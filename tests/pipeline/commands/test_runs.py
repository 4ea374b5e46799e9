"""The list of runs: states, scores and sizes out of their files alone, and what is no run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.model.interface import NetworkTarget
from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_bytes
from headrace.pipeline.evaluation.metrics import write_metrics
from headrace.pipeline.experiments.crossval_result import summarise
from headrace.pipeline.runs.folder import CROSSVAL_FIRST_FOLD, CROSSVAL_RESULT, RunFolder
from headrace.pipeline.runs.inputs import ModelInputs
from headrace.pipeline.runs.record import json_bytes, record_run, recorded_config
from headrace.pipeline.runs.resolve import complete_run
from headrace.stores.errors import RunError
from headrace.stores.spec import WindowSpec
from tests.conftest import ROOT, changed, hashes
from tests.pipeline.evaluation.scored import evaluated, scored
from tests.refusals import assert_names, assert_refused, refused, says

HEADER = "epoch,loss,val_loss,val_accuracy,val_macro_f1,cpu_seconds\n"
INPUTS = ModelInputs(
    WindowSpec(4, 50.0, ("x",), ("g",), np.dtype(np.float32), (1.0,)),
    ("mean",),
    NetworkTarget(("a", "b")),
)


def begun(config: Config, folder: Path, epochs: str = "") -> RunFolder:
    """A run that is not complete."""
    run = RunFolder(folder)
    folder.mkdir(parents=True)
    placed = changed(config, paths={"store": "/data/my.zarr"})
    record_run(run, placed, "f" * 32, {"train": ["0"]}, INPUTS)
    if epochs:
        run.log.write_text(HEADER + epochs)
    return run


def completed(config: Config, folder: Path, right: int | None = None) -> RunFolder:
    """A complete run of 3 x 4 weights; evaluated, if it is said how many of 10 were right."""
    run = begun(config, folder, "1,2,0.9,0.5,0.4,\n2,1,0.7,0.6,0.5,\n3,1,0.8,0.7,0.6,\n")
    weights = folder / "weights.h5"
    with h5py.File(weights, "w") as file:
        file["layers/functional/layers/dense/vars/0"] = np.zeros((3, 4))
        file["layers/feature_normalisation/vars/0"] = np.zeros(99)
    with zipfile.ZipFile(run.model, "w") as archive:
        archive.write(weights, "model.weights.h5")
    if right is not None:
        write_metrics(run, evaluated(scored([[[right, 10 - right], [0, 0]]], ["p"])))
    return run


def at(run: RunFolder, seconds: float) -> None:
    """Set when it was changed."""
    for file in run.path.iterdir():
        os.utime(file, (seconds, seconds))


def listing(capsys: pytest.CaptureFixture[str], folder: Path, *more: str) -> dict[str, Any]:
    before = hashes(folder)
    assert main(["runs", str(folder), "--json", *more]) == 0
    assert hashes(folder) == before
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def folder(tiny_config: Config, tmp_path: Path) -> Path:
    """Four runs, changed one after another."""
    made = (
        begun(tiny_config, tmp_path / "runs" / "new"),
        begun(tiny_config, tmp_path / "runs" / "tiny" / "half", "1,2,0.9,0.5,0.4,\n"),
        completed(tiny_config, tmp_path / "runs" / "tiny" / "worse", right=6),
        completed(tiny_config, tmp_path / "runs" / "tiny" / "better", right=8),
        completed(tiny_config, tmp_path / "runs" / "tiny" / "unknown"),
    )
    for number, run in enumerate(made):
        at(run, 1e9 + number)
    return tmp_path / "runs"


def test_each_state_is_told_from_the_files_and_the_latest_comes_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = listing(capsys, folder)["runs"]
    assert [(Path(each["run"]).name, each["state"], each["epochs"]) for each in runs] == [
        ("unknown", "complete", 3),
        ("better", "evaluated", 3),
        ("worse", "evaluated", 3),
        ("half", "interrupted", 1),
        ("new", "interrupted", 0),
    ]
    better = runs[1]
    assert better["best_epoch"] == 2
    assert better["parameters"] == 12
    assert better["store"] == "/data/my.zarr"
    assert better["config"] == "tiny"
    assert better["scores"] == {
        "accuracy": 0.8,
        "macro_f1": pytest.approx(4 / 9),
        "val_loss": 0.7,
        "val_accuracy": 0.6,
        "val_macro_f1": 0.5,
    }
    assert [each["parameters"] for each in runs[3:]] == [None, None]


def test_a_score_sorts_and_runs_without_it_come_last(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def names(score: str) -> list[str]:
        return [Path(each["run"]).name for each in listing(capsys, folder, "--sort", score)["runs"]]

    assert names("accuracy") == ["better", "worse", "unknown", "half", "new"]
    assert names("val_loss")[-2:] == ["half", "new"]


def test_a_screen_is_printed_and_how_many_more_there_are(
    folder: Path,
    tiny_config: Config,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in range(20):
        begun(tiny_config, folder / f"more-{number}")
    monkeypatch.setenv("LINES", "20")
    monkeypatch.chdir(folder.parent)
    assert main(["runs"]) == 0
    said = capsys.readouterr().out
    shown = said.count("runs/more-")
    assert len(said.splitlines()) <= 20
    assert says(said, f"{25 - shown} more")
    assert "--all" in said
    assert main(["runs", "--all"]) == 0
    said = capsys.readouterr().out
    assert said.count("runs/") == 25
    assert_names(said, "interrupted at 1/2", "80.0 / .444", "my.zarr")


def test_what_is_damaged_or_foreign_is_named_and_the_rest_is_listed(
    folder: Path, tiny_config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = folder / "tiny"
    (tiny / "better" / "metrics.json").write_text('{"plain": {}}')
    (tiny / "worse" / "model.keras").write_bytes(b"PK\x03\x04 no archive")
    (tiny / "half" / "log.csv").write_text(HEADER + "one,two\n")
    (folder / "new" / "log.csv").write_text(HEADER + "inf,2,nan,0.5,0.4,\n")
    (tiny / "unknown" / "config.toml").write_bytes(b"\xff\x00")
    (folder / "headless").mkdir()
    (folder / "headless" / "model.keras").touch()
    (folder / "photos" / "2026").mkdir(parents=True)
    (folder / "photos" / "2026" / "cat.jpg").touch()
    (folder / "crossval-0").mkdir()
    (folder / "crossval-0" / "crossval.json").touch()
    (folder / "circle").symlink_to(folder)
    found = listing(capsys, folder)
    assert {Path(each).name for each in found["damaged"]} == {
        *("better", "worse", "half", "unknown", "headless", "crossval-0")
    }
    states = {Path(each["run"]).name: each["state"] for each in found["runs"]}
    assert states == {
        **{"better": "complete", "worse": "evaluated"},
        **{"half": "interrupted", "new": "interrupted"},
    }
    assert {each["best_epoch"] for each in found["runs"]} == {2, None}
    assert found["foreign"] == [str(folder / "photos")]
    assert main(["runs", str(folder)]) == 0
    said = capsys.readouterr()
    assert "photos" in said.out
    assert "headless" in said.out
    assert said.err == ""


def test_cross_validations_are_listed_with_their_state_and_score_and_are_no_runs(
    folder: Path, tiny_config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    done, half = (folder / "tiny" / f"crossval-{name}" for name in ("done", "half"))
    for each in (done, half):
        each.mkdir()
        (each / CROSSVAL_FIRST_FOLD).write_bytes(config_bytes(tiny_config))
    scores = {
        f"runs/tiny/{name}": evaluated(scored([[[right, 10 - right], [0, 0]]], [name]))
        for name, right in (("p", 6), ("q", 8))
    }
    result = {"store": "f" * 32} | summarise(scores, ("0", "1"))
    (done / CROSSVAL_RESULT).write_bytes(json_bytes(result))
    found = listing(capsys, folder, "--sort", "views_accuracy")
    assert len(found["runs"]) == 5
    assert [(each["crossval"], each["state"], each["config"]) for each in found["crossvals"]] == [
        (str(done), "complete", "tiny"),
        (str(half), "interrupted", "tiny"),
    ]
    assert found["crossvals"][0]["scores"]["views_accuracy"] == pytest.approx(0.7)
    assert main(["runs", str(folder / "tiny")]) == 0
    assert_names(capsys.readouterr().out, str(done), "70.0", str(half))
    with refused(RunError, str(done), "--run runs/tiny/p", f"headrace compare {done}"):
        recorded_config(RunFolder(done))
    with refused(RunError, str(half), "headrace runs"):
        complete_run(half)


def test_no_folder_is_refused_and_an_empty_one_has_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listing(capsys, tmp_path)["runs"] == []
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == 2
    assert_refused(capsys.readouterr().err, RunError, "runs")


def test_the_list_needs_no_tensorflow(folder: Path) -> None:
    program = (
        "import sys; from headrace.pipeline.cli.main import main; code = main(sys.argv[1:]);"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'matplotlib', 'dask', 'zarr'};"
        "sys.exit(code or sorted(heavy & set(sys.modules)) or 0)"
    )
    command = [sys.executable, "-c", program, "runs", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
