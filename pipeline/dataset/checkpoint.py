"""A Keras callback that lets a killed `fit` go on, to the bit, from any step of any epoch.

`fit` calls callbacks in the order of its list. What is saved has to hold what all others did, and
what is restored has to come after their own beginnings: so a second callback is put at the list's
end, and does the work. The steps of an epoch that were done before are not done again: `fit` counts
them, while its other callbacks are set aside.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from headrace.model.callback_state import (
    Known,
    changed_attributes,
    coded,
    decoded,
    known_attributes,
)
from headrace.model.optimisation import training_variables
from headrace.pipeline.dataset.model_identity import model_differences, model_identity
from headrace.pipeline.dataset.position import differences
from headrace.stores.errors import ARCHIVE_ERRORS, ConfigError, RunError, first_line
from headrace.stores.io.archive import read_archive, write_archive

if TYPE_CHECKING:
    from headrace.pipeline.dataset.part import Part

Array = NDArray[Any]
Saved = tuple[dict[str, Any], dict[str, list[Array]]]
"""What a state holds: its table, and the arrays of `ARRAYS`."""
TABLE = "training"
ARRAYS = ("variable", "final", "callback")
FRAMES = 4
"""Callers that may stand between Keras' list of callbacks and `set_model`."""


class Checkpoint(keras.callbacks.Callback):
    """Saves a training every few steps, and lets it go on: give it to `fit`.

    Weights, optimiser, metrics, seeds of layers, of Python and of NumPy, the position in the data,
    and plain attributes of the other callbacks (`EarlyStopping.wait`, `History.history`) are saved.
    What a callback keeps in files or objects of its own is not: `CSVLogger` needs `append=True`.
    """

    def __init__(self, part: Part, folder: Path, every: int) -> None:
        """Keep the state of a `fit` on `part` in `folder`, written every `every` steps."""
        super().__init__()
        self.part, self.every = part, every
        self.path = folder / "state.npz"
        self._last: _Keeper | None = None

    def set_model(self, model: keras.Model) -> None:
        """Join the list of callbacks that this one is in."""
        super().set_model(model)
        callbacks = _list_around(self)
        if self._last is None or self._last.list is not callbacks:
            self._last = _Keeper(self, callbacks)
        self._last.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        """As Keras calls it."""
        super().set_params(params)
        if self._last is not None:
            self._last.set_params(params)

    def on_train_begin(self, logs: Any = None) -> None:
        """Put the keeper behind all others: they are called from this very list."""
        assert self._last is not None
        if self._last not in self._last.list.callbacks:
            self._last.list.callbacks.append(self._last)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """There, so that Keras calls the list between two steps, and not beside the next one."""


