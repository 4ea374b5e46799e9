"""Networks of a user's own, which tests write into folders of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import load_config

NETWORKS = '''
"""What a user might write."""
import keras
from keras import layers
from widths import WIDTH


class Doubled(layers.Layer):
    """A layer of their own, with nothing in its config."""

    def call(self, x):
        return 2 * x


class Clipped(keras.Model):
    """A step of their own, which takes inputs and labels alone."""

    def train_step(self, data):
        x, y = data
        import tensorflow as tf
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        grads = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(grads, self.trainable_variables))
        return {"loss": loss, "steps_of_mine": tf.cast(self.optimizer.iterations, "float32")}


def outputs(given):
    parts = []
    if "raw" in given:
        x = layers.Conv1D(WIDTH, 5, strides=4)(given["raw"])
        parts.append(layers.GlobalAveragePooling1D()(x))
    if "features" in given:
        parts.append(layers.Dense(WIDTH, name="wide")(given["features"]))
    x = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    x = layers.BatchNormalization(name="moments")(Doubled()(x))
    return layers.Dropout(0.2)(x)


def bare(inputs, target):
    given = inputs.tensors()
    return keras.Model(given, layers.Dense(target.count, activation="softmax")(outputs(given)))


def heads(inputs, target):
    given = inputs.tensors()
    x = outputs(given)
    named = {n: layers.Dense(target.count, activation="softmax")(x) for n in ("label", "other")}
    return keras.Model(given, named)


def stepping(inputs, target):
    given = inputs.tensors()
    y = layers.Dense(target.count, activation="softmax", name="head")(outputs(given))
    network = Clipped(given, y)
    network.compile("sgd", "categorical_crossentropy")
    return network


def compiled(inputs, target):
    network = bare(inputs, target)
    network.compile(
        keras.optimizers.Adam(0.01), "categorical_crossentropy", metrics=["accuracy"]
    )
    return network


class Subclassed(keras.Model):
    def __init__(self, count, **options):
        super().__init__(**options)
        self.count, self.dense = count, layers.Dense(count, activation="softmax")

    def call(self, given):
        return self.dense(given["features"])

    def get_config(self):
        return {"count": self.count}


def subclassed(inputs, target):
    return Subclassed(target.count)
'''


def write_networks(folder: Path) -> Path:
    """`net.py` and its sibling `widths.py`."""
    folder.mkdir(exist_ok=True)
    (folder / "net.py").write_text(NETWORKS)
    (folder / "widths.py").write_text("WIDTH = 4\n")
    return folder


def config_of(folder: Path, base: Config, **sections: dict[str, Any]) -> Config:
    """`base` with some keys, as a file in `folder` gives it."""
    table = base.model_dump(exclude_unset=True, mode="json", exclude_none=True)
    for name, keys in sections.items():
        table[name] = {**table.get(name, {}), **keys}
    file = folder / "own.toml"
    file.write_text(tomli_w.dumps(table))
    return load_config(file)
