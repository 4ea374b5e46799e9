"""What is found in each of several recordings, one after another, as one array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.beside import plain_number
from headrace.stores.source.channels import ATTRIBUTES, ORDER, stated_by
from headrace.stores.source.derived.cut import cut_to
from headrace.stores.source.derived.held import HeldArray, HeldNode
from headrace.stores.source.derived.joined import Costs, JoinedArray, OpenArrays
from headrace.stores.source.derived.repeated import RepeatedTexts
from headrace.stores.source.derived.run_array import RunArray, runs_of
from headrace.stores.source.file_patterns import LEAVE_OUT
from headrace.stores.source.files.census import Census, Seen
from headrace.stores.source.files.files import FILE
from headrace.stores.source.files.rate_column import only_called_rate, rate_column
from headrace.stores.source.formats.one_file import no_files_beside
from headrace.stores.source.interface import Answer, Files, SourceArray, SourceFile, SourceNode

RECORDINGS = "recordings"
RATE = ATTRIBUTES["rate_hz"]


class EachRecording:
    """Recordings that are alike, opened as they are read; the part of `SourceFile` that they share.

    Attributes:
        name, where: of them all; see `SourceNode`.
        count: how many there are.
        columns: what is known of them by names, one text a recording.
        column_bytes: held while columns of names are read that change too often to be kept.
        most_cut: rows that other arrays may have more than the data; they are left out.
    """

    fetched_bytes = most_cut = 0

    def __init__(self, where: str, count: int, columns: Mapping[str, Sequence[str]]) -> None:
        """Nothing is opened but what is asked for."""
        self.name, self.where = "/", where
        self.count, self.columns = count, columns
        self._open: list[OpenArrays] = []
        self._data: JoinedArray | None = None
        self.column_bytes = 0
        self.seen: list[Seen] = []
        """What was found in all recordings, each time that arrays were asked for."""
        self._told: list[Seen] = []
        self.attributes: dict[str, list[str]] = {}
        """Columns that attributes of the recordings give, one text a recording."""
        self._called: dict[str, str] = {}

    def share(self, census: Census) -> None:
        """Leave what will be found to a census; or take it, in the same order, from one of before.

        What a census of before lacks is found, and left to it.
        """
        self.attributes = census.attributes
        self._told = list(census.seen)
        if not census.known:
            census.seen = self.seen

    def opened(self, recording: int, closing: ExitStack) -> Files:
        """The open files of a recording; `closing` closes them."""
        raise NotImplementedError

    def opened_beside(self, recording: int, beside: str, closing: ExitStack) -> Files:
        """The open file that the fields of a recording name; `closing` closes it.

        Raises:
            UserError: it has none.
        """
        raise no_files_beside(self.where, beside)

    def titled(self, recording: int) -> str:
        """What a recording is called."""
        raise NotImplementedError

    def named(self, recording: int) -> str:
        """What it is called within its file, or as its file."""
        raise NotImplementedError

    def number_of(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """The number of the recording that each of these rows of the data is of."""
        assert self._data is not None
        return (np.searchsorted(np.cumsum(self._data.rows), rows, side="right")).astype(np.int32)

    def example(self, ask: Callable[[Files], Answer]) -> Answer:
        """What is asked of the first recording."""
        with ExitStack() as closing:
            return ask(self.opened(0, closing))
        raise AssertionError  # What is raised above is not held back.

    def each(
        self,
        find: Callable[[Files], SourceArray],
        beside: str | None = None,
        names: bool = False,
    ) -> SourceArray:
        """What `find` finds in each recording, one after another; see `SourceFile`.

        Raises:
            UserError: a recording's files have different numbers of rows; the file beside is not
                there; as `find`.
        """
        arrays = OpenArrays(lambda recording: self._found(recording, find, beside))
        self._open.append(arrays)
        told = self._told[len(self.seen)] if len(self.seen) < len(self._told) else None
        seen = told or self._see(arrays)
        if told is None:
            arrays.close()
        self.seen.append(seen)
        joined = JoinedArray(arrays.of(0), self.where, seen.rows, arrays, seen.costs)
        joined.differing = seen.differing
        if self._data is None:
            if self._rates is not None:
                stated = self._stated(0, arrays.of(0), {})
                joined.stated, joined.called = {RATE: stated[RATE]}, self._called
            self._data = joined
        if not names:
            return joined
        if told is None:
            seen.runs = runs_of(joined)
        if seen.runs is None:
            self.column_bytes += joined.cache_bytes + joined.decode_bytes
            return joined
        arrays.close()
        return RunArray(
            seen.runs, joined.name, joined.where, int(seen.rows.sum()), joined.attribute
        )

    def _see(self, arrays: OpenArrays) -> Seen:
        """Open every recording, and look what is found in it."""
        rows, costs = np.empty(self.count, np.int64), Costs()
        # Of the data, which are found first: what is said of their channels has to be the same.
        differing: dict[str, str] = {}
        is_data = self._data is None
        first = self._stated(0, arrays.of(0), differing) if is_data else {}
        names = _nearest(arrays.of(0), "channels") if first else None
        for recording in range(self.count):
            array = arrays.of(recording)
            rows[recording] = (array.shape or (0,))[0]
            costs = costs.with_array(array)
            own = self._stated(recording, array, differing) if is_data else {}
            said = [(name, value, own[name]) for name, value in first.items()]
            if names is not None and _turned(names, nearest := _nearest(array, "channels")):
                said.append((ORDER, names, nearest))
            for name, one, other in said:
                if name not in differing and not (one is other or np.array_equal(one, other)):
                    differing[name] = (
                        f"{_text(one)} in {self.titled(0)} and {_text(other)} in "
                        f"{self.titled(recording)}"
                    )
        return Seen(rows, costs, differing)

    def _stated(self, recording: int, array: SourceArray, differing: dict[str, str]) -> Any:
        """What a recording says of its channels, and a column of the table says of its rate."""
        own = stated_by(array)
        column, said = self._rates, own[RATE]
        if column is None or (said is not None and only_called_rate(column[0])):
            return own
        rate = column[1][recording]
        if said is not None and plain_number(said) != rate:
            title = self.titled(recording)
            differing[RATE] = f"{rate:g} for {title}, which itself says {_text(said)}"
        self._called = {RATE: f"column {column[0]}"}
        return own | {RATE: rate}

    @cached_property
    def _rates(self) -> tuple[str, list[float]] | None:
        return rate_column(self.columns)

    def array(self, name: str) -> SourceArray | None:
        """The array of that name in each, else a column of the recordings, for each of their rows.

        None: the first has none.
        """
        if not self.example(lambda files: first_array(files, name) is None):
            return self.each(lambda files: _required(files, name), names=True)
        column = None if self._data is None else self._column(name)
        if column is None or self._data is None:
            return None
        return RepeatedTexts(name, f"{self.where} {name}", column, self._data.rows)

    def group(self, name: str) -> SourceNode | None:
        """The table of recordings: what is known of each by names, or by an attribute of its data.

        To be asked for once the data were found.
        """
        if name != RECORDINGS or self._data is None:
            return None
        where, rows = f"{self.where} {name}", self._data.rows
        before = np.concatenate(([0], np.cumsum(rows)[:-1]))
        places = [
            HeldArray("start", where, before.astype(np.int64)),
            HeldArray("length", where, rows),
        ]
        return _Table(name, where, places, self)

    def column(self, name: str) -> SourceArray | None:
        """A column of the table of recordings."""
        texts = self._column(name)
        return None if texts is None else HeldArray(name, f"{self.where} {RECORDINGS}", texts)

    def contents(self) -> str:
        """What the first recording holds."""
        held = self.example(lambda files: "; ".join(each.contents() for each in files))
        return f"in {self.titled(0)} {held}"

    def names(self) -> Iterator[str]:
        """Of the arrays of the first recording's files."""
        return iter(self.example(lambda files: list(chain.from_iterable(f.names() for f in files))))

    def children(self) -> list[str]:
        """What stands in the first recording's files."""
        return self.example(lambda files: list(chain.from_iterable(f.children() for f in files)))

    def fetch(self, spans: set[tuple[int, int]]) -> bool:
        """Nothing: what is fetched ahead is of one object."""
        return False

    def close(self) -> None:
        """Close all that is open."""
        for arrays in self._open:
            arrays.close()

    def _column(self, name: str) -> list[str] | None:
        if name in self.columns:
            return list(self.columns[name])
        if name in self.attributes:
            return self.attributes[name]
        data = self._data
        if data is None or name in ATTRIBUTES.values() or _nearest(data.of(0), name) is None:
            return None
        values = [_nearest(data.of(recording), name) for recording in range(self.count)]
        lacking = next((at for at, value in enumerate(values) if not _is_one(value)), None)
        if lacking is not None:
            what = "no" if values[lacking] is None else "more than one"
            raise SourceError(
                f"{self.titled(lacking)} has {what} attribute {name}, which {self.titled(0)} has. "
                "Correct it, or name another column of the recordings."
            )
        self.attributes[name] = [_text(value) for value in values]
        return self.attributes[name]

    def _found(
        self, recording: int, find: Callable[[Files], SourceArray], beside: str | None
    ) -> tuple[SourceArray, Callable[[], None]]:
        with ExitStack() as closing:
            if beside is None:
                files = self.opened(recording, closing)
            else:
                files = self.opened_beside(recording, beside, closing)
            found = find(files).ready()
            if self.most_cut and self._data is not None:
                found = cut_to(found, int(self._data.rows[recording]), self.most_cut)
            return found, closing.pop_all().close
        raise AssertionError  # What is raised above is not held back.


