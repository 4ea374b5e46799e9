"""What a trained network takes and tells apart, as its run records it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.stores.errors import PredictionError, first_line

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.stores import Store
    from headrace.stores.source.source import Source


@dataclass(frozen=True)
class ModelInputs:
    """Windows (T, C) at a rate, features by name, and the classes of the output.

    Attributes:
        time: T, samples of a window.
        rate_hz: sampling rate, Hz.
        channels, units: C names and units; "" where unknown.
        raw_dtype: what values were stored as before the network saw them, in units.
        features: F names, in the order of the columns; empty: none.
        classes: K names, in the order of the probabilities.
    """

    time: int
    rate_hz: float
    channels: tuple[str, ...]
    units: tuple[str, ...]
    raw_dtype: str
    features: tuple[str, ...]
    classes: tuple[str, ...]

    def as_table(self) -> dict[str, Any]:
        """JSON-able; `inputs_from_table` takes it back."""
        return asdict(self)


def inputs_of(store: Store) -> ModelInputs:
    """What a network that is trained on `store` takes."""
    return ModelInputs(
        time=store.time,
        rate_hz=store.rate_hz,
        channels=store.channels,
        units=store.units,
        raw_dtype=store.raw_dtype.name,
        features=store.feature_names,
        classes=store.classes,
    )


def inputs_from_table(table: Mapping[str, Any], where: Path) -> ModelInputs:
    """What `as_table` gave.

    Raises:
        UserError: it is damaged.
    """
    try:
        lists = ("channels", "units", "features", "classes")
        found = {name: tuple(str(each) for each in table[name]) for name in lists}
        return ModelInputs(
            time=int(table["time"]),
            rate_hz=float(table["rate_hz"]),
            raw_dtype=np.dtype(table["raw_dtype"]).name,
            **found,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PredictionError(
            f"{where} does not say what the network takes ({first_line(error)}). Train again: "
            "headrace train --new."
        ) from error


def refuse_other_signals(inputs: ModelInputs, source: Source) -> None:
    """Check that a source delivers the windows that the network takes.

    Raises:
        UserError: channels, units, rate or length differ; says how they can be made to agree.
    """
    path = source.path
    if source.channels != inputs.channels:
        if len(source.channels) != len(inputs.channels):
            way = "No option makes up for one that is missing: give a source with these."
        elif sorted(source.channels) == sorted(inputs.channels):
            way = "Write the columns in that order: source.channels renames, it moves none."
        else:
            way = (
                "If they are the same in the same order, name them so: --set source.channels="
                f"{_toml(inputs.channels)}"
            )
        raise PredictionError(
            f"The network takes the channels {_listed(inputs.channels)}, and {path} has "
            f"{_listed(source.channels)}. {way}"
        )
    known = [each for each in zip(inputs.units, source.units, strict=True) if "" not in each]
    if any(wanted != found for wanted, found in known):
        raise PredictionError(
            f"The network takes {_listed(inputs.units)} and {path} has {_listed(source.units)}. "
            "Convert them: --set source.scale=[factor of each channel] "
            f"--set source.units={_toml(inputs.units)}"
        )
    if source.rate_hz != inputs.rate_hz:
        way = (
            f"Resample it: --set source.target_rate_hz={inputs.rate_hz:g}"
            if source.layout == "recordings"
            else "Windows cannot be resampled: give the recordings they were cut from."
        )
        raise PredictionError(
            f"The network takes {inputs.rate_hz:g} Hz and {path} has {source.rate_hz:g} Hz. {way}"
        )
    if source.time != inputs.time:
        way = (
            f"Cut it so: --set source.window_samples={inputs.time}"
            if source.layout == "recordings"
            else "Give the recordings that they were cut from, or train on windows of that length."
        )
        raise PredictionError(
            f"The network takes windows of {inputs.time} samples and {path} has "
            f"{source.time}. {way}"
        )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(name or "(unknown)" for name in names)


def _toml(names: tuple[str, ...]) -> str:
    return "'" + json.dumps(list(names)) + "'"
