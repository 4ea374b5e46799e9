"""What only values of a Parquet file tell: whether one is missing, and texts that are numbers."""

from __future__ import annotations

import io
from collections.abc import Collection
from itertools import accumulate
from typing import TYPE_CHECKING, Any, BinaryIO

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.formats.left_out import LOOKED_AT, left_out, mostly_numbers
from headrace.stores.source.formats.parquet_columns import Column, explained, kind_of

if TYPE_CHECKING:
    from headrace.stores.source.formats.parquet import ParquetTable


SIGNATURE_BYTES = 28
"""Behind a footer that is itself not encrypted, of a file whose columns are."""


def check_plain(raw: BinaryIO, metadata: Any, where: str) -> None:
    """Refuse a file with encrypted columns: pyarrow ends the process where it is asked for them.

    Raises:
        SourceError: the footer is signed, as it is of such files alone.
    """
    raw.seek(-8, io.SEEK_END)
    footer = int.from_bytes(raw.read(4), "little")
    if footer - metadata.serialized_size == SIGNATURE_BYTES:
        raise SourceError(f"{where} has encrypted columns. Write it without encryption.")


def misses(table: ParquetTable, column: Column) -> bool:
    """Whether a value of a column is missing in any row group.

    Raises:
        UserError: it cannot be read, or its statistics are of another type.
    """
    for group in range(table.metadata.num_row_groups):
        stored = table.metadata.row_group(group).column(column.leaf)
        # pyarrow ends the process where statistics are of another type than the schema's.
        if stored.physical_type != table.metadata.schema.column(column.leaf).physical_type:
            raise SourceError(
                f"{table.where}:{column.name} is stored as {stored.physical_type}, and the "
                "schema has another type. Write it again."
            )
        kept = stored.statistics
        if kept is None or not kept.has_null_count:
            missing = table.decoded(group, [column]).column(column.name).null_count
        else:
            missing = kept.null_count
        if missing:
            return True
    return False


def check_left_out(table: ParquetTable, used: Collection[str]) -> None:
    """See `MixedTable`.

    Raises:
        UserError: a column of texts holds numbers, or a nested one does.
    """
    for column in table.held_columns:
        where = f"{table.where}:{column.name}"
        if column.name in used:
            continue
        if not column.kind and _holds_numbers(column.arrow):
            raise SourceError(
                f"{where} holds {str(column.arrow)[:80]}, which is not read: it would be no "
                "channel. Write its numbers as columns of their own, or say which columns are "
                "channels with source.signals."
            )
        if column.kind == "text" and table.metadata.num_row_groups:
            texts = _different_texts(table.decoded(0, [column]).column(column.name), where)
            if mostly_numbers(texts, fractions=True):
                raise left_out(table.where, column.name, next(filter(None, texts), None))


def stored_bytes(table: ParquetTable, column: Column | None) -> int:
    """Of the largest row group, packed and not: of a column, or of all."""
    groups = map(table.metadata.row_group, range(table.metadata.num_row_groups))
    if column is None:
        return max((2 * group.total_byte_size for group in groups), default=0)
    parts = (group.column(column.leaf) for group in groups)
    return max(
        (part.total_compressed_size + part.total_uncompressed_size for part in parts), default=0
    )


def _different_texts(cells: Any, where: str) -> list[str]:
    """Some of the texts that pyarrow keeps as codes."""
    try:
        with explained(where):
            found = [chunk.dictionary[:LOOKED_AT].to_pylist() for chunk in cells.chunks]
    except UnicodeDecodeError:
        return []  # It is no column of numbers.
    texts = [text for chunk in found for text in chunk if text is not None][:LOOKED_AT]
    return [t.decode(errors="replace") if isinstance(t, bytes) else t for t in texts]


def _holds_numbers(arrow: Any) -> bool:
    """Whether a type is one of several numbers a row."""
    fields = [arrow.field(at).type for at in range(arrow.num_fields)]
    return any(_holds_numbers(each) or kind_of(each)[0] == "number" for each in fields)


def row_borders(metadata: Any, where: str) -> list[int]:
    """First row of each row group, and the number of all.

    Raises:
        SourceContentError: the groups have other rows than the file says.
    """
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    borders = [0, *accumulate(counts)]
    if min(counts, default=0) < 0 or borders[-1] != metadata.num_rows:
        raise SourceContentError(
            f"{where} says that it has {metadata.num_rows:,} rows, and its row groups "
            f"{borders[-1]:,}. Write it again."
        )
    return borders
