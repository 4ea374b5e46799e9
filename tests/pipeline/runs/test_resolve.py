"""The configuration of a run, resolved against its store."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from headrace.pipeline.commands.export import run_export
from headrace.pipeline.commands.plan import run_plan
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.console import Console
from headrace.pipeline.evaluation.stage import run_evaluate
from headrace.pipeline.experiments.ablation_variants import variants
from headrace.pipeline.experiments.crossval import crossval_config
from headrace.pipeline.prediction.stage import run_predict
from headrace.pipeline.runs.folder import RunFolder, run_digest
from headrace.pipeline.runs.record import recorded_config
from headrace.pipeline.runs.resolve import resolved_config
from headrace.pipeline.training.stage import run_train
from headrace.stores.errors import StoreError
from headrace.stores.store import open_store
from tests.conftest import changed, request_for
from tests.in_process import store_here

BARE = {"select": [], "triads": {}, "accelerometers": []}


@pytest.fixture(scope="module")
def bare_config() -> Config:
    """Of a store of raw alone; what the network takes is not said."""
    return config_from_table(
        {
            "name": "bare",
            "features": BARE,
            "split": {"folds": 3},
            "model": {"filters": 4, "dilations": [1], "fusion_units": 4},
            "train": {"epochs": 1, "batch": 32, "steps_per_epoch": 2, "tensorboard": False},
            "evaluate": {"views": ["identity"], "batch": 64},
        },
        "bare",
    )


@pytest.fixture(scope="module")
def bare_store(
    bare_config: Config, tiny_source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    target = tmp_path_factory.mktemp("bare") / "bare.zarr"
    store_here(request_for(bare_config, tiny_source, target))
    return target


def test_a_store_without_features_is_planned_trained_scored_and_used_as_raw_alone(
    bare_config: Config, bare_store: Path, tiny_source: Path, tmp_path: Path
) -> None:
    absent = tmp_path / "absent.zarr"
    planned = run_plan(request_for(bare_config, tiny_source, absent))["stages"]
    stands = run_plan(request_for(bare_config, None, bare_store))["stages"]
    assert planned["train"]["projected"] == stands["train"]["projected"]
    run = RunFolder(tmp_path / "run")
    run_train(request_for(bare_config, None, bare_store, run.path))
    assert run.complete
    assert recorded_config(run).model.inputs == "raw"
    request = request_for(bare_config, None, bare_store, run.path)
    assert run_evaluate(request)["plain"]["accuracy"] >= 0
    with h5py.File(tiny_source) as file, h5py.File(tmp_path / "new.h5", "w") as new:
        file.copy("X", new)
        new["X"].attrs.update(file["X"].attrs)
        windows = len(file["X"])
    request = request_for(bare_config, tmp_path / "new.h5", bare_store, run.path)
    assert run_predict(request, tmp_path / "new.csv")["windows"] == windows
    run_export(run.path, tmp_path / "export", Console(quiet=True))


def test_experiments_on_a_store_without_features_have_raw_alone(
    bare_config: Config, bare_store: Path
) -> None:
    store = open_store(bare_store)
    config = crossval_config(request_for(bare_config, None, bare_store), store)
    found = variants(config, store.feature_names)
    assert {each.config.model.inputs for each in found} == {"raw"}
    # Their stages are given it in a file, where nothing is left to a default.
    given = config_from_table(config.model_dump(mode="json", exclude_none=True), "child")
    again = resolved_config(request_for(given, None, bare_store), store)
    assert again.run_keys() == config.run_keys()


def test_raw_that_is_named_makes_the_same_run(bare_config: Config, bare_store: Path) -> None:
    store = open_store(bare_store)
    named = changed(bare_config, model={"inputs": "raw"})
    digests = {
        run_digest(resolved_config(request_for(each, None, bare_store), store), store.fingerprint)
        for each in (bare_config, named)
    }
    assert len(digests) == 1


@pytest.mark.parametrize("inputs", ["features", "hybrid"])
@pytest.mark.parametrize("stage", [run_plan, run_train, run_evaluate])
def test_features_that_the_store_lacks_are_refused_before_anything_starts(
    bare_config: Config, bare_store: Path, tmp_path: Path, inputs: str, stage: object
) -> None:
    config = changed(bare_config, model={"inputs": inputs})
    run = None if stage is run_evaluate else tmp_path / "run"
    with pytest.raises(StoreError) as refused:
        stage(request_for(config, None, bare_store, run))  # type: ignore[operator]
    for part in (f'model.inputs = "{inputs}"', "features.select = []", str(bare_store)):
        assert part in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_store_with_features_keeps_what_is_said_or_both(
    tiny_config: Config, tiny_store: Path
) -> None:
    store = open_store(tiny_store)
    for config, inputs in (
        (tiny_config, "hybrid"),
        (changed(tiny_config, model={"inputs": "features"}), "features"),
    ):
        resolved = resolved_config(request_for(config, None, tiny_store), store)
        assert resolved.model.inputs == inputs
        assert resolved.run_keys()["model"] == config.run_keys()["model"]
