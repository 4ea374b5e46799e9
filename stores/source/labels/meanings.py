"""A table that says what labels mean: activity_labels.txt, a dictionary of annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing

from headrace.stores.errors import SourceError
from headrace.stores.source.derived.shaped import flat
from headrace.stores.source.files.side_tables import SideTables
from headrace.stores.source.formats.opening import open_file
from headrace.stores.source.formats.text_rules import TextRules
from headrace.stores.source.interface import SourceArray, SourceNode
from headrace.stores.source.label_options import LabelTableOptions
from headrace.stores.source.labels.texts import column_texts
from headrace.stores.source.names import PADDING, plain_number

MOST_COLUMNS = 1_000
"""Of a table whose columns have numbers for names, that are looked for."""


def read_label_names(
    tables: SideTables, options: LabelTableOptions | None, encoding: str | None
) -> Mapping[str, str] | None:
    """The name of each label, in the table's order; None without a table.

    Args:
        tables: that the source reads.
        options: which is the table, and its columns.
        encoding: of its letters; None: UTF-8, or what a mark says.

    Raises:
        UserError: it or a column is missing, or a label has two names.
    """
    if options is None:
        return None
    with closing(open_file(tables.read(options.file), TextRules(encoding=encoding))) as table:
        found = _columns(table, options)
        labels, names = ([text.strip(PADDING) for text in column_texts(each)] for each in found)
        meanings: dict[str, str] = {}
        for row, (label, name) in enumerate(zip(map(plain_number, labels), names, strict=True), 1):
            if meanings.setdefault(label, name) != name:
                raise SourceError(
                    f"Row {row} of {table.where} calls the label {label!r} {name!r}, a row above "
                    f"{meanings[label]!r}. Correct the table."
                )
    return meanings


def _columns(table: SourceNode, options: LabelTableOptions) -> list[SourceArray]:
    """The columns of labels and of names."""
    usual = _in_order(table)
    found = []
    for option, name in (("label", options.label), ("name", options.name)):
        array = next(usual, None) if name is None else table.array(name)
        if array is None:
            raise SourceError(
                f"{table.where} has no column {name or 'for each label and its name'}. It holds: "
                f"{table.contents()}. Name its columns with source.label_table.{option}."
            )
        found.append(flat(array))
    return found


def _in_order(table: SourceNode) -> Iterator[SourceArray]:
    """The columns of a table without a header, or those of the usual names."""
    numbers = (str(number) for number in range(MOST_COLUMNS))
    first = table.array("0")
    names = numbers if first is not None else iter(("label", "name"))
    return (array for name in names if (array := table.array(name)) is not None)
