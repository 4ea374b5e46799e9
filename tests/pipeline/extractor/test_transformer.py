"""`headrace.FeatureExtractor`: the bits of a store, from any array, in bounded memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

import headrace
from headrace.pipeline.config.config import Config
from headrace.pipeline.extractor import transformer
from headrace.stores.errors import ArrayError, ConfigError
from tests.conftest import SMALL, changed, request_for
from tests.in_process import store_here
from tests.refusals import refused
from tests.stores.source_files import C, N, T, write_windows

TRIADS: dict[str, Any] = dict(SMALL["features"])
"""A triad of the first three channels, an accelerometer."""


@headrace.feature_function("first", "last")
def ends(windows: NDArray[np.float32], rate_hz: float) -> NDArray[np.float32]:
    assert windows.dtype == np.float32
    return windows[:, [0, -1], 0] * rate_hz


@headrace.feature_function("not_finite")
def not_finite(windows: NDArray[np.float32], rate_hz: float) -> NDArray[np.float64]:
    return np.full((len(windows), 1), np.nan)


def some_windows(n: int = 70, time: int = 32, channels: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(n, time, channels)).astype(np.float32)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> int:
    """Batches of so many of `some_windows`."""
    monkeypatch.setattr(transformer, "BATCH_VALUES", 16 * 32 * 3)
    return 16


def assert_is_the_store(extractor: Any, windows: NDArray[Any], store: Path) -> None:
    opened = headrace.open(store)
    index = opened.read("source_index", 0, opened.windows)
    features = opened.read("features", 0, opened.windows)
    got = extractor.fit_transform(windows)
    assert tuple(extractor.get_feature_names_out()) == opened.manifest.features
    assert got.dtype == np.float32
    assert np.ascontiguousarray(got[index]).tobytes() == features.tobytes()


def test_columns_and_bits_are_those_of_a_store(tiny_source: Path, tiny_store: Path) -> None:
    with h5py.File(tiny_source) as file:
        windows, rate_hz = file["X"][:], float(file["X"].attrs["sampling_rate_hz"])
    assert windows.dtype == np.float32
    assert_is_the_store(headrace.FeatureExtractor(rate_hz=rate_hz, **TRIADS), windows, tiny_store)


@pytest.mark.parametrize("dtype", ["int16", "float64", "int32", "float16"])
def test_scaled_values_of_any_type_have_the_bits_of_a_store(
    tmp_path: Path, tiny_config: Config, dtype: str
) -> None:
    windows = (np.random.default_rng(3).normal(size=(N, T, C)) * 1000).astype(dtype)
    source = {
        "rate_hz": 51.2,
        "channels": ["x", "y", "z"],
        "scale": [0.00390625, 0.1, 2.0] if windows.dtype.kind == "i" else None,
    }
    features = {
        "triads": {"gyro": ["z", "x", "y"]},
        "accelerometers": [],
        "select": ["x__*", "gyro*", "!*band*"],
        "custom": [f"{__name__}:ends"],
    }
    path = tmp_path / "source.h5"
    write_windows(path, X=windows)
    config = changed(tiny_config, source=source, features=features)
    store = store_here(request_for(config, path, tmp_path / "store.zarr"))
    assert_is_the_store(
        headrace.FeatureExtractor(**{**source, **features, "rate_hz": np.float32(51.2)}),
        windows,
        store,
    )


def test_no_threads_at_all_are_refused() -> None:
    with refused(ConfigError, "n_jobs", "0"):
        headrace.FeatureExtractor(rate_hz=20, n_jobs=0).fit(np.zeros((4, 64, 3), np.float32))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_neither_batches_nor_threads_nor_where_windows_are_change_a_bit(
    tmp_path: Path, small_batches: int, n_jobs: int | None
) -> None:
    windows = some_windows(5 * small_batches + 3)
    extractor = headrace.FeatureExtractor(rate_hz=20, n_jobs=n_jobs, **TRIADS).fit(windows)
    expected = np.concatenate([extractor.transform(each[None]) for each in windows])
    np.save(tmp_path / "windows.npy", windows)
    with h5py.File(tmp_path / "windows.h5", "w") as file:
        file["X"] = windows
        for given in (
            windows,
            windows.astype(">f4"),
            np.ascontiguousarray(windows.transpose(0, 2, 1)).transpose(0, 2, 1),
            np.load(tmp_path / "windows.npy", mmap_mode="r"),
            file["X"],
        ):
            assert extractor.transform(given).tobytes() == expected.tobytes()
    wide = extractor.transform(windows.astype(np.float64))
    assert extractor.transform(windows.tolist()).tobytes() == wide.tobytes()
    assert extractor.transform(windows[:0]).shape == (0, expected.shape[1])


@pytest.mark.parametrize(("dtype", "scale"), [("f4", None), ("f8", None), ("i2", [0.5, 0.5, 2.0])])
@pytest.mark.parametrize("custom", [(), (ends,)])
def test_a_file_is_extracted_in_the_memory_that_was_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dtype: str,
    scale: list[float] | None,
    custom: tuple[Any, ...],
) -> None:
    monkeypatch.setattr(transformer, "BATCH_VALUES", 1 << 18)
    windows = (some_windows(20_000, 64) * 100).astype(dtype)
    extractor = headrace.FeatureExtractor(rate_hz=20, scale=scale, custom=custom, **TRIADS)
    with h5py.File(tmp_path / "windows.h5", "w") as file:
        data = file.create_dataset("X", data=windows)
        out = extractor.fit_transform(data)  # Compiles.
        tracemalloc.start()
        extractor.transform(data)
        used = tracemalloc.get_traced_memory()[1] - out.nbytes
        tracemalloc.stop()
    said = extractor.scratch_bytes(dtype)
    assert used < said + 100_000
    assert said < windows.nbytes


def test_only_a_batch_is_read_at_a_time(small_batches: int) -> None:
    windows, read = some_windows(40), []

    class Rows:
        shape, dtype = windows.shape, windows.dtype

        def __getitem__(self, rows: slice) -> NDArray[np.float32]:
            read.append(len(range(len(windows))[rows]))
            return windows[rows]

    extractor = headrace.FeatureExtractor(rate_hz=20).fit(Rows())
    assert read == []
    extractor.transform(Rows())
    assert read == [small_batches, small_batches, 8]


def test_a_function_is_named_or_given(tmp_path: Path) -> None:
    windows = some_windows(5)
    for custom in ([ends], [f"{__name__}:ends"], (ends,)):
        extractor = headrace.FeatureExtractor(rate_hz=20, select=[], custom=custom)
        np.testing.assert_array_equal(extractor.fit_transform(windows), windows[:, [0, -1], 0] * 20)
        assert list(extractor.get_feature_names_out()) == ["first", "last"]


WRONG_OPTIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "no rate": ({"rate_hz": None}, ("rate_hz",)),
    "rate of 0": ({"rate_hz": 0}, ("rate_hz", "0")),
    "rate of nan": ({"rate_hz": float("nan")}, ("rate_hz", "nan")),
    "text for a list": ({"select": "*__mean"}, ("select", "*__mean")),
    "unknown feature": ({"select": ["*__men"]}, ("select", "*__men", "*__mean")),
    "no column": ({"select": []}, ("select", "custom")),
    "unknown channel": ({"triads": {"acc": ["ch0", "ch1", "x"]}}, ("triads", "acc", "x", "ch2")),
    "two channels": ({"triads": {"acc": ["ch0", "ch1"]}}, ("triads", "acc")),
    "unknown triad": ({"accelerometers": ["acc"]}, ("accelerometers", "acc")),
    "too few names": ({"channels": ["x", "y"]}, ("channels", "2", "3", "(5, 32, 3)")),
    "name twice": ({"channels": ["x", "y", "x"]}, ("x",)),
    "too many factors": ({"scale": [1.0] * 4}, ("scale", "4", "3")),
    "factor of 0": ({"scale": [1.0, 0.0, 1.0]}, ("scale", "0.0")),
    "unnamed function": ({"custom": [len]}, ("custom", "len", "headrace.feature_function")),
    "one function": ({"custom": ends}, ("custom",)),
    "unknown function": ({"custom": ["no.such:f"]}, ("custom", "no.such:f")),
}


@pytest.mark.parametrize(("options", "named"), WRONG_OPTIONS.values(), ids=WRONG_OPTIONS)
def test_a_wrong_option_is_refused_when_fitted(
    options: dict[str, Any], named: tuple[str, ...]
) -> None:
    extractor = headrace.FeatureExtractor(**{"rate_hz": 20, **options})
    with refused(ConfigError, *named) as caught:
        extractor.fit(some_windows(5))
    assert "\n" not in str(caught.value)


def test_windows_too_short_are_refused() -> None:
    with refused(ConfigError, "8", "7"):
        headrace.FeatureExtractor(rate_hz=20).fit(some_windows(5, time=7))


WRONG_ARRAYS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "two axes": (
        some_windows()[:, :, 0],
        ("(70, 32)", "X[:, :, None]", "X.reshape(len(X), -1, C)"),
    ),
    "four axes": (some_windows()[None], ("(1, 70, 32, 3)",)),
    "no samples": (some_windows()[:, :0], ("(70, 0, 3)",)),
    "windows of two lengths": ([[[1.0]], [[1.0], [2.0]]], ()),
    "complex": (some_windows() * 1j, ("complex64",)),
    "text": (some_windows().astype(str), ("<U32",)),
    "objects": (some_windows().astype(object), ("object",)),
    "dates": (some_windows().astype("M8[s]"), ("datetime64[s]",)),
    "nothing": (None, ("()",)),
}


@pytest.mark.parametrize(("windows", "named"), WRONG_ARRAYS.values(), ids=WRONG_ARRAYS)
def test_what_holds_no_windows_is_refused(windows: Any, named: tuple[str, ...]) -> None:
    extractor = headrace.FeatureExtractor(rate_hz=20)
    with refused(ArrayError, *named) as caught:
        extractor.fit(windows)
    assert "\n" not in str(caught.value)
    extractor.fit(some_windows())
    with refused(ArrayError, *named):
        extractor.transform(windows)


@pytest.mark.parametrize("shape", [(33, 3), (32, 2), (3, 32)])
def test_windows_of_another_shape_than_fitted_are_refused(shape: tuple[int, int]) -> None:
    extractor = headrace.FeatureExtractor(rate_hz=20).fit(some_windows())
    with refused(ArrayError, "32", "3", *map(str, shape)):
        extractor.transform(some_windows(4, *shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_windows_that_are_not_finite_are_named(
    small_batches: int, value: float, n_jobs: int | None
) -> None:
    windows = some_windows()
    windows[[37, 41], 3, 1] = value
    extractor = headrace.FeatureExtractor(rate_hz=20, n_jobs=n_jobs).fit(windows)
    with refused(ArrayError, "2", str(small_batches), "37", "41"):
        extractor.transform(windows)


def test_values_too_large_in_units_are_named() -> None:
    windows = some_windows()
    windows[5] *= 1e30
    extractor = headrace.FeatureExtractor(rate_hz=20, scale=[1e20, 1, 1]).fit(windows)
    with np.errstate(over="ignore"), refused(ArrayError, "1", "70", "5"):
        extractor.transform(windows)


def test_a_function_that_fails_is_named() -> None:
    extractor = headrace.FeatureExtractor(rate_hz=20, custom=[not_finite])
    with refused(ConfigError, "custom", "not_finite", "nan"):
        extractor.fit_transform(some_windows())


def test_its_errors_are_of_the_kind_that_a_user_catches() -> None:
    with pytest.raises(headrace.UserError):
        headrace.FeatureExtractor().fit(some_windows())
    assert issubclass(headrace.UserError, ValueError)
