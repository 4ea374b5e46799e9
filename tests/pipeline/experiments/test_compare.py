"""Runs side by side, and a run in one folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headrace.model.interface import NetworkTarget
from headrace.model.intervals import paired_accuracy
from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_bytes
from headrace.pipeline.evaluation.metrics import write_metrics
from headrace.pipeline.evaluation.predictor import load_model
from headrace.pipeline.evaluation.stage import run_evaluate
from headrace.pipeline.experiments.crossval_result import summarise
from headrace.pipeline.runs.folder import CROSSVAL_FIRST_FOLD, CROSSVAL_RESULT, RunFolder
from headrace.pipeline.runs.inputs import ModelInputs
from headrace.pipeline.runs.record import json_bytes, record_run
from headrace.pipeline.training.stage import run_train
from headrace.stores.errors import DiskError, RunError
from headrace.stores.spec import WindowSpec
from tests.conftest import changed, request_for
from tests.failing_disk import FAILURE, FailingDisk, install
from tests.pipeline.evaluation.scored import evaluated, scored
from tests.refusals import assert_names, assert_refused, says


@pytest.fixture(scope="module")
def runs(
    cheap_run: RunFolder,
    cheap_config: Config,
    tiny_store: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[RunFolder]:
    """Two evaluated runs of other seeds and epochs."""
    other = RunFolder(tmp_path_factory.mktemp("compared") / "other")
    config = changed(cheap_config, train={"seed": 1, "epochs": 1})
    run_train(request_for(config, None, tiny_store, other.path))
    run_evaluate(request_for(config, None, tiny_store, other.path))
    return [cheap_run, other]


def compared(capsys: pytest.CaptureFixture[str], *runs: RunFolder) -> dict[str, Any]:
    assert main(["compare", "--json", *(str(run.path) for run in runs)]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_two_runs_are_compared_group_by_group(
    runs: list[RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    found = compared(capsys, *runs)
    one, two = (json.loads(run.metrics.read_text())["tta"] for run in runs)
    (difference,) = found["differences"]
    assert difference["accuracy"] == pytest.approx(two["accuracy"] - one["accuracy"])
    low, high = difference["interval"]
    assert low <= difference["accuracy"] <= high
    assert found["runs"][1]["differing"] == {"train.epochs": 1, "train.seed": 1}
    assert main(["compare", *(str(run.path) for run in runs)]) == 0
    assert says(capsys.readouterr().out, "train.seed")


def test_a_run_is_no_better_than_itself(
    runs: list[RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    (difference,) = compared(capsys, runs[0], runs[0])["differences"]
    assert (difference["accuracy"], difference["interval"]) == (0, [0, 0])
    assert main(["compare", str(runs[0].path), str(runs[0].path)]) == 0
    groups = json.loads(runs[0].metrics.read_text())["tta"]["per_group"]
    assert_names(capsys.readouterr().out, f"{len(groups)} groups")


@pytest.mark.parametrize(("right", "more_than_chance"), [((0.9, 0.8), True), ((0.5, 0.9), False)])
def test_enough_groups_tell_a_difference_from_chance(
    right: tuple[float, float],
    more_than_chance: bool,
    runs: list[RunFolder],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pair = []
    for name, accuracies in (("one", (0.7, 0.7)), ("two", right)):
        run = RunFolder(tmp_path / name)
        shutil.copytree(runs[0].path, run.path)
        metrics = json.loads(run.metrics.read_text())
        metrics["tta"]["per_group"] = {
            str(number): {"windows": 10, "accuracy": accuracies[number % 2], "macro_f1": 0.5}
            for number in range(8)
        }
        run.metrics.write_text(json.dumps(metrics))
        pair.append(run)
    (difference,) = compared(capsys, *pair)["differences"]
    low, high = difference["interval"]
    assert (low > 0 or high < 0) == more_than_chance


def test_other_windows_do_not_compare(
    runs: list[RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = RunFolder(tmp_path / "other")
    shutil.copytree(runs[1].path, other.path)
    metrics = json.loads(other.metrics.read_text())
    next(iter(metrics["tta"]["per_group"].values()))["windows"] += 1
    other.metrics.write_text(json.dumps(metrics))
    assert compared(capsys, runs[0], other)["differences"] == [None]
    other.metrics.unlink()
    assert main(["compare", str(runs[0].path), str(other.path)]) == 2
    evaluate = f"headrace evaluate --run {other.path}"
    assert_refused(capsys.readouterr().err, RunError, evaluate)


def crossed(
    config: Config, folder: Path, right: Sequence[int], folds: int = 2, store: str = "f" * 32
) -> Path:
    """A cross-validation that labels so many of 10 windows of each group rightly."""
    scores = {
        str(number): evaluated(
            scored(
                [[[each, 10 - each], [0, 0]] for each in right[number::folds]],
                [f"g{group}" for group in range(number, len(right), folds)],
            )
        )
        for number in range(folds)
    }
    folder.mkdir()
    (folder / CROSSVAL_FIRST_FOLD).write_bytes(config_bytes(config))
    (folder / CROSSVAL_RESULT).write_bytes(
        json_bytes({"store": store} | summarise(scores, ("0", "1")))
    )
    return folder


def test_two_cross_validations_are_compared_over_all_groups(
    tiny_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = crossed(tiny_config, tmp_path / "one", [5] * 8)
    better = changed(tiny_config, train={"seed": 4})
    two = crossed(better, tmp_path / "two", [7, 8, 7, 8, 7, 8, 7, 8])
    assert main(["compare", "--json", str(one), str(two / CROSSVAL_RESULT)]) == 0
    found = json.loads(capsys.readouterr().out)
    (difference,) = found["differences"]
    assert difference["crossval"] == str(two)
    assert difference["accuracy"] == pytest.approx(0.25)
    low, high = difference["interval"]
    assert 0.2 <= low < 0.25 < high <= 0.3
    assert found["crossvals"][1]["differing"] == {"train.seed": 4}
    assert found["crossvals"][1]["accuracy"]["mean"] == pytest.approx(0.75)
    assert main(["compare", str(one), str(two)]) == 0
    assert says(capsys.readouterr().out, "+25.00")


def test_cross_validations_that_do_not_compare_are_refused(
    tiny_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = crossed(tiny_config, tmp_path / "one", [5] * 8)
    other = crossed(tiny_config, tmp_path / "store", [5] * 8, store="0" * 32)
    folds = crossed(tiny_config, tmp_path / "folds", [5] * 8, folds=4)
    windows = crossed(tiny_config, tmp_path / "windows", [5] * 8)
    text = (windows / CROSSVAL_RESULT).read_text()
    (windows / CROSSVAL_RESULT).write_text(text.replace('"windows": 10,', '"windows": 11,'))
    half = crossed(tiny_config, tmp_path / "half", [5] * 8)
    (half / CROSSVAL_RESULT).unlink()
    damaged = crossed(tiny_config, tmp_path / "damaged", [5] * 8)
    (damaged / CROSSVAL_RESULT).write_text('{"folds": []}')
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    signals = WindowSpec(4, 50.0, ("x",), ("g",), np.dtype(np.float32), (1.0,))
    record_run(run, tiny_config, "f" * 32, {}, ModelInputs(signals, (), NetworkTarget(("0", "1"))))
    write_metrics(run, evaluated(scored([[[5, 5], [0, 0]]], ["g0"])))
    for path, *named in (
        (other, "0" * 16, "f" * 16),
        (folds, "split.folds", "4"),
        (windows, "evaluate.max_windows"),
        (half, f"headrace crossval --config {half / CROSSVAL_FIRST_FOLD}"),
        (damaged, str(damaged / CROSSVAL_RESULT), "headrace crossval"),
        (run.path, str(run.path), str(one)),
    ):
        assert main(["compare", str(one), str(path)]) == 2
        assert_refused(capsys.readouterr().err, RunError, *named)


def test_a_paired_difference_ignores_what_is_hard_for_both() -> None:
    rng = np.random.default_rng(0)
    right = rng.integers(10, 90, size=30)
    value, interval = paired_accuracy(np.full(30, 100), right, right + 2)
    assert value == pytest.approx(0.02)
    assert interval == pytest.approx([0.02, 0.02])
    assert paired_accuracy([10], [5], [6]) == (pytest.approx(0.1), None)


def test_an_exported_folder_predicts_as_its_run(
    runs: list[RunFolder], tiny_source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, output = runs[1], tmp_path / "exported"
    assert main(["export", "--run", str(run.path), "--output", str(output), "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card == json.loads((output / "card.json").read_text())
    metrics = json.loads(run.metrics.read_text())
    assert card["scores"]["tta"]["accuracy"] == metrics["tta"]["accuracy"]
    assert card["inputs"]["channels"] == ["ch0", "ch1", "ch2"]
    for folder, name in ((run.path, "run"), (output, "exported")):
        arguments = ["--run", str(folder), "--input", str(tiny_source), "--quiet"]
        assert main(["predict", *arguments, "--output", str(tmp_path / f"{name}.parquet")]) == 0
    one, two = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("run", "exported"))
    pd.testing.assert_frame_equal(one, two)


def test_the_normalisation_that_is_written_is_the_models(
    complete_run: RunFolder, tmp_path: Path
) -> None:
    output = tmp_path / "exported"
    assert (
        main(["export", "--quiet", "--run", str(complete_run.path), "--output", str(output)]) == 0
    )
    found = json.loads((output / "normalisation.json").read_text())
    layers = {type(layer).__name__: layer for layer in load_model(complete_run.model).layers}
    raw = np.linspace(-3, 3, 60).reshape(1, 20, 3).astype(np.float32)
    mean, scale = (
        np.array([each[key] for each in found["raw"].values()]) for key in ("mean", "scale")
    )
    np.testing.assert_allclose(
        layers["RawNormalisation"](raw).numpy(), (raw - mean) * scale, rtol=1e-4, atol=1e-5
    )
    features = list(found["features"].values())
    knots = [np.array([k for k in each["knots"] if k is not None]) for each in features]
    value = np.array([(k[0] + k[-1]) / 2 for k in knots], np.float32)
    wanted = [
        np.interp(v, k, each["scores"][: len(k)])
        for v, k, each in zip(value, knots, features, strict=True)
    ]
    given = layers["FeatureNormalisation"](value[None]).numpy()[0]
    several = [len(k) > 2 for k in knots]
    np.testing.assert_allclose(given[several], np.array(wanted)[several], atol=2e-3)
    assert json.loads((output / "card.json").read_text())["scores"] is None


def test_nothing_half_is_exported(
    runs: list[RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "exported"
    arguments = ["export", "--run", str(runs[0].path), "--output", str(output)]
    for at in (0, 4, 20):
        with pytest.MonkeyPatch.context() as patch:
            install(patch, FailingDisk(at))
            assert main(arguments) == 2
        assert_refused(capsys.readouterr().err, DiskError, FAILURE)
        assert not list(tmp_path.iterdir())
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert_refused(capsys.readouterr().err, RunError, "exported", "--output")
