"""What a format of files gives of one: its arrays, by name, read by rows.

A format is one file of this folder. Nothing else knows it: what a source takes from a file it
takes through `SourceNode` and `SourceArray`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from headrace.stores.io.places import Place
from headrace.stores.io.storage import State
from headrace.stores.source.remarks import Remark

if TYPE_CHECKING:
    from headrace.stores.source.files.census import Census
    from headrace.stores.source.files.side_tables import SideTables
    from headrace.stores.source.notes.note import Note

Answer = TypeVar("Answer")


class SourceArray(Protocol):
    """One array, of numbers or of texts, rows first.

    Attributes:
        name: its path within the file.
        where: the file and that path, as errors name it.
        shape: None of an array that has no values.
        dtype: of its values; kind "S", "O" or "U" of texts.
        piece_rows: rows that are decoded together; None: any row can be read alone.
        cache_bytes: of decoded rows that are kept between two reads.
        decode_bytes: held while a piece is decoded, beside what is kept.
        row_bytes: decoded bytes of one row, with what is decoded around it.
        files: other files that hold some of the values; their sizes count in the fingerprint.
    """

    name: str
    where: str
    shape: tuple[int, ...] | None
    dtype: np.dtype[Any]
    piece_rows: int | None
    cache_bytes: int
    decode_bytes: int
    row_bytes: int
    files: tuple[Path, ...]

    def ready(self) -> SourceArray:
        """The same array, ready for many reads of rows that follow each other.

        This must be the only handle to it, and is closed.
        """
        ...

    def attribute(self, name: str) -> Any | None:
        """An attribute of the array, else of its file; None: neither has it."""
        ...

    def attributes(self) -> list[Mapping[str, Any]]:
        """Small attributes of the array, then of its groups up to the file, if it has any."""
        ...

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`, of numbers, freshly allocated."""
        ...

    def whole(self) -> Any:
        """All of a short array, of whatever shape; texts as bytes or str."""
        ...

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` (n, ...) with the rows from `start` on; of its type, C-contiguous."""
        ...

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """Rows `start` to `stop`, of texts.

        Raises:
            UnicodeDecodeError: one is not UTF-8.
            TypeError: they are no texts.
        """
        ...

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Bytes (start, stop) of the file that hold rows `low` to `high`; none if unknown."""
        ...


class SourceNode(Protocol):
    """A file, or a group of arrays within one.

    Attributes:
        name: its path within the file; "/" of the file itself.
        where: the file and, of a group, that path, as errors name it.
    """

    name: str
    where: str

    def array(self, name: str) -> SourceArray | None:
        """The array of that name; None: there is none.

        Raises:
            UserError: it cannot be opened, takes its values from elsewhere, or cannot be as large
                as it says.
        """
        ...

    def group(self, name: str) -> SourceNode | None:
        """The group of that name; None: there is none.

        Raises:
            UserError: it cannot be opened, or stands in another file.
        """
        ...

    def children(self) -> Iterable[str]:
        """Names of the arrays and groups that stand in it, of itself and not below them.

        Raises:
            UserError: it cannot be read.
        """
        ...

    def contents(self) -> str:
        """The arrays below with shape and type, at most 12, in one line."""
        ...

    def names(self) -> Iterator[str]:
        """Names of the arrays below, as `array` takes them; some of a file that holds very many.

        A name may be of an array that cannot be opened.
        """
        ...


Files = Sequence[SourceNode]
"""The files of a recording, whose channels belong side by side; most have one."""


class SourceFile(SourceNode, Protocol):
    """An open file.

    Attributes:
        fetched_bytes: held of an object, as it has no system that keeps what was read; 0 of a file.
        folder: where it stands, and what belongs to it may stand too.
        columns: of many files, fields of their names: one text a recording.
        tables: files that are read besides it; what reads one has it noted there.
    """

    fetched_bytes: int
    folder: Place
    columns: Mapping[str, Sequence[str]]
    tables: SideTables

    def example(self, ask: Callable[[Files], Answer]) -> Answer:
        """What is asked of it; of many recordings, of the first's files."""
        ...

    def each(
        self,
        find: Callable[[Files], SourceArray],
        beside: str | None = None,
        names: bool = False,
    ) -> SourceArray:
        """What `find` finds in it; of many recordings, in the files of each, one after another.

        Args:
            find: given a recording's files.
            beside: name of a file to be given in their stead, by fields of their names.
            names: whether it finds a column of names, that may be kept if they seldom change.
        """
        ...

    def fetch(self, spans: set[tuple[int, int]]) -> bool:
        """Fetch these bytes side by side; False: there is nothing to fetch, it is a file."""
        ...

    def size(self) -> int:
        """Bytes of it, and of all files that it is made of.

        Raises:
            OSError: one is not there.
        """
        ...

    def state(self) -> State:
        """Differs when it, a file that it is made of, or a table beside it was touched.

        Raises:
            OSError: one is not there.
        """
        ...

    def described(self) -> SourceArray | None:
        """Of many files and of tables: each as a text that changes with its name or its content."""
        ...

    @property
    def census(self) -> Census | None:
        """Of many files, what was found in them; None of one."""
        ...

    @property
    def held_bytes(self) -> int:
        """Held of many files while they are read: what is known of them, and columns of names."""
        ...

    def require_state(self, state: State) -> None:
        """Check that what was read since this was last asked is what it was.

        Raises:
            SourceContentError: it was touched; names which file.
            OSError: it is not there.
        """
        ...

    def record(self) -> str | None:
        """Name, size and digest of each, packed; None of one without tables, or of too many."""
        ...

    def notes(self) -> tuple[Note, ...]:
        """What its owner should look at among the files."""
        ...

    def remarks(self) -> list[Remark]:
        """What is to be said of how it was read, once it was."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...
