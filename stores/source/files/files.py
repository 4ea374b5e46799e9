"""The files of a source: which there are, and what their names say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from headrace.stores.errors import SourceError
from headrace.stores.io.places import Place
from headrace.stores.source.file_patterns import (
    FIELD,
    LEAVE_OUT,
    compiled,
    idle_note,
    without_left_out,
)
from headrace.stores.source.files.kinds import ending_of, main_kind
from headrace.stores.source.files.listing import (
    NOT_THERE,
    Inside,
    names_below,
    require_inside,
)
from headrace.stores.source.names import natural_order
from headrace.stores.text import shown

FILE = "file"
"""Column of the table of recordings: the name of the recording's first file."""
SHOWN_FILES = 4
MAY_LACK = "?"
"""Before a pattern of files beside recordings: some of them may not be there."""


@dataclass(frozen=True)
class SourceFiles:
    """The recordings of a folder, in the natural order of their names.

    Attributes:
        folder: what names are relative to.
        names: of each recording its files, one of each pattern, with slashes.
        columns: fields of the names, and columns of a table of them: one text a recording.
        left_out: files below the folder that are taken for no recordings.
        said: what is to be told of how they were found.
        tables: that say which they are, or more of them; as they were before they were read.
        fields: of the names, in their order.
    """

    folder: Place
    names: tuple[tuple[str, ...], ...]
    columns: Mapping[str, Sequence[str]]
    left_out: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    tables: Mapping[str, bytes] = field(default_factory=dict)
    fields: tuple[str, ...] = ()

    def paths(self, recording: int) -> list[Place]:
        """The files of a recording."""
        return [self.folder / name for name in self.names[recording]]

    def title(self, recording: int) -> str:
        """What a recording is called: as its file without the ending; of several, by fields."""
        names = self.names[recording]
        if len(names) > 1 and self.fields:
            return "_".join(self.columns[field][recording] for field in self.fields)
        return names[0][: len(names[0]) - len(ending_of(names[0]))]

    def names_beside(self, pattern: str) -> list[str]:
        """Of each recording the name of a file that its fields make.

        With a ? before the pattern the recording's first file stands in for one that is not there.

        Raises:
            UserError: a field that files do not have, names that lead out, or files that are not
                there: names some.
        """
        given = pattern.removeprefix(MAY_LACK)
        unknown = [name for name in FIELD.findall(given) if name not in self.columns]
        if unknown:
            raise SourceError(
                f"{given!r} has the field {shown(unknown)}, which source.files has not: it has "
                f"{shown(sorted(self.columns))}."
            )
        names, inside, wrong = [], Inside(self.folder), []
        for recording, (first, *_) in enumerate(self.names):
            name = FIELD.sub(lambda field, at=recording: self.columns[field[1]][at], given)  # type: ignore[misc]
            what = inside.problem(name)
            may_lack = pattern != given and what == NOT_THERE
            if what is not None and not may_lack:
                wrong.append((name, what))
            names.append(first if may_lack else name)
        if wrong:
            more = f" and {len(wrong) - 1:,} more recordings lack theirs" if len(wrong) > 1 else ""
            raise SourceError(
                f"{wrong[0][0]} {wrong[0][1]}{more}: it is looked for in {self.folder}. Name a "
                f"file in there, correct {given!r}, or leave the recording out: {LEAVE_OUT}."
            )
        return names


