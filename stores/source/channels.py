"""What a source says about its channels: names, units, scale and sampling rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import SHOWN_ARRAYS, check_text
from headrace.stores.source.beside import (
    PACKED,
    looks_like_options,
    packed,
    plain_number,
    rate_beside,
    shown_attribute,
)
from headrace.stores.source.derived.joined import JoinedArray
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.said import as_text
from headrace.stores.spec import WindowSpec, numbered_channels
from headrace.stores.text import listed

MIN_RATE, MAX_RATE = 1e-6, 1e9
"""Sampling rates that a sensor may have, in Hz: one sample in eleven days, one a nanosecond."""
ATTRIBUTES = {
    "rate_hz": "sampling_rate_hz",
    "channels": "channels",
    "units": "units",
    "scale": "scale_to_units",
    "offset": "offset_to_units",
}
"""Options of the source, and the attributes that stand in for them."""
ORDER = "order of channels"
"""What differs between recordings that name the same channels in other orders."""
RAW_COUNT_UNITS = frozenset({"count", "counts", "raw", "lsb"})


@dataclass(frozen=True)
class ChannelInfo:
    """What the file or the options say about the channels.

    Attributes:
        channels: C different names.
        units: C units of value x scale; "" where unknown.
        scale: (C,) float64, ones when none is given.
        offset: (C,) float64 in units, added after the scale; zeros when none is given.
        rate_hz: sampling rate of the file.
        moved: scale and offset that stored values are brought to units by as they are read; None:
            they are read as stored, or are whole numbers.
    """

    channels: tuple[str, ...]
    units: tuple[str, ...]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    rate_hz: float
    moved: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def as_read(self, stored: float) -> NDArray[np.float64]:
        """(C,) what a stored value is read as."""
        scale, offset = self.moved or (1.0, 0.0)
        return np.full(len(self.channels), stored) * scale + offset

    def window_spec(self, time: int, dtype: np.dtype[Any]) -> WindowSpec:
        """Windows of `time` samples of these channels, with values of `dtype` as they are."""
        scale = tuple(self.scale.tolist())
        return WindowSpec(time, self.rate_hz, self.channels, self.units, dtype, scale)


def read_channel_info(data: SourceArray, options: SourceOptions) -> ChannelInfo:
    """Rate, channel names, units and scale of `data` (..., C), from options or attributes.

    Attributes are looked up on the array, then on the file.

    Raises:
        UserError: no rate, a count that differs from C, names that repeat, or a bad value.
    """
    if isinstance(data, JoinedArray):
        _require_alike(data, options)
    count = int((data.shape or (0,))[-1])
    # Where channels are chosen, the data say how the chosen ones are called.
    named = None if options.use_channels else options.channels
    channels = _texts(data, "channels", named, count)
    if channels is None:
        channels = numbered_channels(count)
    for channel in channels:
        where = f"{data.where} names a channel"
        check_text(channel, where, "source.channels", "/\\")
    if len(set(channels)) < count or "" in channels:
        raise SourceError(
            f"{data.where} names its channels {', '.join(channels)}; each needs a name of "
            "its own. Set source.channels."
        )
    scale = _numbers(data, "scale", options.scale, count)
    offset = _numbers(data, "offset", options.offset, count)
    units = _units(data, options.units, count, scaled=scale is not None)
    for unit in units:
        check_text(unit, f"{data.where} names a unit", "source.units")
    return ChannelInfo(
        channels=channels,
        units=units,
        scale=np.ones(count) if scale is None else scale,
        offset=np.zeros(count) if offset is None else offset,
        rate_hz=_rate(data, options.rate_hz),
    )


def _require_alike(data: JoinedArray, options: SourceOptions) -> None:
    """Raises UserError: recordings say different things, and no option can say which holds."""
    for option, name in ATTRIBUTES.items():
        if name in data.differing and getattr(options, option) is None:
            way = f"Set source.{option} if it holds for all, or leave those out."
            if option == "channels":
                way = f"Name those that all have with source.use_channels. {way}"
            raise SourceError(
                f"The {called(data, option)} is {data.differing[name]}: recordings of one source "
                f"are alike. {way}"
            )
    if ORDER in data.differing and options.channels is not None:
        raise SourceError(
            f"source.channels gives names by the place of a channel, but the attribute channels is "
            f"{data.differing[ORDER]}: the same channels in another order. Leave source.channels "
            "out, and choose them by their names with source.use_channels."
        )


def called(data: SourceArray, option: str) -> str:
    """What says an option's value in the source, as the source calls it: `attribute fs`."""
    name = ATTRIBUTES[option]
    if isinstance(data, JoinedArray) and name in data.called:
        return data.called[name]
    if data.attribute(name) is None:
        beside = rate_beside(data) if option == "rate_hz" else None
        name = PACKED.get(option, name) if beside is None else beside[0]
    return f"attribute {name}"


