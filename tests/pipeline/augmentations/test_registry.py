"""An augmentation is one file: the configuration, the stream and the plan know it by itself."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from headrace import stores
from headrace.pipeline.augmentations.registry import (
    Augmentation,
    Options,
    Stage,
    register,
    registered,
    unregister,
)
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_bytes, load_config
from headrace.pipeline.experiments.ablation_variants import variants
from headrace.pipeline.rows.statistics import fit_normaliser
from headrace.pipeline.runs.folder import RunFolder, run_digest
from headrace.pipeline.stream.buffers import stream_buffers, window_shape
from headrace.pipeline.stream.training import training_stream
from headrace.pipeline.training.stage import run_train
from headrace.stores.errors import ConfigError
from tests.conftest import changed, request_for
from tests.pipeline.augmentations.sign_flip import FLIP, STREAM
from tests.refusals import refused

NONE = {"mask_probability": 0.0, "scale_probability": 0.0, "noise_probability": 0.0}
KEYS = [
    "mask_probability",
    "mask_fraction",
    "scale_probability",
    "scale_strength",
    "noise_probability",
    "noise_strength",
    "mix_probability",
    "mix_strength",
]


@pytest.fixture
def flip() -> Iterator[Augmentation]:
    register(FLIP)
    yield FLIP
    unregister(FLIP.name)


def test_the_files_of_the_package_make_the_section_in_the_order_of_version_0_1() -> None:
    assert list(Config().augment.model_dump()) == KEYS
    assert [each.name for each in registered()] == ["mask", "scale", "noise", "mix"]
    for field in type(Config().augment).model_fields.values():
        assert field.description


def test_the_configuration_needs_no_tensorflow() -> None:
    code = "import sys, headrace.pipeline.config.load; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_that_is_registered_and_not_used_renames_no_run_and_is_not_recorded(
    tiny_config: Config,
) -> None:
    before = changed(tiny_config), run_digest(tiny_config, "store"), config_bytes(tiny_config)
    register(FLIP)
    try:
        after = changed(tiny_config)
        assert after.augment.model_fields_set == before[0].augment.model_fields_set
        assert run_digest(after, "store") == before[1]
        assert config_bytes(after) == before[2]
        used = changed(tiny_config, augment={"flip_probability": 0.5})
        assert used.run_keys()["augment"] == {
            **tiny_config.run_keys()["augment"],
            "flip_probability": 0.5,
            "flip_factor": -1.0,
        }
        assert run_digest(used, "store") != before[1]
    finally:
        unregister(FLIP.name)


@pytest.mark.usefixtures("flip")
def test_its_keys_are_read_checked_and_read_back(tiny_config: Config, tmp_path: Path) -> None:
    used = changed(tiny_config, augment={"flip_probability": 0.5, "flip_factor": -2.0})
    file = tmp_path / "tiny.toml"
    file.write_bytes(config_bytes(used))
    assert load_config(file).augment == used.augment
    assert load_config(None, ["augment.flip_factor=-3"]).run_keys()["augment"]["flip_factor"] == -3
    for wrong in ("augment.flip_probability=2", "augment.flip_chance=1"):
        with refused(ConfigError, wrong.partition("=")[0]):
            load_config(None, [wrong])


def test_its_keys_are_unknown_where_it_is_not_registered() -> None:
    with refused(ConfigError, "augment.flip_probability"):
        load_config(None, ["augment.flip_probability=0.5"])


@pytest.mark.usefixtures("flip")
@pytest.mark.parametrize("mixed", [0.0, pytest.param(0.5, marks=pytest.mark.cases)])
def test_the_stream_applies_it_to_its_share_of_windows_by_key(
    tiny_config: Config, tiny_store: Path, mixed: float
) -> None:
    store, folds = stores.open(tiny_store), ["1", "2", "4"]
    plain = changed(tiny_config, augment=NONE | {"mix_probability": mixed}, model={"inputs": "raw"})
    normaliser = fit_normaliser(store, folds, plain)

    def raw(config: Config) -> np.ndarray:
        stream = training_stream(store, folds, config, normaliser, epochs=1)
        return np.concatenate([batch[0]["raw"] for batch in stream.as_numpy_iterator()])

    def flipped(share: float) -> np.ndarray:
        return raw(changed(plain, augment=plain.augment.model_dump() | {"flip_probability": share}))

    as_it_was = raw(plain)
    if mixed:
        np.testing.assert_array_equal(flipped(0.0), as_it_was)
        np.testing.assert_array_equal(flipped(1.0), -as_it_was)
    else:
        some = flipped(0.5)
        unlike = (some != as_it_was).any(axis=(1, 2))
        assert 0.3 < unlike.mean() < 0.7
        np.testing.assert_array_equal(some[unlike], -as_it_was[unlike])


@pytest.mark.usefixtures("flip")
def test_the_plan_counts_what_it_holds_once_it_is_on(tiny_config: Config, tiny_store: Path) -> None:
    store = stores.open(tiny_store)
    used = changed(tiny_config, augment={"flip_probability": 0.5})
    window = window_shape(store, used)
    held = {"signs": 1000 * store.spec.values}
    without = stream_buffers(tiny_config, window, 100)
    assert stream_buffers(used, window, 100) == without | held
    features = dataclasses.replace(window, raw=None)
    assert not held.keys() & stream_buffers(used, features, 100).keys()


@pytest.mark.usefixtures("flip")
def test_a_run_trains_with_it_and_records_it(
    tiny_config: Config, tiny_store: Path, tmp_path: Path
) -> None:
    config = changed(
        tiny_config,
        augment={"flip_probability": 0.5},
        model={"inputs": "raw", "filters": 4, "dilations": [1]},
        train={"epochs": 1, "steps_per_epoch": 1},
    )
    assert run_train(request_for(config, None, tiny_store, tmp_path / "run"))["trained"]
    assert "flip_probability = 0.5" in RunFolder(tmp_path / "run").config.read_text()
    assert "without flip" in {each.name for each in variants(config, ["a feature"])}


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (dataclasses.replace(FLIP, name="noise"), ("noise",)),
        (
            dataclasses.replace(FLIP, stream=registered()[0].stream),
            (str(registered()[0].stream), registered()[0].name),
        ),
        (dataclasses.replace(FLIP, stream=4), ("4",)),
    ],
)
def test_the_name_and_the_chances_of_another_are_refused(
    other: Augmentation, named: tuple[str, ...]
) -> None:
    with refused(ValueError, *named):
        register(other)


def test_two_that_pair_windows_are_not_on_together() -> None:
    class Options2(Options):
        """How often."""

    register(Augmentation("cut", Options2, FLIP.make, Stage.PAIRS, STREAM + 1))
    try:
        assert load_config(None, ["augment.cut_probability=0.5"])
        both = ["augment.cut_probability=0.5", "augment.mix_probability=0.5"]
        with refused(ConfigError, "augment.mix_probability", "augment.cut_probability"):
            load_config(None, both)
    finally:
        unregister("cut")