def files_in(
    folder: Place,
    patterns: Sequence[str],
    within: str = "",
    but: Sequence[str] = (),
) -> SourceFiles:
    """The files below `folder` whose names match the patterns; without any, all of one kind.

    Names that begin with a dot are left alone.

    Args:
        folder: where they are.
        patterns: of names, with the same fields; those with a ! leave names out.
        within: a pattern that names have to match too, such as a glob; "" does without.
        but: names of files that are no recordings, such as tables of them, or patterns with fields.

    Raises:
        UserError: a pattern matches no file, or two files are the same recording; a recording
            lacks the file of a pattern, or a link leads out of the folder; without a pattern,
            there is no main kind of files.
    """
    beside = [compiled(each) for each in but if FIELD.search(each)]
    names = sorted(
        name
        for name in set(names_below(folder)).difference(but)
        if not any(each.fullmatch(name) for each in beside)
    )
    left_out: list[str] = []
    if within:
        fits = compiled(within)
        names = [name for name in names if fits.fullmatch(name)]
    everything = len(names)
    said = idle_note(names, patterns)
    names, patterns = without_left_out(names, patterns)
    if everything and not names:
        raise SourceError(
            f"source.files leaves out all {everything:,} files of {folder}. Correct its patterns "
            "that begin with !."
        )
    if not patterns:
        patterns = [within] if within else []
    if not patterns and names:
        names, left_out = main_kind(names, folder)
    if not names:
        raise SourceError(_no_file(folder, within))
    fields = _fields(patterns)
    found = [_matched(names, pattern, fields, folder) for pattern in patterns or ["**/*"]]
    _require_partners(found, patterns, folder)
    keys = list(found[0])
    order = natural_order([found[0][key] for key in keys])
    ordered = [keys[position] for position in order]
    listed = tuple(tuple(matched[key] for matched in found) for key in ordered)
    require_inside(folder, list(chain.from_iterable(listed)))
    columns = {field: [key[n] for key in ordered] for n, field in enumerate(fields)}
    columns[FILE] = [each[0] for each in listed]
    return SourceFiles(folder, listed, columns, tuple(left_out), said, fields=tuple(fields))


def _matched(
    names: Sequence[str], pattern: str, fields: Sequence[str], folder: Place
) -> dict[tuple[str, ...], str]:
    """The names that a pattern matches, by their fields; by themselves without any.

    Raises:
        UserError: none does, or two are the same recording.
    """
    expression = compiled(pattern)
    matched: dict[tuple[str, ...], str] = {}
    for name in names:
        match = expression.fullmatch(name)
        if match is None:
            continue
        key = tuple(match[field] for field in fields) or (name,)
        if key in matched:
            raise SourceError(
                f"{name} and {matched[key]} in {folder} are the same recording by "
                f"source.files = {pattern!r}. Name what tells them apart as a field."
            )
        matched[key] = name
    if not matched:
        raise SourceError(
            f"No file in {folder} matches source.files = {pattern!r}. It holds: "
            f"{shown(names[:SHOWN_FILES])}."
        )
    return matched


def _no_file(folder: Place, within: str) -> str:
    if within:
        return f"No file in {folder} matches {within}. Correct paths.data."
    return f"{folder} holds no file. Name another folder."


def _fields(patterns: Sequence[str]) -> list[str]:
    """The fields of all patterns, which have to be the same.

    Raises:
        UserError: they are not.
    """
    named = [list(dict.fromkeys(FIELD.findall(pattern))) for pattern in patterns]
    for pattern, fields in zip(patterns, named, strict=True):
        if set(fields) != set(named[0]):
            raise SourceError(
                f"source.files = {pattern!r} has the fields {shown(fields)}, {patterns[0]!r} has "
                f"{shown(named[0])}: files of one recording are found by equal fields."
            )
    return named[0] if named else []


def _require_partners(
    found: Sequence[Mapping[tuple[str, ...], str]], patterns: Sequence[str], folder: Place
) -> None:
    everything = {key: name for matched in found for key, name in matched.items()}
    for matched, pattern in zip(found, patterns or [""], strict=True):
        lacking = sorted(everything.keys() - matched.keys())
        if lacking:
            names = shown([everything[key] for key in lacking])
            raise SourceError(
                f"{names} in {folder} has no partner that matches source.files = {pattern!r}. "
                f"Correct the pattern, or leave the recording out: {LEAVE_OUT}."
            )
