"""Layers of a network by name: which weights another network gives it, and which are frozen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import keras
from keras.src.backend.common import global_state

NAMES = "object_name_uids"


@dataclass(frozen=True)
class Taken:
    """What a network was given of another's weights.

    Attributes:
        layers: names of those whose weights were taken.
        left: name -> why not, of the others that have weights.
    """

    layers: tuple[str, ...]
    left: dict[str, str]


@contextmanager
def fresh_names() -> Iterator[None]:
    """Layers without a name of their own are named as in a new process: `dense`, `dense_1`."""
    before = global_state.get_global_attribute(NAMES)
    global_state.set_global_attribute(NAMES, None)
    try:
        yield
    finally:
        global_state.set_global_attribute(NAMES, before)


def take_weights(network: keras.Model, source: keras.Model, new: Sequence[str] = ()) -> Taken:
    """Give layers of `network` the weights of those of `source` of the same name and shapes.

    Args:
        network: its other layers keep what they have.
        source: a model, or one that holds it, as with normalisation.
        new: names of layers that take none.
    """
    given = {layer.name: layer for layer in _leaves(source)}
    taken: list[str] = []
    left: dict[str, str] = {}
    for layer in _leaves(network):
        if not layer.weights:
            continue
        other = given.get(layer.name)
        if layer.name in new:
            left[layer.name] = "other classes"
        elif other is None:
            left[layer.name] = "no layer of that name"
        elif _shapes(layer) != _shapes(other):
            left[layer.name] = f"{_shapes(other)} there, {_shapes(layer)} here"
        else:
            layer.set_weights(other.get_weights())
            taken.append(layer.name)
    return Taken(tuple(taken), left)


def head_layers(network: keras.Model) -> tuple[str, ...]:
    """The last layers with weights before each output; none of a network without a graph."""
    if not hasattr(network, "operations"):
        return ()
    waiting = list(keras.tree.flatten(network.output))
    found: dict[str, None] = {}
    while waiting:
        operation, node, _ = waiting.pop()._keras_history
        if getattr(operation, "weights", None):
            found[operation.name] = None
        else:
            waiting += operation._inbound_nodes[node].input_tensors
    return tuple(found)


def freeze(network: keras.Model, patterns: Sequence[str]) -> tuple[str, ...]:
    """Freeze the layers that glob patterns name; returns their names.

    Their weights stay as they are; batch normalisation among them uses its moments, and keeps them.

    Raises:
        ValueError: a pattern names none, or nothing is left to train.
    """
    layers = list(_all(network))
    frozen: list[str] = []
    for pattern in patterns:
        chosen = [each for each in layers if fnmatchcase(each.name, pattern)]
        if not chosen:
            names = [each.name for each in layers if each.weights]
            more = f" and {len(names) - 12} more" if len(names) > 12 else ""
            raise ValueError(
                f"{pattern!r} names no layer; those with weights are {', '.join(names[:12])}{more}"
            )
        for each in chosen:
            each.trainable = False
            frozen.append(each.name)
    if patterns and not network.trainable_variables:
        raise ValueError(f"{', '.join(patterns)} freezes every layer: nothing is left to train")
    return tuple(dict.fromkeys(frozen))


def _leaves(network: keras.Model) -> Iterator[Any]:
    """Layers of a model and of the models in it."""
    return (each for each in _all(network) if not isinstance(each, keras.Model))


def _all(network: keras.Model) -> Iterator[Any]:
    for layer in network.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all(layer)


def _shapes(layer: Any) -> str:
    return " ".join("x".join(map(str, weight.shape)) or "1" for weight in layer.weights)
