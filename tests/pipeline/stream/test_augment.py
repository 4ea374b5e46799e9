"""Augmentations and views: the same for a window wherever it stands, and of the stated strength."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from headrace.pipeline.augmentations.mask import MaskOptions, mask
from headrace.pipeline.augmentations.mix import MixOptions, mix
from headrace.pipeline.augmentations.noise import TABLE_BYTES, NoiseOptions, noise, noise_table
from headrace.pipeline.augmentations.registry import Apply, Setting
from headrace.pipeline.augmentations.scale import ScaleOptions, scale
from headrace.pipeline.config.augment import AugmentOptions
from headrace.pipeline.stream import augment
from tests.refusals import refused

TIME, SEED = 40, 5
STD = np.array([1.0, 0.0, 10.0], np.float32)
SETTING = Setting(TIME, STD, SEED, ("raw", "features", "label", "weight"))
Arrays = dict[str, NDArray[np.generic]]

ALL: dict[str, Apply] = {
    "scale": scale(ScaleOptions(probability=0.7, strength=0.1), SETTING),
    "noise": noise(NoiseOptions(probability=0.7, strength=0.2), SETTING),
    "mask": mask(MaskOptions(probability=0.7, fraction=0.5), SETTING),
    "mix": mix(MixOptions(probability=0.7, strength=0.4), SETTING),
    "view": augment.view("noise:0.3", TIME, STD, 0.1, SEED),
}
RAW_ONLY = [name for name in ALL if name != "mix"]


def sample(windows: int = 300, epoch: int = 0) -> dict[str, tf.Tensor]:
    """Windows whose every value differs; source indices are not those of the rows."""
    chance = np.random.default_rng(0)
    return {
        "raw": tf.constant(chance.normal(3, STD + 1, (windows, TIME, 3)), tf.float32),
        "features": tf.constant(chance.normal(size=(windows, 4)), tf.float32),
        "label": tf.one_hot(chance.integers(0, 3, windows), 3),
        "weight": tf.constant(chance.uniform(size=windows), tf.float32),
        "source_index": tf.constant(chance.permutation(10**6)[:windows], tf.int64),
        "epoch": tf.constant(epoch, tf.int64),
    }


def arrays(tensors: dict[str, tf.Tensor]) -> Arrays:
    return {name: value.numpy() for name, value in tensors.items()}


def in_tf_data(apply: Apply, given: dict[str, tf.Tensor]) -> Arrays:
    dataset = tf.data.Dataset.from_tensors(given).map(apply)
    return arrays(next(iter(dataset)))


@pytest.mark.parametrize("name", ALL)
def test_eager_and_tf_data_give_the_same_bits(name: str) -> None:
    eager = arrays(ALL[name](sample()))
    graph = in_tf_data(ALL[name], sample())
    assert eager.keys() == graph.keys()
    for key, value in eager.items():
        np.testing.assert_array_equal(value, graph[key])


@pytest.mark.parametrize("name", ALL)
def test_a_window_is_augmented_the_same_wherever_it_stands_in_a_batch(name: str) -> None:
    whole = arrays(ALL[name](sample()))["raw"]
    part = {key: value[13:50] if value.shape.rank else value for key, value in sample().items()}
    alone = in_tf_data(ALL[name], part)["raw"]
    np.testing.assert_array_equal(alone, whole[13 : 13 + len(alone)])


@pytest.mark.parametrize("name", [name for name in ALL if name != "view"])
def test_each_epoch_augments_differently(name: str) -> None:
    first, second = (arrays(ALL[name](sample(epoch=epoch)))["raw"] for epoch in (0, 1))
    changed = (first != second).any(axis=(1, 2))
    # Both are left alone with probability 0.3 * 0.3.
    assert changed.mean() > 0.8


def test_seeds_augment_differently() -> None:
    seed = Setting(TIME, STD, SEED + 1)
    scaled = scale(ScaleOptions(probability=0.7, strength=0.1), seed)(sample())["raw"].numpy()
    assert (scaled != ALL["scale"](sample())["raw"].numpy()).any()


@pytest.mark.parametrize("name", RAW_ONLY)
def test_only_raw_is_touched(name: str) -> None:
    before, after = arrays(sample()), arrays(ALL[name](sample()))
    for key in before.keys() - {"raw"}:
        np.testing.assert_array_equal(before[key], after[key])


@pytest.mark.parametrize("name", ["scale", "noise", "mask"])
def test_the_probability_is_the_share_of_windows_changed_and_the_others_keep_their_bits(
    name: str,
) -> None:
    before = sample(4000)
    changed = (ALL[name](before)["raw"].numpy() != before["raw"].numpy()).any(axis=(1, 2))
    assert changed.mean() == pytest.approx(0.7, abs=0.03)


def test_what_has_no_probability_or_no_strength_is_not_built() -> None:
    for chosen in (
        AugmentOptions(scale_probability=0, noise_probability=0, mask_probability=0),
        AugmentOptions(scale_strength=0, noise_strength=0, mask_fraction=0),
    ):
        assert augment.augmentations_in_units(chosen, SETTING) == []
        assert augment.augmentations_once_normalised(chosen, SETTING) == []


def test_options_build_all_four_for_raw_and_only_mixing_without_it() -> None:
    options = AugmentOptions(mix_probability=0.5)
    assert len(augment.augmentations_in_units(options, SETTING)) == 2
    assert len(augment.augmentations_once_normalised(options, SETTING)) == 2
    without = Setting(TIME, STD, SEED, ("features", "label", "weight"))
    assert len(augment.augmentations_once_normalised(options, without)) == 1


def test_scaling_is_one_normal_factor_a_window() -> None:
    before = sample(6000)
    after = scale(ScaleOptions(probability=1.0, strength=0.1), SETTING)(before)["raw"].numpy()
    factors = after / before["raw"].numpy()
    np.testing.assert_allclose(factors, factors[:, :1, :1].repeat(TIME, 1).repeat(3, 2), rtol=1e-5)
    assert factors[:, 0, 0].mean() == pytest.approx(1, abs=0.004)
    assert factors[:, 0, 0].std() == pytest.approx(0.1, rel=0.04)


def test_noise_is_normal_in_standard_deviations_of_each_channel() -> None:
    before = sample(3000)
    change = (
        noise(NoiseOptions(probability=1.0, strength=0.2), SETTING)(before)["raw"] - before["raw"]
    ).numpy()
    np.testing.assert_allclose(change.mean(axis=(0, 1)), 0, atol=0.01 * STD.max())
    np.testing.assert_allclose(change.std(axis=(0, 1)), 0.2 * STD, rtol=0.01, atol=1e-6)
    kurtosis = (change[..., 0] ** 4).mean() / change[..., 0].var() ** 2
    assert kurtosis == pytest.approx(3, abs=0.1)


def test_noise_uses_many_rows_of_a_bounded_table_and_both_signs() -> None:
    assert noise_table(TIME, STD, SEED).nbytes <= TABLE_BYTES
    still = {**sample(3000), "raw": tf.zeros((3000, TIME, 3))}
    first = noise(NoiseOptions(probability=1.0, strength=1.0), SETTING)(still)["raw"].numpy()[
        :, 0, 0
    ]
    row, sign = np.unique(np.abs(first)), np.sign(first)
    assert row.size > 2500
    assert sign.mean() == pytest.approx(0, abs=0.06)


def test_a_mask_is_one_stretch_of_zeros_up_to_its_fraction_anywhere() -> None:
    ones = {**sample(8000), "raw": tf.ones((8000, TIME, 3))}
    masked = mask(MaskOptions(probability=1.0, fraction=0.5), SETTING)(ones)["raw"].numpy() == 0
    np.testing.assert_array_equal(masked[..., 0], masked[..., 1])
    length = masked[..., 0].sum(axis=1)
    edges = np.diff(masked[..., 0].astype(int), axis=1, prepend=0, append=0)
    assert (edges == 1).sum(axis=1).tolist() == [1] * 8000
    assert (length.min(), length.max()) == (1, TIME // 2)
    assert length.mean() == pytest.approx((1 + TIME // 2) / 2, rel=0.02)
    assert masked[:, 0, 0].any()
    assert masked[:, -1, 0].any()


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_mixing_blends_with_the_next_window_by_one_beta_coefficient(alpha: float) -> None:
    before = sample(6001)
    names = SETTING.blended
    after = arrays(mix(MixOptions(probability=1.0, strength=alpha), SETTING)(before))
    given = arrays({name: before[name] for name in names})
    own, partner = given["weight"][:-1], given["weight"][1:]
    share = (after["weight"] - own) / (partner - own)
    clear = np.abs(partner - own) > 0.05
    for name in names:
        portion = share.reshape(-1, *[1] * (given[name].ndim - 1))
        blend = given[name][:-1] + portion * (given[name][1:] - given[name][:-1])
        np.testing.assert_allclose(after[name][clear], blend[clear], rtol=1e-3, atol=1e-3)
    assert share[clear].mean() == pytest.approx(0.5, abs=0.02)
    # Variance of Beta(a, a).
    assert share[clear].var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.06)
    np.testing.assert_allclose(after["label"].sum(axis=1), 1, rtol=1e-6)


def test_windows_that_are_not_mixed_keep_their_bits() -> None:
    before = sample(4001)
    after = ALL["mix"](before)["raw"].numpy()
    kept = (after == before["raw"].numpy()[:-1]).all(axis=(1, 2))
    # Of Beta(0.4, 0.4) some shares are too small to change a bit.
    assert 0.3 - 0.03 < kept.mean() < 0.4


def test_augmentations_are_independent_of_each_other() -> None:
    before = sample(4000)
    scaled, noisy, masked = (
        (ALL[name](before)["raw"].numpy() != before["raw"].numpy()).any(axis=(1, 2))
        for name in ("scale", "noise", "mask")
    )
    for one, other in ((scaled, noisy), (scaled, masked), (noisy, masked)):
        assert np.corrcoef(one, other)[0, 1] == pytest.approx(0, abs=0.05)


def test_views_are_identity_factor_and_noise() -> None:
    before = {"raw": sample()["raw"], "source_index": sample()["source_index"]}
    raw = before["raw"].numpy()

    def seen(spec: str) -> NDArray[np.float32]:
        return augment.view(spec, TIME, STD, 0.1, SEED)(before)["raw"].numpy()

    np.testing.assert_array_equal(seen("identity"), raw)
    np.testing.assert_allclose(seen("scale:0.95"), raw * 0.95, rtol=1e-6)
    np.testing.assert_allclose(
        (seen("noise") - raw).std(axis=(0, 1)), 0.1 * STD, rtol=0.05, atol=1e-6
    )
    np.testing.assert_allclose(
        (seen("noise:0.3") - raw).std(axis=(0, 1)), 0.3 * STD, rtol=0.05, atol=1e-6
    )


@pytest.mark.parametrize("spec", ["flip", "scale", "scale:much"])
def test_an_unknown_view_is_refused(spec: str) -> None:
    with refused(ValueError, "identity", "noise:SD", "scale:FACTOR", spec):
        augment.view(spec, TIME, STD, 0.1, SEED)
