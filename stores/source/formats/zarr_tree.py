"""Zarr of version 2 and 3: groups and arrays of a folder, a zip file or objects."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from headrace.stores.errors import SourceError, UserError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.io.storage import State
from headrace.stores.source.arrays import shown_arrays
from headrace.stores.source.formats.one_file import OneFile
from headrace.stores.source.formats.zarr_arrays import ZarrArray
from headrace.stores.source.formats.zarr_documents import ZarrDocument, ZarrDocuments
from headrace.stores.source.formats.zarr_places import MOST_LEVELS, zarr_place

MOST_LOOKED_AT = 1000
"""Nodes that are opened to say what there is."""
ONE_ARRAY = "array"
"""What the array is called of a Zarr that is one array and no group."""


class ZarrNode:
    """A Zarr, or a group in it; see `SourceNode`."""

    def __init__(self, documents: ZarrDocuments, path: str) -> None:
        """What stands at `path`; "" is the Zarr itself."""
        self.name = f"/{path}"
        self.where = f"{documents.path} {self.name}" if path else str(documents.path)
        self._documents, self._path = documents, path

    def array(self, name: str) -> ZarrArray | None:
        """The array of that name."""
        found = self._found(name)
        if found is None and self._joined(name) == ONE_ARRAY:
            found = self._documents.find("")
        if found is None or found.kind != "array":
            return None
        return ZarrArray(self._documents, found)

    def group(self, name: str) -> ZarrNode | None:
        """The group of that name."""
        found = self._found(name)
        if found is None or found.kind != "group":
            return None
        return ZarrNode(self._documents, found.path)

    def children(self) -> list[str]:
        """Of groups and arrays; of a Zarr that is one array its name."""
        found = self._documents.find(self._path)
        if found is not None and found.kind == "array":
            return [ONE_ARRAY]
        return list(self._documents.place.children(self._path))

    def contents(self) -> str:
        """The arrays below with shape and type."""
        return shown_arrays(itertools.islice(self._below(), 20))

    def names(self) -> Iterator[str]:
        """Names of the arrays below."""
        return (name for name, _, _ in self._below())

    def _below(self) -> Iterator[tuple[str, tuple[int, ...] | None, np.dtype[Any]]]:
        nodes = self._documents.place.nodes(self._path, self._is_array)
        for path in itertools.islice(nodes, MOST_LOOKED_AT):
            name = path[len(self._path) :].strip("/") or ONE_ARRAY
            with suppress(UserError):
                array = self.array(name)
                if array is not None:
                    yield name, array.shape, array.dtype

    def _is_array(self, path: str) -> bool:
        with suppress(UserError):
            found = self._documents.find(path)
            return found is not None and found.kind == "array"
        return False

    def _found(self, name: str) -> ZarrDocument | None:
        return self._documents.find(self._joined(name))

    def _joined(self, name: str) -> str:
        parts = name.strip("/").split("/")
        if not {"", ".", ".."}.isdisjoint(parts) or "\\" in name or len(parts) > MOST_LEVELS:
            raise SourceError(
                f"{self.where} has no array {name[:200]!r}: names lead down, through {MOST_LEVELS} "
                "groups at most. Correct the name."
            )
        return "/".join(filter(None, (self._path, *parts)))


class ZarrFile(OneFile, ZarrNode):
    """An open Zarr; see `SourceFile`."""

    def __init__(self, documents: ZarrDocuments) -> None:
        """Take over what is read."""
        OneFile.__init__(self, documents.path)
        ZarrNode.__init__(self, documents, "")
        self.fetched_bytes = documents.place.fetched_bytes

    def size(self) -> int:
        """Bytes of the zip, or of all that stands below."""
        if self.path.is_file():
            return super().size()
        return sum(size for _, size in storage_of(self.path).sizes())

    def own_state(self) -> State:
        """Of the zip, or of all files below; of objects their names and sizes."""
        if self.path.is_file():
            return super().own_state()
        digest = hashlib.blake2b(digest_size=16)
        for name, size in sorted(storage_of(self.path).sizes()):
            place = self.path / name
            known = storage_of(place).state() if isinstance(place, Path) else ()
            digest.update(repr((name, size, known)).encode())
        return (digest.hexdigest(),)

    def close(self) -> None:
        """Let go of what is read."""
        self._documents.place.close()


def open_zarr(path: Place) -> ZarrFile:
    """Open a Zarr; if it is one array and no group, that is called `array`.

    Raises:
        UserError: there is no Zarr.
    """
    documents = ZarrDocuments(path, zarr_place(path))
    try:
        if documents.find("") is None:
            raise SourceError(
                f"The source {path} is no Zarr: it has no zarr.json, .zgroup or .zarray at its "
                "top. Name a folder that has; of a zip file, pack what the folder holds, and not "
                "the folder."
            )
    except UserError:
        documents.place.close()
        raise
    return ZarrFile(documents)
