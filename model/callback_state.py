"""What a Keras callback knows, as far as it is plain: a training that goes on restores it.

Plain are numbers, texts, arrays, lists and tables of these (`EarlyStopping.wait` and `best`), and
functions of loaded modules, by their names: a callback that watches a metric finds out with the
first one how to compare, and turns the sign of `min_delta` at that moment. What is anything else,
as an open file is, a resumed training makes again in `on_train_begin`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Known = dict[str, tuple[Any, list[Array]]]
"""Attribute -> what `coded` makes of it, and its arrays."""
SET_BY_KERAS = ("params", "_params", "model", "_model", "validation_data")
ARRAY, TUPLE, FUNCTION = "$array", "$tuple", "$function"
"""Key of a table that stands for an array that is kept beside it, a tuple, a module's function."""


class NotPlain(TypeError):
    """A value that cannot be written down."""


def known_attributes(callback: object) -> Known:
    """The plain attributes of a callback, as they are now."""
    found: Known = {}
    for name, value in vars(callback).items():
        arrays: list[Array] = []
        if name not in SET_BY_KERAS:
            try:
                found[name] = coded(value, arrays), arrays
            except NotPlain:
                continue
    return found


def changed_attributes(callback: object, begun: Known) -> dict[str, Any]:
    """Plain attributes that are not what they were when the training began.

    A callback's options are not among them: they are the script's, or the configuration's.
    """
    return {
        name: vars(callback)[name]
        for name, (table, arrays) in known_attributes(callback).items()
        if name not in begun
        or begun[name][0] != table
        or not all(map(_same, begun[name][1], arrays))
    }


def coded(value: Any, arrays: list[Array]) -> Any:
    """`value` as JSON; arrays go to the end of `arrays`, and are named by their places.

    Raises:
        NotPlain: it holds something else.
    """
    if isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        arrays.append(np.asarray(value).copy())
        return {ARRAY: len(arrays) - 1, "scalar": isinstance(value, np.generic)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [coded(each, arrays) for each in value]
    if isinstance(value, tuple):
        return {TUPLE: [coded(each, arrays) for each in value]}
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {name: coded(each, arrays) for name, each in value.items()}
    if isinstance(value, FunctionType):
        named = [value.__module__, value.__qualname__]
        if _function(named) is value:
            return {FUNCTION: named}
    raise NotPlain(type(value).__name__)


def decoded(value: Any, arrays: Sequence[Array]) -> Any:
    """What `coded` was given."""
    if isinstance(value, list):
        return [decoded(each, arrays) for each in value]
    if not isinstance(value, Mapping):
        return value
    if ARRAY in value:
        array = arrays[value[ARRAY]]
        return array[()] if value["scalar"] else array.copy()
    if FUNCTION in value:
        return _function(value[FUNCTION])
    if TUPLE in value:
        return tuple(decoded(value[TUPLE], arrays))
    return {name: decoded(each, arrays) for name, each in value.items()}


def _function(named: Sequence[str]) -> Any:
    """A function of a module that is loaded; none is loaded for it."""
    module, name = named
    return getattr(sys.modules.get(module), name, None)


def _same(one: Array, other: Array) -> bool:
    return (
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )
