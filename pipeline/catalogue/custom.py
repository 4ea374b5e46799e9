"""Features of the user's own: a function named in the config, its columns appended to ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.pipeline.functions.load import load_function
from headrace.pipeline.functions.reference import FunctionFault

KEY = "features.custom"

FeatureFunction = Callable[[NDArray[np.float32], float], ArrayLike]
"""Takes windows (n, time, channel) float32 and the rate in Hz, returns columns (n, k)."""


class FeatureFunctionError(ValueError):
    """A function of the user's raised an error, or returned what cannot be used."""


def feature_function(*names: str) -> Callable[[FeatureFunction], FeatureFunction]:
    """Name the columns that a feature function returns.

    Example:
        ::

            @feature_function("first_sample", "last_sample")
            def ends(windows, rate_hz):
                return windows[:, [0, -1], 0]

    Raises:
        ValueError: No name, an empty or a repeated one.
    """
    if not names or not all(names) or len(set(names)) < len(names):
        raise ValueError(
            f"feature_function{names!r}: one distinct, non-empty name per column is needed."
        )

    def name_columns(function: FeatureFunction) -> FeatureFunction:
        function.__dict__["names"] = names
        return function

    return name_columns


@dataclass(frozen=True)
class CustomFeature:
    """A function of the user's, with its columns; ``reference`` is what errors call it."""

    reference: str
    names: tuple[str, ...]
    function: FeatureFunction

    def extract(self, windows: NDArray[np.float32], rate_hz: float) -> NDArray[np.float32]:
        """Columns (n, k) float32 of ``windows`` (n, time, channel).

        Raises:
            FeatureFunctionError: The function raised an error, or returned another shape or a value
                that is not finite.
        """
        try:
            columns = np.asarray(self.function(windows, rate_hz), dtype=np.float32)
        except Exception as error:
            said = " ".join(str(error).split())
            raise FeatureFunctionError(
                f"{self.reference} raised {type(error).__name__} ({said}) for windows of shape "
                f"{windows.shape}. Correct the function."
            ) from error
        expected = (len(windows), len(self.names))
        if columns.shape != expected:
            raise FeatureFunctionError(
                f"{self.reference} returned shape {columns.shape} for {len(windows)} windows, "
                f"{expected} was expected. Return one row per window and one column per name."
            )
        finite = np.isfinite(columns)
        if not finite.all():
            row, column = (int(i) for i in np.argwhere(~finite)[0])
            raise FeatureFunctionError(
                f"{self.reference} returned {columns[row, column]} in column "
                f"{self.names[column]!r}. Return finite float32 values for every finite window."
            )
        return columns


def load_custom(given: Sequence[str | FeatureFunction], folder: Path) -> tuple[CustomFeature, ...]:
    """Take functions as they are, and load each ``module:function`` of ``folder`` or installed.

    Raises:
        ValueError: Malformed reference, no such module or function, or one without names.
    """
    return tuple(
        _load(each, folder)
        if isinstance(each, str)
        else _named(each, getattr(each, "__qualname__", repr(each)))
        for each in given
    )


def _load(reference: str, folder: Path) -> CustomFeature:
    try:
        function = load_function(KEY, reference, folder)
    except FunctionFault as error:
        raise ValueError(str(error)) from error
    return _named(function, reference)


def _named(function: FeatureFunction, reference: str) -> CustomFeature:
    names = getattr(function, "names", None)
    if not callable(function) or not names:
        raise ValueError(
            f"{KEY}: {reference!r} does not name its columns. "
            f"Decorate it with headrace.feature_function."
        )
    return CustomFeature(reference, tuple(names), function)
