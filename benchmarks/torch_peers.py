"""The other ways to feed torch with the same windows: h5py slices by workers, LitData's chunks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler

import headrace


class Windows(Dataset[Any]):
    """What users write: a window of an HDF5 file at a time."""

    def __init__(self, source: Path) -> None:
        self._source, self._file = source, None
        with h5py.File(source) as file:
            self._length = len(file["X"])

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, row: int) -> Any:
        if self._file is None:
            self._file = h5py.File(self._source)
        return torch.from_numpy(self._file["X"][row]), int(self._file["y"][row])


def loader(batches: Any) -> DataLoader[Any]:
    """Of batches that are whole."""
    return DataLoader(batches, batch_size=None)


def sliced(source: Path, batch: int, workers: int) -> DataLoader[Any]:
    """Shuffled windows, read one by one by worker processes."""
    windows = Windows(source)
    return DataLoader(windows, batch, sampler=RandomSampler(windows), num_workers=workers)


def litdata(store: Path, folder: Path, batch: int, workers: int) -> Any:
    """The same windows in LitData's chunks of 64 MB, shuffled."""
    from litdata import StreamingDataLoader, StreamingDataset, optimize

    target = folder / f"litdata-{headrace.open(store).windows}"
    if not target.exists():
        optimize(
            fn=_rows_of,
            inputs=[(store, start) for start in range(0, headrace.open(store).windows, 4096)],
            output_dir=str(target),
            chunk_bytes="64MB",
            num_workers=1,
        )
    return StreamingDataLoader(
        StreamingDataset(str(target), shuffle=True), batch_size=batch, num_workers=workers
    )


def _rows_of(place: tuple[Path, int]) -> Iterable[Any]:
    store, start = headrace.open(place[0]), place[1]
    stop = min(start + 4096, store.windows)
    raw, label = store.read("raw", start, stop), store.read("label", start, stop)
    for row in range(stop - start):
        yield np.ascontiguousarray(raw[row]), int(label[row])


def eat(batches: Iterable[Any]) -> int:
    """Go through batches (windows, labels), look at each; the rows that came."""
    rows = 0
    for values, label in batches:
        float(values[0].flatten()[0])
        rows += len(label)
    return rows
