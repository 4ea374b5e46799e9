"""The report of a cross-validation, from runs whose scores were made by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from headrace import stores
from headrace.pipeline.config.config import Config
from headrace.pipeline.experiments.crossval_page import write_page
from headrace.pipeline.experiments.crossval_result import CrossvalResult, summarise
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.inputs import inputs_of
from headrace.pipeline.runs.record import record_run
from headrace.stores.errors import RunError
from tests.pipeline.evaluation.scored import evaluated, scored
from tests.refusals import refused

ROW = re.compile(r"<tr>(.*?)</tr>", re.DOTALL)
HOSTILE = "<b>q</b>"
COUNTS = {"p": [[9, 1], [2, 8]], HOSTILE: [[3, 7], [6, 4]], "r": [[8, 2], [5, 5]]}
"""Windows of three groups by label and prediction: 17, 7 and 13 of 20 are right."""
LOG = "epoch,loss,val_loss,seconds\n1,2,0.9,1\n2,1,0.7,1\n3,1,0.8,1\n"


@pytest.fixture
def folds(tmp_path: Path, tiny_config: Config, tiny_store: Path) -> list[RunFolder]:
    """Runs of two folds."""
    runs = [RunFolder(tmp_path / f"fold-{number}") for number in range(2)]
    for run in runs:
        run.path.mkdir()
        record_run(run, tiny_config, "f", {}, inputs_of(stores.open(tiny_store)))
        run.log.write_text(LOG)
    return runs


def page_of(folds: list[RunFolder], config: Config, store: Path, folder: Path) -> str:
    (one, first), (two, second), (three, third) = COUNTS.items()
    classes = ["walk", "rest"]
    metrics = {
        str(folds[0].path): evaluated(scored([first], [one], classes)),
        str(folds[1].path): evaluated(scored([second, third], [two, three], classes)),
    }
    result = CrossvalResult.model_validate({"store": "f", **summarise(metrics, classes)})
    return write_page(folder, stores.open(store), config, metrics, result).read_text()


def rows(page: str) -> list[list[str]]:
    """Cells of every row of every table."""
    return [re.findall(r"<t[dh]>(.*?)</t[dh]>", row, re.DOTALL) for row in ROW.findall(page)]


def test_the_page_shows_the_spread_each_fold_and_each_group_once_the_worst_first(
    folds: list[RunFolder], tiny_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    page = page_of(folds, tiny_config, tiny_store, tmp_path)
    table = rows(page)
    accuracy = next(row for row in table if row[0] == "network, views averaged: accuracy")
    sd = np.std([0.85, 0.5], ddof=1)
    assert accuracy[1:5] == ["0.675", f"{sd:.3f}", "0.500", "0.850"]
    assert accuracy[5].startswith("0.617 [")
    groups = [row for row in table if row[0] in {"p", "&lt;b&gt;q&lt;/b&gt;", "r"}]
    assert [(row[0], row[2], row[4]) for row in groups] == [
        ("&lt;b&gt;q&lt;/b&gt;", "0.350", "1"),
        ("r", "0.650", "1"),
        ("p", "0.850", "0"),
    ]
    assert [(row[1], row[2], row[5]) for row in table if row[0] in {"0", "1"}] == [
        ("20", "0.850", "2 of 3"),
        ("40", "0.500", "2 of 3"),
    ]
    assert ["walk", "20", "10"] in table  # The confusion counts of all folds.
    assert str(folds[1].path) in page
    assert f"headrace crossval --config {tmp_path / 'fold-0.toml'}" in page


def test_the_page_needs_no_other_file_and_escapes_names(
    folds: list[RunFolder], tiny_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    page = page_of(folds, tiny_config, tiny_store, tmp_path)
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("data:image/png;base64,") == 4
    assert HOSTILE not in page
    assert page_of(folds, tiny_config, tiny_store, tmp_path) == page


def test_a_damaged_log_is_refused(
    folds: list[RunFolder], tiny_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    folds[1].log.write_text("epoch,loss\none,two\n")
    with refused(RunError, "log.csv"):
        page_of(folds, tiny_config, tiny_store, tmp_path)
