"""Data whose rows are not the first axis, in every format, and one value a row lying down."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from scipy.io import savemat

from headrace.stores.errors import SourceError
from headrace.stores.source.derived import turned
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from tests.refusals import refused

N, T, C = 37, 10, 3
WINDOWS = np.random.default_rng(0).normal(size=(N, T, C)).astype("f4")
ROWS = WINDOWS.reshape(-1, C)
Y = np.arange(N) % 2
Array = NDArray[Any]


def hdf5(path: Path, X: Array) -> Path:
    with h5py.File(path / "s.h5", "w") as file:
        file["X"] = X
    return path / "s.h5"


def chunked(path: Path, X: Array) -> Path:
    with h5py.File(path / "s.h5", "w") as file:
        file.create_dataset("X", data=X, chunks=tuple(min(4, n) for n in X.shape), compression=1)
    return path / "s.h5"


def npz(path: Path, X: Array) -> Path:
    np.savez(path / "s.npz", X=np.ascontiguousarray(X))
    return path / "s.npz"


def fortran(path: Path, X: Array) -> Path:
    np.savez_compressed(path / "s.npz", X=np.asfortranarray(X))
    return path / "s.npz"


def zarr_of(path: Path, X: Array) -> Path:
    root = zarr.open_group(path / "s.zarr", mode="w")
    root.create_array("X", data=np.ascontiguousarray(X), chunks=tuple(min(4, n) for n in X.shape))
    return path / "s.zarr"


def matlab(path: Path, X: Array) -> Path:
    savemat(path / "s.mat", {"X": X})
    return path / "s.mat"


WRITERS = [hdf5, chunked, npz, fortran, zarr_of, matlab]
Writer = Callable[[Path, Array], Path]


def opened(path: Path, **options: Any) -> Source:
    given = {"rate_hz": 10.0, "split_by_window": True, "labels": ""}
    return open_source(path, SourceOptions.model_validate({**given, **options}))


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_windows_in_any_order_of_axes(
    tmp_path: Path, write: Writer, order: tuple[int, ...]
) -> None:
    path = write(tmp_path, WINDOWS.transpose(order))
    axes = [("window", "time", "channel")[axis] for axis in order]
    with opened(path, axes=axes) as source:
        np.testing.assert_array_equal(source.read_windows(0, N), WINDOWS)
        np.testing.assert_array_equal(source.read_windows(5, 12), WINDOWS[5:12])


@pytest.mark.parametrize("write", WRITERS)
def test_signals_of_channels_first(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path, ROWS.T)
    options: dict[str, Any] = {"signals": "X", "axes": ["channel", "row"], "window_samples": T}
    with opened(path, **options, overlap=0.0) as source:
        np.testing.assert_array_equal(source.read_windows(0, N), WINDOWS)


def test_a_slice_that_would_take_the_whole_is_refused_with_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turned, "MOST_HELD", ROWS.nbytes - 1)
    options: dict[str, Any] = {"signals": "X", "axes": ["channel", "row"], "window_samples": T}
    with refused(SourceError, "s.mat", "4.34"):
        opened(matlab(tmp_path, ROWS.T), **options)
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file.create_dataset("X", data=ROWS.T, chunks=ROWS.T.shape)
    with refused(SourceError, "one.h5"):
        opened(tmp_path / "one.h5", **options)
    with opened(chunked(tmp_path, ROWS.T), **options) as source:
        assert source.windows > 0


@pytest.mark.parametrize("shape", [(N, 1), (1, N)])
def test_one_value_a_window_may_stand_or_lie(tmp_path: Path, shape: tuple[int, int]) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["X"], file["y"] = WINDOWS, Y.reshape(shape).astype("f4")
        file["groups"] = np.array([b"a", b"b"])[Y].reshape(shape)
    with opened(tmp_path / "s.h5", split_by_window=False, labels="y") as source:
        found = source.read_labels(0, N)
        np.testing.assert_array_equal(found.label, Y)
        np.testing.assert_array_equal(found.group, Y)


@pytest.mark.parametrize(
    ("X", "axes"),
    [
        (WINDOWS[..., :1], None),
        (WINDOWS[..., 0], None),
        (WINDOWS[..., :1].transpose(0, 2, 1), ["window", "channel", "time"]),
        (WINDOWS[..., 0].T, ["time", "window"]),
    ],
)
def test_one_channel_of_any_shape(tmp_path: Path, X: Array, axes: list[str] | None) -> None:
    with opened(hdf5(tmp_path, X), axes=axes) as source:
        np.testing.assert_array_equal(source.read_windows(0, N), WINDOWS[..., :1])
