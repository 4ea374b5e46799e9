"""Trainings that begin where others ended: at their weights, or at their state."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from headrace.model.layers_by_name import freeze, head_layers, take_weights
from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.pipeline.evaluation.predictor import load_model
from headrace.pipeline.runs.folder import RunFolder, run_digest
from headrace.pipeline.runs.resolve import resolved_config
from headrace.pipeline.training.initial import _initial_network
from headrace.pipeline.training.stage import run_train
from headrace.stores.errors import ConfigError, RunError
from headrace.stores.store import open_store
from tests.conftest import changed, request_for
from tests.pipeline.own.networks import config_of, write_networks
from tests.pipeline.trained import assert_same_result
from tests.refusals import refused

FEW = {"epochs": 1, "steps_per_epoch": 2}


def network(classes: int) -> keras.Model:
    x = {"raw": keras.Input((8, 2), name="raw")}
    y = keras.layers.GlobalAveragePooling1D()(keras.layers.Conv1D(3, 3, name="stem")(x["raw"]))
    y = keras.layers.BatchNormalization(name="stem_norm")(y)
    y = keras.layers.Dense(classes, name="head")(y)
    return keras.Model(x, keras.layers.Softmax()(y))


def test_weights_are_taken_by_name_and_shape_and_a_head_of_other_classes_is_new() -> None:
    one, two = network(4), network(5)
    assert head_layers(two) == ("head",)
    taken = take_weights(two, keras.Model(one.input, one(one.input)))
    assert taken.layers == ("stem", "stem_norm")
    assert set(taken.left) == {"head"}
    for name in taken.layers:
        for left, right in zip(
            one.get_layer(name).weights, two.get_layer(name).weights, strict=True
        ):
            np.testing.assert_array_equal(left.numpy(), right.numpy())
    assert take_weights(network(4), one, new=("head",)).layers == ("stem", "stem_norm")


def test_frozen_layers_are_named_by_globs_and_one_that_names_none_is_refused() -> None:
    made = network(4)
    assert freeze(made, ["stem*"]) == ("stem", "stem_norm")
    assert [weight.path.split("/")[0] for weight in made.trainable_weights] == ["head", "head"]
    with refused(ValueError, "steam*", "stem", "head"):
        freeze(network(4), ["steam*"])
    with refused(ValueError, "*"):
        freeze(network(4), ["*"])


def weights(run: RunFolder, name: str) -> list[Any]:
    (inner,) = (each for each in load_model(run.model).layers if isinstance(each, keras.Model))
    return [each.numpy() for each in inner.get_layer(name).weights]


@pytest.mark.own
def test_a_run_begins_with_the_weights_of_another_and_keeps_those_that_are_frozen(
    tmp_path: Path,
    tiny_config: Config,
    tiny_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    base = changed(tiny_config, model={"inputs": "features"}, train=FEW)
    first, second = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "second")
    run_train(request_for(base, None, tiny_store, first.path))
    frozen = {**FEW, "initial": str(first.path), "freeze": ["feature_1*"]}
    config = changed(base, train=frozen)
    request = request_for(config, None, tiny_store, second.path)
    run_train(dataclasses.replace(request, console=Console()))
    assert str(first.model) in " ".join(capsys.readouterr().out.split())
    for name in ("feature_1", "feature_1_norm"):
        for one, two in zip(weights(first, name), weights(second, name), strict=True):
            np.testing.assert_array_equal(one, two)
    (one, _), (two, _) = weights(first, "label_logits"), weights(second, "label_logits")
    assert not np.array_equal(one, two)

    store = open_store(tiny_store)

    def name_of(config: Config) -> str:
        resolved = resolved_config(request_for(config, None, tiny_store), store)
        return run_digest(resolved, store.fingerprint)

    names = {name_of(base), name_of(config), name_of(changed(config, train={"freeze": []}))}
    first.model.write_bytes(second.model.read_bytes())
    names.add(name_of(config))
    assert len(names) == 4
    with refused(RunError, "train.initial", "nowhere"):
        name_of(changed(base, train={"initial": "nowhere"}))
    unknown = changed(base, train={"freeze": ["none*"]})
    with refused(ConfigError, "train.freeze", "none*", "feature_1"):
        run_train(request_for(unknown, None, tiny_store, tmp_path / "third"))


def test_weights_of_what_is_no_model_are_refused(
    tmp_path: Path, tiny_config: Config, tiny_store: Path
) -> None:
    toml, model = tmp_path / "exp.toml", tmp_path / "bad.keras"
    for file in (toml, model):
        file.write_text("seed = 1\n")
    config = changed(tiny_config, train={"initial": str(toml)})
    with refused(RunError, "train.initial", "exp.toml", ".keras"):
        resolved_config(request_for(config, None, tiny_store), open_store(tiny_store))
    with refused(RunError, "train.initial", "bad.keras") as error:
        _initial_network(model)
    assert len(str(error.value)) < 200 + len(str(model))


@pytest.mark.own
@pytest.mark.usefixtures("measured_here")
@pytest.mark.parametrize("build", [None, "compiled"])
def test_more_epochs_go_on_from_a_run_where_no_step_depends_on_how_many_there_are(
    build: str | None, tmp_path: Path, tiny_config: Config, tiny_store: Path
) -> None:
    model = {"inputs": "features"} | ({"build": f"net:{build}"} if build else {})
    train = {"steps_per_epoch": 2, "final_learning_rate": 0.01 if build else 1.0}
    folder = write_networks(tmp_path / "net")

    def trained(name: str, epochs: int) -> RunFolder:
        run = RunFolder(tmp_path / name)
        config = config_of(folder, tiny_config, model=model, train={**train, "epochs": epochs})
        run_train(request_for(config, None, tiny_store, run.path))
        return run

    whole = trained("alone/four", 4)
    trained("beside/two", 2)
    went_on = trained("beside/four", 4)
    assert_same_result(went_on, whole)
    times = [row["seconds"] for row in _rows(went_on)]
    assert times[:2] == [row["seconds"] for row in _rows(RunFolder(tmp_path / "beside/two"))]


@pytest.mark.own
def test_a_schedule_that_spans_all_epochs_begins_anew(
    tmp_path: Path, tiny_config: Config, tiny_store: Path
) -> None:
    config = changed(tiny_config, model={"inputs": "features"}, train=FEW)
    run_train(request_for(config, None, tiny_store, tmp_path / "one"))
    longer = changed(config, train={"epochs": 2})
    run_train(request_for(longer, None, tiny_store, tmp_path / "two"))
    one, two = (_rows(RunFolder(tmp_path / name))[0]["seconds"] for name in ("one", "two"))
    assert one != two


def _rows(run: RunFolder) -> list[dict[str, str]]:
    from tests.pipeline.trained import log_of

    return log_of(run)
