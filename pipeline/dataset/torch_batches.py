"""Batches as torch tensors: an IterableDataset over the arrays of a part."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

if TYPE_CHECKING:
    from headrace.pipeline.dataset.part import Part
    from headrace.pipeline.dataset.position import State

MOST_WORKERS = 256
TorchBatch = tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]


class TorchBatches(IterableDataset[TorchBatch]):
    """An epoch each time it is gone through; the next one has its own order.

    With several workers of a DataLoader each delivers every n-th batch, so that their order is
    that of one; each reads all buffers, though.
    """

    def __init__(self, part: Part, step: int) -> None:
        """Batches of `part` from the one numbered `step` on, all epochs together."""
        self._part = part
        # Shared, so that workers which a DataLoader starts anew for each epoch count on.
        self._begun = torch.zeros(MOST_WORKERS, dtype=torch.int64).share_memory_()
        self._first = torch.full((MOST_WORKERS,), step).share_memory_()
        self._taken = 0

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._part)

    def __iter__(self) -> Iterator[TorchBatch]:
        """The batches of the next epoch, or of what is left of the one begun."""
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        if workers > 1 and number == 0:
            warnings.warn(
                f"num_workers = {workers}: each worker reads the whole store. Reading is threaded "
                "already; num_workers = 0 is as fast.",
                stacklevel=2,
            )
        steps, first = len(self._part), int(self._first[number])
        begun = int(self._begun[number])
        at = first if begun == 0 else (first // steps + begun) * steps
        self._begun[number] += 1
        self._taken = at
        # Of a part that is not for training each epoch is the same.
        batches = self._part.numpy(start=at if self._part.shuffled else at % steps)
        for inputs, label, weight in itertools.islice(batches, number, None, workers):
            self._taken += workers
            given = {name: torch.from_numpy(values) for name, values in inputs.items()}
            yield given, _tensor(label), _tensor(weight)

    def set_epoch(self, epoch: int) -> None:
        """Go on with that epoch, from its first batch."""
        self._go_on(epoch * len(self._part))

    def state_dict(self) -> dict[str, Any]:
        """The state after the batches that were delivered."""
        return dict(self._part.state(self._taken))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            UserError: it is another part's.
        """
        position = self._part.position(cast("State", state))
        self._go_on(position.epoch * len(self._part) + position.step)

    def _go_on(self, step: int) -> None:
        """Begin there; a worker for itself, for each has its own state."""
        worker = get_worker_info()
        own = slice(None) if worker is None else worker.id
        self._first[own], self._begun[own] = step, 0


def _tensor(values: np.ndarray[Any, Any]) -> torch.Tensor:
    """Codes as int64, which torch's losses take."""
    return torch.from_numpy(values.astype(np.int64) if values.dtype == np.int32 else values)
