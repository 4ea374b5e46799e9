"""A network of the user's own is measured in a process of its own before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.pipeline.commands.plan import run_plan
from headrace.pipeline.config.config import Config
from headrace.pipeline.runs import measure
from headrace.pipeline.runs.measure import require_measured
from headrace.stores.errors import BudgetError, FunctionError
from tests.conftest import request_for
from tests.pipeline.own.networks import config_of, write_networks
from tests.refusals import refused

MIB = 1 << 20


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


def test_ours_is_not_measured(tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "measure_reserved", None)
    require_measured(tiny_config, None, None)  # type: ignore[arg-type]
