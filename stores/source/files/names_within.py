"""Names of arrays within a file, by patterns whose fields become columns: `{subject}/{trial}/acc`.

Patterns are those of file names (`file_patterns`), matched group by group.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from headrace.stores.source.file_patterns import compiled
from headrace.stores.source.interface import SourceArray, SourceNode
from headrace.stores.source.names import natural_order

FIELD = re.compile(r"\{([^\W\d]\w*)\}")
FIRST_PRIVATE = 0xE000
"""Of the letters that mean nothing, and stand for what a pattern must not read as its own."""


class BoundNode:
    """A file or group for one recording, whose fields stand in names; see `SourceNode`.

    Attributes:
        inner: the file or group.
        fields: values of the recording's fields.
    """

    def __init__(
        self,
        inner: SourceNode,
        fields: Mapping[str, str],
        columns: Collection[str] = (),
        patterns: Mapping[str, str] | None = None,
    ) -> None:
        """`inner`, where names have these fields.

        `columns` are names of arrays that hold one entry for each recording: none of them has such
        an array. `patterns` stand for names.
        """
        self._columns, self._patterns = columns, patterns or {}
        self.inner, self.fields = inner, fields
        self.name = inner.name
        said = ", ".join(f"{name} = {value}" for name, value in fields.items())
        self.where = f"{inner.where} ({said})" if said else inner.where

    def array(self, name: str) -> SourceArray | None:
        """The array of that name."""
        if name in self._columns:
            return None
        return self.inner.array(filled(self._patterns.get(name, name), self.fields))

    def group(self, name: str) -> SourceNode | None:
        """The group of that name."""
        return self.inner.group(filled(name, self.fields))

    def contents(self) -> str:
        """The arrays of the file."""
        return self.inner.contents()

    def names(self) -> Iterator[str]:
        """Names of the arrays of the file."""
        return self.inner.names()

    def children(self) -> Iterable[str]:
        """Names of what stands in the file itself."""
        return self.inner.children()


def filled(name: str, fields: Mapping[str, str]) -> str:
    """`name` with the values of its fields; one that has none stays."""
    return FIELD.sub(lambda field: fields.get(field[1], field[0]), name)


def arrays_like(node: SourceNode, pattern: str) -> list[SourceArray]:
    """The arrays whose names match a pattern with *, in natural order."""
    inner, known = (node.inner, node.fields) if isinstance(node, BoundNode) else (node, {})
    found = [path for path, _ in matches(inner, pattern, known)]
    arrays = [inner.array(found[position]) for position in natural_order(found)]
    return [array for array in arrays if array is not None]


def matches(
    node: SourceNode, pattern: str, known: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Names of the arrays below `node` that match, and the values of the fields in each.

    Args:
        node: a file or group.
        pattern: a name; `{field}` stands for some text, * for any, **/ for any groups.
        known: fields whose values are given.
    """
    yield from _below(node, "", tuple(pattern.strip("/").split("/")), dict(known))


def _below(
    node: SourceNode, above: str, parts: tuple[str, ...], known: dict[str, str]
) -> Iterator[tuple[str, dict[str, str]]]:
    part, *rest = parts
    if part == "**":
        yield from _below(node, above, tuple(rest), known)
        for name in node.children():
            if (group := node.group(name)) is not None:
                yield from _below(group, f"{above}{name}/", parts, known)
        return
    for name, fields in _named(node, part, known):
        if not rest:
            if node.array(name) is not None:
                yield above + name, fields
        elif (group := node.group(name)) is not None:
            yield from _below(group, f"{above}{name}/", tuple(rest), fields)


def _named(
    node: SourceNode, part: str, known: dict[str, str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """What stands in `node` by names that match one part of a pattern."""
    free = [field for field in FIELD.findall(part) if field not in known]
    if not free and "*" not in part:
        yield filled(part, known), known
        return
    expression = _expression(part, known)
    for name in node.children():
        match = expression.fullmatch(name)
        if match is not None:
            yield name, known | match.groupdict()


def _expression(part: str, known: Mapping[str, str]) -> re.Pattern[str]:
    """Of a part of a pattern in which some fields have their values."""
    given = [field for field in FIELD.findall(part) if field in known]
    letters = {field: chr(FIRST_PRIVATE + number) for number, field in enumerate(given)}
    text = compiled(FIELD.sub(lambda each: letters.get(each[1], each[0]), part)).pattern
    for field, letter in letters.items():
        text = text.replace(letter, re.escape(known[field]))
    return re.compile(text)
