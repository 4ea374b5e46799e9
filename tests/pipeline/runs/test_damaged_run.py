"""A run folder that is damaged, or a stranger's: refused in one line; no code of it is run."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import pytest

from headrace.pipeline.config.config import Config
from headrace.pipeline.evaluation.predictor import load_model
from headrace.pipeline.evaluation.stage import run_evaluate
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.training.state import read_state
from headrace.stores.errors import RunError, UserError
from tests.conftest import request_for
from tests.refusals import refused


def lambda_model(path: Path) -> None:
    entry = keras.Input((4,))
    keras.Model(entry, keras.layers.Lambda(lambda x: x * 2)(entry)).save(path)


def other_model(path: Path) -> None:
    entry = keras.Input((4,))
    keras.Model(entry, keras.layers.Dense(2)(entry)).save(path)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: dict[str, tuple[str, Callable[[Path], object], *tuple[str, ...]]] = {
    "a model with a lambda": ("model.keras", lambda_model, "Lambda"),
    "a model of something else": ("model.keras", other_model),
    "half a model": ("model.keras", half),
    "a pickle for a model": ("model.keras", lambda p: p.write_bytes(b"\x80\x04N.")),
    "half a record of the store": ("store.json", half),
    "no record of the store": ("store.json", Path.unlink),
    "half a config": ("config.toml", half),
    "a config that is none": ("config.toml", lambda p: p.write_text("[x]")),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_run_that_is_damaged_or_hostile(
    name: str, complete_run: RunFolder, stateful_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    shutil.copytree(complete_run.path, tmp_path / "run")
    file, damage, *named = DAMAGE[name]
    damage(tmp_path / "run" / file)
    with refused(RunError, file, *named) as caught:
        run_evaluate(request_for(stateful_config, None, tiny_store, tmp_path / "run"))
    assert "\n" not in str(caught.value)


def flipped(content: bytes, chance: random.Random) -> bytes:
    found = bytearray(content)
    for _ in range(chance.choice((1, 3, 30))):
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found[: chance.choice((len(found), chance.randrange(len(found))))])


def test_damaged_models_and_states_are_refused_or_read(
    complete_run: RunFolder, tmp_path: Path
) -> None:
    state = next(path for path in (complete_run.path / "state").iterdir())
    for seed in range(40):
        chance = random.Random(seed)
        for source, read in ((complete_run.model, load_model), (state, read_state)):
            path = tmp_path / source.name
            path.write_bytes(flipped(source.read_bytes(), chance))
            try:
                read(path)
            except UserError as error:
                message = str(error)
                if "\n" in message:
                    pytest.fail(message)
