"""How quick variants are is told from their own work, not from what else the machine does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.pipeline.config.config import Config
from headrace.pipeline.experiments.ablation_variants import Variant, in_time
from headrace.pipeline.experiments.pace import measured_pace
from headrace.pipeline.request import Request
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.resolve import resolved_config
from headrace.pipeline.training.log import write_log
from headrace.stores.store import open_store
from tests.conftest import request_for
from tests.pipeline.trained import log_of

REFERENCE, BUSY, TWICE = "reference", "measured under load", "twice the work"
WORK = {REFERENCE: 4.0, BUSY: 4.0, TWICE: 8.0}
"""Processor seconds of a probe's epoch, of which a fourth is validation."""
LOAD = {REFERENCE: 1.0, BUSY: 3.0, TWICE: 1.0}
"""By how much other programs stretched that by the wall clock."""


def pace_of(
    config: Config,
    store: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    processor: bool = True,
    stop: str = "",
) -> dict[str, float]:
    """Paces by probes whose clocks are made up; one of the name `stop` is interrupted."""
    request = request_for(config, None, store, folder)
    opened = open_store(store)
    resolved = resolved_config(request, opened)
    found = [Variant(name, resolved.changed("train", seed=n)) for n, name in enumerate(WORK)]

    def probe(stage: str, request: Request, config: Config, run: RunFolder, file: Path) -> None:
        name = list(WORK)[config.train.seed]
        if name == stop:
            raise KeyboardInterrupt
        work, wall = WORK[name], WORK[name] * LOAD[name] / 2
        row: dict[str, Any] = {"epoch": 2, "seconds": wall, "val_seconds": wall / 4}
        if processor:
            row |= {"cpu_seconds": work * 3 / 4, "val_cpu_seconds": work / 4}
        write_log(run.log, [row])

    monkeypatch.setattr("headrace.pipeline.experiments.pace.run_stage", probe)
    return measured_pace(request, opened, found, folder, "0123")


def test_load_while_a_variant_is_measured_takes_no_epoch_from_it(
    tiny_config: Config, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = pace_of(tiny_config, tiny_store, tmp_path / "a", monkeypatch)
    assert pace[BUSY] == pytest.approx(pace[REFERENCE])
    assert pace[TWICE] == pytest.approx(2 * pace[REFERENCE])
    seconds = 20 * pace[REFERENCE]
    epochs = {name: in_time(tiny_config, seconds, pace[name]).train.epochs for name in WORK}
    assert epochs == {REFERENCE: 20, BUSY: 20, TWICE: 10}


def test_an_interrupted_measurement_goes_on_by_the_same_clock(
    tiny_config: Config, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pace_of(tiny_config, tiny_store, tmp_path / "whole", monkeypatch)
    for stop in (BUSY, TWICE):
        with pytest.raises(KeyboardInterrupt):
            pace_of(tiny_config, tiny_store, tmp_path / "parts", monkeypatch, stop=stop)
    assert pace_of(tiny_config, tiny_store, tmp_path / "parts", monkeypatch) == whole


def test_paces_by_the_wall_clock_go_on_by_it(
    tiny_config: Config, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a GPU, whose work the processor does not do, and in a pace.json of before."""
    clock = pace_of(tiny_config, tiny_store, tmp_path / "gpu", monkeypatch, processor=False)
    assert clock[BUSY] == pytest.approx(3 * clock[REFERENCE])
    before = {"of": "0123", "epoch_seconds": {REFERENCE: clock[REFERENCE]}}
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "pace.json").write_text(json.dumps(before))
    assert pace_of(tiny_config, tiny_store, tmp_path / "old", monkeypatch) == clock


def test_a_log_holds_the_processor_time_of_each_epoch(cheap_run: RunFolder) -> None:
    rows = log_of(cheap_run)
    assert all(float(row[name]) > 0 for row in rows for name in ("cpu_seconds", "val_cpu_seconds"))
