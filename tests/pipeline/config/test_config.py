"""Configuration: files, overrides and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from headrace.pipeline.config.config import Config, digest
from headrace.pipeline.config.load import config_from_table, load_config
from headrace.pipeline.config.marks import affects, left_out
from headrace.stores.errors import ConfigError
from headrace.stores.marks import AddedLater
from tests.refusals import refused


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nepochs = 7\nseed = 1\n")
    config = load_config(file, ["train.epochs=3", "memory.budget=1.5GiB"])
    assert (config.name, config.train.epochs, config.train.seed) == ("mine", 3, 1)
    assert config.memory.budget == 3 * 2**29


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("train.epoch=3", ("train.epoch", "train.epochs")),
        ("trian.epochs=3", ("trian", "train")),
        ("train.epochs=0", ("train.epochs", "0", "1")),
        ("train.epochs=many", ("train.epochs", "many")),
        ("split.folds=2", ("split.folds", "2", "3")),
        ("epochs", ("--set", "epochs")),
        ("name.x=1", ("name.x", "name")),
    ],
)
def test_what_is_wrong_is_named(override: str, named: tuple[str, ...]) -> None:
    with refused(ConfigError, *named) as error:
        load_config(None, [override])
    assert "\n" not in str(error.value)


def test_one_key_given_twice_is_refused() -> None:
    with refused(ConfigError, "train.epochs", "3", "5"):
        load_config(None, ["train.epochs=3", "train.seed=1", "train.epochs=5"])


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        ("name", "a/b", "name"),
        ("cluster.scheduler", "here", "tcp://host:8786"),
        ("objects.endpoint", "here", "http://127.0.0.1:9000"),
        ("evaluate.views", ["zoom"], "scale:FACTOR"),
    ],
)
def test_a_wrong_text_is_answered_with_what_its_own_key_takes(
    key: str, value: Any, taken: str
) -> None:
    with refused(ConfigError, key, taken):
        load_config(None, [f"{key}={json.dumps(value)}"])


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("[train\n")
    with refused(ConfigError, "broken.toml", "TOML"):
        load_config(file)
    with refused(ConfigError, "missing.toml", "--config"):
        load_config(tmp_path / "missing.toml")


CONFIGS: dict[str, dict[str, Any]] = {
    "default": {},
    "devices": {"train": {"devices": 2, "threads": 3}},
    "resources": {
        "features": {"workers": 3},
        "stream": {"read_threads": 7, "prefetch_batches": 9, "index_cache": "1MiB"},
        "train": {"threads": 2, "tensorboard": False, "state_steps": 10},
        "memory": {"budget": "1GiB"},
        "cluster": {"memory_limit": "600MiB"},
        "objects": {"requests": 4},
        "evaluate": {"batch": 64},
        "paths": {"data": "x.h5"},
    },
    "everything": {
        "source": {
            "rate_hz": 50.0,
            "channels": ["x", "y", "z"],
            "class_map": {"walk": ["a*"]},
            "exclude_labels": ["b"],
        },
        "store": {"raw_dtype": "float16", "chunk_windows": 64, "seed": 3},
        "folds": {"count": 6, "test_groups": ["a", 3]},
        "features": {
            "triads": {"acc": ["x", "y", "z"]},
            "accelerometers": ["acc"],
            "select": ["*", "!x*"],
            "custom": ["m:f"],
            "workers": 2,
        },
        "split": {"folds": 5, "test_fold": 2},
        "stream": {"buffer_chunks": 8, "drop_remainder": True},
        "augment": {"mix_probability": 0.5},
        "model": {"filters": 32, "inputs": "raw"},
        "train": {"epochs": 3, "batch": 96, "devices": 3, "balance": "class", "refit": True},
    },
}
DIGESTS = {
    "default": ("33c1cd5437032cbe", "e7429b58d8a6deec"),
    "devices": ("33c1cd5437032cbe", "337ba71d44a25274"),
    "resources": ("33c1cd5437032cbe", "e7429b58d8a6deec"),
    "everything": ("ce05da8d446bd98b", "7aa9e191fba63dd0"),
}
"""Of what affects the store, and the run: stores and runs of version 0.1 are found by them."""
SHIPPED = {
    "hapt": ("eb6b9fc8a086cbd8", "a40b0ae2c870f9ee"),
    "hapt6": ("d3318598e90b68ac", "5e9d9c06b0f45212"),
    "sisfall": ("ccf749bc2eb6c4d2", "0c02269eb2eb16b3"),
    "sisfall200": ("73681807ccef198a", "a9d0fc555ded70d3"),
    "sisfall5": ("f81bfe2d6be15776", "0c02269eb2eb16b3"),
    "watch": ("b9bac7b03c209da4", "1c1056d78017107b"),
}
"""The same of the shipped configurations; another recipe in one of them has others."""
INTERVALS = {
    None: ("891c34342ef61287", "e7429b58d8a6deec"),
    "times": ("25c361f4000a2bfa", "e7429b58d8a6deec"),
}
"""The same of a table of intervals, by a key that was added to it later."""


@pytest.mark.parametrize("name", CONFIGS)
def test_the_digests_of_stores_and_runs_stay_those_of_version_0_1(name: str) -> None:
    config = config_from_table(CONFIGS[name], "test")
    assert (digest(config.store_keys()), digest(config.run_keys())) == DIGESTS[name]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_digests_of_shipped_configs_are_kept(name: str) -> None:
    config = load_config(Path("configs", f"{name}.toml"))
    assert (digest(config.store_keys()), digest(config.run_keys())) == SHIPPED[name]


def test_keys_added_later_to_nested_tables_are_left_out_at_their_default() -> None:
    class Nested(BaseModel):
        old: int = 1
        new: Annotated[int, AddedLater] = 2

    class Section(BaseModel):
        one: Nested = Nested()
        several: list[Nested] = [Nested(), Nested(new=3)]
        none: Nested | None = None

    assert left_out(Section()) == {"one": {"new": True}, "several": {0: {"new": True}}}
    assert left_out(Section(one=Nested(new=3), several=[])) == {}


@pytest.mark.parametrize("counted_from", [None, "times"])
def test_intervals_keep_the_digests_that_they_had(counted_from: str | None) -> None:
    table = {"file": "labels.txt", "unit": "s", "counted_from": counted_from}
    config = config_from_table({"source": {"intervals": table}}, "test")
    assert (digest(config.store_keys()), digest(config.run_keys())) == INTERVALS[counted_from]


def test_every_section_says_what_it_affects() -> None:
    sections = {name: affects(field) for name, field in Config.model_fields.items()}
    assert [name for name, affected in sections.items() if affected is None] == ["name"]


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


def test_an_empty_text_takes_a_function_of_the_users_back(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('[model]\nbuild = "net:build"\n[train]\nloss = "net:loss"\n')
    assert load_config(file).model.build == "net:build"
    config = load_config(file, ["model.build=", 'train.loss=""'])
    assert (config.model.build, config.train.loss) == (None, None)
    assert config.run_keys() == Config().run_keys()
