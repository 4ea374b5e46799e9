"""The data of a source, found by name and seen as it is meant: windows (N, T, C) or rows (S, C)."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import find_array, require_array
from headrace.stores.source.formats.interface import Files, SourceArray, SourceNode
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.shaped import Reshaped, SideBySide, Transposed, flat

USUAL_WINDOWS = ("X", "x", "windows")
USUAL_SIGNALS = ("signals", "table")
WINDOW_AXES = ("window", "time", "channel")
ROW_AXES = ("row", "channel")


def windows_of(files: Files, options: SourceOptions) -> SourceArray:
    """The windows of a recording's files: (N, T, C), or what is refused for its axes.

    Raises:
        UserError: there are none of that name; the axes do not fit.
    """
    return _meant(files, "windows", options.windows, USUAL_WINDOWS, WINDOW_AXES, options)


def signals_of(files: Files, options: SourceOptions) -> SourceArray:
    """The signals of a recording's files: (S, C), or what is refused for its axes.

    Raises:
        UserError: there are none of that name; the axes do not fit.
    """
    return _meant(files, "signals", options.signals, USUAL_SIGNALS, ROW_AXES, options)


def _meant(
    files: Files,
    option: str,
    named: str | list[str] | None,
    usual: Sequence[str],
    axes: Sequence[str],
    options: SourceOptions,
) -> SourceArray:
    found = [
        _turned(array, axes, options)
        for each in files
        for array in _named(each, option, named, usual)
    ]
    return _one_channel(found[0], axes) if len(found) == 1 else _joined(found, axes, option)


def _named(
    node: SourceNode, option: str, named: str | list[str] | None, usual: Sequence[str]
) -> list[SourceArray]:
    if isinstance(named, list):
        return [require_array(node, option, each, ()) for each in named]
    return [require_array(node, option, named, usual)]


def _turned(array: SourceArray, axes: Sequence[str], options: SourceOptions) -> SourceArray:
    """`array` with its axes in the order of `axes`, as far as it has them."""
    given = options.axes
    if given is None:
        return array
    shape = array.shape or ()
    wanted = [axis for axis in axes if axis in given]
    if len(given) != len(shape) or sorted(given) != sorted(wanted) or axes[0] not in given:
        raise SourceError(
            f"{array.where} has shape {shape}, which source.axes = {given} does not fit: "
            f"{' and '.join(axes)} are wanted, one word an axis, in the file's order."
        )
    order = [given.index(axis) for axis in wanted]
    if order[0] != 0:
        raise SourceError(
            f"source.axes = {given}: the axis {wanted[0]} has to be the first of {array.where}."
        )
    return array if order == sorted(order) else Transposed(array, order)


def _one_channel(array: SourceArray, axes: Sequence[str]) -> SourceArray:
    """One axis less is one channel."""
    shape = array.shape or ()
    if len(shape) == len(axes) - 1 and 0 not in shape:
        return Reshaped(array, (*shape[1:], 1))
    return array


def _joined(arrays: list[SourceArray], axes: Sequence[str], option: str) -> SourceArray:
    """Several as the channels of one.

    Raises:
        UserError: they differ in more than their channels.
    """
    outer = {(array.shape or ())[: len(axes) - 1] for array in arrays}
    fits = all(len(array.shape or ()) in (len(axes) - 1, len(axes)) for array in arrays)
    if len(outer) > 1 or not fits:
        shapes = ", ".join(f"{array.where} {array.shape}" for array in arrays)
        raise SourceError(
            f"The {option} do not fit side by side: {shapes}. Their {' and '.join(axes[:-1])} have "
            "to be as long: cut them to the same, or leave one out."
        )
    return SideBySide(arrays, len(axes))


def find_flat(
    node: SourceNode, option: str, named: str | None, usual: Sequence[str]
) -> SourceArray | None:
    """`find_array` of one value a row."""
    found = find_array(node, option, named, usual)
    return None if found is None else flat(found)


def names_of(option: str | list[str] | None) -> list[str]:
    """The arrays that an option names."""
    return [option] if isinstance(option, str) and option else list(option or [])


def has_data(files: Files, usual: Sequence[str]) -> bool:
    """Whether an array of a usual name is there, that can be signals or windows.

    A column called x beside others is one axis of an accelerometer.
    """
    found = (files[0].array(name) for name in usual)
    least = 2 if usual == USUAL_WINDOWS else 1
    return any(each is not None and len(each.shape or ()) >= least for each in found)
