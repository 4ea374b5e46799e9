"""Filters that an HDF5 dataset was written with, and that HDF5 does not have by itself."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import Any

import h5py

FILTERS = {
    305: "LZO", 307: "BZip2", 32000: "LZF", 32001: "Blosc", 32004: "LZ4", 32008: "Bitshuffle",
    32013: "ZFP", 32015: "Zstandard", 32017: "SZ", 32018: "FCIDECOMP", 32019: "JPEG",
    32024: "SZ3", 32026: "Blosc2", 32028: "Sperr",
}  # fmt: skip
"""Numbers of filters that are registered with the HDF Group, and what they are called."""


def lacking_filters(dataset: Any) -> str:
    """The filters of a dataset that are not to be had, once hdf5plugin was tried; "" mostly."""
    numbers = _unknown(dataset)
    if numbers:
        with suppress(ImportError, OSError):
            import_module("hdf5plugin")  # Importing registers its filters.
        numbers = _unknown(dataset)
    return ", ".join(f"{FILTERS.get(number, 'of unknown name')} ({number})" for number in numbers)


def _unknown(dataset: Any) -> list[int]:
    made = dataset.id.get_create_plist()
    numbers = [made.get_filter(position)[0] for position in range(made.get_nfilters())]
    return [number for number in numbers if not h5py.h5z.filter_avail(number)]
