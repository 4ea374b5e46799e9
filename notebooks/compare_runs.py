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
# # Compare runs and read a report
#
# `make evaluate` leaves a folder under `runs/` with `report.html`, `metrics.json`, the figures and
# the configuration. Two runs are compared group by group.

# %%
import os
from pathlib import Path

if not Path("data").exists():
    os.chdir("..")  # From notebooks/ to the folder of data/ and runs/.

import json

import pandas as pd
from IPython.display import IFrame, Image, display

from headrace.pipeline.experiments.compare import run_compare
from headrace.pipeline.console import Console

runs = sorted(path.parent for path in Path("runs").glob("*/*/metrics.json"))
runs

# %%
found = run_compare(runs, Console())

# %% [markdown]
# What is in `metrics.json`: scores with intervals, per class and per group, calibration, mistakes.

# %%
metrics = json.loads((runs[0] / "metrics.json").read_text())
pd.DataFrame(metrics["tta"]["per_group"]).T

# %%
pd.DataFrame(metrics["tta"]["mistakes"])

# %%
display(Image(runs[0] / "mistakes.png", width=700))

# %% [markdown]
# The whole report:

# %%
IFrame(os.path.relpath(runs[0] / "report.html", "notebooks"), width="100%", height=500)
