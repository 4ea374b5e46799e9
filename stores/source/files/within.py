"""Recordings within files: what names with fields match is a recording each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np

from headrace.stores.errors import SourceError
from headrace.stores.io.storage import State
from headrace.stores.source.derived.shaped import flat
from headrace.stores.source.files.census import Census
from headrace.stores.source.files.each_recording import EachRecording, first_array
from headrace.stores.source.files.members import POINTER, Members
from headrace.stores.source.files.names_within import FIELD, BoundNode, filled, matches
from headrace.stores.source.interface import Files, SourceArray, SourceFile
from headrace.stores.source.labels.recording_labels import USUAL_LABELS
from headrace.stores.source.labels.texts import column_texts
from headrace.stores.source.names import natural_order
from headrace.stores.source.notes.note import Note
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.recording_table import USUAL_GROUPS, USUAL_SPLIT
from headrace.stores.source.remarks import Remark
from headrace.stores.source.signals import names_of
from headrace.stores.text import shown

Fields = Mapping[str, str]
MEMBER = "recording"
"""The field that numbers the members of a cell array."""


class RecordingsWithin(EachRecording):
    """The recordings that a file holds, or each of many files; see `SourceFile`."""

    def __init__(
        self,
        file: SourceFile,
        pattern: str,
        members: Members,
        cells: Mapping[str, str],
    ) -> None:
        """Recordings in their order.

        Args:
            file: the file, or many of them.
            pattern: says what a recording is called.
            members: which there are.
            cells: names of cell arrays, and the patterns of their members.
        """
        numbers = members.file.tolist()
        self._of_files = {
            name: [values[number] for number in numbers] for name, values in file.columns.items()
        }
        columns = {**self._of_files, **members.fields, **members.listed}
        super().__init__(file.where, len(numbers), columns)
        self._file, self._pattern, self._members, self._cells = file, pattern, members, cells
        if file.census is not None:
            file.census.members = members
            self.share(file.census)
        self.folder, self.tables = file.folder, file.tables
        self.fetched_bytes = file.fetched_bytes

    def opened(self, recording: int, closing: ExitStack) -> Files:
        """The open files of a recording."""
        files = _files(self._file, int(self._members.file[recording]), closing)
        fields, listed = self._members.of(recording), self._members.listed
        return [BoundNode(each, fields, listed, self._cells) for each in files]

    def titled(self, recording: int) -> str:
        """The name of a recording's files, and of its data in them."""
        name = filled(self._pattern, self._members.of(recording))
        if isinstance(self._file, EachRecording):
            return f"{self._file.titled(int(self._members.file[recording]))}:{name}"
        return name

    def named(self, recording: int) -> str:
        """The name of its data in the file."""
        return filled(self._pattern, self._members.of(recording))

    def size(self) -> int:
        """Of the files."""
        return self._file.size()

    def state(self) -> State:
        """Of the files."""
        return self._file.state()

    @property
    def census(self) -> Census | None:
        """Of the files."""
        return self._file.census

    @property
    def held_bytes(self) -> int:
        """Of the files and recordings, and what reads columns of names."""
        columns = POINTER * self.count * len(self._of_files)
        # Rows of each, and their sums.
        rows = sum(2 * each.rows.nbytes for each in self.seen)
        held = self._members.nbytes + columns + rows
        return self._file.held_bytes + self.column_bytes + held

    def require_state(self, state: State) -> None:
        """Of the files."""
        self._file.require_state(state)

    def record(self) -> str | None:
        """Of the files."""
        return self._file.record()

    def notes(self) -> tuple[Note, ...]:
        """Of the files."""
        return self._file.notes()

    def remarks(self) -> list[Remark]:
        """Of the files."""
        return self._file.remarks()

    def described(self) -> SourceArray | None:
        """The files."""
        return self._file.described()

    def close(self) -> None:
        """Close what is open, and the files."""
        super().close()
        self._file.close()


