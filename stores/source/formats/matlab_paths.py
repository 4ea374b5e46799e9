"""Paths in MATLAB's files: variables, fields, and members of arrays of cells or structs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from headrace.stores.source.arrays import shown_arrays

Item = TypeVar("Item")
SHOWN = 20


class PathNode(Generic[Item]):
    """A struct, a cell array or the file; the part of `SourceNode` that goes by names.

    The members of a cell or struct array are "0", "1", ... in MATLAB's order, columns first. A
    dot may stand for the slash of a path, as in MATLAB.
    """

    def __init__(self, item: Item, name: str, file: str) -> None:
        """Take over an item, its path, and the name of the file."""
        self.item = item
        self.name = name
        self._file = file
        self.where = file + ("" if name == "/" else f" {name}")

    def contents(self) -> str:
        """The arrays below with shape and type."""
        return shown_arrays(islice(self._below(), SHOWN))

    def names(self) -> Iterator[str]:
        """Names of the arrays below."""
        return (name for name, _, _ in self._below())

    def _found(self, name: str) -> tuple[Item | None, str]:
        """The item, and its path from the file on."""
        parts = [part for part in name.replace(".", "/").split("/") if part]
        item: Item | None = self.item
        for part in parts:
            item = None if item is None else self._member(item, part)
        path = "/".join([self.name.rstrip("/"), *parts])
        return item, path if path.startswith("/") else f"/{path}"

    def _member(self, item: Item, name: str) -> Item | None:
        raise NotImplementedError

    def _below(self) -> Iterator[tuple[str, tuple[int, ...] | None, np.dtype[Any]]]:
        raise NotImplementedError
