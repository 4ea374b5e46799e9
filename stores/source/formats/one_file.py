"""What a file of every format does alike as a source of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from headrace.stores.errors import SourceError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.io.storage import State
from headrace.stores.source.interface import Answer, Files, SourceArray
from headrace.stores.source.remarks import Remark

if TYPE_CHECKING:
    from headrace.stores.source.interface import SourceFile


class OneFile:
    """The part of `SourceFile` that does not depend on the format."""

    fetched_bytes = 0

    def __init__(self, path: Place) -> None:
        """The file at `path`."""
        self.path = path
        self.folder: Place = path.parent
        self.columns: Mapping[str, Sequence[str]] = {}

    def example(self: SourceFile, ask: Callable[[Files], Answer]) -> Answer:
        """What is asked of it."""
        return ask((self,))

    def each(
        self: SourceFile,
        find: Callable[[Files], SourceArray],
        beside: str | None = None,
        names: bool = False,
    ) -> SourceArray:
        """What `find` finds.

        Raises:
            UserError: it is to be found in another file.
        """
        if beside is not None:
            raise no_files_beside(self.where, beside)
        return find((self,))

    def fetch(self, spans: set[tuple[int, int]]) -> bool:
        """Nothing: rows are read as they are asked for."""
        return False

    def size(self) -> int:
        """Bytes of the file."""
        return storage_of(self.path).size()

    def state(self) -> State:
        """See `SourceFile`."""
        return storage_of(self.path).state()

    def described(self) -> SourceArray | None:
        """None: it is one file."""
        return None

    def remarks(self) -> list[Remark]:
        """None."""
        return []


def no_files_beside(where: str, name: str) -> SourceError:
    """What is looked for beside a file would be looked for by its name's fields."""
    return SourceError(
        f"{name} is looked for beside the files of a folder; {where} is a file. Name the folder as "
        "paths.data, and the file in source.files."
    )