def recordings_within(file: SourceFile, options: SourceOptions) -> SourceFile:
    """`file` as the recordings that names with fields find in it; itself without such names.

    Raises:
        UserError: names match nothing, or a recording lacks what one of them names.
    """
    data = names_of(options.windows) or names_of(options.signals)
    cells = {name: f"{name}/{{{MEMBER}}}" for name in data if _is_cells(file, name)}
    data = [cells.get(name, name) for name in data]
    named = [name for name in [*data, *names_of(options.labels)] if FIELD.search(name)]
    if not named or file.example(lambda files: files[0].array(named[0]) is not None):
        return file
    patterns = [name for name in data if FIELD.search(name)]
    known = None if file.census is None else file.census.members
    members = known or _members(file, patterns, options)
    if len(members.file) == 0:
        raise SourceError(
            f"Nothing in {file.where} is called as {shown(patterns)}. It holds: "
            f"{file.contents()}. Correct source.{'windows' if options.windows else 'signals'}."
        )
    recordings = RecordingsWithin(file, (patterns or named)[0], members, cells)
    recordings.most_cut = options.max_cut_rows
    return recordings


def _is_cells(file: SourceFile, name: str) -> bool:
    """Whether members "0", "1", ... stand under a name, and no array: cells of a cell array."""

    def found(files: Files) -> bool:
        group = None if files[0].array(name) is not None else files[0].group(name)
        children = [] if group is None else list(group.children())
        return bool(children) and set(children) == {str(n) for n in range(len(children))}

    return not FIELD.search(name) and "*" not in name and file.example(found)


def _members(file: SourceFile, patterns: Sequence[str], options: SourceOptions) -> Members:
    """The recordings in the order of their files, and within one in the natural order of names."""
    numbers: list[int] = []
    fields: dict[str, list[str]] = {}
    for number in range(file.count if isinstance(file, EachRecording) else 1):
        known = {name: values[number] for name, values in file.columns.items()}
        for found in _fields(file, number, patterns, known):
            numbers.append(number)
            for name, value in found.items():
                fields.setdefault(name, []).append(value)
    return Members(np.array(numbers, np.int32), fields, _listed(file, numbers, options))


def _listed(
    file: SourceFile, numbers: Sequence[int], options: SourceOptions
) -> dict[str, list[str]]:
    """Arrays of the files that have one entry for each recording in them, by name."""
    wanted = [
        *(USUAL_LABELS if options.labels is None else names_of(options.labels)),
        *(USUAL_GROUPS if options.groups is None else [options.groups]),
        *(USUAL_SPLIT if options.split is None else [options.split]),
        *([] if options.label_column is None else [options.label_column]),
    ]
    counts = Counter(numbers)
    listed: dict[str, list[str]] = {name: [] for name in wanted if name}
    for number, count in counts.items():
        with ExitStack() as closing:
            files = _files(file, number, closing)
            for name in list(listed):
                array = first_array(files, name)
                column = None if array is None else flat(array)
                if column is not None and column.shape == (count,):
                    listed[name] += column_texts(column)
                else:
                    del listed[name]
    return listed if numbers else {}


def _fields(file: SourceFile, number: int, patterns: Sequence[str], known: Fields) -> list[Fields]:
    """The fields of each recording within the files of that number."""
    every: dict[tuple[str, ...], tuple[str, Fields]] = {}
    keys: list[tuple[str, str, set[tuple[str, ...]]]] = []
    with ExitStack() as closing:
        for each in _files(file, number, closing):
            for pattern in patterns:
                names = sorted(set(FIELD.findall(pattern)))
                found: set[tuple[str, ...]] = set()
                for path, fields in matches(each, pattern, known):
                    key = tuple(fields[name] for name in names)
                    found.add(key)
                    every.setdefault(key, (path, {name: fields[name] for name in names}))
                _require_same_fields(pattern, patterns[0])
                keys.append((each.where, pattern, found))
    for where, pattern, found in keys:
        lacking = sorted(every.keys() - found)
        if lacking:
            raise SourceError(
                f"{shown([every[key][0] for key in lacking])} in {where} has no partner that "
                f"matches {pattern!r}. Correct the pattern, or leave the recording out."
            )
    listed = list(every.values()) if patterns else [("", {})]
    return [listed[position][1] for position in natural_order([path for path, _ in listed])]


def _require_same_fields(pattern: str, first: str) -> None:
    if set(FIELD.findall(pattern)) != set(FIELD.findall(first)):
        raise SourceError(
            f"{pattern!r} has other fields than {first!r}: the channels of one recording are found "
            "by equal fields. Correct source.signals or source.windows."
        )


def _files(file: SourceFile, number: int, closing: ExitStack) -> Files:
    if isinstance(file, EachRecording):
        return file.opened(number, closing)
    return [file]
