"""Recordings within files: what names with fields match is a recording each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from headrace.stores.errors import SourceError
from headrace.stores.io.storage import State
from headrace.stores.source.each_recording import EachRecording
from headrace.stores.source.formats.interface import Files, SourceArray, SourceFile
from headrace.stores.source.names import natural_order
from headrace.stores.source.names_within import FIELD, BoundNode, filled, matches
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.signals import names_of
from headrace.stores.text import shown

Fields = Mapping[str, str]


class RecordingsWithin(EachRecording):
    """The recordings that a file holds, or each of many files; see `SourceFile`."""

    def __init__(
        self, file: SourceFile, pattern: str, found: Sequence[tuple[int | None, Fields]]
    ) -> None:
        """Recordings in their order.

        Args:
            file: the file, or many of them.
            pattern: says what a recording is called.
            found: of each the number of its files, None of one file alone; and its fields.
        """
        self._of = [number for number, _ in found]
        self._fields = [fields for _, fields in found]
        columns = {
            name: [values[number] for number in self._of if number is not None]
            for name, values in file.columns.items()
        }
        columns |= {name: [each[name] for each in self._fields] for name in self._fields[0]}
        super().__init__(file.where, len(found), columns)
        self._file, self._pattern = file, pattern
        self.folder = file.folder
        self.fetched_bytes = file.fetched_bytes

    def opened(self, recording: int, closing: ExitStack) -> Files:
        """The open files of a recording."""
        files = _files(self._file, self._of[recording], closing)
        return [BoundNode(each, self._fields[recording]) for each in files]

    def titled(self, recording: int) -> str:
        """The name of a recording's files, and of its data in them."""
        name, number = filled(self._pattern, self._fields[recording]), self._of[recording]
        if number is not None and isinstance(self._file, EachRecording):
            return f"{self._file.titled(number)}:{name}"
        return name

    def size(self) -> int:
        """Of the files."""
        return self._file.size()

    def state(self) -> State:
        """Of the files."""
        return self._file.state()

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
    named = [name for name in [*data, options.labels or ""] if FIELD.search(name)]
    if not named or file.example(lambda files: files[0].array(named[0]) is not None):
        return file
    patterns = [name for name in data if FIELD.search(name)]
    found = list(_found(file, patterns))
    if not found:
        raise SourceError(
            f"Nothing in {file.where} is called as {shown(patterns)}. It holds: "
            f"{file.contents()}. Correct source.{'windows' if options.windows else 'signals'}."
        )
    return RecordingsWithin(file, (patterns or named)[0], found)


def _found(file: SourceFile, patterns: Sequence[str]) -> Iterator[tuple[int | None, Fields]]:
    """Recordings in the order of their files, and within one in the natural order of names."""
    if not isinstance(file, EachRecording):
        yield from ((None, fields) for fields in _fields(file, None, patterns, {}))
        return
    for number in range(file.count):
        known = {name: values[number] for name, values in file.columns.items()}
        yield from (
            (number, {name: fields[name] for name in fields})
            for fields in _fields(file, number, patterns, known)
        )


def _fields(
    file: SourceFile, number: int | None, patterns: Sequence[str], known: Fields
) -> list[Fields]:
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


def _files(file: SourceFile, number: int | None, closing: ExitStack) -> Files:
    if number is not None and isinstance(file, EachRecording):
        return file.opened(number, closing)
    return [file]
