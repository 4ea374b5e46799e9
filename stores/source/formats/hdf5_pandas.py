"""Frames that pandas wrote with `to_hdf`, fixed or as a table: their columns, by name.

Nothing is ever unpickled. Names of columns in a table are in attributes that PyTables pickled:
lists of texts are read from those opcode by opcode, and anything else in them is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import rows_of, shown_arrays
from headrace.stores.source.formats.derived import TEXT, DerivedArray, as_texts
from headrace.stores.source.formats.hdf5 import MOST_NAMES, Hdf5Array, Hdf5Node, explained
from headrace.stores.source.formats.hdf5_fields import FieldsNode
from headrace.stores.source.formats.hdf5_pickled import literal_texts
from headrace.stores.source.interface import SourceArray, SourceNode
from headrace.stores.text import in_one_line, shown

FRAMES = frozenset({"frame", "frame_table", "series_table", "appendable_frame"})
MOST_COLUMNS = 1 << 16
MOST_BLOCKS = 1024
MOST_CATEGORIES = 1 << 20


@dataclass(frozen=True)
class Column:
    """One column of a frame, or its index.

    Attributes:
        name: as pandas calls it.
        array: the block of a fixed frame, or the table.
        field: of the table; None: `array` is a block.
        place: within the block or field (n, columns); None: it is (n,).
        dtype: of the values; texts are `TEXT`.
        kind: what pandas says of the values: "datetime64[ns]", "integer".
        categories: texts that the stored numbers count into.
        refused: why it cannot be read; "" if it can.
    """

    name: str
    array: Hdf5Array
    field: str | None
    place: int | None
    dtype: np.dtype[Any]
    kind: str = ""
    categories: NDArray[np.str_] | None = None
    refused: str = ""

    @property
    def is_number(self) -> bool:
        """Whether the column is a part of "table"."""
        numeric = self.dtype.kind in "iuf" and not self.refused
        return numeric and not self.kind.startswith(("datetime", "timedelta"))

    def block(self, array: Hdf5Array, start: int, stop: int) -> NDArray[Any]:
        """Rows of all that is stored with it."""
        if self.field is None:
            return array.read(start, stop)
        return array.read_fields(self.field, start, stop)

    def of_block(self, block: NDArray[Any]) -> NDArray[Any]:
        """The column of these rows, (n,)."""
        values: NDArray[Any] = block if self.place is None else block[:, self.place]
        if self.categories is not None:
            if np.any((values < -1) | (values >= len(self.categories))):
                raise SourceError(
                    f"{self.array.where} holds codes of {in_one_line(self.name)} beyond its "
                    f"{len(self.categories)} categories. Write it again with to_hdf."
                )
            # -1 is no category: a missing value.
            texts: NDArray[Any] = np.append(self.categories, "")[values]
            return texts
        return values if self.dtype == TEXT else values.astype(self.dtype, copy=False)


class PandasNode(FieldsNode):
    """A file or group with frames; see `SourceNode`.

    A frame is a group: of each column by its name, of "index", and of "table" (n, columns): all
    columns of numbers, in the widest of their types, with their names as "channels". The datasets
    that pandas made of it keep their names.
    """

    def array(self, name: str) -> SourceArray | None:
        """The array of that name, or the column."""
        parts = name.strip("/").split("/")
        for length in range(len(parts)):
            group = self.inner.group("/".join(parts[:length])) if length else self.inner
            if group is not None and _is_frame(group):
                column = Frame(group).array("/".join(parts[length:]))
                return super().array(name) if column is None else column
        return super().array(name)

    def group(self, name: str) -> SourceNode | None:
        """The group of that name, or the frame."""
        found = self.inner.group(name)
        return Frame(found) if found is not None and _is_frame(found) else super().group(name)

    def children(self) -> list[str]:
        """Of frames, other datasets and groups; of a frame of its columns."""
        return Frame(self.inner).children() if _is_frame(self.inner) else super().children()

    def contents(self) -> str:
        """The columns of frames, and other datasets, with shape and type."""
        frames = self._frames(20)
        if not frames:
            return super().contents()
        return "; ".join(f"{frame.name}: {Frame(frame).contents()}" for frame in frames[:3])

    def names(self) -> Iterator[str]:
        """Names of the columns of frames, and of other datasets."""
        frames = self._frames(MOST_NAMES)
        inside = tuple(f"{frame.name.rstrip('/')}/" for frame in frames)
        for frame, begin in zip(frames, inside, strict=True):
            below = begin.removeprefix(self.name.rstrip("/") + "/")
            yield from (f"{below}{name}" for name in Frame(frame).names())
        for name in super().names():
            if not f"{self.name.rstrip('/')}/{name}".startswith(inside):
                yield name

    def _frames(self, most: int) -> list[Hdf5Node]:
        frames: list[Hdf5Node] = [self.inner] if _is_frame(self.inner) else []

        def visit(name: str, item: Any) -> bool | None:
            if isinstance(item, h5py.Group) and _is_frame(Hdf5Node(item)):
                inside = any(item.name.startswith(f"{frame.name}/") for frame in frames[-1:])
                frames.extend([] if inside else [Hdf5Node(item)])
            return True if len(frames) > most else None

        with explained():
            self.inner.node.visititems(visit)
        return frames


class Frame:
    """One frame; see `SourceNode`."""

    def __init__(self, group: Hdf5Node) -> None:
        """Find the columns.

        Raises:
            UserError: the group is not as pandas writes it.
        """
        self.name = group.name
        self.where = group.where
        with explained():
            table = group.array("table")
            found = _fixed(group) if table is None else _table(group, table)
        self._columns = {column.name: column for column in reversed(found)}
        self._index = "index" if table is not None else "axis1"
        self._in_order = [column for column in found if column.name != self._index]

    def array(self, name: str) -> SourceArray | None:
        """The column of that name, "index" or "table"."""
        column = self._columns.get(self._index if name == "index" else name)
        if column is not None:
            return self._column(column)
        return self._numbers() if name == "table" else None

    def group(self, name: str) -> SourceNode | None:
        """None."""
        return None

    def children(self) -> list[str]:
        """Of the columns that can be read, and of all of numbers together."""
        return ["table", *(each.name for each in self._in_order if not each.refused)]

    def contents(self) -> str:
        """The columns with shape and type."""
        return shown_arrays(
            (c.name, (rows_of(c.array),), c.dtype) for c in self._in_order if not c.refused
        )

    def names(self) -> Iterator[str]:
        """Names of the columns, and "table" and "index"."""
        yield from dict.fromkeys(["table", *(c.name for c in self._in_order), "index"])

    def _column(self, column: Column) -> SourceArray:
        where = f"{self.where}: {in_one_line(column.name)}"
        if column.refused:
            raise SourceError(
                f"{where} {column.refused}. Write the column as numbers or as texts of a table: "
                'to_hdf(..., format="table").'
            )
        return DerivedArray(
            f"{self.name}/{column.name}",
            where,
            (rows_of(column.array),),
            column.dtype,
            (column.array,),
            lambda arrays, start, stop: column.of_block(column.block(arrays[0], start, stop)),
            {"kind": column.kind} if column.kind else {},
        )

    def _numbers(self) -> SourceArray | None:
        columns = [column for column in self._in_order if column.is_number]
        if not columns:
            return None
        arrays = {id(column.array): column.array for column in columns}
        dtype = np.result_type(*(column.dtype for column in columns))

        def rows(made_of: Sequence[Any], start: int, stop: int) -> NDArray[Any]:
            ready = dict(zip(arrays, made_of, strict=True))
            out = np.empty((stop - start, len(columns)), dtype)
            blocks: dict[tuple[int, str | None], NDArray[Any]] = {}
            for place, column in enumerate(columns):
                key = id(column.array), column.field
                if key not in blocks:
                    blocks[key] = column.block(ready[key[0]], start, stop)
                out[:, place] = column.of_block(blocks[key])
            return out

        return DerivedArray(
            f"{self.name}/table",
            f"{self.where}: table",
            (rows_of(columns[0].array), len(columns)),
            dtype,
            tuple(arrays.values()),
            rows,
            {"channels": np.array([column.name for column in columns], dtype=object)},
        )


def _is_frame(group: Hdf5Node) -> bool:
    with explained():
        return _text(group.node.attrs.get("pandas_type")) in FRAMES


def _fixed(group: Hdf5Node) -> list[Column]:
    """Columns of blocks (n, items), in the order of axis0; axis1 is the index."""
    order = _names(group.array("axis0"), group.where)
    count = int(group.node.attrs.get("nblocks", 0))
    if count > MOST_BLOCKS:
        raise _other(group.where, f"has {count} blocks")
    found: dict[str, Column] = {}
    for number in range(count):
        names = _names(group.array(f"block{number}_items"), group.where)
        values = group.array(f"block{number}_values")
        if values is None:
            raise _other(group.where, f"lacks block{number}_values")
        kind = _text(values.dataset.attrs.get("value_type"))
        if "PSEUDOATOM" in values.dataset.attrs or values.dtype.hasobject:
            why = "holds Python objects, which pandas pickled"
            found |= {n: Column(n, values, None, None, TEXT, refused=why) for n in names}
            continue
        if "shape" in values.dataset.attrs:  # PyTables writes one value for none.
            continue
        if len(values.shape or ()) != 2 or (values.shape or ())[1] != len(names):
            raise _other(group.where, f"has {len(names)} columns of shape {values.shape}")
        dtype = np.dtype(bool) if _is_bits(values) else values.dtype
        made = (Column(n, values, None, i, dtype, kind) for i, n in enumerate(names))
        found |= {column.name: column for column in made}
    lengths = {rows_of(column.array) for column in found.values() if not column.refused}
    if len(lengths) > 1:
        raise _other(group.where, f"has columns of {shown([*map(str, sorted(lengths))])} rows")
    columns = [found[name] for name in order if name in found]
    index = group.array("axis1")
    if index is not None and index.dtype.kind in "iufS" and len(index.shape or ()) == 1:
        kind = _text(index.dataset.attrs.get("kind"))
        dtype = TEXT if index.dtype.kind == "S" else index.dtype
        columns.append(Column("axis1", index, None, None, dtype, kind))
    return columns


def _table(group: Hdf5Node, table: Hdf5Array) -> list[Column]:
    """Columns of a compound dataset: fields, and parts of the fields that are blocks."""
    if table.dtype.names is None or len(table.shape or ()) != 1:
        raise _other(group.where, f"has a table of shape {table.shape} and type {table.dtype}")
    found: list[Column] = []
    for field in table.dtype.names:
        shape = table.dtype[field].shape
        names = literal_texts(table.dataset.attrs.get(f"{field}_kind"))
        column = Column(field, table, field, None, table.dtype[field].base)
        column = _as_pandas_says(column, group, field)
        if shape == ():
            name = names[0] if names and len(names) == 1 and field != "index" else field
            found.append(replace(column, name=name))
        elif len(shape) == 1 and names and len(names) == shape[0]:
            found += [replace(column, name=n, place=i) for i, n in enumerate(names)]
        else:
            why = "is a block of columns whose names are pickled, and not as texts"
            found.append(replace(column, refused=why))
    return found


def _as_pandas_says(column: Column, group: Hdf5Node, field: str) -> Column:
    attrs = column.array.dataset.attrs
    kind = _text(attrs.get("index_kind" if field == "index" else f"{field}_dtype"))
    if _text(attrs.get(f"{field}_meta")) == "category":
        categories = group.array(f"meta/{field}/meta/table")
        names = categories.dtype.names if categories is not None else None
        if categories is None or not names or "values" not in names:
            return replace(column, refused="is a category whose values are not there")
        whole = column.dtype.kind in "iu" and rows_of(categories) <= MOST_CATEGORIES
        if not whole or categories.dtype["values"].kind != "S":
            return replace(column, refused="is a category of other values than texts")
        texts = as_texts(categories.read_fields("values", 0, rows_of(categories)).reshape(-1))
        return replace(column, dtype=TEXT, categories=texts)
    if column.dtype.kind in "SOU":
        return replace(column, dtype=TEXT)
    dtype = np.dtype(bool) if kind == "bool" else column.dtype
    return replace(column, dtype=dtype, kind=kind)


def _names(array: Hdf5Array | None, where: str) -> list[str]:
    """Names of columns: texts or numbers."""
    if array is None or len(array.shape or ()) != 1 or array.dtype.kind not in "Siuf":
        raise _other(where, "has names of columns that are neither texts nor numbers")
    if rows_of(array) > MOST_COLUMNS:
        raise _other(where, f"has {rows_of(array):,} columns; {MOST_COLUMNS:,} is the most")
    values = array.whole()
    return list(map(str, (as_texts(values) if values.dtype.kind == "S" else values).tolist()))


def _is_bits(values: Hdf5Array) -> bool:
    """Whether it is truth as PyTables writes it."""
    bits = values.dataset.id.get_type().get_class() == h5py.h5t.BITFIELD
    return bool(bits and values.dtype.itemsize == 1)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def _other(where: str, what: str) -> SourceError:
    return SourceError(
        f"{where} is called a frame of pandas, but {what}. Write it again with to_hdf, or as "
        "Parquet."
    )
