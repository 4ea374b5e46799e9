"""The evaluate stage: honest scores of a run on its test folds, written once."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from headrace import stores
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.console import Console
from headrace.pipeline.evaluation.metrics import read_metrics
from headrace.pipeline.evaluation.predictor import load_model
from headrace.pipeline.evaluation.report import mistaken_windows
from headrace.pipeline.evaluation.stage import run_evaluate
from headrace.pipeline.request import Request
from headrace.pipeline.rows.split import choose_split
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.record import recorded_config
from headrace.pipeline.runs.resolve import evaluation_config
from headrace.stores.errors import RunError
from tests.refusals import refused


def request_for(config: Config, store: Path, run: Path | None) -> Request:
    return Request(config, None, store, run, Console(quiet=True))


@pytest.fixture(scope="module")
def config(stateful_config: Config) -> Config:
    return stateful_config


@pytest.fixture(scope="module")
def run(
    complete_run: RunFolder,
    config: Config,
    tiny_store: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> RunFolder:
    """A complete run, evaluated with its baseline."""
    found = RunFolder(tmp_path_factory.mktemp("runs") / "evaluated")
    shutil.copytree(complete_run.path, found.path)
    run_evaluate(request_for(config, tiny_store, found.path), baseline=True)
    return found


@pytest.fixture(scope="module")
def metrics(run: RunFolder) -> dict[str, Any]:
    return dict(json.loads(run.metrics.read_text()))


def test_scores_are_those_of_the_model_on_the_rows_of_the_test_folds(
    run: RunFolder, metrics: dict[str, Any], config: Config, tiny_store: Path
) -> None:
    store = stores.open(tiny_store)
    folds = [
        store.fold(name) for name in choose_split(store.folds, store.class_table, config.split).test
    ]
    rows = store.read_many(
        ["raw", "features", "label"], [(fold.start, fold.stop) for fold in folds]
    )
    raw = rows["raw"] * np.array(store.spec.scale, np.float32)
    probability = load_model(run.model).predict(
        {"raw": raw, "features": rows["features"]}, verbose=0
    )
    label, predicted = rows["label"], probability.argmax(axis=1)
    plain = metrics["plain"]
    assert plain["windows"] == len(label)
    assert plain["accuracy"] == pytest.approx(accuracy_score(label, predicted))
    assert plain["macro_f1"] == pytest.approx(f1_score(label, predicted, average="macro"))
    assert plain["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(label, predicted))
    loss = -np.log(probability[np.arange(len(label)), label]).mean()
    assert plain["loss"] == pytest.approx(loss, rel=1e-4)


def test_every_test_group_is_scored_and_no_other(
    metrics: dict[str, Any], config: Config, tiny_store: Path
) -> None:
    store = stores.open(tiny_store)
    split = choose_split(store.folds, store.class_table, config.split)
    names = [store.groups[group] for name in split.test for group in store.fold(name).groups]
    assert metrics["test_groups"] == names
    for kind in ("plain", "tta", "baseline"):
        assert sorted(metrics[kind]["per_group"]) == sorted(names)
        windows = sum(group["windows"] for group in metrics[kind]["per_group"].values())
        assert windows == metrics["plain"]["windows"]


def test_metrics_hold_what_a_reader_asks_for(metrics: dict[str, Any]) -> None:
    for kind in ("plain", "tta"):
        assert {
            "accuracy",
            "macro_f1",
            "balanced_accuracy",
            "per_class",
            "per_group",
            "confusion",
            "calibration",
            "mistakes",
            "windows",
        } <= metrics[kind].keys()
        assert len(metrics[kind]["mistakes"]) <= 3
    assert metrics["views"] == ["identity", "noise", "scale:0.95"]
    assert metrics["tta"]["loss"] != metrics["plain"]["loss"]
    assert metrics["baseline"]["training_windows"] == 100


def test_the_report_is_one_page_that_needs_no_other_file(
    run: RunFolder, metrics: dict[str, Any]
) -> None:
    page = run.report.read_text()
    assert page.count("data:image/png;base64,") == 6
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert f"{100 * metrics['tta']['accuracy']:.2f} %" in page
    assert "is a small sample" in page
    assert "headrace crossval" in page
    assert "buffer_chunks" in page
    assert "extra trees" in page
    assert "waiting for data" in page
    assert f"headrace train --config {run.config} --run again" in page
    assert "tensorflow 2" in page
    assert 'name="viewport"' in page
    for name in ("curves", "confusion", "classes", "groups", "calibration", "mistakes"):
        assert (run.path / f"{name}.png").is_file()


def test_the_windows_of_mistakes_are_those_of_their_source_index(
    run: RunFolder, tiny_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.pipeline.evaluation.report.SLICE_ROWS", 7)
    store, mistakes = stores.open(tiny_store), read_metrics(run).tta.mistakes
    split = choose_split(store.folds, store.class_table, recorded_config(run).split)
    windows = mistaken_windows(store, split, mistakes)
    assert [each.source_index for each in windows] == [each.source_index for each in mistakes]
    assert [each.label for each in windows] == [each.label for each in mistakes]


def test_damaged_metrics_are_worked_out_again(
    cheap_run: RunFolder, config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    copy = RunFolder(tmp_path / "copy")
    shutil.copytree(cheap_run.path, copy.path)
    metrics = json.loads(copy.metrics.read_text())
    for harmed in ({**metrics, "plain": {}}, {k: v for k, v in metrics.items() if k != "notes"}):
        copy.metrics.write_text(json.dumps(harmed))
        found = run_evaluate(request_for(config, tiny_store, copy.path))
        assert found["tta"]["accuracy"] == metrics["tta"]["accuracy"]


def test_a_second_evaluation_does_nothing(run: RunFolder, config: Config, tiny_store: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    first = run_evaluate(request_for(config, tiny_store, run.path), baseline=True)
    second = run_evaluate(request_for(config, tiny_store, run.path))
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before
    assert first == second


def test_other_options_of_evaluation_score_again_and_keep_the_model(
    config: Config, run: RunFolder, tiny_store: Path, tmp_path: Path
) -> None:
    copy = RunFolder(tmp_path / "copy")
    copy.path.mkdir()
    kept = (run.config, run.store, run.model, run.log, run.metrics, run.report, run.versions)
    for path in kept:
        (copy.path / path.name).write_bytes(path.read_bytes())
    given = config_from_table({"evaluate": {"max_windows": 40, "views": ["scale:0.5"]}}, "a test")
    run_evaluate(request_for(given, tiny_store, copy.path))
    metrics = json.loads(copy.metrics.read_text())
    assert metrics["plain"]["windows"] == metrics["tta"]["windows"] == 40
    assert metrics["views"] == ["scale:0.5"]
    assert metrics["plain"]["loss"] != metrics["tta"]["loss"]
    assert any("first 40 test windows" in note for note in metrics["notes"])
    assert copy.model.read_bytes() == run.model.read_bytes()


def test_only_evaluation_memory_and_paths_come_from_the_command_line(run: RunFolder) -> None:
    given = config_from_table(
        {
            "evaluate": {"max_windows": 9},
            "memory": {"budget": "3GiB"},
            "paths": {"store": "elsewhere.zarr"},
            "train": {"epochs": 77},
            "model": {"inputs": "raw"},
        },
        "a test",
    )
    recorded, merged = recorded_config(run), evaluation_config(run, given)
    assert merged.train == recorded.train
    assert merged.model == recorded.model
    assert merged.evaluate.max_windows == 9
    assert merged.evaluate.batch == recorded.evaluate.batch == 50
    assert merged.memory.budget == 3 * 2**30
    assert merged.paths.store == Path("elsewhere.zarr")
    assert merged.paths.data == recorded.paths.data


def test_without_a_run_the_way_out_is_to_train(
    config: Config, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with refused(RunError, "headrace train", "--run"):
        run_evaluate(request_for(config, tiny_store, None))
    with refused(RunError, "absent", "headrace train"):
        run_evaluate(request_for(config, tiny_store, tmp_path / "absent"))


def test_a_run_of_another_store_is_refused(
    run: RunFolder, config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    copy = RunFolder(tmp_path / "copy")
    copy.path.mkdir()
    for path in (run.config, run.model):
        (copy.path / path.name).write_bytes(path.read_bytes())
    copy.store.write_text(json.dumps({"fingerprint": "f" * 32, "split": {}}))
    with refused(RunError, "f" * 16, "tiny.zarr", "--store"):
        run_evaluate(request_for(config, tiny_store, copy.path))
