"""What a window is: its length, its channels, and how their values are stored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class WindowSpec:
    """Windows (T, C) of a source, a store or a run.

    Attributes:
        time: T, samples.
        rate_hz: sampling rate, Hz.
        channels: C names.
        units: C units of value * scale; "" where unknown.
        dtype: type of the values as stored or delivered, in native byte order.
        scale: C factors from values to units.
    """

    time: int
    rate_hz: float
    channels: tuple[str, ...]
    units: tuple[str, ...]
    dtype: np.dtype[Any]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raise ValueError unless each channel has one unit and one factor."""
        if not len(self.channels) == len(self.units) == len(self.scale):
            raise ValueError("units, scales and channels differ in number")

    @property
    def shape(self) -> tuple[int, int]:
        """(T, C)."""
        return self.time, len(self.channels)

    @property
    def values(self) -> int:
        """Values of a window, T x C."""
        return math.prod(self.shape)

    @property
    def seconds(self) -> float:
        """Length of a window."""
        return self.time / self.rate_hz

    @property
    def stored_bytes(self) -> int:
        """Bytes of a window as stored."""
        return self.values * self.dtype.itemsize

    @property
    def float_bytes(self) -> int:
        """Bytes of a window as float32."""
        return 4 * self.values

    def differences(self, other: WindowSpec) -> tuple[str, ...]:
        """Names of the attributes in which two kinds of windows differ, given in units.

        So neither type nor scale counts, and a unit that is unknown differs from none.
        """
        units = zip(self.units, other.units, strict=False)
        differs = {
            "channels": self.channels != other.channels,
            "units": any(mine != theirs for mine, theirs in units if mine and theirs),
            "rate_hz": self.rate_hz != other.rate_hz,
            "time": self.time != other.time,
        }
        return tuple(name for name, is_so in differs.items() if is_so)


def numbered_channels(count: int) -> tuple[str, ...]:
    """`ch0`, `ch1`, ...: names of channels that have none."""
    return tuple(f"ch{number}" for number in range(count))
