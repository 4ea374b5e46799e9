"""HDF5 of programs that have rules of their own: arrays as those programs mean them."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.stores.io.places import Place
from headrace.stores.source.formats.hdf5 import Hdf5File, explained, open_hdf5
from headrace.stores.source.formats.hdf5_fields import FieldsNode
from headrace.stores.source.formats.hdf5_matlab import MatlabNode, is_matlab
from headrace.stores.source.formats.hdf5_nwb import NwbNode
from headrace.stores.source.formats.hdf5_pandas import PandasNode
from headrace.stores.source.formats.hdf5_snirf import SnirfNode
from headrace.stores.source.formats.one_file import OneFile
from headrace.stores.source.interface import SourceArray, SourceFile, SourceNode


def open_dialect(path: Place) -> SourceFile:
    """Open an HDF5 file in the dialect that it is written in.

    Raises:
        UserError: there is no such file, or it is not HDF5.
    """
    file = open_hdf5(path)
    try:
        return DialectFile(file, _root(file, path))
    except BaseException:
        file.close()
        raise


class DialectNode:
    """A file or group, through the node of its dialect; see `SourceNode`.

    A dialect looks into a stranger's file at every turn: what HDF5 cannot read is said here.
    """

    def __init__(self, node: SourceNode) -> None:
        """Take over the node of a dialect."""
        self._node = node
        self.name = node.name
        self.where = node.where

    def array(self, name: str) -> SourceArray | None:
        """The array of that name."""
        with explained():
            return self._node.array(name)

    def group(self, name: str) -> SourceNode | None:
        """The group of that name."""
        with explained():
            found = self._node.group(name)
            return None if found is None else DialectNode(found)

    def children(self) -> list[str]:
        """Names of what it holds."""
        with explained():
            return list(self._node.children())

    def contents(self) -> str:
        """The arrays with shape and type."""
        with explained():
            return self._node.contents()

    def names(self) -> Iterator[str]:
        """Names of the arrays below."""
        with explained():
            yield from self._node.names()


class DialectFile(OneFile, DialectNode):
    """An open file; see `SourceFile`."""

    def __init__(self, file: Hdf5File, root: SourceNode) -> None:
        """Take over the file."""
        OneFile.__init__(self, file.path)
        DialectNode.__init__(self, root)
        self._file = file
        self.fetched_bytes = file.fetched_bytes

    def fetch(self, spans: set[tuple[int, int]]) -> bool:
        """Fetch bytes of an object side by side."""
        return self._file.fetch(spans)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _root(file: Hdf5File, path: Place) -> SourceNode:
    """What the file holds, in its dialect; plain HDF5 as it is, with fields by name."""
    with explained():
        if is_matlab(file.node, path):
            return MatlabNode(file.node, "/", file.where)
        attrs = file.node.attrs
        if "PYTABLES_FORMAT_VERSION" in attrs:
            return PandasNode(file)
        if "nwb_version" in attrs or "neurodata_type" in attrs:
            return NwbNode(file)
        if "formatVersion" in file.node and any(name.startswith("nirs") for name in file.node):
            return SnirfNode(file)
    return FieldsNode(file)
