"""NWB files: time series with a conversion to units, and a rate or time stamps beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py

from headrace.stores.source.formats.hdf5 import Hdf5Array, explained
from headrace.stores.source.formats.hdf5_fields import FieldsNode
from headrace.stores.source.interface import SourceArray

TIMES = ("starting_time", "timestamps")
"""One of them is beside the data of a time series."""


OWN = ("conversion", "offset", "unit", "resolution")
"""Attributes of the data of a time series; the resolution is no more than a remark."""


class NwbArray(Hdf5Array):
    """The data of a time series: its attributes under the names that a source knows."""

    def attribute(self, name: str) -> Any | None:
        """An attribute of the data, or what NWB says in its place."""
        found = super().attribute(name)
        if found is not None:
            return found
        attrs = self.dataset.attrs
        with explained():
            if name == "sampling_rate_hz":
                start = self.dataset.parent.get("starting_time")
                return start.attrs.get("rate") if isinstance(start, h5py.Dataset) else None
            if name == "scale_to_units":
                return self._scale()
            if name == "offset_to_units":
                return attrs.get("offset")
            return attrs.get("unit") if name == "units" else None

    def attributes(self) -> list[Mapping[str, Any]]:
        """Those that are not used: NWB says what its own mean."""
        own, *above = super().attributes()
        return [{name: value for name, value in own.items() if name not in OWN}, *above]

    def _scale(self) -> Any | None:
        """What turns values into units; of each channel, where channels differ."""
        scale = self.dataset.attrs.get("conversion")
        channels = self.dataset.parent.get("channel_conversion")
        shape = self.shape or ()
        if isinstance(channels, h5py.Dataset) and len(shape) > 1 and channels.shape == shape[1:2]:
            return channels[()] * (1.0 if scale is None else scale)
        return scale


class NwbNode(FieldsNode):
    """A file or group of NWB; see `SourceNode`. The columns of its tables are arrays as it is."""

    def as_meant(self, found: Hdf5Array) -> SourceArray:
        """The data of a time series, with what is beside it."""
        group, _, leaf = found.name.rpartition("/")
        siblings = found.dataset.parent
        if leaf == "data" and group and any(name in siblings for name in TIMES):
            return NwbArray(found.dataset, found.parts)
        return found
