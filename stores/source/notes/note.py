"""A note: one line that is said of a source, and decides nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.channels import ChannelInfo
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.labels.classes import NameColumns, Names
from headrace.stores.source.names import Codes
from headrace.stores.spec import WindowSpec
from headrace.stores.text import in_one_line

SHOWN = 4
"""Of a kind that one line names."""


@dataclass(frozen=True)
class Note:
    """One line.

    Attributes:
        text: what was seen, and what would change it.
        key: the option that it speaks of.
        warning: whether windows, classes or groups are lost.
    """

    text: str
    key: str
    warning: bool = False

    def __str__(self) -> str:
        """The line, as a console has it."""
        return f"{'Warning' if self.warning else 'Note'}: {in_one_line(self.text)}"

    def as_table(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


class Layout(Protocol):
    """What notes are made of.

    Attributes:
        columns: of names.
        names: of classes, groups and parts that candidates have.
        data: the windows or signals, as they are read.
        stated: what the file or the options say of their channels.
        spec: of a window as delivered.
        windows: number of candidates.
        declared: the classes that the file lists.
        noted: what was noted when it was opened.
    """

    columns: NameColumns
    names: Names
    data: SourceArray
    stated: ChannelInfo
    spec: WindowSpec
    windows: int
    declared: tuple[str, ...]
    noted: tuple[Note, ...]

    def read_labels(self, start: int, stop: int) -> tuple[Codes, Codes, Codes]:
        """Label, group and part numbers of candidates."""
        ...

    def row_spans(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Rows of the data that are read for candidates, as (start, stop)."""
        ...

    def locate(self, start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.int64]] | None:
        """Recordings and first rows of candidates; None: there are no recordings."""
        ...

    def read_windows(
        self, start: int, stop: int, marks: bool
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Candidates (n, T, C), and marks of NaN."""
        ...

    def without_windows(self) -> tuple[int, list[str]]:
        """How many recordings give no window, and the groups that have no other."""
        ...
