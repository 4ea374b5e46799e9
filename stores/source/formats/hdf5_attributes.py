"""The small attributes of HDF5's datasets and groups."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

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


def _items(node: Any, name: str) -> int:
    space = node.attrs.get_id(name).get_space()
    return int(space.get_simple_extent_npoints())
