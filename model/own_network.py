"""A network of the user's own: does it fit what it is given, and what is kept of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from headrace.model.interface import LABEL, Kind, NetworkInputs, NetworkTarget
from headrace.model.targets.registry import target_model

PROBED = 2
"""Windows of noise that a network is tried on."""
_NOUNS: dict[Kind, str] = {
    "class": "classes",
    "labels": "labels",
    "value": "values",
    "sequence": "classes at each step",
}


class NetworkFault(ValueError):
    """A network does not fit its inputs or its target; names shapes, in one line."""


@dataclass(frozen=True)
class Heads:
    """How a network names its outputs.

    Attributes:
        names: `label` first among them; auxiliary ones are others.
        bare: the one output is a tensor, not a dict.
    """

    names: tuple[str, ...]
    bare: bool


def check_network(network: Any, inputs: NetworkInputs, target: NetworkTarget) -> Heads:
    """Check what a build function returned, without a training step.

    Raises:
        NetworkFault: it is no Keras model; takes other inputs; gives other shapes, or what is no
            output of the target's kind.
    """
    if not isinstance(network, keras.Model):
        raise NetworkFault(f"returned {_named(network)}, not a Keras model")
    _check_inputs(network, inputs)
    rng = np.random.default_rng(0)
    noise = {
        name: rng.standard_normal((PROBED, *shape), np.float32)
        for name, shape in inputs.shapes.items()
    }
    given = network(noise, training=False)
    heads = _heads(given, target)
    found = np.asarray(given if heads.bare else given[LABEL], np.float64)
    fault = target_model(target).fault(found)
    if fault is not None:
        raise NetworkFault(fault)
    return heads


def _check_inputs(network: keras.Model, inputs: NetworkInputs) -> None:
    wanted = {name: tuple(shape) for name, shape in inputs.shapes.items()}
    taken = _taken(network)
    if taken is None:  # Its own `call` says, when it is called.
        return
    if set(taken) != set(wanted):
        way = "Take a dict of inputs.tensors()"
        if set(taken) < set(wanted):
            (only, *_) = taken
            way = f'Set model.inputs = "{only}", or take all'
        raise NetworkFault(f"takes {_shown(taken)}, and is given {_shown(wanted)} by name. {way}")
    for name, shape in taken.items():
        fits = len(shape) == len(wanted[name]) and all(
            own in (None, given) for own, given in zip(shape, wanted[name], strict=True)
        )
        if not fits:
            raise NetworkFault(
                f"takes {name} of shape {_shape(shape)}, and is given {_shape(wanted[name])}"
            )


def _taken(network: keras.Model) -> dict[str, tuple[int | None, ...]] | None:
    """Shapes by input; None of a subclass of Model, whose `call` is the user's."""
    if isinstance(network, keras.Sequential):
        tensors = network.inputs or []
    elif hasattr(network, "operations"):
        tensors = network.input
    else:
        return None
    if isinstance(tensors, dict):
        return {name: tuple(tensor.shape[1:]) for name, tensor in tensors.items()}
    several = tensors if isinstance(tensors, (list, tuple)) else [tensors]
    return {f"(by place) {tensor.name}": tuple(tensor.shape[1:]) for tensor in several}


def _heads(given: Any, target: NetworkTarget) -> Heads:
    wanted = (PROBED, *target.shape)
    outputs: Mapping[str, Any] = given if isinstance(given, Mapping) else {LABEL: given}
    if LABEL not in outputs:
        raise NetworkFault(
            f"gives the outputs {', '.join(outputs)}; one of them must be called {LABEL}"
        )
    for name, each in outputs.items():
        shape = getattr(each, "shape", None)
        if shape is None or tuple(shape) != wanted:
            found = _named(each) if shape is None else f"shape {_shape(tuple(shape)[1:])}"
            raise NetworkFault(
                f"gives {name} as {found} for a batch; {target.count} {_NOUNS[target.kind]} want "
                f"{_shape(target.shape)}: {', '.join(target.names[:6])}"
                + ("..." if target.count > 6 else "")
            )
    return Heads(tuple(outputs), bare=outputs is not given)


def _shown(shapes: Mapping[str, tuple[int | None, ...]]) -> str:
    return " and ".join(f"{name} {_shape(shape)}" for name, shape in shapes.items()) or "nothing"


def _shape(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join(["B", *("any" if each is None else str(each) for each in shape)]) + ")"


def _named(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def uncompiled_copy(network: keras.Model, inputs: NetworkInputs) -> keras.Model:
    """A copy with weights of its own and nothing of the training, to be saved.

    Of a subclass of Model that was made of inputs and outputs a plain one: its `train_step` has
    done its work. `clone_model` would compile.
    """
    config = network.get_config()
    functional = _taken(network) is not None
    copy = (keras.Model if functional else type(network)).from_config(config)
    copy({name: np.zeros((1, *shape), np.float32) for name, shape in inputs.shapes.items()})
    copy.set_weights(network.get_weights())
    return copy


def check_saved(model: keras.Model, objects: Mapping[str, Any]) -> None:
    """Save a model that will be a run's and load it again, before it is trained for hours.

    Args:
        model: with its normalisation.
        objects: layers and functions of the user's, by registered name.

    Raises:
        ValueError, TypeError: as Keras says, where a layer of the user's has no `get_config`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        with keras.saving.custom_object_scope(dict(objects)):
            keras.saving.load_model(path, compile=False, safe_mode=True)


def own_objects(modules: list[Any]) -> dict[str, Any]:
    """Classes and functions that modules define, under the names that Keras saves them by."""
    return {
        keras.saving.get_registered_name(each): each
        for module in modules
        for each in vars(module).values()
        if callable(each)
        and hasattr(each, "__name__")
        and getattr(each, "__module__", None) == module.__name__
    }
