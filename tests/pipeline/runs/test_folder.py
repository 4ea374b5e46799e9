"""The run folder: its place, what it records, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from headrace.model.interface import NetworkTarget
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_bytes, config_from_table, load_config
from headrace.pipeline.memory.machine import usable_cores
from headrace.pipeline.runs.folder import RunFolder, default_run, next_run, only_writer, run_digest
from headrace.pipeline.runs.inputs import ModelInputs
from headrace.pipeline.runs.record import (
    record_run,
    recorded_config,
    recorded_fingerprint,
    refuse_unfit,
)
from headrace.pipeline.runs.resolve import with_threads
from headrace.stores.errors import RunError
from headrace.stores.spec import WindowSpec
from tests.refusals import refused

STORE = "0123456789abcdef0123456789abcdef"
SPLIT = {"train": ["0"], "validation": ["1"], "test": ["2"]}

SPEC = WindowSpec(64, 50.0, ("a",), ("g",), np.dtype(np.float32), (1.0,))
INPUTS = ModelInputs(SPEC, features=(), target=NetworkTarget(("walk", "run")))


@pytest.fixture
def config() -> Config:
    return config_from_table({"name": "tiny", "train": {"epochs": 3}}, "a test")


def with_key(config: Config, section: str, **values: object) -> Config:
    changed = getattr(config, section).model_copy(update=values)
    return config.model_copy(update={section: changed})


def recorded(folder: Path, config: Config) -> RunFolder:
    run = RunFolder(folder)
    record_run(run, config, STORE, SPLIT, INPUTS)
    return run


def test_a_run_stands_under_its_config_and_what_decides_its_result(
    tmp_path: Path, config: Config
) -> None:
    run = default_run(config, STORE, tmp_path)
    assert run.path == tmp_path / "tiny" / run_digest(config, STORE)
    assert default_run(with_key(config, "train", seed=1), STORE, tmp_path) != run
    assert default_run(config, STORE[::-1], tmp_path) != run
    assert default_run(with_key(config, "evaluate", batch=7), STORE, tmp_path) == run
    assert default_run(with_key(config, "stream", read_threads=7), STORE, tmp_path) == run
    assert default_run(with_key(config, "train", threads=7), STORE, tmp_path) == run


def test_a_run_goes_on_with_the_threads_that_it_was_started_with(
    tmp_path: Path, config: Config
) -> None:
    new = RunFolder(tmp_path / "new")
    assert with_threads(new, config).train.threads == usable_cores()
    assert with_threads(new, with_key(config, "train", threads=7)).train.threads == 7
    run = recorded(tmp_path / "run", with_key(config, "train", threads=5))
    assert with_threads(run, config).train.threads == 5
    with refused(RunError, "train.threads", "5", "7", "--new"):
        with_threads(run, with_key(config, "train", threads=7))


def test_another_run_gets_the_next_suffix_and_is_then_the_one_meant(
    tmp_path: Path, config: Config
) -> None:
    first = recorded(default_run(config, STORE, tmp_path).path, config)
    second = next_run(first)
    assert second.path.name == f"{first.path.name}-2"
    recorded(second.path, config)
    assert default_run(config, STORE, tmp_path) == second
    assert next_run(second).path.name == f"{first.path.name}-3"


def test_the_recorded_config_reads_back_equal(tmp_path: Path, config: Config) -> None:
    full = with_key(config, "memory", budget=2**31)
    full = with_key(full, "paths", data=Path("/somewhere/with space.h5"))
    run = recorded(tmp_path / "run", full)
    assert recorded_config(run) == full
    # How far to read ahead follows from the budget of each start.
    assert load_config(run.config).stream.model_fields_set == {"drop_remainder", "jitter"}
    assert load_config(run.config) == full
    assert recorded_fingerprint(run) == STORE
    assert json.loads(run.versions.read_text())["numpy"]


def test_a_complete_run_is_one_with_a_model(tmp_path: Path, config: Config) -> None:
    run = recorded(tmp_path / "run", config)
    assert not run.complete
    run.model.write_bytes(b"model")
    assert run.complete


def test_recording_again_keeps_what_was_recorded(tmp_path: Path, config: Config) -> None:
    run = recorded(tmp_path / "run", config)
    before = run.config.read_bytes()
    (run.path / "log.csv.123.tmp").write_bytes(b"left by a killed process")
    record_run(run, with_key(config, "evaluate", batch=7), STORE, SPLIT, INPUTS)
    assert run.config.read_bytes() == before
    assert not list(run.path.glob("*.tmp"))


def test_another_config_is_refused_with_the_key_and_the_way_out(
    tmp_path: Path, config: Config
) -> None:
    run = recorded(tmp_path / "run", config)
    refuse_unfit(run, with_key(config, "evaluate", batch=7), STORE)
    with refused(RunError, "train.epochs", "3", "4", "--config", "config.toml"):
        refuse_unfit(run, with_key(config, "train", epochs=4), STORE)


def test_another_store_is_refused(tmp_path: Path, config: Config) -> None:
    run = recorded(tmp_path / "run", config)
    with refused(RunError, STORE[:16], STORE[::-1][:16], "--store"):
        refuse_unfit(run, config, STORE[::-1])


def test_other_library_versions_refuse_an_incomplete_run_only(
    tmp_path: Path, config: Config
) -> None:
    run = recorded(tmp_path / "run", config)
    versions = json.loads(run.versions.read_text()) | {"numpy": "1.0"}
    run.versions.write_text(json.dumps(versions))
    with refused(RunError, "numpy", "1.0", "--new"):
        refuse_unfit(run, config, STORE)
    run.model.write_bytes(b"model")
    refuse_unfit(run, config, STORE)


def test_a_folder_of_something_else_is_refused_and_left_alone(
    tmp_path: Path, config: Config
) -> None:
    letter = tmp_path / "letter.txt.1.tmp"
    letter.write_text("dear reader")
    with refused(RunError, tmp_path.name, "--run"):
        refuse_unfit(RunFolder(tmp_path), config, STORE)
    with refused(RunError, letter.name, "--run"):
        refuse_unfit(RunFolder(letter), config, STORE)
    assert letter.read_text() == "dear reader"


def test_a_start_that_was_cut_short_is_taken_up(tmp_path: Path, config: Config) -> None:
    run = recorded(tmp_path / "run", config)
    run.config.rename(run.path / "config.toml.77.tmp")
    refuse_unfit(run, config, STORE)
    record_run(run, config, STORE, SPLIT, INPUTS)
    assert recorded_config(run) == config


def test_a_run_has_one_writer_at_a_time(tmp_path: Path, config: Config) -> None:
    run = recorded(tmp_path / "run", config)
    with only_writer(run), refused(RunError, "run"), only_writer(run):
        pass
    with only_writer(run):
        pass


def test_a_folder_without_a_run_says_to_train_first(tmp_path: Path) -> None:
    with refused(RunError, "absent", "headrace train"):
        recorded_config(RunFolder(tmp_path / "absent"))


def test_config_bytes_do_not_depend_on_how_a_config_was_made(config: Config) -> None:
    assert config_bytes(config_from_table(config.model_dump(), "again")) == config_bytes(config)
