"""Fitting: what decay touches, the weight average, and a state that resumes bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.model.interface import NetworkTarget
from headrace.model.network import build_network
from headrace.model.optimisation import (
    averaged_weights,
    compile_network,
    targets,
    training_variables,
)
from headrace.model.options import NetworkOptions, OptimiserOptions
from tests.conftest import ROOT
from tests.refusals import refused

NETWORK = NetworkOptions(
    filters=4, stem_kernel=3, kernel=3, dilations=(2,), feature_units=(8,), fusion_units=4
)
TIME, CHANNELS, FEATURES, CLASSES, ROWS = 16, 2, 3, 3, 12
TARGET = NetworkTarget(("a", "b", "c"))
STEPS = 3


def compiled(seed: int = 0, **changes: object) -> keras.Model:
    changes = {"inputs": "features"} | changes
    keras.utils.set_random_seed(seed)
    options = NETWORK.model_copy(
        update={name: changes.pop(name) for name in list(changes) if hasattr(NETWORK, name)}
    )
    network = build_network(options, TIME, CHANNELS, FEATURES, TARGET)
    compile_network(network, TARGET, options, OptimiserOptions(**changes), STEPS, epochs=4)
    training_variables(network)
    return network


def batch(number: int = 0) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(number)
    inputs = {
        "raw": tf.constant(rng.normal(size=(ROWS, TIME, CHANNELS)).astype(np.float32)),
        "features": tf.constant(rng.normal(size=(ROWS, FEATURES)).astype(np.float32)),
    }
    label = tf.one_hot(rng.integers(CLASSES, size=ROWS), CLASSES)
    return inputs, label, tf.ones(ROWS)


def train(network: keras.Model, numbers: range) -> dict[str, float]:
    # Eager: a graph takes longer to trace than these steps take to run.
    logs = {}
    for number in numbers:
        inputs, label, weight = batch(number)
        inputs = {name: inputs[name] for name in network.input}
        logs = network.train_step((inputs, *targets(network, label, weight)))
    return {name: float(value) for name, value in logs.items()}


def state(network: keras.Model) -> list[np.ndarray]:
    return [variable.numpy() for variable in training_variables(network)]


def assert_equal(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    for left, right in zip(first, second, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.faults
def test_two_trainings_of_one_seed_give_the_same_bits_under_op_determinism() -> None:
    # In a process of its own: determinism cannot be switched off again.
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import tensorflow as tf\n"
        "tf.config.experimental.enable_op_determinism()\n"
        "import test_optimisation as t\n"
        "first, second = (t.compiled(inputs='hybrid') for _ in range(2))\n"
        "for network in (first, second): t.train(network, range(3))\n"
        "t.assert_equal(t.state(first), t.state(second))\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, Path(__file__).parent],
        check=True,
        cwd=ROOT,
    )


def test_a_training_restored_from_its_variables_goes_on_with_the_same_bits() -> None:
    whole, resumed = compiled(inputs="hybrid"), compiled(seed=9, inputs="hybrid")
    train(whole, range(2))
    for variable, value in zip(training_variables(resumed), state(whole), strict=True):
        variable.assign(value)
    for network in (whole, resumed):
        train(network, range(2, 3))
    assert_equal(state(whole), state(resumed))


def test_training_variables_are_all_there_before_the_first_step() -> None:
    network = compiled(inputs="hybrid")
    before = [variable.path for variable in training_variables(network)]
    for part in ("seed_generator_state", "moving_variance", "iteration", "average", "label"):
        assert part in " ".join(before)
    train(network, range(1))
    assert [variable.path for variable in training_variables(network)] == before


def test_training_lowers_the_loss() -> None:
    network = compiled(learning_rate=2e-2, warmup_epochs=0)
    first = train(network, range(1))["loss"]
    for _ in range(8):
        train(network, range(1))
    network.reset_metrics()
    assert train(network, range(1))["loss"] < first


def test_the_auxiliary_heads_weigh_as_told() -> None:
    losses = {}
    for weight in (0.0, 0.3, 0.6):
        network = compiled(inputs="hybrid", auxiliary_weight=weight, l2=0.0)
        losses[weight] = train(network, range(1))["loss"]
    assert losses[0.6] - losses[0.3] == pytest.approx(losses[0.3] - losses[0.0], rel=1e-4)
    assert losses[0.3] > losses[0.0]


def test_a_sample_of_no_weight_does_not_count() -> None:
    results = []
    for spoiled in (False, True):
        network = compiled(dropout=0.0, feature_dropout=0.0)
        inputs, label, weight = batch()
        del inputs["raw"]
        weight = tf.concat([weight[1:], [0.0]], axis=0)
        if spoiled:
            label = tf.concat([label[:-1], label[-1:, ::-1]], axis=0)
        logs = network.train_step((inputs, *targets(network, label, weight)))
        results.append(float(logs["loss"]))
    assert results[0] == results[1]


def test_decay_spares_biases_and_batch_normalisation() -> None:
    network = compiled(weight_decay=0.5, warmup_epochs=0, learning_rate=1e-2)
    before = {variable.path: variable.numpy() for variable in network.trainable_variables}
    zeros = [tf.zeros(variable.shape) for variable in network.trainable_variables]
    for variable in network.trainable_variables:
        variable.assign(tf.ones(variable.shape))
    network.optimizer.apply(zeros, network.trainable_variables)
    for variable in network.trainable_variables:
        decayed = not np.allclose(variable.numpy(), 1.0)
        assert decayed == (len(variable.shape) > 1), variable.path
    assert len(before) == len(network.trainable_variables)


def test_the_learning_rate_warms_up_and_falls_to_its_last_fraction() -> None:
    network = compiled(learning_rate=0.1, final_fraction=0.01, warmup_epochs=1.0)
    rates = []
    for step in range(STEPS * 4 + 1):
        network.optimizer.iterations.assign(step)
        rates.append(float(network.optimizer.learning_rate))
    assert rates[0] < rates[1] < rates[STEPS] == pytest.approx(0.1)
    assert all(left > right for left, right in zip(rates[STEPS:], rates[STEPS + 1 :], strict=False))
    assert rates[-1] == pytest.approx(0.001)


def test_averaged_weights_are_swapped_in_and_back_exactly() -> None:
    network = compiled(learning_rate=1e-2, warmup_epochs=0)
    train(network, range(4))
    before = state(network)
    weights = [variable.numpy() for variable in network.trainable_variables]
    with averaged_weights(network):
        inside = [variable.numpy() for variable in network.trainable_variables]
    assert any(not np.array_equal(*pair) for pair in zip(weights, inside, strict=True))
    assert_equal(before, state(network))


def test_the_average_follows_its_definition() -> None:
    network = compiled(learning_rate=1e-2, warmup_epochs=0, average=0.5)
    weight = network.get_layer("fusion").kernel
    average = None
    for number in range(4):
        train(network, range(number, number + 1))
        momentum = min(0.5, (1 + number) / (10 + number)) if number else 0.0
        value = weight.numpy()
        average = value if average is None else momentum * average + (1 - momentum) * value
    with averaged_weights(network):
        np.testing.assert_allclose(weight.numpy(), average, rtol=1e-5, atol=1e-7)


def test_without_an_average_the_weights_stay() -> None:
    network = compiled(average=0.0)
    train(network, range(2))
    before = [variable.numpy() for variable in network.trainable_variables]
    with averaged_weights(network):
        assert_equal(before, [variable.numpy() for variable in network.trainable_variables])


def test_mixed_precision_trains_averages_and_restores() -> None:
    network = compiled(mixed_precision=True)
    assert np.isfinite(train(network, range(3))["loss"])
    before = state(network)
    with averaged_weights(network):
        pass
    assert_equal(before, state(network))
    assert any("average" in variable.path for variable in training_variables(network))


def test_variables_of_a_network_that_is_not_compiled_are_refused() -> None:
    with refused(ValueError):
        training_variables(build_network(NETWORK, TIME, CHANNELS, FEATURES, TARGET))
