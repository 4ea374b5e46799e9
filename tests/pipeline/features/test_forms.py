"""What a plan expects of both forms of a store is what batches of such stores are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.shuffle import epoch_rows
from headrace import stores
from headrace.pipeline.commands.plan import run_plan
from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.pipeline.features.forms import Form, forms_of
from headrace.pipeline.features.plan import plan_store
from headrace.pipeline.rows.order import training_order
from headrace.pipeline.rows.quality import POOR, batch_entropy
from headrace.pipeline.rows.split import choose_split
from headrace.stores.source.source import open_source
from tests.conftest import changed, request_for
from tests.in_process import store_here
from tests.pipeline.features.test_stretches import LENGTHS, config_of, write_signals

CASES: dict[str, dict[str, dict[str, Any]]] = {
    "stretches": {},
    "windows, with windows dropped": {
        "store": {"block_windows": 4},
        "source": {"non_finite": "drop"},
    },
    "windows, as stretches do not pay": {"source": {"step_samples": 12}},
    "labels that change, folds of one group": {
        "source": {"label_rule": "majority", "step_samples": 2},
        "folds": {"by": "group"},
    },
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("signals") / "recordings.h5"
    write_signals(path, [*LENGTHS, 900, 250, 700], "f4", gap=True)
    return path


def planned(config: Config, data: Path) -> list[Form]:
    with open_source(data, config.source) as source:
        return forms_of(config, source, *plan_store(config, source))


def asked(config: Config, form: Form) -> Config:
    """The configuration that gives the form, as it is said."""
    if not form.way:
        return config
    section, value = form.way.removeprefix("store.").split(" ")[0::2][:2]
    if section == "raw":
        return changed(config, store={"raw": "stretches", "block_windows": None})
    return changed(config, store={section: int(value), "raw": None, "stretch_windows": None})


@pytest.mark.parametrize("name", CASES)
def test_mixing_and_bytes_are_those_of_stores_of_both_forms(
    data: Path, name: str, tmp_path: Path
) -> None:
    given = CASES[name]
    source = {"non_finite": "fill", **given.get("source", {})}
    config = config_of(None, **{"stream": {"buffer_chunks": 4}, **given, "source": source})
    config = changed(config, train={"batch": 16}, features={"select": []})
    forms = planned(config, data)
    assert {form.name for form in forms} == {"stretches", "windows"}
    assert [form.way == "" for form in forms] == [True, False]
    for form in forms:
        own = asked(config, form)
        store_here(request_for(own, data, tmp_path / form.name))
        store = stores.open(tmp_path / form.name)
        manifest = store.manifest
        assert (manifest.stretch > 0) == (form.name == "stretches")
        raw = {array.name: array for array in manifest.arrays()}["raw"]
        held = raw.rows
        if manifest.stretches:
            held = len(np.unique(store.read("stretch", 0, store.windows)))
        assert held * raw.row_bytes <= form.raw_bytes <= raw.rows * raw.row_bytes
        train = choose_split(store.folds, store.class_table, own.split).train
        rows = epoch_rows(training_order(store, train, own), 0)
        rng = np.random.default_rng(1)
        for column, expected in (("group", form.groups), ("label", form.labels)):
            code = store.read(column, 0, store.windows)
            ideal = batch_entropy(code[rng.choice(rows, 1_000_000)], 16)
            found = batch_entropy(code[rows], 16) / ideal
            assert expected == pytest.approx(found, abs=0.006), (form.name, column)


@pytest.mark.parametrize("step", [17, 32, 40])
def test_without_overlap_there_is_one_form(data: Path, step: int) -> None:
    source = {"step_samples": step, "non_finite": "fill"}
    assert planned(config_of(None, source=source), data) == []


@pytest.mark.usefixtures("probed_here")
def test_a_plan_shows_both_forms_and_warns_of_the_poor_one(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(None, source={"non_finite": "fill"}, stream={"buffer_chunks": 1})
    request = request_for(config, data, tmp_path / "s.zarr")
    found = run_plan(replace(request, console=Console()))
    forms = found["forms"]
    assert list(forms) == ["stretches", "windows"]
    assert forms["stretches"]["chosen"] is True
    assert found["shuffle_quality"] == forms["stretches"]["groups"] < POOR
    warned = [line for line in capsys.readouterr().out.splitlines() if "Warning: Shuf" in line]
    poor = [name for name, each in forms.items() if min(each["groups"], each["labels"]) < POOR]
    assert len(warned) == len(poor) > 0
