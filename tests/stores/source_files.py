"""Small HDF5 files in both layouts, written for the tests of sources."""

from __future__ import annotations

import h5py
import numpy as np

N, T, C = 90, 16, 3


def write_windows(path, **changes):
    """A small file in the windows layout; `changes` replace datasets, None leaves one out."""
    generator = np.random.default_rng(1)
    content = {
        "X": generator.normal(size=(N, T, C)).astype(np.float32),
        "y": np.repeat([0, 1, 2], N // 3),
        "groups": np.tile([10, 2, 1], N // 3),
    } | changes
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            if values is not None:
                file[name] = values
        file.attrs["sampling_rate_hz"] = 20.0
    return content


def write_recordings(path, dtype="f4", rows=(90, 40, 70), **changes):
    """A small file in the recordings layout, labels in stretches of about 30 rows."""
    generator = np.random.default_rng(2)
    total = sum(rows)
    content = {
        "signals": (100 * generator.normal(size=(total, C))).astype(dtype),
        "labels": np.arange(total) // 30 % 3,
        "classes": ["none", "walk", "run"],
        "recordings/start": np.cumsum(rows) - rows,
        "recordings/length": np.array(rows),
        "recordings/subject": np.arange(len(rows), dtype=np.int16) + 1,
    } | changes
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            if values is not None:
                file[name] = values
        if "signals" in content and content["signals"] is not None:
            file["signals"].attrs["sampling_rate_hz"] = 10.0
    return content
