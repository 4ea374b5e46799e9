"""Channels chosen by name: which they are, in which order, and an array of them alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import SLICE_BYTES, read_rows
from headrace.stores.source.derived.shaped import Shaped
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.names import natural_order
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.said import channel_texts
from headrace.stores.text import shown


@runtime_checkable
class Choosable(SourceArray, Protocol):
    """An array that need not read all of its channels."""

    def chosen(self, channels: Sequence[int]) -> SourceArray:
        """The array of these channels, in this order."""
        ...


def used_channels(array: SourceArray, options: SourceOptions) -> SourceArray:
    """`array` (..., C) of the channels that `source.use_channels` lists; all of them without it.

    Raises:
        UserError: its channels have no names, or one that is listed is not there.
    """
    if not options.use_channels:
        return array
    places, names = used_places(array, options)
    return Named(chosen(array, places), names)


def used_places(array: SourceArray, options: SourceOptions) -> tuple[list[int], list[str]]:
    """Which channels of `array` (..., C) `source.use_channels` lists, and their names.

    Raises:
        UserError: as `used_channels`.
    """
    count = (array.shape or (0,))[-1]
    names = options.channels or channel_texts(array.attribute("channels"), count)
    if names is None:
        raise SourceError(
            f"source.use_channels picks channels by their names, and the {count} of {array.where} "
            "have none. Name all of them with source.channels, in the file's order."
        )
    if len(names) != count:
        raise SourceError(
            f"{array.where} has {count} channels, and {len(names)} names ({shown(names)}). "
            f"source.use_channels picks by names: set source.channels to {count} of them."
        )
    places = places_of(names, options.use_channels, "use_channels", array.where)
    return places, [names[place] for place in places]


def literal_glob(name: str) -> str:
    """A name as a pattern that it alone matches."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def places_of(names: Sequence[str], patterns: Sequence[str], option: str, where: str) -> list[int]:
    """Which of `names` the patterns choose, in the order of the patterns.

    A name comes before a glob that looks like it; what a glob matches is in natural order. What a
    pattern with a "!" matches is left out of all, and where there are no others, of all there are.

    Raises:
        UserError: a pattern matches nothing, or nothing is left.
    """
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    without = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    found, left_out = (
        [place for pattern in each for place in _matching(names, pattern, option, where)]
        for each in (wanted or ["*"], without)
    )
    kept = [place for place in dict.fromkeys(found) if place not in left_out]
    if not kept:
        raise SourceError(
            f"source.{option} = {list(patterns)} leaves no channel of {where}: {shown(names)}."
        )
    return kept


def chosen(array: SourceArray, channels: Sequence[int]) -> SourceArray:
    """`array` of some of its channels; read alone where it can."""
    if list(channels) == list(range((array.shape or (0,))[-1])):
        return array
    return array.chosen(channels) if isinstance(array, Choosable) else Chosen(array, channels)


class Chosen(Shaped):
    """Some channels of an array; all of them are read."""

    def __init__(self, array: SourceArray, channels: Sequence[int]) -> None:
        """`channels` of the last axis."""
        super().__init__(array, (*(array.shape or ())[:-1], len(channels)))
        self._channels = list(channels)
        self._row = max(1, int(np.prod((array.shape or ())[1:])) * array.dtype.itemsize)
        self.decode_bytes += 2 * max(SLICE_BYTES, self._row)

    def ready(self) -> Chosen:
        """See `SourceArray`."""
        return Chosen(self._array.ready(), self._channels)

    def attribute(self, name: str) -> Any | None:
        """The array's; of values a channel, those of the chosen ones."""
        value: Any = self._array.attribute(name)
        count = (self._array.shape or (0,))[-1]
        texts = channel_texts(value, count)
        if texts is not None and count > 1:
            return np.array([texts[channel] for channel in self._channels], dtype=object)
        if np.ndim(value) == 1 and np.size(value) == count:
            return np.asarray(value)[self._channels]
        return value

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        return read_rows(self, start, stop)

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        step = max(1, SLICE_BYTES // self._row)
        for low in range(0, len(out), step):
            part = out[low : low + step]
            first = start + low
            part[...] = self._array.read(first, first + len(part))[..., self._channels]


class Named(Shaped):
    """An array whose channels have other names than it says."""

    def __init__(self, array: SourceArray, names: Sequence[str]) -> None:
        """A name for each channel."""
        super().__init__(array, array.shape or ())
        self._names = list(names)

    def ready(self) -> Named:
        """See `SourceArray`."""
        return Named(self._array.ready(), self._names)

    def attribute(self, name: str) -> Any | None:
        """The array's, but for the names."""
        if name == "channels":
            return np.array(self._names, dtype=object)
        return self._array.attribute(name)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`."""
        return self._array.read(start, stop)

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the rows from `start` on."""
        self._array.read_into(out, start)


def _matching(names: Sequence[str], pattern: str, option: str, where: str) -> list[int]:
    if pattern in names:
        return [list(names).index(pattern)]
    found = [place for place, name in enumerate(names) if fnmatchcase(name, pattern)]
    if not found:
        raise SourceError(
            f"source.{option} lists {pattern!r}, which no channel of {where} is called. "
            f"They are: {shown(names)}."
        )
    order = natural_order([names[place] for place in found])
    return [found[position] for position in order]
