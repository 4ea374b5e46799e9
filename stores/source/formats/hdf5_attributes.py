"""The small attributes of HDF5's datasets and groups."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

MOST_ATTRIBUTES = 100
MOST_ITEMS = 512
"""Of one attribute: a number or a text for each channel."""


def small_attributes(node: Any) -> Mapping[str, Any]:
    """Numbers and texts of a dataset or group, but for those of very many values."""
    found = {}
    for name in itertools.islice(node.attrs, MOST_ATTRIBUTES):
        if isinstance(name, str) and 0 < _items(node, name) <= MOST_ITEMS:
            value = node.attrs[name]
            if np.asarray(value).dtype.kind in "biufSUO":
                found[name] = value
    return found


def attributes_above(dataset: Any) -> list[Mapping[str, Any]]:
    """Attributes of a dataset, then of its groups up to the file."""
    found, path = [small_attributes(dataset)], str(dataset.name)
    while path not in ("", "/"):
        path = path.rpartition("/")[0] or "/"
        found.append(small_attributes(dataset.file[path]))
    return found


def attribute_above(dataset: Any, name: str) -> Any | None:
    """An attribute of a dataset, else of the nearest of its groups, up to the file."""
    key, path = name.encode(), h5py.h5i.get_name(dataset.id) or b"/"
    # Asked for of each of many thousands of recordings: h5py's usual way takes ten times as long.
    while not h5py.h5a.exists(dataset.id, key, obj_name=path):
        if path == b"/":
            return None
        path = path.rpartition(b"/")[0] or b"/"
    return dataset.file[path].attrs[name]


def _items(node: Any, name: str) -> int:
    space = node.attrs.get_id(name).get_space()
    return int(space.get_simple_extent_npoints())
