"""Configuration: files, overrides and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.pipeline.config.config import digest
from headrace.pipeline.config.load import config_from_table, load_config
from headrace.stores.errors import ConfigError, UserError


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nepochs = 7\nseed = 1\n")
    config = load_config(file, ["train.epochs=3", "memory.budget=1.5GiB"])
    assert (config.name, config.train.epochs, config.train.seed) == ("mine", 3, 1)
    assert config.memory.budget == 3 * 2**29


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", r"unknown key train\.epoch\. Did you mean train\.epochs\?"),
        ("trian.epochs=3", r"unknown key trian\. Did you mean train\?"),
        ("train.epochs=0", r"train\.epochs = 0: .*greater than or equal to 1"),
        ("train.epochs=many", r"train\.epochs = 'many'"),
        ("split.folds=2", r"split\.folds = 2: .*greater than or equal to 3"),
        ("epochs", r"--set takes section\.key=value"),
        ("name.x=1", r"name"),
    ],
)
def test_what_is_wrong_is_named(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        load_config(None, [override])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("name", "a/b", "folders"),
        ("cluster.scheduler", "here", "tcp://host:8786"),
        ("objects.endpoint", "here", "http://127.0.0.1:9000"),
        ("evaluate.views", ["zoom"], "scale:FACTOR"),
    ],
)
def test_a_wrong_text_is_answered_with_what_its_own_key_takes(
    key: str, value: Any, said: str
) -> None:
    with pytest.raises(ConfigError, match=key) as error:
        load_config(None, [f"{key}={json.dumps(value)}"])
    assert said in str(error.value)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("[train\n")
    with pytest.raises(UserError, match=r"broken\.toml is not valid TOML"):
        load_config(file)
    with pytest.raises(UserError, match=r"missing\.toml cannot be read"):
        load_config(tmp_path / "missing.toml")


def test_only_what_decides_bytes_decides_the_store() -> None:
    plain = config_from_table({}, "test")
    other = config_from_table(
        {"features": {"workers": 1}, "train": {"epochs": 1}, "memory": {"budget": "1GiB"}}, "test"
    )
    assert digest(plain.store_keys()) == digest(other.store_keys())
    shuffled = config_from_table({"store": {"seed": 1}}, "test")
    assert digest(plain.store_keys()) != digest(shuffled.store_keys())


def test_only_what_decides_the_result_decides_the_run() -> None:
    plain = config_from_table({}, "test")
    faster = config_from_table({"stream": {"read_threads": 8}}, "test")
    assert digest(plain.run_keys()) == digest(faster.run_keys())
    longer = config_from_table({"train": {"epochs": 31}}, "test")
    assert digest(plain.run_keys()) != digest(longer.run_keys())


@pytest.mark.parametrize("file", sorted(Path("configs").glob("*.toml")), ids=lambda f: f.stem)
def test_every_shipped_config_is_valid(file: Path) -> None:
    assert load_config(file).name == file.stem
