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
# # Augmentation and test-time views
#
# Training batches are augmented while they are streamed: nothing is stored, the same window is
# changed in the same way whatever the batch or the threads, and differently in each epoch.
# Evaluation averages the probabilities of a few views, which are streamed as well.

# %%
import os
from pathlib import Path

if not Path("data").exists():
    os.chdir("..")  # From notebooks/ to the folder of data/ and runs/.

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from headrace import stores
from headrace.pipeline.augmentations.registry import Setting
from headrace.pipeline.config.augment import AugmentOptions
from headrace.pipeline.stream.augment import augmentations_in_units, view

store = stores.open("data/watch.zarr")
window = store.window(5)
deviations = store.moments([fold.name for fold in store.folds]).raw_std.astype(np.float32)


def sample(epoch: int) -> dict[str, tf.Tensor]:
    """The window as a batch of one, in an epoch."""
    return {
        "raw": tf.constant(window.raw[None], tf.float32),
        "source_index": tf.constant([window.source_index], tf.int64),
        "epoch": tf.constant(epoch, tf.int64),
    }


# %% [markdown]
# The same window in three epochs, scaled and with noise as `[augment]` says.

# %%
options = AugmentOptions(scale_strength=0.1, noise_strength=0.1)
steps = augmentations_in_units(options, Setting(store.spec.time, deviations, seed=0))
_, panels = plt.subplots(3, 1, sharex=True, sharey=True, figsize=(8, 5), layout="constrained")
for epoch, panel in enumerate(panels):
    changed = sample(epoch)
    for step in steps:
        changed = step(changed)
    panel.plot(window.time_s, window.raw[:, 0], color="0.7")
    panel.plot(window.time_s, changed["raw"][0, :, 0])
    panel.set_title(f"epoch {epoch}", loc="left")

# %% [markdown]
# Views for test-time averaging (`evaluate.views`): the same each time.

# %%
_, panels = plt.subplots(3, 1, sharex=True, sharey=True, figsize=(8, 5), layout="constrained")
for spec, panel in zip(("identity", "noise:0.05", "scale:0.95"), panels, strict=True):
    seen = view(spec, store.spec.time, deviations, 0.05, seed=0)(sample(0))
    panel.plot(window.time_s, window.raw[:, 0], color="0.7")
    panel.plot(window.time_s, seen["raw"][0, :, 0])
    panel.set_title(spec, loc="left")
