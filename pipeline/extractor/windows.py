"""Arrays of windows as users hand them over: what is taken, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import ArrayError

SHAPING = (
    "Reshape your data: X[:, :, None] for one channel; X.reshape(len(X), -1, C) for flattened "
    "windows whose C channels stand side by side. Cut one long recording into windows first."
)


def windows_of(given: Any) -> Any:
    """Return `given` if rows can be cut from it as from an array, else an array made of it.

    Args:
        given: NumPy array, memory map, HDF5 data set, Zarr array or the like; or nested lists.

    Returns:
        Windows (n, T, C) with `shape`, `dtype` and slices. Nothing of them is read yet.

    Raises:
        ArrayError: they have no such shape, or do not hold real numbers.
    """
    windows = given if _has_rows_to_cut(given) else _as_array(given)
    shape = tuple(windows.shape)
    if len(shape) != 3 or 0 in shape[1:]:
        raise ArrayError(f"Windows are (n, time, channel); X has shape {shape}. {SHAPING}")
    if windows.dtype.kind not in "biuf":
        raise ArrayError(
            f"Windows hold real numbers; X has dtype {windows.dtype}. Convert it first: "
            "X.astype(numpy.float32)."
        )
    return windows


def require_shape(windows: Any, expected: tuple[int, int]) -> None:
    """Check that windows (n, T, C) have the T and C that the extractor was fitted to.

    Raises:
        ArrayError: they do not.
    """
    found = tuple(windows.shape[1:])
    if found != expected:
        raise ArrayError(
            f"The extractor was fitted to windows of {expected[0]} samples x {expected[1]} "
            f"channels; X has {found[0]} x {found[1]}. Give it windows of that shape, or fit "
            "another one."
        )


def require_finite(units: NDArray[Any], first: int) -> None:
    """Check that windows (n, T, C) in units hold neither NaN nor infinity.

    Args:
        units: the windows.
        first: number of the first of them.

    Raises:
        ArrayError: they do; with count and first numbers.
    """
    # NaN is both, and neither takes memory: half the time of looking at each value.
    if np.isfinite(units.min()) and np.isfinite(units.max()):
        return
    bad = np.flatnonzero(~np.isfinite(units).all(axis=(1, 2)))
    numbers = ", ".join(str(first + number) for number in bad[:5].tolist())
    raise ArrayError(
        f"{len(bad)} of {len(units)} windows checked, from window {first} on, hold NaN or "
        f"infinity in units; the first are {numbers}. Drop these windows, or fill the values."
    )


def _has_rows_to_cut(given: Any) -> bool:
    has_dtype = isinstance(getattr(given, "dtype", None), np.dtype)
    return has_dtype and hasattr(given, "shape") and hasattr(given, "__getitem__")


def _as_array(given: Any) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except ValueError as error:
        raise ArrayError(f"X is no array ({error}). Give windows of one length.") from error
