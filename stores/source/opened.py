"""Opens what a path names, and tells whether it holds windows or recordings."""

from __future__ import annotations

from functools import partial
from typing import Literal

from headrace.stores.errors import SourceError
from headrace.stores.io.places import Place
from headrace.stores.source.files.census import Census
from headrace.stores.source.files.located import files_of
from headrace.stores.source.files.many import ManyFiles
from headrace.stores.source.formats.opening import open_file
from headrace.stores.source.formats.text_rules import TextRules
from headrace.stores.source.interface import SourceFile
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.signals import USUAL_SIGNALS, USUAL_WINDOWS, has_data
from headrace.stores.source.times.one_time import on_one_time

LayoutName = Literal["windows", "recordings"]


def open_located(path: Place, options: SourceOptions, census: Census | None) -> SourceFile:
    """The file, or all that the path names."""
    rules = TextRules(
        options.damaged_lines == "drop", options.skip_lines, options.encoding, options.comments
    )
    files = files_of(path, options) if census is None else census.files
    if files is None:
        return open_file(path, rules)
    found = ManyFiles(files, rules, census, partial(on_one_time, options=options))
    found.most_cut = options.max_cut_rows
    return found


def find_layout(file: SourceFile, options: SourceOptions) -> LayoutName:
    """The layout asked for, or the one whose main dataset is named or there."""
    if options.layout != "auto":
        return options.layout
    if options.lengths is not None:
        return "recordings"
    named = (bool(options.windows), bool(options.signals))
    there = (
        named
        if any(named)
        else file.example(
            lambda files: tuple(has_data(files, usual) for usual in (USUAL_WINDOWS, USUAL_SIGNALS))
        )
    )
    if all(there):
        raise SourceError(
            f"{file.where} has both windows and recordings. Set source.layout to "
            '"windows" or "recordings".'
        )
    if not any(there):
        raise SourceError(
            f"{file.where} has neither {' nor '.join((USUAL_WINDOWS[0], USUAL_SIGNALS[0]))}. "
            f"It holds: {file.contents()}. Name the data with source.windows (window, time, "
            "channel) or source.signals (row, channel)."
        )
    return "windows" if there[0] else "recordings"
