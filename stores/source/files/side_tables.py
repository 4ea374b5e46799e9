"""Files that a source reads besides its recordings: tables of labels, intervals and recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from headrace.stores.io.places import Place
from headrace.stores.io.storage import State
from headrace.stores.source.files.listing import place_beside
from headrace.stores.source.files.record import FileContent
from headrace.stores.source.files.states import changed, content, touched

ABOVE = "../"
"""Begins the name of a table that stands beside the folder of the recordings."""


@dataclass
class SideTables:
    """The tables that were read, each as it was when it was first read.

    Attributes:
        folder: of the recordings.
        touched: by name relative to the folder, what `touched` gave before the table was read.
    """

    folder: Place
    touched: dict[str, bytes] = field(default_factory=dict)

    def read(self, name: str) -> Place:
        """Note a table of the folder that is about to be read, and return where it is.

        Raises:
            UserError: the name leads out of the folder, or there is no such file; it was read
                before and is not what it was.
            OSError: it is not there any more.
        """
        place = place_beside(self.folder, name)
        self.touched.setdefault(name, touched(place))
        self._require(name)
        return place

    def state(self) -> State:
        """Differs when one of them was touched; () without tables.

        Raises:
            OSError: one is not there.
        """
        return tuple(touched(place).hex() for place in self._places())

    @property
    def state_read(self) -> State:
        """The `state` in which they were read."""
        return tuple(each.hex() for each in self.touched.values())

    def require_state(self, state: State) -> None:
        """Check that they are, and were when they were read, in this state.

        Raises:
            SourceContentError: names the first that is or was not.
            OSError: one is not there.
        """
        for number, name in enumerate(self.touched):
            if state[number : number + 1] != (self.touched[name].hex(),):
                raise changed(str(table_place(self.folder, name)))
            self._require(name)

    def contents(self) -> list[FileContent]:
        """Name, bytes, and digest of all of each.

        Raises:
            OSError: one is not there.
        """
        places = zip(self.touched, self._places(), strict=True)
        return [(name, *content(place, whole=True)) for name, place in places]

    def _places(self) -> Iterator[Place]:
        return (table_place(self.folder, name) for name in self.touched)

    def _require(self, name: str) -> None:
        place = table_place(self.folder, name)
        if touched(place) != self.touched[name]:
            raise changed(str(place))


def table_place(folder: Place, name: str) -> Place:
    """Where a table of that name is, in the folder of the recordings or beside that."""
    return folder.parent / name.removeprefix(ABOVE) if name.startswith(ABOVE) else folder / name
