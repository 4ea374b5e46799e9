# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Bring your own recordings
#
# From a folder of CSV files, one a recording, to a report. The files are made here; yours have a
# column a sensor axis, and something that says who was recorded and what was done.

# %%
import os
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

os.chdir(tempfile.mkdtemp())
rng = np.random.default_rng(0)
Path("csv").mkdir()
for person in range(6):
    for activity, hertz in (("walk", 1.8), ("run", 2.8)):
        seconds = np.arange(0, 60, 1 / 50)
        swing = np.sin(2 * np.pi * (hertz + 0.1 * person / 6) * seconds)
        table = pd.DataFrame(
            {
                axis: swing * size + rng.normal(0, 0.2, len(seconds))
                for axis, size in (("acc_x", 0.5), ("acc_y", 0.3), ("acc_z", 1.0))
            }
        )
        table["acc_z"] += 1.0
        table.to_csv(f"csv/person{person}_{activity}.csv", index=False)

# %% [markdown]
# Write them into one HDF5 file, one recording after another: nothing is held but one CSV.

# %%
channels = ["acc_x", "acc_y", "acc_z"]
files = sorted(Path("csv").glob("*.csv"))
with h5py.File("mine.h5", "w") as file:
    signals = file.create_dataset(
        "signals", (0, 3), "f4", maxshape=(None, 3), chunks=(16_384, 3), compression="lzf"
    )
    labels = file.create_dataset("labels", (0,), h5py.string_dtype(), maxshape=(None,), chunks=True)
    starts, lengths, subjects = [], [], []
    for path in files:
        person, activity = path.stem.split("_")
        values = pd.read_csv(path)[channels].to_numpy(np.float32)
        first = len(signals)
        signals.resize(first + len(values), axis=0)
        labels.resize(first + len(values), axis=0)
        signals[first:], labels[first:] = values, activity
        starts.append(first)
        lengths.append(len(values))
        subjects.append(person)
    table = file.create_group("recordings")
    table["start"], table["length"] = starts, lengths
    table.create_dataset("subject", data=subjects, dtype=h5py.string_dtype())
    signals.attrs["sampling_rate_hz"] = 50.0
    signals.attrs["channels"] = channels
    signals.attrs["units"] = ["g", "g", "g"]

# %% [markdown]
# Let Headrace look at it, read what it is not sure of, and correct `mine.toml` if need be.

# %%
# !headrace init mine.h5
# !cat mine.toml

# %% [markdown]
# Then every stage; `--budget` bounds the memory of the whole process tree.

# %%
# !headrace features --config mine.toml --quiet
# !headrace train --config mine.toml --quiet --set train.epochs=3 --budget 2GiB
# !headrace evaluate --config mine.toml --set train.epochs=3 --json | head -20
