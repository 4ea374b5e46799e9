"""The network: its branches, its regularisation, and what is saved of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.model.interface import NetworkTarget
from headrace.model.network import build_network, with_normalisation
from headrace.model.normalisation_layers import normalise_features, normalise_raw
from headrace.model.normaliser import Normaliser
from headrace.model.options import NetworkOptions
from tests.conftest import ROOT
from tests.refusals import refused

TIME, CHANNELS, FEATURES, CLASSES = 32, 3, 5, 4
TARGET = NetworkTarget(("a", "b", "c", "d"))
SMALL = NetworkOptions(filters=8, dilations=(1, 2), feature_units=(16,), fusion_units=8)


def network(**changes: object) -> keras.Model:
    return build_network(SMALL.model_copy(update=changes), TIME, CHANNELS, FEATURES, TARGET)


def rows(count: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "raw": rng.normal(5, 2, size=(count, TIME, CHANNELS)).astype(np.float32),
        "features": rng.lognormal(size=(count, FEATURES)).astype(np.float32),
    }


def normaliser(scaling: str = "quantile") -> Normaliser:
    sample = rows(200)["features"]
    return Normaliser.fit(
        np.full(CHANNELS, 5.0),
        np.full(CHANNELS, 2.0),
        sample.mean(axis=0),
        sample.std(axis=0),
        sample,
        scaling=scaling,
    )


def test_hybrid_gives_probabilities_of_the_whole_and_of_each_branch() -> None:
    outputs = network()(rows())
    assert set(outputs) == {"label", "raw_label", "feature_label"}
    for probability in outputs.values():
        assert probability.shape == (6, CLASSES)
        np.testing.assert_allclose(probability.numpy().sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(("inputs", "names"), [("raw", ["raw"]), ("features", ["features"])])
def test_one_branch_alone_takes_its_input_and_has_one_output(inputs: str, names: list[str]) -> None:
    alone = network(inputs=inputs)
    assert list(alone.input) == names
    assert list(alone.output) == ["label"]


def test_every_separable_kernel_is_regularised() -> None:
    built = network(l2=1e-3)
    separable = [each for each in built.layers if isinstance(each, keras.layers.SeparableConv1D)]
    assert len(separable) == 2 * len(SMALL.dilations)
    kernels = [
        kernel for layer in separable for kernel in (layer.depthwise_kernel, layer.pointwise_kernel)
    ]
    expected = sum(1e-3 * float(tf.reduce_sum(tf.square(kernel.value))) for kernel in kernels)
    assert float(sum(built.losses)) == pytest.approx(expected, rel=1e-5)


def test_dilations_follow_the_options() -> None:
    layers = [each for each in network(dilations=(1, 4)).layers if "block" in each.name]
    found = [each.dilation_rate[0] for each in layers if hasattr(each, "dilation_rate")]
    assert found == [1, 1, 4, 4]


def test_the_default_network_stays_small() -> None:
    built = build_network(NetworkOptions(), 128, 6, 283, NetworkTarget(tuple("abcdefghijkl")))
    assert 150_000 < built.count_params() < 200_000


def test_mixed_precision_computes_in_float16_and_answers_in_float32() -> None:
    mixed = network(mixed_precision=True)
    assert mixed.get_layer("stem").compute_dtype == "float16"
    assert mixed.get_layer("stem").variable_dtype == "float32"
    assert mixed(rows())["label"].dtype == tf.float32
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("scaling", ["quantile", "standard"])
def test_the_wrapped_model_normalises_as_the_stream_does(scaling: str) -> None:
    built, statistics, batch = network(), normaliser(scaling), rows()
    by_hand = built(
        {
            "raw": normalise_raw(tf.constant(batch["raw"]), statistics),
            "features": normalise_features(tf.constant(batch["features"]), statistics),
        }
    )["label"]
    np.testing.assert_array_equal(with_normalisation(built, statistics)(batch), by_hand)


def test_the_wrapped_model_shares_the_networks_weights() -> None:
    built, batch = network(), rows()
    wrapped = with_normalisation(built, normaliser())
    before = wrapped(batch).numpy()
    built.get_layer("label_logits").bias.assign([5.0, 0.0, 0.0, 0.0])
    assert not np.allclose(before, wrapped(batch))


def save_models(folder: Path) -> None:
    """A model of each scaling, with inputs and what it answers."""
    batch = rows()
    for scaling in ("quantile", "standard"):
        wrapped = with_normalisation(network(), normaliser(scaling))
        wrapped.save(folder / f"{scaling}.keras")
        np.savez(folder / f"{scaling}.npz", expected=wrapped(batch), **batch)


ANSWER = """
import sys, keras, numpy as np, headrace.model.network
for name in ("quantile", "standard"):
    rows = dict(np.load(f"{sys.argv[1]}/{name}.npz"))
    expected = rows.pop("expected")
    model = keras.saving.load_model(f"{sys.argv[1]}/{name}.keras", safe_mode=True)
    np.testing.assert_array_equal(model(rows), expected)
"""


# Keras copies variables by a protocol that NumPy 2 has deprecated.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_saved_model_answers_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_models(tmp_path)
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path)])
    exec(ANSWER, {})


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_saved_model_answers_the_same_in_another_process(tmp_path: Path) -> None:
    save_models(tmp_path)
    subprocess.run([sys.executable, "-c", ANSWER, tmp_path], check=True, cwd=ROOT)


def test_a_normaliser_of_other_columns_is_refused() -> None:
    with refused(ValueError, str(FEATURES), "0"):
        with_normalisation(network(), Normaliser.fit(np.zeros(CHANNELS), np.ones(CHANNELS)))


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ((TIME, CHANNELS, FEATURES, NetworkTarget(("a",))), ("2", "1")),
        ((TIME, 0, FEATURES, TARGET), (f"{TIME} x 0",)),
        ((TIME, CHANNELS, 0, TARGET), ("model.inputs = 'raw'", "0")),
    ],
)
def test_an_empty_shape_is_refused(
    shape: tuple[int, int, int, NetworkTarget], named: tuple[str, ...]
) -> None:
    with refused(ValueError, *named):
        build_network(SMALL, *shape)
