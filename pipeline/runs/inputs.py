"""What a trained network takes and tells apart, as its run records it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.model.interface import NetworkInputs, NetworkTarget
from headrace.pipeline.stream.target import network_target
from headrace.stores.errors import PredictionError, first_line
from headrace.stores.spec import WindowSpec

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.stores import Store
    from headrace.stores.source.source import Source


@dataclass(frozen=True)
class ModelInputs:
    """Windows, features by name, and the output.

    Attributes:
        spec: of windows in units; its dtype is what they were stored as before that.
        features: F names, in the order of the columns; empty: none.
        target: what the network gives.
    """

    spec: WindowSpec
    features: tuple[str, ...]
    target: NetworkTarget

    @property
    def classes(self) -> tuple[str, ...]:
        """K names, in the order of the probabilities; () of values."""
        return self.target.classes

    def as_table(self) -> dict[str, Any]:
        """JSON-able; `inputs_from_table` takes it back."""
        return {
            "time": self.spec.time,
            "rate_hz": self.spec.rate_hz,
            "channels": self.spec.channels,
            "units": self.spec.units,
            "raw_dtype": self.spec.dtype.name,
            "features": self.features,
            "classes": self.classes,
            **_more_than_classes(self.target),
        }


def inputs_of(store: Store) -> ModelInputs:
    """What a network that is trained on `store` takes."""
    in_units = (1.0,) * len(store.spec.channels)
    spec = replace(store.spec, scale=in_units)
    return ModelInputs(spec, store.feature_names, network_target(store.target))


def _more_than_classes(target: NetworkTarget) -> dict[str, Any]:
    """What a record says of other targets; of classes nothing, as ever."""
    if target == NetworkTarget(target.classes):
        return {}
    return {"target": {key: each for key, each in asdict(target).items() if key != "classes"}}


def described(inputs: ModelInputs, kinds: str) -> NetworkInputs:
    """What a network is given of `inputs`: `kinds` is `model.inputs`, resolved."""
    shapes = {"raw": inputs.spec.shape, "features": (len(inputs.features),)}
    names = tuple(shapes) if kinds == "hybrid" else (kinds,)
    return NetworkInputs(
        {name: shapes[name] for name in names},
        inputs.spec.channels,
        inputs.features,
        inputs.spec.rate_hz,
    )


def inputs_from_table(table: Mapping[str, Any], where: Path) -> ModelInputs:
    """What `as_table` gave.

    Raises:
        UserError: it is damaged.
    """
    try:
        lists = ("channels", "units", "features", "classes")
        found = {name: tuple(str(each) for each in table[name]) for name in lists}
        spec = WindowSpec(
            time=int(table["time"]),
            rate_hz=float(table["rate_hz"]),
            channels=found["channels"],
            units=found["units"],
            dtype=np.dtype(table["raw_dtype"]),
            scale=(1.0,) * len(found["channels"]),
        )
        more = table.get("target", {})
        given = {key: tuple(each) if isinstance(each, list) else each for key, each in more.items()}
        target = NetworkTarget(**({"classes": found["classes"]} | given))
        return ModelInputs(spec, found["features"], target)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PredictionError(
            f"{where} does not say what the network takes ({first_line(error)}). Train again: "
            "headrace train --new."
        ) from error


def refuse_other_signals(inputs: ModelInputs, source: Source) -> None:
    """Check that a source delivers the windows that the network takes.

    Raises:
        UserError: channels, units, rate or length differ; says how they can be made to agree.
    """
    wanted, found, cut = inputs.spec, source.spec, source.layout == "recordings"
    differences = wanted.differences(found)
    if not differences:
        return
    match differences[0]:
        case "channels":
            takes, has = f"the channels {_listed(wanted.channels)},", _listed(found.channels)
            way = _way_to_channels(wanted.channels, found.channels)
        case "units":
            takes, has = _listed(wanted.units), _listed(found.units)
            way = (
                "Convert them: --set source.scale=[factor of each channel] "
                f"--set source.units={_toml(wanted.units)}"
            )
        case "rate_hz":
            takes, has = f"{wanted.rate_hz:g} Hz", f"{found.rate_hz:g} Hz"
            way = (
                f"Resample it: --set source.target_rate_hz={wanted.rate_hz:g}"
                if cut
                else "Windows cannot be resampled: give the recordings they were cut from."
            )
        case _:
            takes, has = f"windows of {wanted.time} samples", f"{found.time}"
            way = (
                f"Cut it so: --set source.window_samples={wanted.time}"
                if cut
                else "Give the recordings that they were cut from, or train on windows of that "
                "length."
            )
    raise PredictionError(f"The network takes {takes} and {source.path} has {has}. {way}")


def _way_to_channels(wanted: tuple[str, ...], found: tuple[str, ...]) -> str:
    if all(wanted) and set(wanted) <= set(found):
        return f"Pick them by name: --set source.use_channels={_toml(wanted)}"
    if len(found) > len(wanted):
        return (
            "Name all of its channels with source.channels, in its order, and pick these: "
            f"--set source.use_channels={_toml(wanted)}"
        )
    lacking = tuple(name for name in wanted if name not in found)
    if len(found) < len(wanted):
        return (
            f"It lacks {_listed(lacking)}, and no option makes up for a channel that is missing: "
            "give a source with these, or train on fewer with source.use_channels."
        )
    return (
        "If they are the same in the same order, name them so: --set source.channels="
        f"{_toml(wanted)}"
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(name or "(unknown)" for name in names)


def _toml(names: tuple[str, ...]) -> str:
    return "'" + json.dumps(list(names)) + "'"
