"""A network of the user's own is measured in a process of its own before it is used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from headrace.pipeline.commands.plan import run_plan
from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.pipeline.experiments import ablation
from headrace.pipeline.experiments.ablation_variants import variants
from headrace.pipeline.memory.fit import fitted
from headrace.pipeline.memory.measured import keep_reserved, network_shape
from headrace.pipeline.runs import measure
from headrace.pipeline.runs.inputs import ModelInputs
from headrace.pipeline.runs.measure import require_measured
from headrace.pipeline.runs.resolve import resolved_config
from headrace.pipeline.training.memory import plan_train
from headrace.stores.errors import BudgetError, FunctionError
from headrace.stores.store import open_store
from tests.conftest import request_for
from tests.pipeline.own.networks import config_of, write_networks
from tests.refusals import refused

MIB = 1 << 20


@pytest.mark.own
def test_a_plan_measures_it_once_for_each_content_of_its_files(
    tmp_path: Path, tiny_config: Config, tiny_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_networks(tmp_path)
    config = config_of(folder, tiny_config, model={"build": "net:bare"}, train={"batch": 8})
    processes: list[Any] = []
    run = measure.run_measured

    def counted(*given: Any) -> str:
        processes.append(given)
        return run(*given)

    monkeypatch.setattr(measure, "run_measured", counted)
    stages = run_plan(request_for(config, None, tiny_store))["stages"]
    assert len(processes) == 2
    for name in ("train", "evaluate"):
        held = stages[name]["buffers"] if "buffers" in stages[name] else stages[name]
        assert "activations" not in held
    run_plan(request_for(config, None, tiny_store))
    assert len(processes) == 2


@pytest.mark.own
def test_one_that_does_not_fit_its_inputs_or_the_budget_is_refused(
    tmp_path: Path, tiny_config: Config, tiny_store: Path
) -> None:
    folder = write_networks(tmp_path)
    (folder / "net.py").write_text("def bare(inputs, target):\n    return inputs.none\n")
    config = config_of(folder, tiny_config, model={"build": "net:bare"})
    with refused(FunctionError, "net.py:2", "none"):
        run_plan(request_for(config, None, tiny_store))
    write_networks(tmp_path)
    small = {"budget": 100 * MIB}
    config = config_of(folder, tiny_config, model={"build": "net:bare"}, memory=small)
    with refused(BudgetError, "model.build", "memory.budget", "100 MiB"):
        run_plan(request_for(config, None, tiny_store))


def test_no_figure_is_given_of_a_batch_that_it_was_not_measured_with(
    tmp_path: Path, tiny_config: Config, tiny_store: Path
) -> None:
    model, small = {"build": "net:bare"}, {"budget": 300 * MIB}
    config = config_of(write_networks(tmp_path), tiny_config, model=model, memory=small)
    store = open_store(tiny_store)
    config = resolved_config(request_for(config, None, tiny_store), store)
    figures = dict.fromkeys(("train", "evaluate"), 400 * MIB) | {"weights": MIB}
    keep_reserved(config, network_shape(store), figures)
    _, plan = fitted(plan_train, config, store)
    needed = -(-plan.projected // MIB)
    with refused(BudgetError, "train.batch", f"memory.budget = {needed}MiB") as error:
        plan.require_fit()
    sizes = [int(size) for size in re.findall(r"(\d+) MiB", str(error.value))]
    assert max(sizes) <= needed


def test_an_ablation_leaves_out_what_the_network_is_not_made_for(
    tmp_path: Path,
    tiny_config: Config,
    tiny_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "mine.py").write_text("def flip(sample, seeds):\n    return {}\n")
    model, augment = {"build": "net:bare"}, {"custom": ["mine:flip"]}
    config = config_of(write_networks(tmp_path), tiny_config, model=model, augment=augment)
    store = open_store(tiny_store)
    config = resolved_config(request_for(config, None, tiny_store), store)

    def measured(config: Config, inputs: ModelInputs, console: Console) -> None:
        if config.model.inputs == "features":
            raise FunctionError("net.py:3: KeyError: raw")

    monkeypatch.setattr(ablation, "require_measured", measured)
    found = variants(config, store.feature_names)
    possible = ablation._possible(found, store, Console())
    assert {each.name for each in found} - {each.name for each in possible} == {"features only"}
    assert "features only" in capsys.readouterr().out
    (without,) = (each for each in found if each.name == "without your own augmentation")
    assert set(without.config.code.sources) == set(config.code.sources) - {"mine.py"}


def test_ours_is_not_measured(tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "measure_reserved", None)
    require_measured(tiny_config, None, None)  # type: ignore[arg-type]
