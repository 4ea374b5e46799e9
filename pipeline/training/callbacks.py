"""Keras callbacks of the user's own inside our loop, and what of them a resumed training keeps.

They are told what `fit` tells them. Of each its plain attributes are kept: numbers, texts, arrays
and lists or tables of these, as `EarlyStopping.wait` and `best` are, and functions of modules, as
its `monitor_op` is; of these, those that have changed since `on_train_begin`. What is anything
else, as an open file is, a resumed training makes again there.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from headrace.pipeline.config.functions import load_named, users_code
from headrace.pipeline.training.network import takes_nothing
from headrace.stores.errors import FunctionError, RunError

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.training.state import Array

KEY = "train.callbacks"
SET_BY_KERAS = ("params", "_params", "_model", "model", "validation_data")
ARRAY, TUPLE, FUNCTION = "$array", "$tuple", "$function"
"""Key of a table that stands for an array that is kept beside it, a tuple, a module's function."""


class Callbacks:
    """The user's callbacks; without any, nothing is called."""

    def __init__(self, config: Config, folder: Path, network: keras.Model, epochs: int, steps: int):
        """Make them.

        Args:
            config: names them.
            folder: of the run; given to functions that take an argument.
            network: what is trained.
            epochs, steps: of the training, as Keras' `params`.

        Raises:
            UserError: one cannot be made, or is no callback.
        """
        self._config, self._network = config, network
        self._each = [_made(config, name, folder) for name in config.train.callbacks]
        self._list, self._begun = None, [_plain(each) for each in self._each]
        if self._each:
            with users_code(config, KEY):
                self._list = keras.callbacks.CallbackList(
                    list(self._each), model=network, epochs=epochs, steps=steps, verbose=0
                )

    def __bool__(self) -> bool:
        return self._list is not None

    @property
    def stopped(self) -> bool:
        """Whether one of them has set `model.stop_training`."""
        return self._list is not None and bool(self._network.stop_training)

    def begin(self, kept: Sequence[Mapping[str, Any]], arrays: Sequence[Array]) -> None:
        """`on_train_begin`, then what a state has kept of them.

        Raises:
            UserError: the state is of other callbacks.
        """
        if self._list is None:
            return
        self._network.stop_training = False
        self.tell("on_train_begin")
        self._begun = [_plain(each) for each in self._each]
        if kept and [each["class"] for each in kept] != [_class(each) for each in self._each]:
            raise RunError(
                f"The state is of other callbacks than {KEY} names. Start the training afresh with "
                "--new."
            )
        for callback, known in zip(self._each, kept, strict=bool(kept)):
            vars(callback).update(_decoded(known["attributes"], arrays))

    def tell(self, event: str, *arguments: Any) -> None:
        """Call a method of all of them, such as `on_epoch_end`.

        Raises:
            UserError: one fails.
        """
        if self._list is not None:
            with users_code(self._config, KEY):
                getattr(self._list, event)(*arguments)

    def state(self) -> tuple[list[dict[str, Any]], list[Array]]:
        """What is kept of each: JSON-able, and the arrays that it refers to."""
        arrays: list[Array] = []
        found = []
        for each, begun in zip(self._each, self._begun, strict=True):
            changed = [name for name, value in _plain(each).items() if begun.get(name) != value]
            attributes = {name: _coded(vars(each)[name], arrays) for name in changed}
            found.append({"class": _class(each), "attributes": attributes})
        return found, arrays


def _plain(callback: Any) -> dict[str, Any]:
    """Its attributes that are kept, as they are now: each a value that can be compared."""
    found = {}
    for name, value in vars(callback).items():
        arrays: list[Array] = []
        if name not in SET_BY_KERAS and (coded := _coded(value, arrays)) is not NOT_PLAIN:
            found[name] = coded, [(each.dtype.str, each.shape, each.tobytes()) for each in arrays]
    return found


def _made(config: Config, reference: str, folder: Path) -> keras.callbacks.Callback:
    function = load_named(config, KEY, reference)
    with users_code(config, KEY):
        callback = function() if takes_nothing(function) else function(folder)
    if isinstance(callback, keras.callbacks.Callback):
        return callback
    file = inspect.getsourcefile(function) or ""
    raise FunctionError(
        f"{KEY}: {reference} ({file}) gives a {type(callback).__name__}, not a Keras callback."
    )


def _class(callback: Any) -> str:
    return type(callback).__qualname__


NOT_PLAIN = object()


def _coded(value: Any, arrays: list[Array]) -> Any:
    """JSON-able, with arrays put aside; `NOT_PLAIN` of anything else."""
    if value is None or (isinstance(value, (bool, int, float, str)) and not _is_numpy(value)):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.hasobject:
            return NOT_PLAIN
        arrays.append(np.asarray(value).copy())
        return {ARRAY: len(arrays) - 1, "scalar": isinstance(value, np.generic)}
    if isinstance(value, (list, tuple)):
        items = [_coded(each, arrays) for each in value]
        if any(each is NOT_PLAIN for each in items):
            return NOT_PLAIN
        return items if isinstance(value, list) else {TUPLE: items}
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        table = {name: _coded(each, arrays) for name, each in value.items()}
        return NOT_PLAIN if any(each is NOT_PLAIN for each in table.values()) else table
    if inspect.isfunction(value):
        named = [value.__module__, value.__qualname__]
        return {FUNCTION: named} if _function(named) is value else NOT_PLAIN
    return NOT_PLAIN


def _function(named: Sequence[str]) -> Any:
    """A function of a module that is loaded; none is loaded for it."""
    module, name = named
    return getattr(sys.modules.get(module), name, None)


def _decoded(coded: Any, arrays: Sequence[Array]) -> Any:
    if isinstance(coded, list):
        return [_decoded(each, arrays) for each in coded]
    if not isinstance(coded, dict):
        return coded
    if ARRAY in coded:
        array = arrays[coded[ARRAY]]
        return array[()] if coded["scalar"] else array
    if FUNCTION in coded:
        return _function(coded[FUNCTION])
    if TUPLE in coded:
        return tuple(_decoded(coded[TUPLE], arrays))
    return {name: _decoded(each, arrays) for name, each in coded.items()}


def _is_numpy(value: Any) -> bool:
    """NumPy's float64 is a float, too."""
    return isinstance(value, np.generic)
