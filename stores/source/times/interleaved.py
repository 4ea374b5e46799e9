"""Rows that alternate between sensors: a time comes once for each value of a column of texts."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice

import numpy as np

from headrace.stores.errors import DOCS, UserError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.interface import Files
from headrace.stores.source.times.stamps import TimeName, stamps_of
from headrace.stores.source.times.times_of import array_of_recording
from headrace.stores.text import listed

ROWS, ARRAYS, MOST_VALUES = 4096, 500, 64
"""First rows that are looked at, of so many arrays; different texts of a column."""


def interleaved(files: Files, name: TimeName) -> str:
    """What to say of a column by which the rows of a recording alternate; "": there is none.

    Args:
        files: of the recording.
        name: of its times.
    """
    with suppress(UserError):
        times = array_of_recording(files, name)
        ticks = stamps_of(times).read(0, min(ROWS, rows_of(times)))
        again = np.flatnonzero(ticks[1:] == ticks[:-1])
        for node in files if len(again) else ():
            for each in islice(node.names(), ARRAYS):
                array = node.array(each)
                if array is None or array.shape != times.shape or array.dtype.kind not in "SOU":
                    continue
                texts = array.texts(0, len(ticks))
                values = list(dict.fromkeys(texts.tolist()))
                if 2 <= len(values) <= MOST_VALUES and (texts[again + 1] != texts[again]).all():
                    return (
                        f" Where a time comes again, {each} differs ({listed(values)}): a row is "
                        "of one sensor. Write the table with one row a time and a column for each "
                        f"sensor's channels, as pandas' pivot(columns={each!r}) does: see "
                        f"{DOCS / 'howto' / 'your-data.md'}."
                    )
    return ""
