"""The header of a .npy file: which arrays it holds, and where their values are."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib import format as npy

from headrace.stores.errors import SourceError, first_line

MOST_HEADER = 256 << 10
"""Bytes of a header: thousands of fields. NumPy's own limit, 10,000, is some hundred."""
MOST_DIMENSIONS = 32
SHOWN = 200
"""Letters of what a stranger wrote, in an error."""


@dataclass(frozen=True)
class NpyLayout:
    """Where the values of one array are.

    Attributes:
        field: its name in a structured array; "" of an array that is none.
        shape: of it.
        dtype: of its values.
        start: byte of the first row.
        stride: bytes from a row to the next; of a structured array, of the whole record.
        offset: bytes from the start of a row to its values.
        fortran: whether the first index runs fastest, so that a row lies in pieces.
    """

    field: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    stride: int
    offset: int = 0
    fortran: bool = False


PLAIN = re.compile(
    rb"\{'descr': '(?P<type>[<>|][fiu][1248])', 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>[1-9]\d{0,17},|[1-9]\d{0,17}(, [1-9]\d{0,17}){1,8})\), \} *\n"
)
"""What numpy.save writes of an array of numbers: parsing it as Python takes ten times as long."""


def along(layout: NpyLayout, order: Sequence[int]) -> tuple[NpyLayout, int | None, tuple[int, ...]]:
    """How an array is read along the first axis of `order`.

    In C's order the last axis of an array is the first of one in Fortran's. An axis in between is
    such a one together with those behind it.

    Returns:
        The layout to read by; how many of its rows make one, None for one; and the axes of that
        in the order that is asked for.
    """
    shape, axes = layout.shape, list(range(len(layout.shape)))
    if layout.fortran:
        shape, axes = shape[::-1], axes[::-1]
    place, grouped = axes.index(order[0]), None
    if place == 0:
        axes = axes[:1] + axes[1:]
    elif place == len(shape) - 1:
        shape, axes = shape[::-1], axes[::-1]
    else:
        behind = shape[place + 1 :]
        grouped, shape = math.prod(behind), (math.prod(shape[place:]), *shape[:place][::-1])
        axes = [*axes[place:], *axes[:place][::-1]]
        if len(behind) != 1:
            raise SourceError(f"axes in the order {list(order)} of {len(axes)} cannot be read")
    stride = math.prod(shape[1:]) * layout.dtype.itemsize
    found = replace(layout, shape=shape, stride=stride, fortran=place != 0)
    return found, grouped, tuple(axes.index(axis) for axis in order)


def read_layouts(head: Callable[[int], bytes], size: int, where: str) -> list[NpyLayout]:
    """The arrays of a .npy file: one, or one for each field of a structured array.

    Args:
        head: function of n -> its first n bytes; fewer, if it ends before.
        size: its bytes.
        where: names it.

    Raises:
        UserError: it is no .npy file, holds objects, or less or more than it says.
    """
    try:
        shape, fortran, dtype, start = _parsed(head)
    except Exception as error:  # What numpy's parser raises of a stranger's text, it does not say.
        raise SourceError(
            f"{where} cannot be read as .npy ({first_line(error)[:SHOWN]}). Write it with "
            "numpy.save."
        ) from error
    if dtype.hasobject:
        raise SourceError(
            f"{where} holds Python objects ({str(dtype)[:SHOWN]}), which only pickle reads, and "
            "that can run any code. Write numbers, or strings: values.astype(str)."
        )
    shape, dtype = (*shape, *dtype.shape), dtype.base
    counts = all(type(length) is int and 0 <= length < 1 << 63 for length in shape)
    shown = f"shape {shape} of {dtype}"[:SHOWN]
    # NumPy makes no array of which one value more would be too large, empty ones among them.
    large = counts and math.prod(filter(None, shape)) * dtype.itemsize >= 1 << 63
    if not counts or large or len(shape) > MOST_DIMENSIONS or not dtype.itemsize:
        raise SourceError(f"{where} says {shown}: no array has. Write it again.")
    claimed = start + math.prod(shape) * dtype.itemsize
    if claimed != size:
        what = "it was cut off" if claimed > size else "more was written after its array"
        raise SourceError(
            f"{where} has {size:,} bytes, and {shown} takes {claimed:,}: {what}. "
            "Copy it again, or write one array a file with numpy.save."
        )
    if dtype.fields is None:
        row = math.prod(shape[1:])
        pieces = fortran and len(shape) > 1 and row > 1
        return [NpyLayout("", shape, dtype, start, row * dtype.itemsize, fortran=pieces)]
    if len(shape) != 1:
        raise SourceError(
            f"{where} is a structured array of shape {shape}; one of (rows,) is needed. Write its "
            "fields as arrays of their own: numpy.savez."
        )
    stride = dtype.itemsize
    return [
        NpyLayout(name, (*shape, *inner.shape), inner.base, start, stride, offset)
        for name, inner, offset in _fields(dtype, "", 0)
        if inner.itemsize
    ]


def _parsed(head: Callable[[int], bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether it is in Fortran's order, type, and bytes of the header."""
    stream = io.BytesIO(head(npy.MAGIC_LEN + 4))
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"version {version[0]}.{version[1]} of the format is not known")
    width = 2 if version == (1, 0) else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > MOST_HEADER:
        raise ValueError(f"its header takes {length:,} bytes; {MOST_HEADER:,} are the most")
    start = npy.MAGIC_LEN + width + length
    text = head(start)[npy.MAGIC_LEN + width :]
    if len(text) < length:
        raise ValueError("it ends within its header")
    if (plain := PLAIN.fullmatch(text)) is not None:
        lengths = [int(each) for each in plain["shape"].replace(b",", b" ").split()]
        return tuple(lengths), plain["fortran"] == b"True", np.dtype(plain["type"].decode()), start
    if version == (3, 0):
        # Of version 3 NumPy reads only whole files; it differs by names that are no Latin-1.
        text = text.decode().encode("ascii", "backslashreplace")
    again = io.BytesIO(len(text).to_bytes(4, "little") + text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of headers that Python 2 wrote.
        found = npy.read_array_header_2_0(again, max_header_size=len(text))
    return (*found, start)


def _fields(dtype: np.dtype[Any], prefix: str, at: int) -> Iterator[tuple[str, np.dtype[Any], int]]:
    """Name, type and offset of the fields; of one that is structured itself, name/field."""
    for name, (inner, offset, *_) in (dtype.fields or {}).items():
        if inner.fields is None:
            yield prefix + name, inner, at + offset
        else:
            yield from _fields(inner, f"{prefix}{name}/", at + offset)
