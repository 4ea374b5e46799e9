"""What a file of every format does alike as a source of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.io.storage import State
from headrace.stores.source.interface import Answer, Files, SourceArray
from headrace.stores.source.remarks import Remark

if TYPE_CHECKING:
    from headrace.stores.source.files.census import Census
    from headrace.stores.source.interface import SourceFile
    from headrace.stores.source.notes.note import Note


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

    @property
    def census(self) -> Census | None:
        """None: it is one file."""
        return None

    @property
    def held_bytes(self) -> int:
        """None."""
        return 0

    def require_state(self: SourceFile, state: State) -> None:
        """See `SourceFile`."""
        if self.state() != state:
            raise changed(self.where)

    def record(self) -> str | None:
        """None: it is one file."""
        return None

    def notes(self) -> tuple[Note, ...]:
        """None."""
        return ()

    def remarks(self) -> list[Remark]:
        """None."""
        return []


def changed(where: str) -> SourceContentError:
    """What was read is not what it was."""
    return SourceContentError(
        f"{where} was changed while it was being read. Start again once nothing writes to it."
    )


def no_files_beside(where: str, name: str) -> SourceError:
    """What is looked for beside a file would be looked for by its name's fields."""
    return SourceError(
        f"{name} is looked for beside the files of a folder; {where} is a file. Name the folder as "
        "paths.data, and the file in source.files."
    )
