"""A network of the user's own through every stage; trainings of an epoch on a tiny store."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from headrace.model.interface import NetworkTarget
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.functions import load_named, users_code
from headrace.pipeline.evaluation.stage import run_evaluate
from headrace.pipeline.runs.folder import RunFolder, run_digest
from headrace.pipeline.runs.resolve import resolved_config
from headrace.pipeline.training.network import _own_loss
from headrace.pipeline.training.stage import run_train
from headrace.stores.errors import FunctionError
from headrace.stores.store import open_store
from tests.conftest import request_for
from tests.pipeline.own.networks import config_of, write_networks
from tests.pipeline.trained import log_of
from tests.refusals import refused

pytestmark = pytest.mark.usefixtures("measured_here")

ONCE = {"epochs": 1, "steps_per_epoch": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_networks(tmp_path_factory.mktemp("own"))


OWN = pytest.mark.own
BUILDS = [
    "heads",
    *(pytest.param(name, marks=OWN) for name in ("bare", "stepping", "compiled", "subclassed")),
]


@pytest.mark.parametrize("build", BUILDS)
def test_a_network_is_trained_and_scored_once_its_folder_is_gone(
    build: str, tmp_path: Path, tiny_config: Config, tiny_store: Path
) -> None:
    folder, run = write_networks(tmp_path / "mine"), RunFolder(tmp_path / "run")
    inputs = "features" if build == "subclassed" else "hybrid"
    model = {"build": f"net:{build}", "inputs": inputs}
    config = config_of(folder, tiny_config, model=model, train=ONCE)
    assert run_train(request_for(config, None, tiny_store, run.path))["epochs"] == 1
    (row,) = log_of(run)
    assert float(row["loss"]) > 0
    assert build != "stepping" or float(row["steps_of_mine"]) == 3
    shutil.rmtree(folder)
    moved = RunFolder(tmp_path / "moved")
    run.path.rename(moved.path)
    found = run_evaluate(request_for(tiny_config, None, tiny_store, moved.path))
    assert 0 < found["plain"]["accuracy"] <= 1


REFUSED = {
    "none": ("def build(inputs, target):\n    pass\n", ("None",)),
    "layer": ("import keras\ndef build(i, t):\n    return keras.layers.Dense(3)\n", ("Dense",)),
    "fails": ("def build(inputs, target):\n\n    return inputs.nothing\n", ("net.py:3", "nothing")),
    "arguments": ("def build():\n    pass\n", ("TypeError", "net:build", "net.py", "inputs")),
    "inputs": (
        "import keras\ndef build(inputs, target):\n"
        "    raw = keras.Input((64, 5), name='raw')\n"
        "    x = keras.layers.GlobalAveragePooling1D()(raw)\n"
        "    return keras.Model({'raw': raw}, keras.layers.Dense(6, 'softmax')(x))\n",
        ("(B, 64, 5)", "(B, 64, 3)", "raw"),
    ),
    "unnamed": (
        "import keras\ndef build(inputs, target):\n"
        "    return keras.Sequential([*inputs.tensors().values(), keras.layers.Flatten()])\n",
        ("raw", "inputs.tensors()"),
    ),
    "outputs": (
        "import keras\ndef build(inputs, target):\n    given = inputs.tensors()\n"
        "    x = keras.layers.Flatten()(given['raw'])\n"
        "    return keras.Model(given, keras.layers.Dense(4, 'softmax')(x))\n",
        ("(B, 4)", "(B, 6)", "label"),
    ),
    "heads": (
        "import keras\ndef build(inputs, target):\n    given = inputs.tensors()\n"
        "    x = keras.layers.Flatten()(given['raw'])\n"
        "    return keras.Model(given, {'mine': keras.layers.Dense(6, 'softmax')(x)})\n",
        ("mine", "label"),
    ),
    "logits": (
        "import keras\ndef build(inputs, target):\n    given = inputs.tensors()\n"
        "    x = keras.layers.Flatten()(given['raw'])\n"
        "    return keras.Model(given, keras.layers.Dense(6)(x))\n",
        ("softmax",),
    ),
    "unsaved": (
        "import keras\nclass Own(keras.layers.Layer):\n"
        "    def __init__(self, width):\n"
        "        super().__init__()\n        self.width, self.made = width, object()\n"
        "    def call(self, x):\n        return x\n"
        "    def get_config(self):\n        return {'other': 1}\n"
        "def build(inputs, target):\n    given = inputs.tensors()\n"
        "    x = Own(3)(keras.layers.Flatten()(given['raw']))\n"
        "    return keras.Model(given, keras.layers.Dense(6, 'softmax')(x))\n",
        ("net:build", "get_config"),
    ),
    "step": (
        "import keras\nclass Own(keras.Model):\n    def train_step(self, data):\n"
        "        x, y = data\n        return y.nothing\n"
        "def build(inputs, target):\n    given = inputs.tensors()\n"
        "    x = keras.layers.Flatten()(given['raw'])\n"
        "    network = Own(given, keras.layers.Dense(6, 'softmax')(x))\n"
        "    network.compile('sgd', 'mse')\n    return network\n",
        ("net.py:5", "nothing"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_network_that_does_not_fit_is_refused_before_any_step(
    name: str, tmp_path: Path, tiny_config: Config, tiny_store: Path
) -> None:
    text, named = REFUSED[name]
    write_networks(tmp_path)
    (tmp_path / "net.py").write_text(text)
    model = {"build": "net:build", "inputs": "raw"}
    config = config_of(tmp_path, tiny_config, model=model, train=ONCE)
    run = RunFolder(tmp_path / "run")
    with refused(FunctionError, *named) as error:
        run_train(request_for(config, None, tiny_store, run.path))
    assert "\n" not in str(error.value)
    assert not run.state.exists()


CONSTANT = """
import keras

