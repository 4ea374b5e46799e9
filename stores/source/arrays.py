"""Arrays of a source, found by name and checked before they are read; of any format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from unicodedata import category

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.interface import SourceArray, SourceNode

SHOWN_ARRAYS = 12
BIDIRECTIONAL = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
SLICE_BYTES = 4 << 20
"""Of windows or rows that are read at a time."""
GAP_BYTES = 64 << 10
"""Between two reads, that are read too rather than asked for apart."""


def find_array(
    node: SourceNode, option: str, named: str | None, usual: Sequence[str]
) -> SourceArray | None:
    """The array `named` under the file or group `node`, else the first of the `usual` names.

    Args:
        node: file or group.
        option: the option that names the array, for the error.
        named: the option's value; "" finds nothing, `name[:, 0]` one column of an array.
        usual: names tried when `named` is None.

    Returns:
        The array, or None when no usual name is there.

    Raises:
        UserError: `named` is given and there is no such array.
    """
    if named == "":
        return None
    # Here, as arrays that are made of others need this module.
    from headrace.stores.source.derived.column import column_array

    for name in usual if named is None else (named,):
        found = node.array(name) or column_array(node, name, option)
        if found is not None:
            return found
    if named is None:
        return None
    raise SourceError(
        f"{node.where} has no dataset {named!r}, which source.{option} names. "
        f"It holds: {node.contents()}. Name one of these, or leave the key out."
    )


def require_array(
    node: SourceNode, option: str, named: str | None, usual: Sequence[str]
) -> SourceArray:
    """`find_array` where one must be there.

    Raises:
        UserError: none was found; says what was looked for, what is there, and the option.
    """
    found = find_array(node, option, named, usual)
    if found is None:
        place = " at its top" if node.name == "/" else ""
        raise SourceError(
            f"{node.where} has no dataset {' or '.join(usual)}{place}. "
            f"It holds: {node.contents()}. Name one with source.{option}."
        )
    return found


def shown_arrays(
    arrays: Iterable[tuple[str, tuple[int, ...] | None, np.dtype[Any]]],
) -> str:
    """Names with shape and type, at most 12, in one line."""
    shown = [f"{name} {shape} {dtype}" for name, shape, dtype in arrays]
    if len(shown) > SHOWN_ARRAYS:
        shown = [*shown[:SHOWN_ARRAYS], "..."]
    return ", ".join(shown) or "no dataset"


def check_signal_dtype(array: SourceArray) -> np.dtype[Any]:
    """The type that values of `array` are read as: its own, in native byte order.

    Raises:
        UserError: not float16, float32, float64 or an integer of 8 to 64 bits.
    """
    dtype = array.dtype
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise SourceError(
            f"{array.where} holds {dtype}; a source holds float16, float32, float64 or integers. "
            "Name another dataset with source.windows or source.signals, or convert it."
        )
    return np.dtype(f"{dtype.kind}{dtype.itemsize}")


def check_shape(array: SourceArray, dims: Sequence[str], hint: str) -> tuple[int, ...]:
    """The shape of `array`, which has the dimensions `dims`, none of them empty.

    Raises:
        UserError: another number of dimensions, or one of length 0.
    """
    shape = array.shape
    if shape is None or len(shape) != len(dims):
        raise SourceError(f"{array.where} has shape {shape}; ({', '.join(dims)}) is needed. {hint}")
    if 0 in shape:
        raise SourceError(
            f"{array.where} is empty: its shape is {shape}. Name another dataset or file."
        )
    return shape


def rows_of(array: SourceArray) -> int:
    """How many rows an array has."""
    return int(array.shape[0]) if array.shape else 0


def read_rows(array: SourceArray, start: int, stop: int) -> NDArray[Any]:
    """Rows `start` to `stop` of an array, as its `read_into` gives them."""
    start, stop, _ = slice(start, stop).indices(rows_of(array))
    rows = np.empty((max(0, stop - start), *(array.shape or (0,))[1:]), array.dtype)
    array.read_into(rows, start)
    return rows


def commands(letter: str) -> bool:
    """Whether a letter may command a terminal, or turn the text around it."""
    return category(letter) in ("Cc", "Cs") or letter in BIDIRECTIONAL


def check_text(text: str, where: str, option: str, also: str = "") -> None:
    """Refuse a name that a terminal or a page would take for a command.

    Args:
        text: the name.
        where: says where it stands.
        option: what to set instead.
        also: other characters that it may not hold.

    Raises:
        UserError: it holds control characters, or some of `also`.
    """
    if any(commands(letter) or letter in also for letter in text):
        what = "control characters" + (f" or one of {also}" if also else "")
        raise SourceError(f"{where} with {what}: {text!r}. Correct the file, or set {option}.")


def distinct(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """`np.unique` with its inverse, fast where equal values stand together.

    Args:
        values: (n,) of any sortable type.

    Returns:
        The sorted different values, and the index of each of the n values among them.
    """
    if len(values) == 0:
        return values, np.zeros(0, dtype=np.int64)
    heads = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    unique, inverse = np.unique(values[heads], return_inverse=True)
    lengths = np.diff(heads, append=len(values))
    return unique, np.repeat(inverse.astype(np.int64), lengths)
