"""Networks of each kind: what they give, how they are fitted, and what is saved of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.model.interface import NetworkInputs, NetworkTarget
from headrace.model.network import build_network, with_normalisation
from headrace.model.normaliser import Normaliser
from headrace.model.optimisation import compile_network, targets, training_variables
from headrace.model.options import NetworkOptions, OptimiserOptions
from headrace.model.own_network import NetworkFault, check_network
from headrace.model.sizes import activation_bytes, parameters
from headrace.model.targets.interface import NO_STATISTICS, TargetStatistics
from headrace.model.targets.registry import target_model
from tests.model.targets.streams import STATISTICS, TARGETS, rows
from tests.refusals import refused

TIME, CHANNELS, FEATURES, ROWS = 16, 2, 3, 12
SMALL = NetworkOptions(
    filters=4,
    stem_kernel=3,
    kernel=3,
    dilations=(1,),
    feature_units=(8,),
    fusion_units=4,
    dropout=0.0,
    feature_dropout=0.0,
    spatial_dropout=0.0,
)
KINDS = pytest.mark.parametrize("kind", list(TARGETS))
OTHERS = pytest.mark.parametrize("kind", ["labels", "value", "sequence"])


@cache
def network(kind: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    built = build_network(SMALL, TIME, CHANNELS, FEATURES, TARGETS[kind])
    fast = OptimiserOptions(learning_rate=0.02, warmup_epochs=0)
    compile_network(built, TARGETS[kind], SMALL, fast, 100, 1)
    return built


def given(count: int = ROWS) -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(0)
    shapes = {"raw": (count, TIME, CHANNELS), "features": (count, FEATURES)}
    return {name: tf.constant(rng.normal(size=s), tf.float32) for name, s in shapes.items()}


@KINDS
def test_each_output_has_the_shape_of_the_target_in_float32(kind: str) -> None:
    outputs = network(kind)(given())
    assert set(outputs) == {"label", "raw_label", "feature_label"}
    for output in outputs.values():
        assert output.shape == (ROWS, *TARGETS[kind].shape)
        assert output.dtype == tf.float32
        assert target_model(TARGETS[kind]).fault(output.numpy().astype(float)) is None


@KINDS
def test_sizes_are_those_of_the_network_that_keras_builds(kind: str) -> None:
    built, shape = network(kind), (TIME, CHANNELS, FEATURES, TARGETS[kind])
    assert parameters(SMALL, *shape) == built.count_params()
    outputs = sum(int(np.prod(layer.output.shape[1:])) for layer in built.layers)
    assert activation_bytes(SMALL, *shape, training=True) == pytest.approx(4 * outputs, rel=0.15)


def encoded_in_a_graph(kind: str, label: np.ndarray, weights: np.ndarray | None) -> tuple:
    model = target_model(TARGETS[kind])
    whole = tf.data.Dataset.from_tensors(label)
    return next(iter(whole.map(lambda each: model.encode(each, STATISTICS, weights))))


@KINDS
def test_labels_are_encoded_to_the_same_bits_in_the_graph_and_in_arrays(kind: str) -> None:
    model, label = target_model(TARGETS[kind]), rows(kind, 50)[1]
    tally = np.arange(1, 4)
    for weights in (None, model.class_weights(tally, 12, 0.5)):
        graph = encoded_in_a_graph(kind, label, weights)
        arrays = model.encode_arrays(label, STATISTICS, weights)
        for one, other in zip(graph, arrays, strict=True):
            assert one.dtype == tf.float32
            assert other.dtype == np.float32
            np.testing.assert_array_equal(one.numpy(), other)
        assert arrays[0].shape == (50, *TARGETS[kind].shape)
        if weights is None:
            assert arrays[1].shape == (50, *model.weight_shape)


@OTHERS
def test_training_lowers_the_loss_of_encoded_labels(kind: str) -> None:
    built, model = network(kind), target_model(TARGETS[kind])
    names = [variable.path for variable in training_variables(built)]
    encoded = model.encode(rows(kind, ROWS)[1], STATISTICS, model.class_weights([9, 5, 2], 12, 1))
    losses = []
    for _ in range(6):  # Eager: a graph takes longer to trace.
        built.reset_metrics()
        losses.append(float(built.train_step((given(), *targets(built, *encoded)))["loss"]))
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert [variable.path for variable in training_variables(built)] == names


@KINDS
def test_the_loss_that_is_validated_is_the_one_that_is_trained(kind: str) -> None:
    model = target_model(TARGETS[kind])
    prediction, label, _, _ = rows(kind, 40)
    statistics = STATISTICS if kind == "value" else NO_STATISTICS
    output = (prediction - STATISTICS.mean) * STATISTICS.scale if kind == "value" else prediction
    encoded, weight = model.encode_arrays(label, statistics)
    trained = float(model.loss(0.0)(encoded, output, weight))
    total, count = model.loss_sum(prediction, label, statistics)
    assert total / count == pytest.approx(trained, rel=1e-4)
    assert count == (label >= 0).sum() if kind == "sequence" else len(label)


def test_what_is_predicted_where_there_is_no_label_changes_no_loss() -> None:
    model = target_model(TARGETS["sequence"])
    prediction, label, _, _ = rows("sequence", 20)
    encoded = model.encode_arrays(label, NO_STATISTICS)
    other = prediction.copy()
    other[label < 0] = [0.98, 0.01, 0.01]
    for smoothing in (0.0, 0.1):
        losses = [
            float(model.loss(smoothing)(*encoded[:1], p, encoded[1])) for p in (prediction, other)
        ]
        assert losses[0] == losses[1]


def test_a_rare_label_weighs_more_where_it_is_there() -> None:
    model = target_model(TARGETS["labels"])
    label = np.zeros((100, 3), np.uint8)
    label[:4, 0] = label[:50, 1] = 1
    weights = model.class_weights([4, 50, 0, 50], 100, 1.0)
    assert weights[1, 0] == pytest.approx(12.5)
    assert weights[0, 0] == pytest.approx(50 / 96)
    assert weights[:, 1].tolist() == [1, 1]
    assert weights[:, 2].tolist() == [1, 0]
    _, weight = model.encode_arrays(label, NO_STATISTICS, weights)
    np.testing.assert_allclose(weight.mean(axis=0), 1, rtol=1e-5)


def test_a_weight_of_a_window_is_that_of_all_of_its_labels() -> None:
    loss = target_model(TARGETS["labels"]).loss(0.05)
    prediction, label, _, _ = rows("labels", 6)
    weight = np.arange(6, dtype=np.float32)
    one, other = (loss(label, prediction, each) for each in (weight, np.tile(weight, (3, 1)).T))
    assert float(one) == float(other)


@pytest.mark.parametrize("kind", TARGETS)
def test_losses_of_keras_take_what_is_encoded(kind: str) -> None:
    model, (prediction, label, _, _) = target_model(TARGETS[kind]), rows(kind, 8)
    name = {"labels": "BinaryCrossentropy", "value": "MeanSquaredError"}
    loss = getattr(keras.losses, name.get(kind, "CategoricalCrossentropy"))()
    encoded, weight = model.encode_arrays(label, STATISTICS)
    assert np.isfinite(float(loss(encoded, prediction, weight)))


def test_what_a_kind_cannot_do_is_refused_with_a_reason() -> None:
    refused_options = {kind: set(target_model(target).refusals) for kind, target in TARGETS.items()}
    assert refused_options == {
        "class": set(),
        "labels": {"balance"},
        "value": {"balance", "label_smoothing", "class_weight_power"},
        "sequence": {"balance"},
    }
    assert not target_model(TARGETS["value"]).can_smooth
    assert target_model(TARGETS["value"]).can_mix


@KINDS
def test_a_saved_model_gives_units_and_loads_in_safe_mode(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sample = rng.normal(size=(50, FEATURES))
    moments = np.zeros(CHANNELS), np.ones(CHANNELS), np.zeros(FEATURES), np.ones(FEATURES)
    normaliser = Normaliser.fit(*moments, sample, "standard")
    model = target_model(TARGETS[kind])
    whole = with_normalisation(network(kind), normaliser, decode=model.decode(STATISTICS))
    whole.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    found = loaded(given()).numpy()
    np.testing.assert_array_equal(found, whole(given()).numpy())
    plain = network(kind)(given())["label"].numpy()
    if kind == "value":
        plain = plain * STATISTICS.deviation + STATISTICS.mean
        assert abs(found[:, 0].mean() - 60) < 40
    np.testing.assert_allclose(found, plain, rtol=1e-5)


STEPS = [
    (50, 4, 1, 50),
    (50, 4, 8, 6),
    (48, 3, 2, 24),
    (50, 4, 3, 17),
    (20, 1, 20, 1),
    (9, 2, 1, 9),
]


@pytest.mark.parametrize(("time", "stride", "every", "length"), STEPS)
def test_a_step_of_a_sequence_sees_the_samples_around_its_own(
    time: int, stride: int, every: int, length: int
) -> None:
    target = NetworkTarget(("a", "b"), kind="sequence", length=length, every=every)
    options = SMALL.model_copy(update={"inputs": "raw", "stem_stride": stride})
    keras.utils.set_random_seed(0)
    built = build_network(options, time, CHANNELS, 0, target)
    assert built.output["label"].shape == (None, length, 2)
    assert parameters(options, time, CHANNELS, 0, target) == built.count_params()
    raw = tf.random.stateless_normal((64, time, CHANNELS), (1, 2))
    step = length // 2
    with tf.GradientTape() as tape:
        tape.watch(raw)
        logits = built({"raw": raw})["label"][:, step, 0]
    seen = np.flatnonzero(np.abs(tape.gradient(logits, raw).numpy()).sum(axis=(0, 2)))
    middle, reach = (step + 0.5) * every - 0.5, (seen[-1] - seen[0]) / 2
    if seen[0] > 0 and seen[-1] < time - 1:
        assert abs((seen[0] + seen[-1]) / 2 - middle) <= 1 + stride / 2
    assert seen[0] <= middle <= seen[-1]
    assert reach <= every / 2 + 8 * stride


def test_a_sequence_longer_than_the_window_is_refused() -> None:
    target = NetworkTarget(("a", "b"), kind="sequence", length=5, every=4)
    with refused(ValueError, "16", "5", "4"):
        build_network(SMALL, 16, CHANNELS, FEATURES, target)


ENDS = {
    "class": ("sigmoid", ("softmax",)),
    "labels": ("softmax", ("sigmoid",)),
    "value": ("softmax", ("linear",)),
    "sequence": ("linear", ("softmax",)),
}


@KINDS
@pytest.mark.parametrize("fits", [True, False])
def test_a_network_of_the_users_own_has_to_end_as_its_target_wants(kind: str, fits: bool) -> None:
    inputs, target = NetworkInputs({"raw": (TIME, CHANNELS)}, ("x", "y"), (), 50.0), TARGETS[kind]
    given = inputs.tensors()
    x = keras.layers.AveragePooling1D(2)(given["raw"])
    x = x if target.keeps_time else keras.layers.Flatten()(x)
    activation = target.activation if fits else ENDS[kind][0]
    built = keras.Model(given, keras.layers.Dense(target.count, activation=activation)(x))
    if fits:
        assert check_network(built, inputs, target).bare
    else:
        with refused(NetworkFault, *ENDS[kind][1]):
            check_network(built, inputs, target)


def test_a_network_without_steps_is_told_the_shape_of_a_sequence() -> None:
    inputs, target = NetworkInputs({"features": (FEATURES,)}, (), (), 50.0), TARGETS["sequence"]
    given = inputs.tensors()
    built = keras.Model(given, keras.layers.Dense(3, activation="softmax")(given["features"]))
    with refused(NetworkFault, "(B, 8, 3)", "(B, 3)"):
        check_network(built, inputs, target)


@OTHERS
def test_extra_trees_of_each_kind_learn_what_features_tell(kind: str) -> None:
    rng, model = np.random.default_rng(0), target_model(TARGETS[kind])
    label = model.example(120)
    if kind == "sequence":
        label = np.repeat(rng.integers(-1, 3, (120, 1)), 8, axis=1).astype(np.int32)
    seen = label.reshape(120, -1).astype(np.float32)
    features = np.concatenate([seen, rng.normal(size=(120, 2))], axis=1)
    fitted = [model.baseline(features[:90], label[:90], 4, 20, threads) for threads in (1, 2)]
    one, other = (each.predict(features[90:]) for each in fitted)
    np.testing.assert_array_equal(one, other)
    assert one.shape == (30, *TARGETS[kind].shape)
    loss, count = model.loss_sum(one, label[90:], TargetStatistics.fit([0, 0], [1, 1]))
    chance, _ = model.loss_sum(one[::-1], label[90:], TargetStatistics.fit([0, 0], [1, 1]))
    assert loss < 0.6 * chance
    assert count > 0
    assert fitted[0].predict(features[:0]).shape == (0, *TARGETS[kind].shape)


def test_extra_trees_of_one_label_or_value_and_of_labels_never_seen() -> None:
    features = np.random.default_rng(0).normal(size=(20, 3))
    one = target_model(NetworkTarget(("a",), kind="labels"))
    label = (features[:, :1] > 0).astype(np.uint8)
    assert one.baseline(features, label, trees=5).predict(features).shape == (20, 1)
    assert (one.baseline(features, 0 * label, trees=5).predict(features) == 0).all()
    value = target_model(NetworkTarget(kind="value", names=("a",)))
    constant = np.full((20, 1), 7.0, np.float32)
    np.testing.assert_allclose(value.baseline(features, constant, trees=5).predict(features), 7)
    for model in (one, value, target_model(TARGETS["sequence"])):
        with refused(ValueError):
            model.baseline(features[:0], model.example(0))


@KINDS
def test_predictions_are_columns_of_a_file(kind: str) -> None:
    prediction = rows(kind, 7)[0]
    columns = target_model(TARGETS[kind]).predictions(prediction)
    lengths = {len(each) for each in columns.values()}
    assert lengths == {7 * TARGETS[kind].length}
    wanted = {
        "class": ["class", "probability", "p_sit", "p_walk", "p_run"],
        "labels": ["sit", "walk", "run", "p_sit", "p_walk", "p_run"],
        "value": ["rate", "speed"],
        "sequence": ["step", "class", "probability", "p_sit", "p_walk", "p_run"],
    }
    assert list(columns) == wanted[kind]


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"classes": ("a",)}, ("class", "2", "1")),
        ({"kind": "sequence", "names": ("a",)}, ("sequence", "2")),
        ({"kind": "labels"}, ("labels", "0")),
        ({"kind": "wishes", "names": ("a", "b")}, ("wishes",)),
    ],
)
def test_a_target_that_holds_nothing_is_refused(table: dict, named: tuple[str, ...]) -> None:
    with refused(ValueError, *named):
        build_network(SMALL, TIME, CHANNELS, FEATURES, NetworkTarget(**table))


def test_a_target_names_its_classes_whichever_way_it_is_made() -> None:
    one, other = NetworkTarget(("a", "b")), NetworkTarget(kind="class", names=("a", "b"))
    assert one == other
    assert one.classes == one.names
    assert one.count == 2
    assert NetworkTarget(("a", "b"), length=0) == one
    value = NetworkTarget(kind="value", names=("a",))
    assert value.classes == ()
    assert value.units == ("",)
    assert value.count == 1
    with refused(ValueError, "1", "2"):
        NetworkTarget(kind="value", names=("a",), units=("m", "s"))