def build(inputs, target):
    pass

def constant(labels, probabilities):
    return keras.ops.zeros((keras.ops.shape(labels)[0],))
"""


def test_a_network_whose_loss_no_weight_changes_is_named(
    tmp_path: Path, tiny_config: Config
) -> None:
    (tmp_path / "mine.py").write_text(CONSTANT)
    config = config_of(tmp_path, tiny_config, model={"build": "mine:build"})
    network = keras.Sequential([keras.layers.Dense(2)])
    network.compile(loss=load_named(config, "model.build", "mine:constant"), run_eagerly=True)
    with refused(FunctionError, "model.build", "mine:build", "mine.py"), users_code(config):
        network.train_on_batch(np.zeros((3, 2)), np.zeros((3, 2)))


def test_a_loss_that_does_not_depend_on_the_probabilities_is_refused_whatever_the_network(
    tmp_path: Path, tiny_config: Config
) -> None:
    (tmp_path / "mine.py").write_text(CONSTANT)
    target = NetworkTarget(("a", "b", "c"))
    config = config_of(tmp_path, tiny_config, train={"loss": "mine:constant"})
    with refused(FunctionError, "train.loss", "mine:constant", "mine.py"):
        _own_loss(config, target)
    for name in ("CategoricalFocalCrossentropy", "mean_squared_error"):
        loss = {"loss": f"keras.losses:{name}"}
        assert _own_loss(config_of(tmp_path, tiny_config, train=loss), target) is not None


def test_an_own_loss_that_takes_other_arguments_is_named_wherever_it_is_called(
    tmp_path: Path, tiny_config: Config
) -> None:
    (tmp_path / "mine.py").write_text("def three(a, b, c):\n    pass\n")
    config = config_of(tmp_path, tiny_config, train={"loss": "mine:three"})
    loss = load_named(config, "train.loss", "mine:three")
    with (
        refused(FunctionError, "train.loss", "mine:three", "mine.py", "TypeError") as error,
        users_code(config, "model.build"),
    ):
        loss(1, 2)
    assert str(error.value).endswith(".")


def test_an_edited_file_is_another_run_and_an_unnamed_one_is_not(
    folder: Path, tiny_config: Config, tiny_store: Path
) -> None:
    store = open_store(tiny_store)

    def name(config: Config) -> str:
        return run_digest(resolved_config(request_for(config, None, tiny_store), store), "store")

    own = config_of(folder, tiny_config, model={"build": "net:bare"})
    plain, first = name(tiny_config), name(own)
    (folder / "unused.py").write_text("x = 1\n")
    assert name(own) == first
    (folder / "widths.py").write_text("WIDTH = 4  # as before\n")
    assert name(own) != first
    (folder / "widths.py").write_text("WIDTH = 4\n")
    assert name(own) == first
    assert name(tiny_config) == plain
    zoo = config_of(folder, tiny_config, model={"build": "headrace.model.network:build_network"})
    resolved = resolved_config(request_for(zoo, None, tiny_store), store)
    assert list(resolved.code.sources) == ["headrace.model.network"]
