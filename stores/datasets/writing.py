"""Writes HDF5 sources: whole or not at all, with the attributes that reading looks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from headrace.stores.io.disk import whole_file


@contextmanager
def new_source(path: Path) -> Iterator[Any]:
    """An h5py file to fill; it gets the name `path` when the block ends without an error.

    The same content gives the same bytes: no time stamps are kept.

    Raises:
        UserError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    with whole_file(path) as temporary, h5py.File(temporary, "w", track_order=False) as file:
        yield file


def describe_channels(
    dataset: Any, rate_hz: float, channels: Sequence[str], units: Sequence[str]
) -> None:
    """Set the attributes `sampling_rate_hz`, `channels` and `units` of a dataset."""
    text = h5py.string_dtype()
    dataset.attrs["sampling_rate_hz"] = float(rate_hz)
    dataset.attrs.create("channels", list(channels), dtype=text)
    dataset.attrs.create("units", list(units), dtype=text)


def write_names(file: Any, name: str, names: Sequence[str]) -> None:
    """Write a dataset of UTF-8 strings."""
    file.create_dataset(name, data=list(names), dtype=h5py.string_dtype())


def write_recordings(
    file: Any, lengths: NDArray[np.int64], columns: Mapping[str, NDArray[Any] | Sequence[str]]
) -> None:
    """Write the group `recordings` for recordings that follow each other without a gap.

    Args:
        file: h5py file.
        lengths: (R,) rows of each recording; their starts are the sums.
        columns: further columns of R numbers or strings.
    """
    table = file.create_group("recordings")
    table["start"] = np.cumsum(lengths, dtype=np.int64) - lengths
    table["length"] = lengths.astype(np.int64)
    for name, values in columns.items():
        if isinstance(values, np.ndarray):
            table[name] = values
        else:
            write_names(table, name, values)
