"""What other callbacks of a `fit` know, as far as it is plain: numbers, texts, arrays, lists.

A function of Keras is plain too, by its name: callbacks that watch a metric find out with the first
one how to compare, and turn the sign of `min_delta` at that moment.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LEFT_OUT = ("model", "_model", "params")
"""Attributes that Keras sets on every callback."""


class NotPlain(TypeError):
    """A value that cannot be written down."""


def packed(value: Any, arrays: list[Array]) -> Any:
    """`value` as JSON; arrays go to the end of `arrays`, and are named by their place.

    Raises:
        NotPlain: it holds something else.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return packed(value.item(), arrays)
    if isinstance(value, np.ndarray) and value.dtype != object:
        arrays.append(value.copy())
        return {"array": len(arrays) - 1}
    if isinstance(value, (list, tuple)):
        return {"list": [packed(each, arrays) for each in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: packed(each, arrays) for key, each in value.items()}}
    if isinstance(value, FunctionType) and _named(value.__module__, value.__qualname__) is value:
        return {"function": [value.__module__, value.__qualname__]}
    raise NotPlain(type(value).__name__)


def unpacked(value: Any, arrays: Sequence[Array]) -> Any:
    """What `packed` was given; tuples are lists."""
    if not isinstance(value, dict):
        return value
    (kind, held), *_ = value.items()
    if kind == "array":
        return arrays[held].copy()
    if kind == "function":
        return _named(*held)
    if kind == "list":
        return [unpacked(each, arrays) for each in held]
    return {key: unpacked(each, arrays) for key, each in held.items()}


def _named(module: str, name: str) -> Any:
    """A function of Keras; None for any other."""
    if module.partition(".")[0] != "keras":
        return None
    return getattr(sys.modules.get(module), name, None)


def plain_attributes(callback: object) -> dict[str, tuple[Any, list[Array]]]:
    """Every attribute that is plain: name -> what `packed` makes of it, and its arrays."""
    found = {}
    for name, value in vars(callback).items():
        arrays: list[Array] = []
        if name not in LEFT_OUT:
            try:
                found[name] = packed(value, arrays), arrays
            except NotPlain:
                continue
    return found


def changed_attributes(
    callback: object, begun: Mapping[str, tuple[Any, list[Array]]]
) -> dict[str, Any]:
    """Plain attributes that are not what they were when the training began.

    Its options are not among them: they are the script's.
    """
    names = [
        name
        for name, (table, arrays) in plain_attributes(callback).items()
        if name not in begun
        or begun[name][0] != table
        or not all(map(np.array_equal, begun[name][1], arrays))
    ]
    return {name: vars(callback)[name] for name in names}
