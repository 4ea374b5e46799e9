"""What a file of every format does alike as a source of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from headrace.stores.errors import SourceError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.io.storage import State
from headrace.stores.source.files.record import described_files, record_of
from headrace.stores.source.files.side_tables import SideTables
from headrace.stores.source.files.states import changed, content
from headrace.stores.source.interface import Answer, Files, SourceArray
from headrace.stores.source.remarks import Remark

if TYPE_CHECKING:
    from headrace.stores.source.files.census import Census
    from headrace.stores.source.interface import SourceFile
    from headrace.stores.source.notes.note import Note


class OneFile:
    """The part of `SourceFile` that does not depend on the format."""

    fetched_bytes = 0
    where: str

    def __init__(self, path: Place) -> None:
        """The file at `path`."""
        self.path = path
        self.folder: Place = path.parent
        self.tables = SideTables(self.folder)
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

    def own_state(self) -> State:
        """Differs when the file was touched.

        Raises:
            OSError: it is not there.
        """
        return storage_of(self.path).state()

    def state(self) -> State:
        """See `SourceFile`."""
        return (*self.own_state(), *self.tables.state())

    def described(self) -> SourceArray | None:
        """The tables that were read besides it; None without any."""
        tables = self.tables.contents()
        return described_files(self.where, tables) if tables else None

    @property
    def census(self) -> Census | None:
        """None: it is one file."""
        return None

    @property
    def held_bytes(self) -> int:
        """None."""
        return 0

    def require_state(self, state: State) -> None:
        """See `SourceFile`."""
        own = self.own_state()
        if own != state[: len(own)]:
            raise changed(self.where)
        self.tables.require_state(state[len(own) :])

    def record(self) -> str | None:
        """Of it and the tables that were read besides it; None without any."""
        tables = self.tables.contents()
        if not tables:
            return None
        files = [(self.path.name, *content(self.path)), *tables]
        return record_of(files, len(files))

    def notes(self) -> tuple[Note, ...]:
        """None."""
        return ()

    def remarks(self) -> list[Remark]:
        """None."""
        return []


def no_files_beside(where: str, name: str) -> SourceError:
    """What is looked for beside a file would be looked for by its name's fields."""
    return SourceError(
        f"{name} is looked for beside the files of a folder; {where} is a file. Name the folder as "
        "paths.data, and the file in source.files."
    )
