"""The labels of the rows of recordings, from whatever the source has of them."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.derived.cut import cut_to
from headrace.stores.source.file_patterns import FIELD
from headrace.stores.source.files.each_recording import EachRecording
from headrace.stores.source.formats.opening import open_file
from headrace.stores.source.formats.text_rules import TextRules
from headrace.stores.source.interface import SourceArray, SourceFile
from headrace.stores.source.label_options import IntervalOptions
from headrace.stores.source.labels.columns import label_column, named_labels
from headrace.stores.source.labels.interval_tables import one_table, table_of_each
from headrace.stores.source.labels.intervals import Intervals, read_intervals
from headrace.stores.source.labels.periods import Periods, label_periods
from headrace.stores.source.labels.row_labels import of_intervals
from headrace.stores.source.names import NameColumn, OneName, slices
from headrace.stores.source.notes.note import Note
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.times.times import Times
from headrace.stores.target import UNLABELLED

USUAL_LABELS = ("labels", "y", "label")
USUAL_PERIODS = (*USUAL_LABELS, "hypnogram", "stages", "sleep_stages")

Found = tuple[NameColumn | OneName, tuple[str, ...] | None]
Noted = tuple[Note, ...]


def row_labels(
    file: SourceFile, data: SourceArray, times: Times, rate_hz: float, options: SourceOptions
) -> tuple[Found, Noted]:
    """One label a row, rows in the order of the times; the classes that the file lists; and notes.

    They are those of rows, of labelled intervals, of periods, or of whole recordings.

    Raises:
        UserError: there are none, and the options do not say so; they do not fit the rows.
    """
    if options.label_every_s is not None:
        return _of_periods(file, data, times, rate_hz * options.label_every_s, options)
    noted: Noted = ()
    if options.intervals is not None:
        found, noted, where = _of_intervals(
            file, times, rate_hz, options.intervals, options.encoding
        )
    elif options.label_column is not None:
        found = times.given.whole_labels(options.label_column)
        where = f"{file.where} {options.label_column}"
    else:
        return _of_rows(file, data, times, rate_hz, options), ()
    stretches, index = of_intervals("labels", where, *found, UNLABELLED, rows_of(data))
    return named_labels(file, stretches, index, None, options), noted


def _of_intervals(
    file: SourceFile,
    times: Times,
    rate_hz: float,
    options: IntervalOptions,
    encoding: str | None,
) -> tuple[Intervals, Noted, str]:
    if FIELD.search(options.file):
        tables = table_of_each(file, options, times.given)
        return *read_intervals(tables, options, times, rate_hz), tables.where
    beside = file.tables.read(options.file)
    with closing(open_file(beside, TextRules(encoding=encoding))) as node:
        table = one_table(node, options, times.given)
        return *read_intervals(table, options, times, rate_hz), table.where


def _of_rows(
    file: SourceFile, data: SourceArray, times: Times, rate_hz: float, options: SourceOptions
) -> Found:
    labels, declared = label_column(file, data, USUAL_LABELS, options)
    labels.array = cut_to(labels.array, rows_of(data), options.max_cut_rows)
    rows, count = rows_of(data), len(labels)
    if count not in (rows, 0) and count == len(times.given.start):
        return _one_a_recording(labels, declared, times, rows)
    if count != rows:
        seconds = rows / max(count, 1) / rate_hz
        every = (
            f" If there is one every {seconds:g} s, set source.label_every_s = {seconds:g}."
            if 0 < count <= rows // 2 and float(f"{seconds:.3g}") == seconds
            else ""
        )
        way = f"Name another dataset with source.labels.{every}"
        if (data.shape or ())[1:] == (count,):
            way = 'It has as many columns: set source.axes = ["channel", "row"].'
        raise SourceError(
            f"{labels.array.where} has shape {labels.array.shape} for the {rows} rows of "
            f"{data.name}; one label per row is needed. {way}"
        )
    labels.array = times.ordered(labels.array)
    return labels, declared


def _one_a_recording(
    labels: NameColumn | OneName, declared: tuple[str, ...] | None, times: Times, rows: int
) -> Found:
    """Labels (R,) of the recordings, as stretches of their rows."""
    table, where = times.given, labels.array.where
    order = np.argsort(table.start, kind="stable")
    texts = [labels.names[code] for code in labels.read(0, len(labels))[order].tolist()]
    start, stop = table.start[order], (table.start + table.length)[order]
    stretches, index = of_intervals("labels", where, start, stop, texts, UNLABELLED, rows)
    return NameColumn(stretches, "labels", index), declared


def _of_periods(
    file: SourceFile, data: SourceArray, times: Times, every_rows: float, options: SourceOptions
) -> tuple[Found, Noted]:
    labels, declared = label_column(file, data, USUAL_PERIODS, options)
    where = labels.array.where
    found, noted = periods_of(file, len(labels), where, data, times, every_rows, options)
    first, stop, number = found
    codes = [code for low, high in slices(len(labels)) for code in labels.read(low, high).tolist()]
    texts = [labels.names[codes[entry]] for entry in number.tolist()]
    rows = rows_of(data)
    stretches, index = of_intervals("labels", where, first, stop, texts, UNLABELLED, rows)
    return (NameColumn(stretches, "labels", index), declared), noted


def periods_of(
    file: SourceFile,
    count: int,
    where: str,
    data: SourceArray,
    times: Times,
    every_rows: float,
    options: SourceOptions,
) -> tuple[Periods, Noted]:
    """Rows of each of `count` labels that are for so many rows: see `label_periods`.

    Raises:
        UserError: they are for less than a row, or fewer or more than the rows need.
    """
    if every_rows < 1:
        raise SourceError(
            f"source.label_every_s = {options.label_every_s:g} is less than a row of "
            f"{data.where}. Set it to the seconds that one label of {where} is for."
        )
    rows, own = rows_of(data), None
    if isinstance(file, EachRecording):
        seen = (each.rows for each in reversed(file.seen))
        own = next((each for each in seen if int(each.sum()) == count), None)
    return label_periods(count, own, times, rows, every_rows, where)
