"""What each part of a configuration is worth: variants, equal time, rows with intervals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from headrace import stores
from headrace.model.intervals import LEAST_GROUPS, paired_accuracy
from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.pipeline.evaluation.stage import run_evaluate
from headrace.pipeline.experiments.ablation import Extent, run_ablation
from headrace.pipeline.experiments.ablation_result import (
    Outcome,
    Trained,
    print_ablation,
    result_of,
)
from headrace.pipeline.experiments.ablation_variants import in_time, variants
from headrace.pipeline.runs.folder import run_digest
from headrace.pipeline.runs.record import flat_table
from headrace.pipeline.runs.resolve import resolved_config
from headrace.pipeline.training.stage import run_train
from headrace.stores.errors import RunError
from tests.conftest import changed, request_for
from tests.in_process import stages_here
from tests.pipeline.evaluation.scored import evaluated, scored
from tests.refusals import assert_refused, refused, says


def differing(one: Config, two: Config) -> set[str]:
    tables = [dict(flat_table(each.run_keys())) for each in (one, two)]
    return {key for key in tables[0] if tables[0][key] != tables[1][key]}


def test_every_variant_differs_from_the_reference_in_one_part(tiny_config: Config) -> None:
    on = ("mask", "scale", "noise")
    found = {each.name: differing(tiny_config, each.config) for each in variants(tiny_config, "f")}
    assert found == {
        "hybrid": set(),
        "raw only": {"model.inputs"},
        "features only": {"model.inputs"},
        "without augmentation": {f"augment.{name}_probability" for name in on},
        **{f"without {name}": {f"augment.{name}_probability"} for name in on},
        "with mix": {"augment.mix_probability"},
    }


def test_what_a_source_or_a_network_lacks_is_no_variant(tiny_config: Config) -> None:
    raw = changed(tiny_config, model={"inputs": "raw"})
    assert not {"hybrid", "features only"} & {each.name for each in variants(raw, "")}
    features = changed(tiny_config, model={"inputs": "features"})
    names = [each.name for each in variants(features, "f")]
    assert names == ["features only", "hybrid", "raw only", "with mix"]
    bare = changed(tiny_config, augment={"noise_strength": 0, "scale_probability": 0})
    found = {each.name: each.config for each in variants(bare, "f")}
    # One is left: without it is without augmentation.
    assert "without mask" not in found
    assert found["with noise"].augment.noise_strength > 0


def test_a_quicker_network_gets_more_epochs_and_the_same_schedule(tiny_config: Config) -> None:
    config = changed(tiny_config, train={"epochs": 20, "patience": 10, "warmup_epochs": 2})
    quick = in_time(config, seconds=60, epoch_seconds=1).train
    assert (quick.epochs, quick.patience, quick.warmup_epochs) == (60, 30, 6)
    slow = in_time(config, seconds=60, epoch_seconds=1000).train
    assert (slow.epochs, slow.patience, slow.warmup_epochs) == (1, 1, 0.1)
    assert in_time(config, 60, 3) is config


@pytest.fixture(scope="module")
def config(cheap_config: Config) -> Config:
    return changed(cheap_config, train={"epochs": 1, "average": 0.0})


QUICK = ("features only", "without augmentation")


def test_variants_are_trained_for_the_same_time_and_compared(
    config: Config, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = tmp_path / "ablation", stores.open(tiny_store)
    request = request_for(config, None, tiny_store, folder)
    resolved = resolved_config(request, store)
    # Two that are quick to trace; `make test-faults` trains them all.
    found = [each for each in variants(resolved, store.feature_names) if each.name in QUICK]
    monkeypatch.setattr("headrace.pipeline.experiments.ablation.variants", lambda *given: found)
    # As if an earlier start had come to its end: 2 epochs of the one fit, 1 of the other.
    pace = {"features only": 3.0, "without augmentation": 6.0}
    folder.mkdir()
    identity = run_digest(resolved, store.fingerprint)
    (folder / "pace.json").write_text(json.dumps({"of": identity, "epoch_seconds": pace}))
    for each in found:
        timed = in_time(each.config, 6.0, pace[each.name])
        run = folder / f"{each.name.replace(' ', '-')}-seed-0-fold-0"
        run_train(request_for(timed, None, tiny_store, run))
        if each is not found[1]:
            run_evaluate(request_for(timed, None, tiny_store, run))
    kept = (folder / "without-augmentation-seed-0-fold-0" / "model.keras").stat().st_mtime_ns
    with stages_here():
        result = run_ablation(request, Extent(minutes=0.1))
    rows = {row["name"]: row for row in result["rows"]}
    assert list(rows) == [*(each.name for each in found), "features only, views averaged"]
    assert {name: row["epochs"] for name, row in rows.items()} == {
        "features only": 2,
        "without augmentation": 1,
        "features only, views averaged": None,
    }
    assert (
        kept == (folder / "without-augmentation-seed-0-fold-0" / "model.keras").stat().st_mtime_ns
    )
    reference = rows["features only"]
    assert (reference["difference"], reference["difference_interval"]) == (0, [0, 0])
    for name, row in rows.items():
        kind = "tta" if row["epochs"] is None else "plain"
        metrics = json.loads((Path(row["runs"][0]) / "metrics.json").read_text())[kind]
        assert row["accuracy"] == pytest.approx(metrics["accuracy"]), name
        assert row["macro_f1"] == pytest.approx(metrics["macro_f1"]), name
        assert row["difference"] == pytest.approx(row["accuracy"] - reference["accuracy"])
    page = (folder / "ablation.html").read_text()
    assert all(name in page for name in rows)
    assert json.loads((folder / "ablation.json").read_text())["rows"] == result["rows"]


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_an_ablation_from_nothing_measures_its_pace_and_trains_every_fold(
    config: Config, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = tmp_path / "ablation"
    bare = {f"{name}_probability": 0 for name in ("mask", "scale", "noise", "mix")}
    few = changed(config, augment=bare, split={"folds": 3})
    request = request_for(few, None, tiny_store, folder)
    result = run_ablation(request, Extent(minutes=0.01, crossval=True, baseline=True))
    store = stores.open(tiny_store)
    assert result["groups"] == len(store.groups)
    assert result["windows"] == store.windows
    names = [row["name"] for row in result["rows"]]
    assert names[-2:] == ["features only, views averaged", "extra trees"]
    pace = json.loads((folder / "pace.json").read_text())["epoch_seconds"]
    assert min(pace.values()) > 0
    assert not (folder / "probe").exists()


def test_a_folder_of_something_else_is_refused(
    config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    request = request_for(config, None, tiny_store, tmp_path)
    letter = tmp_path / "letter.txt"
    letter.write_text("dear reader")
    with refused(RunError, tmp_path.name):
        run_ablation(request, Extent())
    letter.unlink()
    pace = tmp_path / "pace.json"
    for text, named in (
        ('{"of": "0123", "epoch_seconds": {}}', tmp_path.name),
        ('{"of": "0123", "epoch_seconds": {"hybrid": 0}}', "pace.json"),
        ("[]", "pace.json"),
    ):
        pace.write_text(text)
        with refused(RunError, named):
            run_ablation(request, Extent())
        assert [path.name for path in tmp_path.iterdir()] == ["pace.json"]


@pytest.mark.parametrize("option", [("--minutes", "0"), ("--minutes", "inf"), ("--seeds", "0")])
def test_no_time_and_no_training_are_refused(
    option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["ablation", *option])
    assert ended.value.code == 2
    assert_refused(capsys.readouterr().err, None, *option)


def outcome(name: str, right: list[list[int]]) -> Outcome:
    """Trained once for each list, on as many groups of 100 windows of two classes."""
    trained = []
    for of_seed in right:
        metrics = evaluated(scored([[[count, 100 - count], [0, 0]] for count in of_seed]))
        trained.append([Trained("run", metrics, 1, 2.0)])
    return Outcome(name, 1, trained=trained)


def test_what_is_more_than_chance_is_said_where_groups_can_tell(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said(groups: int, seeds: int = 1) -> str:
        reference = outcome("hybrid", [[80] * groups] * seeds)
        better = outcome("raw only", [[90] * groups] * seeds)
        same = outcome("with mix", [[79, 81] * (groups // 2)] * seeds)
        result = result_of([reference, better, same], ["a", "b"], baseline=False)
        print_ablation(result | {"minutes": 1.0}, Console())
        return " ".join(capsys.readouterr().out.split())

    assert says(said(LEAST_GROUPS), "hybrid: raw only")
    assert "--seeds 3" in said(LEAST_GROUPS)
    assert "--seeds 3" not in said(LEAST_GROUPS, seeds=2)
    assert says(said(4), "--crossval")
    assert not says(said(LEAST_GROUPS), "--crossval")


def test_the_chance_of_training_is_in_the_interval_of_several_seeds() -> None:
    """Trainings that differ by 2 points (sd) from seed to seed, and not by what they are."""
    rng, inside, alone = np.random.default_rng(5), 0, 0
    windows = np.full(20, 500)
    for _ in range(100):
        one, two = (
            500 * (0.8 + rng.normal(0, 0.02, size=(8, 1)) + rng.normal(0, 0.01, size=(8, 20)))
            for _ in range(2)
        )
        low, high = paired_accuracy(windows, one, two)[1] or (0, 0)
        inside += low <= 0 <= high
        low, high = paired_accuracy(windows, one[0], two[0])[1] or (0, 0)
        alone += low <= 0 <= high
    # Bootstraps of 8 are somewhat narrow; one training says nothing of the next.
    assert inside >= 85
    assert alone <= 40
