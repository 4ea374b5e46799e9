"""What columns of Parquet are as arrays: numbers, times and texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError, SourceError, UserError, first_line
from headrace.stores.source.formats.columns import as_numbers, as_texts, check_texts, present

INDEX = re.compile(r"__index_level_\d+__")
"""Columns that pandas adds: names of rows, no channels."""
NANOSECONDS = "ns"
MOST_DESCRIBED, MOST_METADATA = 64, 512
"""Columns whose metadata are looked at, and bytes of one of them."""
ROWS_AT_ONCE = 2048
"""That are put side by side together."""


@dataclass(frozen=True)
class Column:
    """A column of a file.

    Attributes:
        name: its name.
        leaf: its place among the stored columns; a nested one has several.
        kind: "number", "time", "text", or "" of what is not read.
        dtype: of its values; times are whole nanoseconds.
        arrow: its type in the file.
    """

    name: str
    leaf: int
    kind: str
    dtype: np.dtype[Any]
    arrow: Any


def columns_of(schema: Any, stored: int) -> list[Column]:
    """The columns of a schema; nested ones are stored as several.

    Raises:
        ValueError: not as many are `stored`.
    """
    columns = []
    leaf = 0
    for field in schema:
        kind, dtype = kind_of(field.type)
        columns.append(Column(field.name, leaf, kind, np.dtype(dtype), field.type))
        leaf += _leaves(field.type)
    if leaf != stored:
        raise ValueError(f"its schema has {leaf} columns, and {stored} are stored")
    return columns


def numbers_of(cells: Any, column: Column, where: str, first: int) -> NDArray[Any]:
    """A pyarrow column of numbers or times as (rows,).

    Args:
        cells: the column, of some rows.
        column: what it is; float64 where a whole number is missing.
        where: file and column, for the error.
        first: its first row.

    Raises:
        SourceContentError: a time is missing or no int64 of nanoseconds, or a value is missing
            where the file says that none is.
    """
    import pyarrow as pa

    if cells.null_count and column.dtype.kind in "iub":
        row = first + int(np.argmin(np.concatenate([present(chunk) for chunk in cells.chunks])))
        raise SourceContentError(
            f"{where} has no value in row {row:,}. Correct the file, or name another column."
        )
    with explained(where):
        if column.kind == "time":
            cells = _nanoseconds(cells)
        elif pa.types.is_boolean(cells.type):
            cells = cells.cast(pa.uint8())
        elif pa.types.is_decimal(cells.type) or pa.types.is_null(cells.type):
            cells = cells.cast(pa.float64())
    numbers = as_numbers(cells, np.dtype(cells.type.to_pandas_dtype()))
    return numbers.astype(column.dtype, copy=False)


def texts_of(cells: Any, where: str) -> NDArray[np.str_]:
    """A chunk of texts, which pyarrow keeps as codes, as (rows,); "" where there is none.

    Raises:
        UnicodeDecodeError: one is not UTF-8.
        SourceContentError: one is too long for a name.
    """
    import pyarrow as pa

    stored = pa.chunked_array([cells.indices.cast(pa.int64())])
    codes = as_numbers(stored, np.dtype(np.int64))
    used, inverse = np.unique(
        np.where(present(cells.indices), codes, -1).astype(np.int64), return_inverse=True
    )
    own = used[used >= 0]
    places = pa.Array.from_buffers(pa.int64(), len(own), [None, pa.py_buffer(own)])
    with explained(where):
        texts = cells.dictionary.take(places).to_pylist()
    texts = [each.decode() if isinstance(each, bytes) else each or "" for each in texts]
    names = as_texts([""] * (len(used) - len(own)) + texts, where)
    check_texts(names.itemsize // 4, len(inverse), where)
    return names[inverse]


@contextmanager
def explained(where: str) -> Iterator[None]:
    """What pyarrow cannot read is the user's to correct."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        if isinstance(error, UserError | UnicodeDecodeError):
            raise
        raise SourceError(
            f"{where} cannot be read as Parquet ({first_line(error)}). Correct the file, or start "
            "again once it is there."
        ) from error


def kind_of(arrow: Any) -> tuple[str, Any]:
    """ "number", "time", "text" or "", and NumPy's type, of a type of pyarrow."""
    from pyarrow import types

    if types.is_integer(arrow) or types.is_floating(arrow) or types.is_boolean(arrow):
        return "number", arrow.to_pandas_dtype()
    if types.is_decimal(arrow) or types.is_null(arrow):
        return "number", np.float64
    if types.is_timestamp(arrow) or types.is_date(arrow):
        return "time", np.int64
    if types.is_time(arrow) or types.is_duration(arrow):
        return "time", np.int64
    texts = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    value = arrow.value_type if types.is_dictionary(arrow) else arrow
    if any(is_text(value) for is_text in texts):
        return "text", object
    return "", object


def metadata_of(schema: Any, columns: Sequence[str]) -> list[Mapping[str, Any]]:
    """Short metadata of each column, then of the file, as text."""
    found = [schema.field(name).metadata for name in columns[:MOST_DESCRIBED]]
    return [
        {
            name.decode(errors="replace"): text.decode(errors="replace")
            for name, text in (each or {}).items()
            if len(text) <= MOST_METADATA and not name.startswith(b"PARQUET:")
        }
        for each in (*found, schema.metadata)
    ]


def _leaves(arrow: Any) -> int:
    """How many columns are stored of a type."""
    fields = [arrow.field(at).type for at in range(arrow.num_fields)]
    return sum(map(_leaves, fields)) or 1


def _nanoseconds(cells: Any) -> Any:
    """Times as int64: since 1970, since midnight, or how long.

    Raises:
        ArrowInvalid: they do not fit.
    """
    import pyarrow as pa

    if pa.types.is_time(cells.type):
        return cells.cast(pa.time64(NANOSECONDS)).cast(pa.int64())
    if pa.types.is_duration(cells.type):
        return cells.cast(pa.duration(NANOSECONDS)).cast(pa.int64())
    return cells.cast(pa.timestamp(NANOSECONDS)).cast(pa.int64())


def put_side_by_side(out: NDArray[Any], columns: Sequence[NDArray[Any]]) -> None:
    """Fill the first columns of `out` (rows, C), some rows of all of them at a time.

    A line of memory is then written once, and not once for each column.
    """
    for at in range(0, len(out), ROWS_AT_ONCE):
        part = out[at : at + ROWS_AT_ONCE]
        for place, column in enumerate(columns):
            part[:, place] = column[at : at + ROWS_AT_ONCE]
