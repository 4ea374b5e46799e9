"""metrics.json: one model reads it, writes the same bytes, and refuses another shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.model.scores import Scores
from headrace.pipeline.evaluation.metrics import Metrics, read_metrics, write_metrics
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.record import json_bytes
from headrace.stores.errors import RunError
from tests.pipeline.evaluation.scored import scored
from tests.refusals import refused


def table() -> dict[str, Any]:
    """What an evaluation with a baseline measured, as its parts give it."""
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {"digest": "0a"}
    for kind, more in (("plain", {"loss": 0.7}), ("tta", {"loss": 0.6}), ("baseline", {})):
        scores = Scores(["walk", "räst", "run"], ["p", "q", "nobody"], mistakes=3)
        probability = rng.dirichlet(np.ones(3), size=40)
        scores.update(probability, rng.integers(2, size=40), np.arange(40) % 2, np.arange(40))
        found[kind] = more | ({} if more else {"training_windows": 9}) | scores.summary()
    baseline = found.pop("baseline")
    return (
        found | {"views": ["identity"], "test_groups": ["p"], "notes": []} | {"baseline": baseline}
    )


def test_what_is_written_is_what_was_measured_and_reads_back(tmp_path: Path) -> None:
    run, measured = RunFolder(tmp_path), table()
    write_metrics(run, Metrics.model_validate(measured))
    assert run.metrics.read_bytes() == json_bytes(measured)
    found = read_metrics(run)
    write_metrics(run, found)
    assert run.metrics.read_bytes() == json_bytes(measured)
    assert list(found.scores()) == ["plain", "tta", "baseline"]


def test_a_run_without_a_baseline_has_none_and_writes_none(tmp_path: Path) -> None:
    run, measured = RunFolder(tmp_path), table()
    del measured["baseline"]
    write_metrics(run, Metrics.model_validate(measured))
    assert run.metrics.read_bytes() == json_bytes(measured)
    assert list(read_metrics(run).scores()) == ["plain", "tta"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps(table() | {"plain": {}}).encode(),
        json.dumps(table() | {"notes": None}).encode(),
        json.dumps(table()).replace('"loss": 0.7', '"loss": NaN').encode(),
    ],
)
def test_a_damaged_file_and_one_of_another_shape_are_refused(
    content: bytes, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path)
    with refused(RunError, tmp_path.name, "headrace evaluate"):
        read_metrics(run)
    run.metrics.write_bytes(content)
    with refused(RunError, tmp_path.name, "headrace evaluate"):
        read_metrics(run)


def test_scores_are_shown_in_percent_with_their_intervals() -> None:
    one = scored([[[8, 2], [0, 10]]])
    assert one.texts()[0] == "90.00 %"
    two = one.model_copy(update={"intervals": {"accuracy": (0.841, 0.92)}})
    assert two.texts()[:2] == ["90.00 % [84.1, 92.0]", one.texts()[1]]
