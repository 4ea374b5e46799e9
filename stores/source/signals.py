"""The data of a source, found by name and seen as it is meant: windows (N, T, C) or rows (S, C)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import find_array, require_array
from headrace.stores.source.derived.chosen import (
    Choosable,
    chosen,
    places_of,
    used_channels,
    used_places,
)
from headrace.stores.source.derived.cut import cut_to
from headrace.stores.source.derived.shaped import Flattened, Reshaped, flat
from headrace.stores.source.derived.side_by_side import SideBySide
from headrace.stores.source.derived.turned import turned
from headrace.stores.source.files.names_within import arrays_like
from headrace.stores.source.formats.columns import TABLE
from headrace.stores.source.formats.left_out import MixedTable
from headrace.stores.source.interface import Files, SourceArray, SourceNode
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.rows.rates import longer_by, rates_of, said_rate
from headrace.stores.source.rows.several_rates import SeveralRates
from headrace.stores.source.said import channel_texts
from headrace.stores.text import shown

USUAL_WINDOWS = ("X", "x", "windows")
USUAL_SIGNALS = ("signals", "table")
NO_CHANNELS = ("labels", "label", "y", "subject", "subjects", "group", "groups", "split")
"""Usual names of columns that say something of rows; y beside x is an axis."""
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
    if options.lengths is not None:
        named = options.signals or options.windows
        padded = _meant(files, "signals", named, USUAL_WINDOWS, WINDOW_AXES, options)
        return Flattened(padded) if len(padded.shape or ()) == len(WINDOW_AXES) else padded
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
        for array in _named(each, option, named, usual, options)
    ]
    if len(found) == 1:
        _refuse_rates(found[0], options)
        return used_channels(_one_channel(found[0], axes), options)
    found = _as_long(found, option, options)
    if option == "signals" and (rates := rates_of(found, options)) is not None:
        arrays = [_one_channel(array, axes) for array in found]
        several = SeveralRates(arrays, rates, most_cut=options.max_cut_rows)
        return several.chosen(*used_places(several, options)) if options.use_channels else several
    if options.rate_hz is None:
        _require_one_rate(found)
    return used_channels(_joined(found, axes, option), options)


def _as_long(arrays: list[SourceArray], option: str, options: SourceOptions) -> list[SourceArray]:
    """Arrays of one rate, cut to the shortest as far as `source.max_cut_rows` lets them be."""
    said = {said_rate(array) for array in arrays} - {None}
    if option != "signals" or not options.max_cut_rows or options.rates_hz or len(said) > 1:
        return arrays
    rows = [(array.shape or (0,))[0] for array in arrays]
    if max(rows) - min(rows) > options.max_cut_rows:
        return arrays
    return [cut_to(array, min(rows), options.max_cut_rows) for array in arrays]


def _refuse_rates(array: SourceArray, options: SourceOptions) -> None:
    if options.rates_hz:
        raise SourceError(
            f"source.rates_hz = {options.rates_hz} is for several arrays side by side, and the "
            f"signals are {array.where} alone. Set source.rate_hz in its place."
        )


def _named(
    node: SourceNode,
    option: str,
    named: str | list[str] | None,
    usual: Sequence[str],
    options: SourceOptions,
) -> list[SourceArray]:
    if not isinstance(named, list):
        found = [require_array(node, option, None, usual)] if named is None else []
        found = found or _like(node, option, named or "")
        return [_channels(node, array, options) for array in found]
    columns = _columns(node, named)
    if columns is not None:
        return [columns]
    return [array for name in named for array in _like(node, option, name)]


def _like(node: SourceNode, option: str, name: str) -> list[SourceArray]:
    """The array of that name, or those that it matches."""
    found = arrays_like(node, name) if "*" in name and node.array(name) is None else []
    return found or [require_array(node, option, name, ())]


def _columns(node: SourceNode, named: Sequence[str]) -> SourceArray | None:
    """Columns of a table, read together, where all of `named` are such, or globs of such."""
    table = node.array(TABLE)
    if not isinstance(table, Choosable) or (table.shape or ()) == ():
        return None
    count = (table.shape or (0,))[-1]
    names = channel_texts(table.attribute("channels"), count) or _numbers(node)
    if len(names) != count:
        return None
    globs = [name for name in named if name not in names]
    if any(set("*?[").isdisjoint(name) for name in globs):
        return None
    return table.chosen(places_of(names, named, "signals", table.where))


def _channels(node: SourceNode, array: SourceArray, options: SourceOptions) -> SourceArray:
    """`array` without columns that are no channels, where it is all of numbers of a table.

    Raises:
        UserError: there is no other, or one would be left out for its type.
    """
    above, _, leaf = array.name.strip("/").rpartition("/")
    count = (array.shape or (0,))[-1]
    if leaf != TABLE or len(array.shape or ()) != 2:
        return array
    names = channel_texts(array.attribute("channels"), count) or _numbers(node)
    others = _other_columns(options, above, names)
    # A Protocol's own check is slow, and is made of each of many files.
    if not options.use_channels and hasattr(node, "check_left_out"):
        cast(MixedTable, node).check_left_out(others)
    kept = [place for place, name in enumerate(names) if name not in others]
    if len(names) != count or len(kept) == count:
        return array
    if not kept:
        raise SourceError(
            f"{array.where} has no column of numbers but {shown(names)}, which are no channels. "
            "Name the channels with source.signals."
        )
    return chosen(array, kept)


def _other_columns(options: SourceOptions, above: str, names: Sequence[str]) -> set[str]:
    """Columns of a table below `above` that say something of rows, and are no channels.

    A network that is given the labels learns nothing else.
    """
    given = [
        *(n for n in names_of(options.labels) if not _is_place_in(options.labels_file, n)),
        None if _is_place_in(options.groups_file, options.groups) else options.groups,
        options.split,
        options.label_column,
    ]
    given += [*names_of(options.time), *names_of(options.recordings)]
    paths = [path.strip("/").rpartition("/") for path in given if path]
    found = {leaf for folder, _, leaf in paths if folder in (above, "")}
    if not options.use_channels:
        found |= {name for name in NO_CHANNELS if name != "y" or "x" not in names}
    return found


def _is_place_in(file: str | None, name: str | None) -> bool:
    """Whether a column of another file is named by its place: the data's there is another."""
    return file is not None and name is not None and name.isdecimal()


def _numbers(node: SourceNode) -> list[str]:
    """Columns of numbers of a table without a header."""
    arrays = ((name, node.array(name)) for name in node.names() if name != TABLE)
    return [name for name, array in arrays if array is not None and array.dtype.kind in "iuf"]


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
    return array if order == sorted(order) else turned(array, order)


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
            f"to be as long: {longer_by(arrays)}leave one out, or cut them to the same."
        )
    return SideBySide(arrays, len(axes))


def _require_one_rate(arrays: Sequence[SourceArray]) -> None:
    """Raises UserError: channels that are read side by side say different rates."""
    said = {array.where: array.attribute("sampling_rate_hz") for array in arrays}
    first, *others = said
    for other in others:
        if not np.array_equal(np.asarray(said[other]), np.asarray(said[first])):
            raise SourceError(
                f"{first} has the sampling_rate_hz {said[first]}, and {other} {said[other]}: rows "
                "side by side are of one moment. Set source.rate_hz if it holds for all."
            )


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
