"""Networks are not measured in a process of their own, but where a test is of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.pipeline.config.config import Config
from headrace.pipeline.memory.measured import keep_reserved, shape_of
from headrace.pipeline.runs import measure
from headrace.pipeline.runs.inputs import ModelInputs

MIB = 1 << 20


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where figures are kept: a folder of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def measured_here(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of the user's own take 600 MiB."""

    def keep(config: Config, inputs: ModelInputs) -> None:
        shape = shape_of(inputs.spec, inputs.features, inputs.target)
        keep_reserved(
            config, shape, dict.fromkeys(("train", "evaluate"), 600 * MIB) | {"weights": MIB}
        )

    monkeypatch.setattr(measure, "measure_reserved", keep)
