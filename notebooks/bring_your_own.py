# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
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
        table.insert(0, "time", seconds)
        table.to_csv(f"csv/person{person}_{activity}.csv", index=False)

# %% [markdown]
# Let Headrace look at the folder as it is, read what it is not sure of, and correct `mine.toml` if
# need be.

# %%
# !headrace init csv --output mine.toml
# !cat mine.toml

# %% [markdown]
# Then every stage; `--budget` bounds the memory of the whole process tree.

# %%
# !headrace features --config mine.toml --quiet
# !headrace train --config mine.toml --quiet --set train.epochs=3 --budget 2GiB
# !headrace evaluate --config mine.toml --set train.epochs=3 --json | head -20
