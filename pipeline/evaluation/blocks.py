"""Windows of a source, block by block, as a network takes them; read ahead by one thread."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.features.catalogue import BATCH_WINDOWS, extract_features
from headrace.stores.units import in_units

if TYPE_CHECKING:
    from headrace.pipeline.catalogue import Catalogue
    from headrace.stores.source.labels.labels import Labels
    from headrace.stores.source.source import Source

BLOCKS_HELD = 3
"""One is being made, one is handed over, and the one before it is still in its user's hands."""


@dataclass(frozen=True)
class Block:
    """Consecutive windows.

    Attributes:
        window: (n,) int64, their numbers in the source.
        raw: (n, T, C) float32, in units.
        features: (n, F) float32, or None.
        recording, start, time_s: (n,) row in the table of recordings, first row in the signals,
            seconds since the recording's start; None for a source of windows.
        read: windows that were read for it; more than n where some were dropped.
        labels: n of each column, if they were asked for.
        origin: (n,) place in the source's `origins`; None for a source of one file.
    """

    window: NDArray[np.int64]
    raw: NDArray[np.float32]
    features: NDArray[np.float32] | None
    recording: NDArray[np.int32] | None
    start: NDArray[np.int64] | None
    time_s: NDArray[np.float64] | None
    read: int
    labels: Labels | None = None
    origin: NDArray[np.int32] | None = None

    def columns(self) -> dict[str, NDArray[Any]]:
        """What the windows are, by name."""
        named = {
            "window": self.window,
            "recording": self.recording,
            "origin": self.origin,
            "start": self.start,
            "time_s": self.time_s,
        }
        return {name: values for name, values in named.items() if values is not None}


def read_blocks(
    source: Source,
    catalogue: Catalogue | None,
    stored: np.dtype[Any],
    ranges: Iterable[tuple[int, int]],
    labels: bool = False,
) -> Generator[Block]:
    """The windows of `ranges`, a block of each, one made ahead; close it to end the thread.

    Features are those of the source's values; raw is what it would be out of a store.

    Args:
        source: open; it is read by another thread until the iterator ends.
        catalogue: the kernels; None: no features.
        stored: type of `raw` in the store that the network was trained on.
        ranges: numbers (start, stop) of consecutive windows.
        labels: read their labels too.

    Raises:
        UserError: the source cannot be read.
    """
    pieces = iter(ranges)
    with ThreadPoolExecutor(1, "windows") as reader:

        def ahead() -> Future[Block] | None:
            piece = next(pieces, None)
            if piece is None:
                return None
            return reader.submit(_block, source, catalogue, stored, *piece, labels)

        making = ahead()
        while making is not None:
            block = making.result()
            making = ahead()
            yield block


def _block(
    source: Source,
    catalogue: Catalogue | None,
    stored: np.dtype[Any],
    start: int,
    stop: int,
    labels: bool,
) -> Block:
    numbers = np.arange(start, stop, dtype=np.int64)
    origin = source.origin(start, stop)
    located, seconds = source.locate(start, stop), source.seconds(start, stop)
    if source.options.non_finite == "drop":
        values, bad = source.read_marked_windows(start, stop)
        kept = np.flatnonzero(~bad)
        values = values[kept] if bad.any() else values
    else:
        values, kept = source.read_windows(start, stop), np.arange(stop - start)
    return Block(
        window=numbers[kept],
        raw=in_units(values.astype(stored, copy=False), source.spec.scale).astype(
            np.float32, copy=False
        ),
        features=None if catalogue is None else _features(catalogue, source, values),
        recording=None if located is None else located[0][kept],
        start=None if located is None else located[1][kept],
        time_s=None if seconds is None else seconds[kept],
        read=stop - start,
        labels=source.read_labels(start, stop).take(kept) if labels else None,
        origin=None if origin is None else origin[kept],
    )


def _features(catalogue: Catalogue, source: Source, values: NDArray[Any]) -> NDArray[np.float32]:
    found = np.empty((len(values), len(catalogue.names)), np.float32)
    for at in range(0, len(values), BATCH_WINDOWS):
        batch = slice(at, at + BATCH_WINDOWS)
        extract_features(catalogue, in_units(values[batch], source.spec.scale), found[batch])
    return found
