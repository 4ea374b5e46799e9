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
# # Inspect a store
#
# `make features` writes the store that is opened here, from the smartwatch data. Nothing below
# loads it as a whole: views read metadata, one window, or the rows that are named.

# %%
import os
from pathlib import Path

if not Path("data").exists():
    os.chdir("..")  # From notebooks/ to the folder of data/ and runs/.

from headrace import stores

store = stores.open("data/watch.zarr")
store

# %% [markdown]
# One window: values in units, its features, and where it came from. Rows count from 0; negative
# ones from the end.

# %%
window = store.window(5)
print(window.title)
print({name: round(value, 3) for name, value in list(window.features.items())[:4]})
_ = store.plot_window(5)

# %% [markdown]
# A feature by class, of about 20,000 windows spread over the store, or of rows that are named.

# %%
_ = store.plot_feature(store.feature_names[0], by="label")

# %%
fold = store.folds[0]
frame = store.features_frame(rows=fold.rows)
frame.groupby("label", observed=True).size()

# %% [markdown]
# As xarray: lazy, with names for the axes. Indexing reads what it asks for.

# %%
data = store.to_xarray()
data

# %%
data["raw"].isel(window=slice(0, 3)).sel(channel=store.spec.channels[0]).std("time").values
