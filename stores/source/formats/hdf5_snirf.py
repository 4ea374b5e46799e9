"""SNIRF files: time series beside their time, and stimuli as a table of intervals."""

from __future__ import annotations

import re
from typing import Any

import h5py
import numpy as np

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import rows_of
from headrace.stores.source.formats.derived import DerivedArray, as_texts, held_array
from headrace.stores.source.formats.hdf5 import Hdf5Array, Hdf5Node, explained
from headrace.stores.source.formats.hdf5_fields import ArraysNode, FieldsNode
from headrace.stores.source.interface import SourceArray, SourceNode

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
"""In units of time that a file may have."""
SERIES = "dataTimeSeries"
MOST_STIMULI = 1000
MOST_INTERVALS = 1 << 20


class SnirfSeries(Hdf5Array):
    """`dataTimeSeries` (rows, channels): its rate is in `time`, if that is start and step."""

    def attribute(self, name: str) -> Any | None:
        """An attribute, or the rate of a time that is start and step."""
        found = super().attribute(name)
        if found is not None or name != "sampling_rate_hz":
            return found
        with explained():
            spacing = _spacing(self.dataset.parent)
            seconds = SECONDS.get(_time_unit(self.dataset.file, self.name))
        if spacing is None or seconds is None or spacing[1] <= 0:
            return None
        # 1 / 0.1 is 10, and 1 / (100 * 0.001) should be too.
        return float(f"{1 / (spacing[1] * seconds):.12g}")


class SnirfNode(FieldsNode):
    """A file or group of SNIRF; see `SourceNode`.

    Each /nirs has a group more, "intervals": start_time, stop_time, value and name of all stimuli,
    by start.
    """

    def array(self, name: str) -> SourceArray | None:
        """The array of that name."""
        head, _, column = name.rpartition("/")
        intervals = self._intervals(head)
        return super().array(name) if intervals is None else intervals.array(column)

    def group(self, name: str) -> SourceNode | None:
        """The group of that name, or the intervals."""
        return self._intervals(name) or super().group(name)

    def as_meant(self, found: Hdf5Array) -> SourceArray:
        """The data of a time series, with its rate; time in full."""
        leaf = found.name.rpartition("/")[2]
        if leaf == SERIES:
            return SnirfSeries(found.dataset, found.parts)
        with explained():
            spacing = _spacing(found.dataset.parent) if leaf == "time" else None
            if spacing is None:
                return found
            first, step = spacing
            rows = found.dataset.parent[SERIES].shape[0]
            unit = _time_unit(found.dataset.file, found.name)
        return DerivedArray(
            found.name,
            found.where,
            (rows,),
            np.dtype("f8"),
            (),
            lambda _, start, stop: first + step * np.arange(start, stop),
            {"units": unit},
        )

    def _intervals(self, name: str) -> SourceNode | None:
        head, _, leaf = name.strip("/").rpartition("/")
        if leaf != "intervals" or self.inner.resolved(name) is not None:
            return None
        nirs = self.inner.group(head) if head else self.inner
        if nirs is None or not re.fullmatch(r"/nirs\d*", nirs.name):
            return None
        return _intervals(nirs)


def _intervals(nirs: Hdf5Node) -> SourceNode | None:
    """All stimuli of a recording as one table; None: there are none."""
    with explained():
        stimuli = [name for name in nirs.node if re.fullmatch(r"stim\d*", name)]
    if len(stimuli) > MOST_STIMULI:
        raise SourceError(
            f"{nirs.where} has {len(stimuli)} groups of stimuli; {MOST_STIMULI} is the most. "
            "Name another group."
        )
    rows, names = [np.empty((0, 3))], []
    for stimulus in stimuli:
        data = nirs.array(f"{stimulus}/data")
        if data is None or not rows_of(data):
            continue
        label = nirs.array(f"{stimulus}/name")
        shape = data.shape or ()
        held = sum(map(len, rows)) + shape[0]
        if len(shape) != 2 or shape[1] < 3 or data.dtype.kind not in "iuf" or held > MOST_INTERVALS:
            raise SourceError(
                f"{data.where} has the shape {shape} and the type {data.dtype}; (interval, 3 or "
                f"more) of numbers, {MOST_INTERVALS:,} in all, is needed. Correct the file."
            )
        rows.append(data.read(0, shape[0])[:, :3].astype(np.float64))
        names += [stimulus if label is None else _name(label)] * shape[0]
    if not names:
        return None
    table = np.concatenate(rows)
    order = np.argsort(table[:, 0], kind="stable")
    start, duration, value = table[order].T
    columns = {
        "start_time": start,
        "stop_time": start + duration,
        "value": value,
        "name": np.array(names, dtype=np.str_)[order],
    }
    name, where = f"{nirs.name}/intervals", f"{nirs.where}/intervals"
    return ArraysNode(
        name, where, {n: held_array(f"{name}/{n}", f"{where}/{n}", c) for n, c in columns.items()}
    )


def _name(label: Hdf5Array) -> str:
    try:
        texts = as_texts(np.asarray(label.whole())).reshape(-1).tolist()
    except (UnicodeDecodeError, TypeError) as error:
        raise SourceError(
            f"{label.where} is no text ({error}). Correct the name of the stimulus."
        ) from error
    return str(texts[0]) if len(texts) == 1 else ", ".join(texts)


def _spacing(data: Any) -> tuple[float, float] | None:
    """Start and step of a time that is no more than those."""
    time, series = data.get("time"), data.get(SERIES)
    if not isinstance(time, h5py.Dataset) or not isinstance(series, h5py.Dataset):
        return None
    if time.size != 2 or not series.shape or series.shape[0] == 2 or time.dtype.kind not in "iuf":
        return None
    first, step = np.asarray(time[()], dtype=np.float64).reshape(-1).tolist()
    return first, step


def _time_unit(file: Any, name: str) -> str:
    """What the recording that `name` is in calls its unit of time."""
    unit = file.get(f"{name.split('/')[1]}/metaDataTags/TimeUnit")
    if not isinstance(unit, h5py.Dataset) or unit.size != 1:
        return "s"
    return str(as_texts(np.asarray(unit[()])).reshape(-1)[0])
