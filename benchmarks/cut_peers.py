"""Feeds of windows that are cut as they are read: ours, braindecode's and xbatcher's.

A peer takes a source in the recordings layout. Its epoch is some of the windows, drawn at random
from all, float32 and in units, as torch's `DataLoader` collates them; it has a feed by this process
and one by workers. braindecode gives labels too, xbatcher does not.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

BATCH, WORKERS = 128, 2
Feed = Callable[[], int]
"""Go through an epoch, look at each batch; the windows that came."""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Cut:
    """A source in the recordings layout, and how windows are cut from it.

    Attributes:
        source: HDF5 file of signals (sample, channel), labels and recordings.
        time, step: samples of a window, and from one to the next.
        rows: windows of an epoch of braindecode.
    """

    source: Path
    time: int
    step: int
    rows: int

    def recordings(self) -> Iterator[tuple[NDArray[Any], int]]:
        """Signals (sample, channel) and label of each recording that holds a window."""
        with h5py.File(self.source) as file:
            places = (file["recordings/start"][:], file["recordings/length"][:])
            for start, length in zip(*places, strict=True):
                if length >= self.time:
                    yield file["signals"][start : start + length], int(file["labels"][start])

    def scale(self) -> Floats:
        """What a count of each channel is in units."""
        with h5py.File(self.source) as file:
            channels = file["signals"].shape[1]
            return np.asarray(file.attrs.get("scale_to_units", np.ones(channels)), np.float32)


def braindecode(cut: Cut, folder: Path | None) -> dict[str, Feed]:
    """Windows that braindecode cuts from MNE's recordings.

    These are arrays in memory; or the FIF files that it saves and reads lazily, in `folder`.
    """
    # Thousands, of a name that an electrode's position will have, and of names of files.
    warnings.simplefilter("ignore")
    import mne
    from braindecode.datasets import BaseConcatDataset
    from braindecode.datautil import load_concat_dataset
    from braindecode.preprocessing import create_fixed_length_windows

    mne.set_log_level("ERROR")
    if folder is None:
        recordings = BaseConcatDataset(list(_raw_datasets(cut)))
    else:
        if not _complete(folder):
            folder.mkdir(parents=True, exist_ok=True)
            BaseConcatDataset(list(_raw_datasets(cut))).save(str(folder), overwrite=True)
            _mark(folder)
        recordings = load_concat_dataset(folder, preload=False, target_name="label")
    windows = create_fixed_length_windows(
        recordings,
        window_size_samples=cut.time,
        window_stride_samples=cut.step,
        on_last_window="drop",
        preload=False,
    )
    return _drawn(windows, cut.rows)


def _raw_datasets(cut: Cut) -> Iterator[Any]:
    import mne
    from braindecode.datasets import RawDataset

    scale = cut.scale()
    info = mne.create_info([f"ch{n}" for n in range(len(scale))], 200.0, "misc")
    for signals, label in cut.recordings():
        raw = mne.io.RawArray((signals * scale).T, info)
        yield RawDataset(raw, {"label": label}, target_name="label")


def xbatcher(cut: Cut, folder: Path | None) -> dict[str, Feed]:
    """Windows that xbatcher cuts from arrays in memory; or from a Zarr array, in `folder`.

    A generator for each recording, so that no window crosses from one to the next. An epoch is a
    tenth of braindecode's: it takes as long.
    """
    import torch
    import xarray as xr
    from xbatcher import BatchGenerator
    from xbatcher.loaders.torch import MapDataset

    scale = cut.scale()

    def in_units(window: Any) -> torch.Tensor:
        return torch.from_numpy(window.values * scale)

    def windows_of(recording: xr.DataArray) -> MapDataset:
        overlap = {"sample": cut.time - cut.step}
        generator = BatchGenerator(recording, {"sample": cut.time}, input_overlap=overlap)
        return MapDataset(generator, transform=in_units)

    arrays = (
        (xr.DataArray(signals, dims=("sample", "channel")) for signals, _ in cut.recordings())
        if folder is None
        else _zarr_recordings(cut, folder)
    )
    windows = torch.utils.data.ConcatDataset([windows_of(one) for one in arrays])
    return _drawn(windows, cut.rows // 10)


def _zarr_recordings(cut: Cut, folder: Path) -> Iterator[Any]:
    import xarray as xr

    lengths = [len(signals) for signals, _ in cut.recordings()]
    if not _complete(folder):
        signals = np.concatenate([signals for signals, _ in cut.recordings()])
        made = xr.Dataset({"signals": (("sample", "channel"), signals)})
        # A chunk holds a dozen windows' samples: smaller ones are read faster, one window a time.
        chunks = {"signals": {"chunks": (4096, signals.shape[1])}}
        made.to_zarr(folder, mode="w", encoding=chunks, consolidated=False)
        _mark(folder)
    signals = xr.open_zarr(folder, chunks=None, consolidated=False)["signals"]
    stop = np.cumsum(lengths)
    for length, end in zip(lengths, stop, strict=True):
        yield signals.isel(sample=slice(end - length, end))


def _drawn(windows: Any, rows: int) -> dict[str, Feed]:
    """So many of the windows in batches, by this process and by workers."""
    from torch.utils.data import DataLoader, RandomSampler

    def epoch(**options: Any) -> int:
        sampler, seen = RandomSampler(windows, num_samples=min(rows, len(windows))), 0
        for batch in DataLoader(windows, BATCH, sampler=sampler, **options):
            values = batch[0] if isinstance(batch, list) else batch
            float(values.flatten()[0])
            seen += len(values)
        return seen

    # Workers share what this process holds; spawned ones would get copies of all recordings.
    shared = {"num_workers": WORKERS, "multiprocessing_context": "fork"}
    return {"": epoch, f", {WORKERS} workers": partial(epoch, **shared)}


def _complete(folder: Path) -> bool:
    return folder.with_suffix(".complete").exists()


def _mark(folder: Path) -> None:
    folder.with_suffix(".complete").touch()


def headrace(store: Path) -> dict[str, Feed]:
    """All windows of a store: as tensors from a `DataLoader`."""
    from torch.utils.data import DataLoader

    from benchmarks.dataset import eat
    from headrace import Dataset, open

    folds = [fold.name for fold in open(store).folds]
    data = Dataset(store, batch=BATCH, inputs="raw", units=True, split={"train": folds})
    loader = DataLoader(data["train"].torch(), batch_size=None)
    return {"": lambda: eat(loader)}
