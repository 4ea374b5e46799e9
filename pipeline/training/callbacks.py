"""Keras callbacks of the user's own inside our loop, and what of them a resumed training keeps.

They are told what `fit` tells them; what is kept of each says `model.callback_state`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from headrace.model.callback_state import (
    changed_attributes,
    coded,
    decoded,
    known_attributes,
)
from headrace.pipeline.config.functions import load_named, users_code
from headrace.pipeline.memory.watch import tree_memory
from headrace.pipeline.training.network import takes_nothing
from headrace.stores.errors import FunctionError, RunError

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.memory.plan import MemoryPlan
    from headrace.pipeline.training.state import Array

KEY = "train.callbacks"


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
        self._held = 0
        with self._counted():
            self._each = [_made(config, name, folder) for name in config.train.callbacks]
        self._list, self._begun = None, [known_attributes(each) for each in self._each]
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

    def planned(self, plan: MemoryPlan) -> MemoryPlan:
        """`plan`, with what they and their libraries took until here.

        Making them, and `on_train_begin`, does what no other process may do for a measurement: it
        can begin a run elsewhere.
        """
        if self._list is None:
            return plan
        return replace(plan, buffers={**plan.buffers, KEY: max(0, self._held)}, later="")

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """What is held in the end and was not before is theirs: a step may be traced between."""
        before = tree_memory(os.getpid())[0] if self._config.train.callbacks else 0
        yield
        if self._config.train.callbacks:
            self._held += tree_memory(os.getpid())[0] - before

    def begin(self, kept: Sequence[Mapping[str, Any]], arrays: Sequence[Array]) -> None:
        """`on_train_begin`, then what a state has kept of them.

        Raises:
            UserError: the state is of other callbacks.
        """
        if self._list is None:
            return
        self._network.stop_training = False
        with self._counted():
            self.tell("on_train_begin")
        self._begun = [known_attributes(each) for each in self._each]
        if kept and [each["class"] for each in kept] != [_class(each) for each in self._each]:
            raise RunError(
                f"The state is of other callbacks than {KEY} names. Start the training afresh with "
                "--new."
            )
        for callback, known in zip(self._each, kept, strict=bool(kept)):
            vars(callback).update(decoded(known["attributes"], arrays))

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
            attributes = coded(changed_attributes(each, begun), arrays)
            found.append({"class": _class(each), "attributes": attributes})
        return found, arrays


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
