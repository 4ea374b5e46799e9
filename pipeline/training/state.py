"""What a training is resumed from: every number that decides the rest of it, as one archive."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import ARCHIVE_ERRORS, RunError, first_line
from headrace.stores.io.archive import read_archive, write_archive

Array = NDArray[np.generic]
Row = dict[str, float]
ARRAYS = ("variable", "best", "callback")
"""Names of the arrays of a state."""
COST = 0.005
"""Share of the time that writing the state may take."""
LEAST_SECONDS = 5.0
"""Between two writes, however little they take."""


@dataclass
class Progress:
    """How far a training is and what its callbacks know."""

    epoch: int = 0
    """Epochs begun and finished; the next step is `step` of this epoch, both from 0."""
    step: int = 0
    best_loss: float = float("inf")
    """Lowest validation loss so far."""
    best_epoch: int = -1
    """The epoch, from 0, that `best_loss` is of."""
    stopped: bool = False
    """Whether early stopping ended the training."""
    history: list[Row] = field(default_factory=list)
    """One row per finished epoch: the columns of log.csv."""

    @property
    def stale_epochs(self) -> int:
        """Finished epochs since the best one."""
        return self.epoch - 1 - self.best_epoch


@dataclass
class TrainingState:
    """Progress, every variable of the training in a fixed order, and the best weights so far."""

    progress: Progress
    variables: Sequence[Array]
    """Weights, optimizer slots and averages, seed generators, metrics, in the network's order."""
    best: Sequence[Array]
    """The kept network's weights at the best epoch; empty before the first epoch ends."""
    run: str = ""
    """Digest of what decides the training's result; empty in states of before it was kept."""
    callbacks: Sequence[Mapping[str, Any]] = ()
    """Of the user's, what `training.callbacks` keeps, and the arrays that it refers to."""
    callback_arrays: Sequence[Array] = ()


def write_state(path: Path, state: TrainingState) -> None:
    """Replace the state on disk, whole or not at all."""
    tables: dict[str, Any] = {"progress": vars(state.progress) | {"run": state.run}}
    if state.callbacks:
        tables["callbacks"] = list(state.callbacks)
    values = (state.variables, state.best, state.callback_arrays)
    write_archive(path, tables, dict(zip(ARRAYS, values, strict=True)))


class StateKeeper:
    """Says when a training's state is due to be written, and writes it."""

    def __init__(self, path: Path, steps: int | None) -> None:
        """Keep the state in `path`: every `steps`, or as often as costs COST of the time."""
        self._path, self._steps = path, steps
        self._since = 0
        self._written, self._took = time.monotonic(), LEAST_SECONDS * COST

    def due(self) -> bool:
        """Count a step; whether the state is to be written after it."""
        self._since += 1
        if self._steps is not None:
            return self._since >= self._steps
        return time.monotonic() - self._written >= self._took / COST

    def write(self, state: Callable[[], TrainingState]) -> None:
        """Replace the state on disk; making it counts, too: a device gives its variables."""
        begun = time.monotonic()
        write_state(self._path, state())
        self._since, self._written = 0, time.monotonic()
        self._took = max(self._written - begun, LEAST_SECONDS * COST)


def read_state(path: Path) -> TrainingState | None:
    """The state on disk, or None when there is none.

    Raises:
        UserError: the file is not a state.
    """
    if not path.is_file():
        return None
    try:
        tables, arrays = read_archive(path, ("progress", "callbacks"), ARRAYS)
        found = tables["progress"]
        run = str(found.pop("run", ""))
        progress = Progress(**found)
    except ARCHIVE_ERRORS as error:
        raise RunError(
            f"{path} is damaged ({first_line(error)}). Start the training afresh with --new."
        ) from error
    variables, best, callback_arrays = (arrays[name] for name in ARRAYS)
    return TrainingState(
        progress, variables, best, run, tables.get("callbacks", ()), callback_arrays
    )
