"""Columns are selected by name or glob, extended by the user's functions, and documented."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray

from docs.generate.features import feature_page
from headrace.pipeline.catalogue import (
    FeatureFunctionError,
    Triad,
    build_catalogue,
    feature_function,
    fourier,
    spectral,
)
from headrace.pipeline.catalogue.registry import GRAVITY, SIGNAL, TRIAD
from tests.conftest import ROOT
from tests.refusals import refused

ACC = Triad("acc", (0, 1, 2), accelerometer=True)
FOUR = ("acc_x", "acc_y", "acc_z", "pulse")

OWN_FEATURES = """
import numpy as np
from headrace.pipeline.catalogue import feature_function

@feature_function("first", "last")
def ends(windows, rate_hz):
    assert windows.dtype == np.float32
    return windows[:, [0, -1], 0] * rate_hz

@feature_function("one")
def too_wide(windows, rate_hz):
    return windows[:, :2, 0]

@feature_function("logarithm")
def not_finite(windows, rate_hz):
    return np.full((len(windows), 1), np.nan)

@feature_function("boom")
def fails(windows, rate_hz):
    raise IndexError("out of\\nwork")

@feature_function("acc_x__mean")
def taken(windows, rate_hz):
    return windows[:, :1, 0]

def unnamed(windows, rate_hz):
    return windows[:, :1, 0]
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an importable module with the functions above."""
    name = f"own_features_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(OWN_FEATURES)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def some_windows(n: int = 70, time: int = 64) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(n, time, 4)).astype(np.float32)


@pytest.mark.parametrize(
    "select",
    [
        ("*__mean",),
        ("acc_x__*", "!*band*"),
        ("!acc_*",),
        ("acc__gravity_pitch", "acc__corr_yz"),
        ("acc_jerk_mag__autocorr_peak", "pulse__iqr"),
        ("acc_mag__spectral_entropy",),
        ("pulse__m[ai]*",),
    ],
)
def test_a_selection_has_the_bits_of_the_whole_catalogue(select: tuple[str, ...]) -> None:
    whole = build_catalogue(FOUR, 50.0, 64, (ACC,))
    part = build_catalogue(FOUR, 50.0, 64, (ACC,), select)
    places = [whole.names.index(name) for name in part.names]
    assert places == sorted(places)
    assert 0 < len(places) < len(whole.names)
    windows = some_windows()
    expected = np.ascontiguousarray(whole.extract(windows)[:, places])
    assert part.extract(windows).tobytes() == expected.tobytes()


def test_exclusions_win_whatever_the_order() -> None:
    names = build_catalogue(FOUR, 50.0, 64, (ACC,), ("!*__mean", "acc_x__*")).names
    assert len(names) == len(SIGNAL) - 1
    assert all(name.startswith("acc_x__") and name != "acc_x__mean" for name in names)


@pytest.mark.parametrize("pattern", ["acc_x__spectral_entopy", "!*__spectral_entopy"])
def test_an_unknown_pattern_is_refused_with_the_closest_names(pattern: str) -> None:
    wrong = pattern.lstrip("!")
    with refused(ValueError, "features.select", wrong, wrong.replace("entopy", "entropy")):
        build_catalogue(FOUR, 50.0, 64, (ACC,), ("*", pattern))


def test_a_selection_that_leaves_nothing_is_refused() -> None:
    with refused(ValueError, "features.select", "!*", "108"):
        build_catalogue(FOUR, 50.0, 64, (), ("*__mean", "!*"))


def test_kernels_that_no_column_needs_are_not_run() -> None:
    catalogue = build_catalogue(FOUR, 50.0, 64, (ACC,), ("*__mean", "*__iqr"))
    with patch.object(fourier, "power") as power, patch.object(spectral, "spectrum") as run:
        catalogue.extract(some_windows(3))
    power.assert_not_called()
    run.assert_not_called()


def test_channels_that_no_column_needs_are_not_read() -> None:
    assert build_catalogue(FOUR, 50.0, 64, (ACC,), ("pulse__*",)).plan.channels == (3,)
    assert build_catalogue(FOUR, 50.0, 64, (ACC,), ("acc__sma",)).plan.channels == (0, 1, 2)


def test_scratch_does_not_grow_with_the_batch() -> None:
    catalogue = build_catalogue(FOUR, 50.0, 128, (ACC,))
    assert catalogue.scratch_bytes(8192) == catalogue.scratch_bytes(1024) < 4 << 20
    assert catalogue.scratch_bytes(1) < catalogue.scratch_bytes(8192)
    assert catalogue.scratch_bytes(1024, np.float64) > catalogue.scratch_bytes(1024)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("time", [64, 128, 127, 251])
def test_no_more_is_allocated_than_was_said(time: int, dtype: type) -> None:
    catalogue = build_catalogue(FOUR, 50.0, time, (ACC,))
    windows = np.random.default_rng(0).normal(size=(300, time, 4)).astype(dtype)
    out = np.empty((300, len(catalogue.names)), np.float32)
    catalogue.extract(windows[:1])  # Compiles.
    fourier._tables.cache_clear()
    tracemalloc.start()
    catalogue.extract(windows, out=out)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < catalogue.scratch_bytes(300, dtype) + 100_000


@pytest.mark.parametrize(
    "out",
    [
        np.empty((2, 27), np.float32),
        np.empty((3, 26), np.float32),
        np.empty((3, 27)),
        np.empty((27, 3), np.float32).T,
    ],
)
def test_a_place_for_the_result_that_does_not_fit_is_refused(out: np.ndarray) -> None:
    catalogue = build_catalogue(("x",), 50.0, 64)
    windows = np.zeros((3, 64, 1), np.float32)
    with refused(ValueError, str(out.dtype), str(out.shape), "float32", "(3, 27)"):
        catalogue.extract(windows, out=out)
    fitting = np.empty((3, 27), np.float32)
    assert catalogue.extract(windows, out=fitting) is fitting


def test_a_function_of_the_users_may_be_all_there_is(own: str) -> None:
    catalogue = build_catalogue(FOUR, 50.0, 64, (ACC,), (), (f"{own}:ends",))
    assert catalogue.names == ("first", "last")
    windows = some_windows(9)
    np.testing.assert_array_equal(catalogue.extract(windows), windows[:, [0, -1], 0] * 50)


def test_a_function_of_the_users_adds_its_columns_last(own: str) -> None:
    catalogue = build_catalogue(FOUR, 50.0, 64, (), ("*__mean",), (f"{own}:ends",))
    assert catalogue.names[-2:] == ("first", "last")
    windows = some_windows(9)
    got = catalogue.extract(windows.astype(np.float64))
    np.testing.assert_array_equal(got[:, -2:], windows[:, [0, -1], 0] * 50)


@pytest.mark.parametrize(
    ("function", "named"),
    [
        ("too_wide", ("(9, 2)", "(9, 1)")),
        ("not_finite", ("nan", "logarithm")),
        ("fails", ("IndexError", "out of work", "(9, 64, 4)")),
    ],
)
def test_an_unusable_result_of_the_users_function_is_refused(
    own: str, function: str, named: tuple[str, ...]
) -> None:
    catalogue = build_catalogue(FOUR, 50.0, 64, custom=(f"{own}:{function}",))
    with refused(FeatureFunctionError, f"{own}:{function}", *named):
        catalogue.extract(some_windows(9))


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (":unnamed", "{}:unnamed"),
        (":absent", "{}:absent"),
        ("_absent:ends", "{}_absent:ends"),
        (".ends", "module:function"),
        (":taken", "acc_x__mean"),
    ],
)
def test_a_function_that_cannot_be_used_is_refused_when_built(
    own: str, function: str, named: str
) -> None:
    with refused(ValueError, named.format(own)):
        build_catalogue(FOUR, 50.0, 64, custom=(own + function,))


@pytest.mark.parametrize("names", [(), ("",), ("a", "a")])
def test_a_function_needs_distinct_column_names(names: tuple[str, ...]) -> None:
    with refused(ValueError, *map(repr, names)):
        feature_function(*names)


def test_impossible_descriptions_are_refused() -> None:
    with refused(ValueError, "acc_x"):
        build_catalogue(("acc_x", "acc_x"), 50.0, 64)
    with refused(ValueError, "acc_mag"):
        build_catalogue(("acc_mag", "b", "c"), 50.0, 64, (ACC,))
    with refused(ValueError, "acc", "(0, 1, 2)"):
        build_catalogue(("a", "b"), 50.0, 64, (ACC,))
    with refused(ValueError, "0 Hz"):
        build_catalogue(("a",), 0, 64)
    with refused(ValueError):
        build_catalogue((), 50.0, 64)


def test_the_registry_has_27_features_and_13_across_two_triads() -> None:
    assert len(SIGNAL) == 27
    assert 2 * len(TRIAD) + len(GRAVITY) == 13


def test_the_feature_page_is_current() -> None:
    page = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    assert page == feature_page(), "python -m headrace.pipeline.catalogue.document docs/features.md"


def test_names_plans_and_the_users_own_functions_do_not_load_the_compiler() -> None:
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from headrace.pipeline.catalogue import build_catalogue, feature_function\n"
        "build_catalogue(('a',), 50.0, 64)\n"
        "first = feature_function('first')(lambda windows, rate_hz: windows[:, :1, 0])\n"
        "alone = build_catalogue(('a',), 50.0, 64, select=(), custom=(first,))\n"
        "alone.extract(np.zeros((2, 64, 1)))\n"
        "sys.exit('numba' in sys.modules or 'scipy' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
