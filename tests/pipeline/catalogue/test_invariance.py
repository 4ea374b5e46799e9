"""A row depends on its own window only, and moves as its formulas say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.pipeline.catalogue import Triad, build_catalogue
from headrace.pipeline.catalogue.sizes import tile_windows
from tests.conftest import ROOT

TRIADS = (Triad("acc", (0, 1, 2), accelerometer=True), Triad("gyro", (3, 4, 5), False))
NAMES = ("a", "b", "c", "d", "e", "f")
CATALOGUES = {time: build_catalogue(NAMES, 50.0, time, TRIADS) for time in (33, 64, 128)}
WITH_UNIT = (
    "mean", "std", "min", "max", "median", "mad", "iqr", "rms", "peak_to_peak", "mean_abs_diff",
    "slope", "sma",
)  # fmt: skip


def some_windows(seed: int, n: int, time: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    level = rng.normal(scale=10, size=(n, 1, 6))
    return (level + rng.normal(size=(n, time, 6))).astype(np.float32)


@settings(max_examples=40)
@given(
    st.sampled_from(sorted(CATALOGUES)),
    st.integers(0, 99),
    st.integers(1, 250),
    st.lists(st.integers(1, 249), max_size=4),
)
def test_bits_do_not_depend_on_batch_size_or_chunking(
    time: int, seed: int, n: int, cuts: list[int]
) -> None:
    catalogue = CATALOGUES[time]
    windows = some_windows(seed, n, time)
    whole = catalogue.extract(windows)
    parts = [catalogue.extract(part) for part in np.split(windows, sorted(cuts))]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@settings(max_examples=15)
@given(st.sampled_from(sorted(CATALOGUES)), st.integers(0, 99), st.integers(1, 250))
def test_bits_do_not_depend_on_the_order_of_windows_or_their_layout(
    time: int, seed: int, n: int
) -> None:
    catalogue = CATALOGUES[time]
    windows = some_windows(seed, n, time)
    order = np.random.default_rng(seed).permutation(n)
    expected = catalogue.extract(windows)[order].tobytes()
    assert catalogue.extract(windows[order]).tobytes() == expected
    signal_major = np.ascontiguousarray(windows[order].transpose(2, 1, 0)).transpose(2, 1, 0)
    assert catalogue.extract(signal_major).tobytes() == expected
    signal_major.setflags(write=False)
    assert catalogue.extract(signal_major).tobytes() == expected


def test_the_batches_above_are_cut_by_tiles() -> None:
    assert all(tile_windows(catalogue.plan) < 250 for catalogue in CATALOGUES.values())


@settings(max_examples=20)
@given(st.integers(0, 99), st.integers(-40, 40))
def test_scaling_by_a_power_of_two_scales_exactly(seed: int, exponent: int) -> None:
    catalogue = CATALOGUES[64]
    windows = some_windows(seed, 5, 64)
    before = catalogue.extract(windows)
    after = catalogue.extract(np.ldexp(windows, exponent).astype(np.float32))
    for name, left, right in zip(catalogue.names, before.T, after.T, strict=True):
        feature = name.split("__")[1]
        if feature == "log_total_power":
            continue
        factor = exponent if feature in WITH_UNIT else 0
        assert np.array_equal(np.ldexp(left, factor), right), name


@settings(max_examples=20)
@given(st.integers(0, 99), st.integers(-1000, 1000))
def test_shifting_whole_numbers_moves_only_what_measures_the_level(seed: int, by: int) -> None:
    catalogue = build_catalogue(("x",), 50.0, 64)
    windows = np.random.default_rng(seed).integers(-50, 50, size=(5, 64, 1))
    before = catalogue.extract(windows)
    after = catalogue.extract(windows + by)
    for name, left, right in zip(catalogue.names, before.T, after.T, strict=True):
        feature = name.split("__")[1]
        if feature in ("mean", "min", "max", "median"):
            assert np.array_equal(left + np.float32(by), right), name
        elif feature != "rms":
            assert np.array_equal(left, right), name


@settings(max_examples=20)
@given(st.sampled_from((33, 64, 128)), st.integers(0, 99))
def test_reversing_time_turns_the_slope_and_nothing_else(time: int, seed: int) -> None:
    catalogue = CATALOGUES[time]
    windows = some_windows(seed, 5, time)
    before = catalogue.extract(windows)
    after = catalogue.extract(windows[:, ::-1])
    exact = ("min", "max", "median", "mad", "iqr", "peak_to_peak", "zero_crossing_rate")
    for name, left, right in zip(catalogue.names, before.T, after.T, strict=True):
        feature = name.split("__")[1]
        if feature in exact:
            assert np.array_equal(left, right), name
        else:
            sign = -1 if feature == "slope" else 1
            np.testing.assert_allclose(sign * left, right, rtol=1e-5, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("swap", [(1, 0, 2), (2, 1, 0)])
def test_a_channel_has_the_same_bits_in_any_place(swap: tuple[int, ...]) -> None:
    catalogue = build_catalogue(("a", "b", "c"), 50.0, 64)
    windows = some_windows(7, 9, 64)[:, :, :3]
    blocks = catalogue.extract(windows).reshape(9, 3, -1)
    moved = catalogue.extract(windows[:, :, list(swap)]).reshape(9, 3, -1)
    assert moved.tobytes() == blocks[:, list(swap)].tobytes()


def test_another_process_gives_the_same_bits(tmp_path: Path) -> None:
    windows = some_windows(3, 70, 64)
    np.save(tmp_path / "windows.npy", windows)
    code = (
        "import sys, numpy as np\n"
        "from headrace.pipeline.catalogue import Triad, build_catalogue\n"
        "triads = (Triad('acc', (0, 1, 2), True), Triad('gyro', (3, 4, 5), False))\n"
        "catalogue = build_catalogue(tuple('abcdef'), 50.0, 64, triads)\n"
        "windows = np.load(sys.argv[1] + '/windows.npy')\n"
        "np.save(sys.argv[1] + '/features.npy', catalogue.extract(windows))\n"
    )
    root = str(ROOT)
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        env=os.environ | {"PYTHONPATH": root},
    )
    expected = CATALOGUES[64].extract(windows)
    assert np.load(tmp_path / "features.npy").tobytes() == expected.tobytes()
