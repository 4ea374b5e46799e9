"""Long tables: a row is of one sensor, and a time has as many rows as there are sensors."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headrace.pipeline.commands.guess.data import TABLE, Data
from headrace.pipeline.commands.guess.facts import Guess, few, plain
from headrace.pipeline.commands.guess.words import joined, parts_of, word
from headrace.stores.errors import DOCS
from headrace.stores.source.probe.found import FoundArray

SENSOR_WORDS = frozenset(
    re.findall(
        r"\w+",
        "sensor sensors sensortype sensorname sensorid channel channelname signal signalname "
        "signaltype variable modality measurement measure stream quantity axis datatype",
    )
)
"""Names of columns that say what a row's values are of."""
QUANTITIES = frozenset(
    re.findall(
        r"\w+",
        "acc accel accelerometer acceleration gyr gyro gyroscope mag magnet magnetometer eda gsr "
        "bvp ppg ecg ekg eeg emg eog hr ibi temp temperature baro barometer pressure gravity "
        "linear user total orientation rotation rot attitude quaternion respiration resp spo "
        "light sound audio current voltage vibration force torque x y z data sensor raw",
    )
)
"""Words of the values of such a column, whatever it is called."""
MOST = 64
STILL = 0.2
"""Of steps between times that are 0, where sensors alternate row by row."""


def tell_long(guess: Guess, data: Data, arrays: Sequence[FoundArray]) -> None:
    """Say that a table is long, and what makes it wide, if it seems so.

    Args:
        guess: what is known so far.
        data: the signals.
        arrays: of their file.
    """
    if data.key != "signals" or not data.is_table:
        return
    prefix = data.array.name[: -len(TABLE)]
    columns = [each for each in arrays if each.shape == (data.rows,)]
    taken = (guess.value("labels"), guess.value("groups"))
    asked = [each for each in columns if each.name not in taken and each.name.startswith(prefix)]
    column = next((each for each in asked if _says_sensor(each)), None)
    times = data.times
    if column is None or (times is not None and times.rises and times.still < STILL):
        return
    others = (column.name, "0")
    named = [each.name for each in data.columns if each.name not in others]
    values = [each for each in data.titles or () if each != column.name]
    index = [*named, *([] if times is None else [times.name])]
    sensors = few([plain(each) for each in column.values or ()], 4)
    wide = f"table.pivot(index={index}, columns={column.name!r}, values={values})"
    guess.refused = (
        f"it seems a long table: column {column.name} says what each row is of ({sensors}), and a "
        f"time has a row for each. Their values would be mixed up in the same channels. Make it "
        f"wide, one row a time, with pandas: {wide}; see {DOCS / 'howto' / 'your-data.md'}. If "
        "each is a recording of its own, what was written can be used."
    )
    guess.unsure.insert(0, f"that column {column.name} may be left alone: {sensors}.")


def _says_sensor(column: FoundArray) -> bool:
    values: Sequence[object] = column.values or ()
    if not 2 <= len(values) <= MOST or (column.kind not in "SOU" and not column.whole):
        return False
    if joined(word(column.name)) in SENSOR_WORDS:
        return True
    words = [[part.lower() for part in parts_of(str(value))] for value in values]
    return column.kind in "SOU" and all(
        any(not part.isdecimal() for part in each)
        and all(part in QUANTITIES or part.isdecimal() for part in each)
        for each in words
    )