class _Keeper(keras.callbacks.Callback):
    """The last callback of the list: restores after all others have begun, saves after they did."""

    def __init__(self, checkpoint: Checkpoint, callbacks: keras.callbacks.CallbackList) -> None:
        super().__init__()
        self.list = callbacks
        self._part, self._path = checkpoint.part, checkpoint.path
        self._every, self._checkpoint = checkpoint.every, checkpoint
        self._pool = ThreadPoolExecutor(1, "headrace-checkpoint")
        self._writing: Future[None] | None = None
        self._begun: list[Known] = []
        self._identity: dict[str, Any] = {}
        self._hidden: list[Any] = []
        self._resumed: Saved | None = None
        self._ended: Saved | None = None
        self._epoch = self._since = self._skip = 0
        self._seen: int | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore what was saved, and say where `fit` begins."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._seen = len(self._part.begun)
        self._begun = [known_attributes(each) for each in self._others().values()]
        # Keras leaves this to the first step, and a state holds every variable.
        self.model._symbolic_build(data_batch=self._part.empty_batch())
        self._identity = model_identity(self.model)
        self._resumed, self._ended, self._skip, self._since = None, None, 0, 0
        if not self._path.is_file():
            return
        table, arrays = self._read()
        ended = table["stopped"] or table["epoch"] >= self.params["epochs"]
        self._assign(table, arrays, "final" if ended and arrays["final"] else "variable")
        self.model._initial_epoch = self.params["epochs"] if ended else table["epoch"]
        self._part.resumed_step = table["epoch"] * self.params["steps"] + table["step"]
        if not ended and table["step"]:
            self._resumed = table, arrays
        where = f"epoch {table['epoch'] + 1}, step {table['step']}"
        print(f"{self._path}: {'trained to its end' if ended else f'going on at {where}'}.")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """In the epoch that is gone on with: restore once more what its beginning changed."""
        self._epoch = epoch
        self.model._initial_epoch = 0
        if self._resumed is None:
            return
        (table, arrays), self._resumed = self._resumed, None
        self._assign(table, arrays, "variable")
        self._skip_steps(table["step"])

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count, and save when it is time; other callbacks come back once the steps are skipped."""
        if self._hidden:
            if not self._skip:
                self.list.callbacks, self._hidden = self._hidden, []
            return
        self._require_own_batches()
        self._part.resumed_step = 0
        self._since += self.model.steps_per_execution
        if self._since >= self._every and batch + 1 < self.params["steps"]:
            self._save(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save after all others have judged the epoch."""
        written = self._save(epoch + 1, 0)
        if self.model.stop_training or epoch + 1 >= self.params["epochs"]:
            self._ended = written

    def on_train_end(self, logs: Any = None) -> None:
        """Add what the training came to: averages and best weights are put in place by now."""
        self._part.resumed_step = 0
        self.model._initial_epoch = 0
        self._wait()
        if self._ended is not None:
            table, arrays = self._ended
            final = _values(training_variables(self.model))
            write_archive(self._path, {TABLE: table}, arrays | {"final": final})
            self._ended = None
        self.list.callbacks.remove(self)
        self._pool.shutdown()
        self._checkpoint._last = None

    def _require_own_batches(self) -> None:
        """Check, after the first step, that `fit` was given the part's batches from here on.

        Raises:
            UserError: they are another part's, or begin where they were told to.
        """
        if self._seen is None:
            return
        begun, self._seen = self._part.begun[self._seen :], None
        if not begun:
            raise ConfigError(
                f"fit takes other batches than those of the part {self._part.name}, whose "
                "checkpoint it has: give it part.tf() of the same part."
            )
        if begun[0] is not None:
            raise ConfigError(
                f"tf(start={begun[0]}) and a checkpoint both say where fit begins. Leave start out."
            )

    def _skip_steps(self, steps: int) -> None:
        """Let `fit` count so many steps without doing them, nor telling anybody."""
        step, logs = self.model.train_function, self.model.get_metrics_result()
        self._skip, self._hidden = steps, self.list.callbacks
        self.list.callbacks = [self]

        def counted(iterator: Any) -> Any:
            if not self._skip:
                self.model.train_function = step
                return step(iterator)
            self._skip = max(0, self._skip - self.model.steps_per_execution)
            return logs

        self.model.train_function = counted

    def _others(self) -> dict[str, keras.callbacks.Callback]:
        """Callbacks whose state is kept, by class and number: none of ours, nor the progress."""
        ours = (Checkpoint, _Keeper, keras.callbacks.ProgbarLogger)
        found: dict[str, keras.callbacks.Callback] = {}
        for each in self.list.callbacks:
            if not isinstance(each, ours):
                name = type(each).__name__
                number = sum(key.partition(" ")[0] == name for key in found)
                found[f"{name} {number + 1}" if number else name] = each
        return found

    def _save(self, epoch: int, step: int) -> Saved:
        """Write the training as it is, beside its next steps."""
        variables = _values(training_variables(self.model))
        held: list[Array] = []
        known = [
            [name, coded(changed, held)]
            for (name, each), begun in zip(self._others().items(), self._begun, strict=True)
            if (changed := changed_attributes(each, begun))
        ]
        table = {
            "epoch": epoch,
            "step": step,
            "stopped": bool(self.model.stop_training),
            "steps": self.params["steps"],
            "stream": self._part.state(0),
            "model": self._identity,
            "callbacks": known,
            "seeds": _seeds(held),
        }
        self._wait()
        arrays = {"variable": variables, "callback": held}
        self._writing = self._pool.submit(write_archive, self._path, {TABLE: table}, arrays)
        self._since = 0
        return table, arrays

    def _wait(self) -> None:
        """Until the last state is written; raise what stood in its way."""
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def _read(self) -> Saved:
        try:
            tables, arrays = read_archive(self._path, (TABLE,), ARRAYS)
            table = tables[TABLE]
            differing = self._differing(table)
        except ARCHIVE_ERRORS as error:
            raise RunError(
                f"{self._path} is damaged ({first_line(error)}). Delete it to train afresh."
            ) from error
        if differing:
            raise RunError(
                f"{self._path} is the state of another training: {differing}. Put that back, or "
                "name another folder, or delete this one to train afresh."
            )
        return table, arrays

    def _differing(self, table: dict[str, Any]) -> str:
        """What the saved training was that this one is not, in words."""
        stream, found = dict(table["stream"]), dict(self._part.state(0))
        said = [each] if (each := differences(stream, found)) else []
        if table["steps"] != self.params["steps"]:
            said.append(f"steps_per_epoch was {table['steps']} and is {self.params['steps']}")
        said += model_differences(table["model"], self._identity)
        gone = [name for name, _ in table["callbacks"] if name not in self._others()]
        if gone:
            said.append(f"it had the callback {', '.join(gone)}")
        return "; ".join(said)

    def _assign(self, table: dict[str, Any], arrays: dict[str, list[Array]], kind: str) -> None:
        variables = training_variables(self.model)
        for variable, value in zip(variables, arrays[kind], strict=True):
            variable.assign(value)
        others = self._others()
        for name, known in table["callbacks"]:
            vars(others[name]).update(decoded(known, arrays["callback"]))
        _restore_seeds(table["seeds"], arrays["callback"])


def _list_around(callback: Checkpoint) -> keras.callbacks.CallbackList:
    """The list that calls `set_model`: Keras gives a callback no other way to its neighbours.

    Raises:
        UserError: something else calls.
    """
    frame: FrameType | None = sys._getframe(1)
    for _ in range(FRAMES):
        owner = None if frame is None else frame.f_locals.get("self")
        if isinstance(owner, keras.callbacks.CallbackList):
            return owner
        frame = None if frame is None else frame.f_back
    raise ConfigError(
        "A checkpoint is a callback of model.fit(part.tf(), callbacks=[part.checkpoint(...)]). A "
        "loop of your own keeps part.state(step), and begins at start=."
    )


def _values(variables: Iterable[keras.Variable]) -> list[Array]:
    return [np.array(variable.numpy()) for variable in variables]


def _seeds(arrays: list[Array]) -> Any:
    """States of Python's and NumPy's generators."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return coded([list(random.getstate()), [name, keys, *rest]], arrays)


def _restore_seeds(table: Any, arrays: list[Array]) -> None:
    (version, internal, gauss), numpy_state = decoded(table, arrays)
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(numpy_state))