def _rate(data: SourceArray, given: float | None) -> float:
    if given is not None:
        return given
    name, value = "sampling_rate_hz", data.attribute("sampling_rate_hz")
    if value is None:
        name, value = rate_beside(data) or (name, None)
    if value is None:
        alike = [str(each) for each in looks_like_options(data) if each.option == "rate_hz"]
        raise SourceError(
            f"{data.where} says no sampling rate: neither it nor the file has the "
            f"attribute sampling_rate_hz{f', but {listed(alike)}' if alike else ''}. "
            "Set source.rate_hz, in Hz, or name the times of its rows with source.time."
        )
    array = np.asarray(plain_number(value))
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise SourceError(
            f"{data.where} has the {name} {shown_attribute(value)!r}, which is not a number. "
            "Set source.rate_hz, in Hz."
        )
    # A float32 51.2 means 51.2, not 51.2000008.
    rate = float(str(array.reshape(-1)[0]))
    if not MIN_RATE <= rate <= MAX_RATE:
        raise SourceError(
            f"{data.where} has a {name} of {rate:g}; it must be above 0, from "
            f"{MIN_RATE:g} to {MAX_RATE:g}. Set source.rate_hz, in Hz."
        )
    return rate


def _texts(
    data: SourceArray, name: str, given: Sequence[str] | None, count: int
) -> tuple[str, ...] | None:
    """`count` texts from the option or the attribute `name`; one text may list them by commas."""
    values: Any = given if given is not None else data.attribute(name)
    if values is None:
        return None
    array = np.asarray(values)
    texts = tuple(as_text(value) for value in array.reshape(-1))
    if given is None and array.ndim == 0 and "," in texts[0]:
        texts = tuple(text.strip() for text in texts[0].split(","))
    if len(texts) != count:
        origin = f"source.{name}" if given is not None else f"The attribute {name}"
        raise SourceError(
            f"{origin} gives {len(texts)} ({', '.join(texts[:SHOWN_ARRAYS])}) for the {count} "
            f"channels of {data.where}. Set source.{name} to {count} of them."
        )
    return texts


def _units(
    data: SourceArray, given: Sequence[str] | None, count: int, scaled: bool
) -> tuple[str, ...]:
    if given is None:
        value = data.attribute("units")
        if value is not None and np.size(value) == 1 and count > 1:
            text = as_text(np.asarray(value).reshape(-1)[0])
            if "," not in text:
                return _known_units((text,) * count, scaled)
    return _known_units(_texts(data, "units", given, count) or ("",) * count, scaled)


def _known_units(units: tuple[str, ...], scaled: bool) -> tuple[str, ...]:
    """The units after scaling: a file that says `counts` names those of the stored values."""
    if not scaled:
        return units
    return tuple("" if unit.lower() in RAW_COUNT_UNITS else unit for unit in units)


def stated_by(data: SourceArray) -> dict[str, Any]:
    """What an array says of its channels, by our names of attributes, whatever name it has there.

    Raises:
        UserError: it says two rates.
    """
    said = {name: data.attribute(name) for name in ATTRIBUTES.values()}
    said |= {ATTRIBUTES[option]: said_of(data, option) for option in PACKED}
    if said["sampling_rate_hz"] is None and (rate := rate_beside(data)) is not None:
        said["sampling_rate_hz"] = rate[1]
    return said


def said_of(data: SourceArray, option: str) -> Any | None:
    """Scale or offset as an attribute says it: our own, else that of CF; None: none does."""
    value = data.attribute(ATTRIBUTES[option])
    return packed(data, option) if value is None else value


def _as_numbers(value: Any) -> NDArray[Any]:
    """Numbers, also those that a text lists by commas, as Parquet writes them."""
    raw = np.asarray(value)
    if raw.dtype.kind not in "SUO" or raw.size != 1:
        return raw
    parts = [plain_number(part) for part in as_text(raw.reshape(-1)[0]).strip("[] ").split(",")]
    numbers = np.asarray(parts)
    return numbers if numbers.dtype.kind in "fiu" else raw


def _numbers(
    data: SourceArray, option: str, given: Sequence[float] | None, count: int
) -> NDArray[np.float64] | None:
    """One number a channel from the option or its attribute; one alone is for all."""
    value: Any = given if given is not None else said_of(data, option)
    if value is None or (given is not None and len(given) == 0):
        return None
    raw = _as_numbers(value)
    if given is None and raw.size == 1:
        raw = np.repeat(raw.reshape(-1), count)
    if raw.shape != (count,) or raw.dtype.kind not in "fiu":
        raise SourceError(
            f"The {option} of {data.where} has {raw.size} values for {count} channels. "
            f"Set source.{option} to {count} numbers."
        )
    numbers = raw.astype(np.float64)
    if not np.all(np.isfinite(numbers)) or (option == "scale" and np.any(numbers == 0)):
        but = "finite and not 0" if option == "scale" else "finite"
        raise SourceError(
            f"The {option} of {data.where} is {numbers.tolist()}; it must be {but}. "
            f"Set source.{option}."
        )
    return numbers
