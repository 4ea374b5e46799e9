"""Which arrays of a file are the data: windows, signals, or columns of a table; and their axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace.pipeline.commands.guess.columns import MOST_CLASSES, counts_rows, may_be_names
from headrace.pipeline.commands.guess.facts import Guess, few, shortened
from headrace.pipeline.commands.guess.time_columns import times_among
from headrace.pipeline.commands.guess.words import (
    CHANNEL_WORDS,
    GROUP_WORDS,
    INDEX_WORDS,
    LABEL_WORDS,
    OF_LABELS,
    SPLIT_WORDS,
    UNIT_WORDS,
    joined,
    word,
)
from headrace.stores.errors import CommandError
from headrace.stores.source.channels import ATTRIBUTES
from headrace.stores.source.formats.parquet_columns import INDEX
from headrace.stores.source.probe.found import FoundArray, FoundFile
from headrace.stores.source.signals import USUAL_SIGNALS, USUAL_WINDOWS

TABLE = "table"
MOST_CHANNELS = 512
ONE_CHANNEL = 24
"""Columns from which on (N, T) may be windows of one channel."""
SHORTEST_SIGNAL = 50
CLEARLY_LONGER = 4
PER_CHANNEL = frozenset(
    map(joined, (*CHANNEL_WORDS, *UNIT_WORDS, "scale", "offset", *ATTRIBUTES.values()))
)
"""Names of attributes with an entry a channel, and how much longer time is for certain."""


@dataclass(frozen=True)
class Data:
    """The windows or signals of a file.

    Attributes:
        key: "windows" or "signals".
        names: of the arrays or columns, side by side.
        array: the first of them, or the whole as one.
        rows: windows, or rows of the signals.
        channels: how many there are.
        columns: what else has a value a row, or a window.
        titles: names of the channels that columns give; None: the data may say them.
        times: the column of times.
        is_table: whether it is one of columns, which name the channels.
    """

    key: str
    names: tuple[str, ...]
    array: FoundArray
    rows: int
    channels: int
    columns: tuple[FoundArray, ...]
    titles: tuple[str, ...] | None = None
    times: FoundArray | None = None
    is_table: bool = False


def tell_data(
    guess: Guess, file: FoundFile, where: str, beside: frozenset[int] = frozenset()
) -> Data:
    """Find the data of a file, and write down where they are.

    Args:
        guess: what is known so far.
        file: to be looked through.
        where: what it is called, for errors.
        beside: lengths of columns that stand in files of their own.

    Raises:
        UserError: nothing may be data.
    """
    found = (
        _windows(guess, file)
        or _wide_table(guess, file, beside)
        or _table(guess, file)
        or _signals(guess, file)
    )
    if found is None:
        shown = few([f"{d.name} {d.shape}" for d in file.arrays], 12) or "no array"
        raise CommandError(
            f"{where} has no array of numbers (window, time, channel) or (row, channel). It "
            f"holds: {shown}. Name a file that has, or its folder."
        )
    return found


def _windows(guess: Guess, file: FoundFile) -> Data | None:
    found = [d for d in file.arrays if len(d.shape) == 3 and d.is_number and min(d.shape) > 0]
    flat = not found
    if flat:
        found = [d for d in file.arrays if _is_one_channel(d, file)]
    if not found:
        return None
    data = _best(found, USUAL_WINDOWS)
    what = "windows of one channel (window, time)" if flat else "windows (window, time, channel)"
    shape, axes = data.shape, None
    turned, sure = (False, True) if flat else channels_first(data)
    if turned and sure:
        axes = ["window", "channel", "time"]
        what = "windows (window, channel, time)"
    _tell(guess, "windows", data, USUAL_WINDOWS, found, what)
    if axes:
        guess.source["axes"] = (axes, f"{shape[1]} channels of {shape[2]} samples")
        guess.unsure.append(
            f"that {data.name} has {shape[1]} channels of {shape[2]} samples, and not the other "
            "way round (axes)."
        )
    elif turned:
        guess.source["axes"] = (
            None,
            f'["window", "channel", "time"], if these are {shape[1]} channels of {shape[2]} '
            "samples",
        )
        guess.unsure.append(
            f"that {data.name} has {shape[2]} channels of {shape[1]} samples, and not the other "
            "way round (axes)."
        )
    if flat:
        guess.unsure.append(f"that {data.name} holds windows of one channel, {shape[1]} samples.")
    channels = 1 if flat else shape[1] if axes else shape[2]
    columns = tuple(d for d in file.arrays if d.is_flat and d.rows == shape[0])
    return Data("windows", (data.name,), data, shape[0], channels, columns)


def channels_first(data: FoundArray) -> tuple[bool, bool]:
    """Whether windows may be (window, channel, time), and whether that is to be written down.

    Names or units of channels decide, one a channel. Else the longer axis is that of time, for
    certain from four times as long on: few channels of many samples are usual, and short windows
    of many channels are there too.
    """
    _, one, two = data.shape
    listed = {
        len(value)
        for name, value in data.attributes.items()
        if isinstance(value, list) and joined(name) in PER_CHANNEL
    }
    if one != two and (one in listed) != (two in listed):
        return one in listed, True
    return two > one, two >= CLEARLY_LONGER * one


def _is_one_channel(found: FoundArray, file: FoundFile) -> bool:
    """Whether (N, T) are windows: with a label each, and no names of channels."""
    shape = found.shape
    if len(shape) != 2 or found.kind not in "fiu" or word(found.name) == TABLE:
        return False
    columns = [d for d in file.arrays if d.is_flat and d.rows == shape[0] and d is not found]
    labels = [d for d in columns if word(d.name) in (*LABEL_WORDS, *GROUP_WORDS)]
    usual = found.name in (*USUAL_WINDOWS, "segments", "epochs", "data")
    named = any(isinstance(v, list) and len(v) == shape[1] for v in found.attributes.values())
    wide = shape[1] >= ONE_CHANNEL and shape[0] < 2000 * shape[1] ** 0.5
    return bool(labels) and wide and usual and not named


def _wide_table(guess: Guess, file: FoundFile, beside: frozenset[int]) -> Data | None:
    """A table without names whose rows are windows of one channel: a label of each is beside."""
    table = file.named(TABLE)
    if table is None or len(table.shape) != 2 or table.shape[0] not in beside:
        return None
    columns = [each for each in file.arrays if each is not table]
    if table.shape[1] < ONE_CHANNEL or not all(each.name.isdecimal() for each in columns):
        return None
    count, samples = table.shape
    guess.source["windows"] = (TABLE, f"a window of {samples} samples a row: {count:,}")
    return Data("windows", (TABLE,), table, count, 1, ())


def _table(guess: Guess, file: FoundFile) -> Data | None:
    """Columns of a table that are numbers, and are no labels, groups, times or numbers of rows."""
    tables = [d for d in file.arrays if word(d.name) == TABLE and len(d.shape) == 2]
    for table in sorted(tables, key=lambda each: -_size(each)):
        prefix = table.name[: -len(TABLE)]
        columns = [
            d
            for d in file.arrays
            if d.name.startswith(prefix) and d is not table and d.is_flat and d.rows == table.rows
        ]
        if len(columns) + 1 >= table.shape[1] and columns:
            return _of_table(guess, table, prefix, columns)
    return None


def _of_table(guess: Guess, table: FoundArray, prefix: str, columns: list[FoundArray]) -> Data:
    numbers = [column for column in columns if column.is_number]
    headed = not all(column.name[len(prefix) :].isdecimal() for column in columns)
    times = times_among(columns) if headed else _times_by_value(numbers)
    beside = [column for column in numbers if column is not times and _is_beside(column, headed)]
    left = [column for column in numbers if column is not times and column not in beside]
    signals = left or numbers
    short = [column.name[len(prefix) :] for column in signals]
    rows = table.shape[0]
    listed: list[str] | str = [column.name for column in signals]
    if len(signals) == table.shape[1]:
        listed = table.name
    guess.source["signals"] = (listed, f"{len(signals)} columns of {rows:,} rows")
    if beside and left:
        guess.unsure.append(
            f"that {few([column.name for column in beside])} is no signal, but says something of "
            "the rows."
        )
    texts = [c for c in columns if c.kind in "SOU" and _mostly_numbers(c)]
    if texts:
        guess.unsure.append(
            f"{few([each.name for each in texts])} holds texts among numbers "
            f"({shortened(str(texts[0].first[0]))}), and is left out."
        )
    rest = tuple(column for column in columns if column not in signals and column is not times)
    names = (table.name,) if isinstance(listed, str) else tuple(listed)
    titles = tuple(short) if headed else None
    return Data("signals", names, table, rows, len(signals), rest, titles, times, True)


def _times_by_value(columns: Sequence[FoundArray]) -> FoundArray | None:
    """Of a table without names: the first column of many values that goes on in even steps."""
    even = (each for each in columns if each.values is None and each.even and (each.step or 0) > 0)
    return next(even, None)


def _is_beside(column: FoundArray, headed: bool) -> bool:
    """Whether a column of numbers says something of the rows, and is no signal."""
    bare = word(column.name)
    if not headed:
        if column.values is None or not column.whole or (column.least or 0) < 0:
            return False
        # Numbers of people or machines stand in blocks, one after another, and may be more.
        return len(column.values) > 1 and (len(column.values) <= MOST_CLASSES or column.rises)
    words = {joined(each) for each in (*LABEL_WORDS, *GROUP_WORDS, *SPLIT_WORDS)}
    if bare in words and counts_rows(column):
        return True
    if column.whole and OF_LABELS.match(column.name.rpartition("/")[2]):
        return True
    if bare in words or any(len(each) > 3 and bare.endswith(each) for each in words):
        return may_be_names(column)
    # What pandas writes in front, with or without a name.
    counts = column.whole and column.rises and column.step == 1 and column.even
    if INDEX.fullmatch(column.name):
        return True  # The reader leaves it out as well.
    if bare in INDEX_WORDS or bare.isdecimal() or bare.startswith(("unnamed", "index")):
        return counts
    return bare.startswith("timestamp")


def _mostly_numbers(column: FoundArray) -> bool:
    def is_number(value: object) -> bool:
        try:
            float(str(value))
        except ValueError:
            return False
        return True

    return bool(column.first) and sum(map(is_number, column.first)) * 2 > len(column.first)


def _signals(guess: Guess, file: FoundFile) -> Data | None:
    found = [d for d in file.arrays if _is_signals(d)]
    if found:
        data = _best(found, USUAL_SIGNALS)
        turned = data.shape[1] > data.shape[0]
        what = "signals (channel, row)" if turned else "signals (row, channel)"
        _tell(guess, "signals", data, USUAL_SIGNALS, found, what)
        rows, channels = data.shape[::-1] if turned else data.shape
        if turned:
            guess.source["axes"] = (["channel", "row"], f"{channels} channels of {rows:,} samples")
            guess.unsure.append(f"that {data.name} has {channels} channels (axes).")
        columns = _columns(file, rows)
        return Data("signals", (data.name,), data, rows, channels, columns, None, _times(columns))
    return _one_by_one(guess, file)


def _one_by_one(guess: Guess, file: FoundFile) -> Data | None:
    """Arrays of one channel each, of equal length, side by side."""
    single = [d for d in file.arrays if d.is_number and d.is_flat and d.rows >= SHORTEST_SIGNAL]
    lengths: dict[int, list[FoundArray]] = {}
    for each in single:
        lengths.setdefault(each.rows, []).append(each)
    for rows, arrays in sorted(lengths.items(), key=lambda each: -each[0] * len(each[1])):
        columns = _columns(file, rows)
        times = _times(columns)
        signals = [a for a in arrays if a is not times and not _is_beside(a, headed=True)]
        if not signals:
            continue
        names = [each.name for each in signals]
        guess.source["signals"] = (
            names if len(names) > 1 else names[0],
            f"{len(names)} channels of {rows:,} rows",
        )
        if all(len(each.shape) == 2 and each.shape[0] == 1 for each in signals) and rows > 1:
            guess.source["axes"] = (["channel", "row"], f"1 x {rows:,}")
        others = sum(len(each) for length, each in lengths.items() if length != rows)
        if others:
            guess.unsure.append(f"what the {others} arrays of other lengths are.")
        rest = tuple(each for each in columns if each not in signals and each is not times)
        titles = tuple(name.rpartition("/")[2] for name in names)
        if len(set(titles)) < len(titles):
            titles = tuple(name.replace("/", " ") for name in names)
        whole = replace(signals[0], shape=(rows, len(names)))
        return Data("signals", tuple(names), whole, rows, len(names), rest, titles, times)
    return None


def _columns(file: FoundFile, rows: int) -> tuple[FoundArray, ...]:
    return tuple(d for d in file.arrays if d.is_flat and d.rows == rows)


def _times(columns: Sequence[FoundArray]) -> FoundArray | None:
    return times_among([each for each in columns if each.kind not in "b"])


def _is_signals(found: FoundArray) -> bool:
    shape = found.shape
    if len(shape) != 2 or found.kind not in "fiu" or found.is_flat:
        return False
    return 1 < min(shape) <= MOST_CHANNELS and max(shape) > min(shape)


def _best(found: list[FoundArray], usual: Sequence[str]) -> FoundArray:
    """One of a usual name, else the largest."""
    named = [each for each in found if each.name in usual]
    return named[0] if named else max(found, key=_size)


def _size(found: FoundArray) -> int:
    return math.prod(found.shape)


def _tell(
    guess: Guess,
    key: str,
    data: FoundArray,
    usual: Sequence[str],
    all_of_them: Sequence[FoundArray],
    what: str,
) -> None:
    shape = " x ".join(f"{length:,}" for length in data.shape)
    guess.source[key] = (data.name, f"{what}: {shape}")
    if len(all_of_them) > 1 and data.name not in usual:
        others = few([each.name for each in all_of_them if each is not data])
        guess.unsure.append(f"{data.name} is the largest that may be {what}; there are {others}.")