class _Table(HeldNode):
    """The table of recordings, whose columns are found as they are asked for."""

    def __init__(
        self, name: str, where: str, places: Sequence[SourceArray], of: EachRecording
    ) -> None:
        super().__init__(name, where, places)
        self._of = of

    def array(self, name: str) -> SourceArray | None:
        """The column of that name."""
        return super().array(name) or self._of.column(name)

    def contents(self) -> str:
        """The columns that names give."""
        return ", ".join([*self._of.columns, super().contents()])


def origins_of(file: SourceFile) -> tuple[list[str], list[str]] | None:
    """What each recording of many files is called, and its first file; None of one file."""
    if not isinstance(file, EachRecording) or file.census is None:
        return None
    return [file.named(number) for number in range(file.count)], list(file.columns[FILE])


def first_array(files: Files, name: str) -> SourceArray | None:
    """The first of that name in the files of a recording: each may hold a copy of its labels."""
    return next((found for each in files if (found := each.array(name)) is not None), None)


def _required(files: Files, name: str) -> SourceArray:
    found = first_array(files, name)
    if found is None:
        raise SourceError(
            f"{files[0].where} has no {name!r}, which the first file has. Correct it; or leave the "
            f"file out: in source.files {LEAVE_OUT}."
        )
    return found


def _nearest(array: SourceArray, name: str) -> Any | None:
    """An attribute of an array, else of what it stands in, the nearest first."""
    said = (each[name] for each in array.attributes() if name in each)
    return next(said, array.attribute(name))


def _turned(names: Any, others: Any) -> bool:
    """Whether both name the same channels, in other orders."""
    one, other = (_text(each).replace(" ", "").split(",") for each in (names, others))
    return one != other and sorted(one) == sorted(other)


def _is_one(value: Any) -> bool:
    return value is not None and bool(np.size(value) == 1)


def _text(value: Any) -> str:
    """An attribute as a name: whole numbers without a point."""
    if value is None:
        return "none"
    plain: NDArray[Any] = np.asarray(value).reshape(-1)
    texts = [
        each.decode(errors="replace")
        if isinstance(each, bytes)
        else f"{each:.15g}"
        if isinstance(each, float)
        else str(each)
        for each in plain.tolist()
    ]
    return ", ".join(texts)
