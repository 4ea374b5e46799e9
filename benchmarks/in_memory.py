"""Training from arrays in memory, in the two ways that Headrace replaces; for `benchmarks.memory`.

    python -m benchmarks.in_memory original|optimised SOURCE.h5 --epochs 2

`original`: four copies of the training windows concatenated (as they are, masked, mixed, scaled),
features of every one by a loop over windows, `fit` on arrays, test-time augmentation on three
copies of the test windows. `optimised`: arrays still in memory, but augmented batch by batch in a
`PyDataset` (once `Sequence`), features of the original windows only, 1,000 at a time, two views at
the end, memory released between the phases. Network, optimiser and features are Headrace's.
Prints `phase NAME` as each begins, and at the end `accuracy VALUE` on the test windows.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from tests.pipeline.catalogue.reference import reference

Floats = NDArray[np.float32]
Part = dict[str, NDArray[Any]]

VALIDATION_GROUPS, TEST_GROUPS = 4, 4
FEATURES_AT_A_TIME = 1000


def begin(phase: str) -> None:
    """Tell who listens that a phase begins."""
    print(f"phase {phase}", flush=True)


def load(source: Path) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64], float]:
    """Everything of the file: windows, labels, groups, sampling rate."""
    import h5py

    with h5py.File(source, "r") as file:
        labels, groups = file["y"][:], file["groups"][:]
        rate = file.attrs.get("sampling_rate_hz", file["X"].attrs.get("sampling_rate_hz"))
        return file["X"][:], labels.astype(np.int64), groups.astype(np.int64), float(rate)


def split(groups: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """Masks of the windows of each part, made of whole groups."""
    names = np.unique(groups)
    test = np.isin(groups, names[:TEST_GROUPS])
    validation = np.isin(groups, names[TEST_GROUPS : TEST_GROUPS + VALIDATION_GROUPS])
    return {"train": ~(test | validation), "validation": validation, "test": test}


def divided(source: Path) -> tuple[Part, Part, float, Floats]:
    """Windows and labels of each part, the sampling rate, and all windows, still held."""
    windows, labels, groups, rate = load(source)
    masks = split(groups)
    raw = {name: windows[mask] for name, mask in masks.items()}
    return raw, {name: labels[mask] for name, mask in masks.items()}, rate, windows


def features_of(windows: Floats, rate: float) -> Floats:
    """The catalogue's features by a loop over windows, (n, F)."""
    names = tuple(f"ch{number}" for number in range(windows.shape[2]))
    rows = [list(reference(w.astype(np.float64), names, rate, ()).values()) for w in windows]
    return np.nan_to_num(np.array(rows, dtype=np.float32))


def masked(windows: Floats, rng: np.random.Generator) -> Floats:
    """A copy with a stretch of each window at zero, the mean."""
    copy, length = windows.copy(), windows.shape[1] // 10
    for window, start in zip(
        copy, rng.integers(windows.shape[1] - length, size=len(copy)), strict=True
    ):
        window[start : start + length] = 0
    return copy


def mixed(windows: Floats, rng: np.random.Generator) -> Floats:
    """A copy with nine parts of each window and one of another."""
    return np.float32(0.9) * windows + np.float32(0.1) * windows[rng.permutation(len(windows))]


def scaled(windows: Floats, rng: np.random.Generator) -> Floats:
    """A copy with every window times its own factor near 1."""
    return windows * rng.normal(1, 0.05, size=(len(windows), 1, 1)).astype(np.float32)


def standardise(parts: Sequence[Floats], axes: tuple[int, ...]) -> Floats:
    """Bring all parts, in place, to mean 0 and deviation 1 of the first; returns its deviation."""
    mean, deviation = parts[0].mean(axis=axes), parts[0].std(axis=axes) + np.float32(1e-9)
    for part in parts:
        part -= mean
        part /= deviation
    return deviation


def network_for(part: Part, classes: int, batch: int, epochs: int, windows: int) -> Any:
    """Headrace's network, compiled as Headrace compiles it."""
    from headrace.model.interface import NetworkTarget
    from headrace.model.network import build_network
    from headrace.model.optimisation import compile_network
    from headrace.model.options import NetworkOptions, OptimiserOptions

    options = NetworkOptions(feature_scaling="standard")
    _, time, channels = part["raw"].shape
    target = NetworkTarget(tuple(map(str, range(classes))))
    network = build_network(options, time, channels, part["features"].shape[1], target)
    steps = -(-windows // batch)
    compile_network(network, target, options, OptimiserOptions(), steps, epochs)
    return network


def targets(network: Any, labels: NDArray[np.int64], classes: int) -> dict[str, Floats]:
    """One-hot labels for every output."""
    return dict.fromkeys(network.output, np.eye(classes, dtype=np.float32)[labels])


def accuracy(network: Any, views: Sequence[Part], labels: NDArray[np.int64]) -> float:
    """Of the mean prediction over views of the same windows."""
    seen = [network.predict(view, batch_size=512, verbose=0)["label"] for view in views]
    return float((np.mean(seen, axis=0).argmax(axis=1) == labels).mean())


def train_original(source: Path, epochs: int) -> float:
    """Everything at once; returns the accuracy."""
    begin("load")
    raw, label, rate, _all_windows = divided(source)
    rng, classes = np.random.default_rng(0), int(max(map(np.max, label.values()))) + 1
    begin("augment")
    train = raw["train"]
    copies = (train, masked(train, rng), mixed(train, rng), scaled(train, rng))
    raw["train"], label["train"] = np.concatenate(copies), np.tile(label["train"], 4)
    begin("features")
    features = {name: features_of(part, rate) for name, part in raw.items()}
    standardise(list(raw.values()), (0, 1))
    standardise(list(features.values()), (0,))
    parts = {name: {"raw": raw[name], "features": features[name]} for name in raw}
    begin("train")
    network = network_for(parts["train"], classes, 64, epochs, len(raw["train"]))
    network.fit(
        parts["train"],
        targets(network, label["train"], classes),
        batch_size=64,
        epochs=epochs,
        validation_data=(
            parts["validation"],
            targets(network, label["validation"], classes),
        ),
        verbose=0,
    )
    begin("evaluate")
    test, noise = parts["test"], rng.normal(0, 0.05, size=raw["test"].shape).astype(np.float32)
    views = [test, test | {"raw": test["raw"] + noise}, test | {"raw": test["raw"] * 0.95}]
    return accuracy(network, views, label["test"])


def augmented_batches(part: Part, target: dict[str, Floats], batch: int) -> Any:
    """A PyDataset of batches of a part."""
    import keras

    class Batches(keras.utils.PyDataset):
        """Batches of a part, copied and augmented sample by sample."""

        def __init__(self) -> None:
            super().__init__()
            self.rng = np.random.default_rng(0)
            self.order = self.rng.permutation(len(part["raw"]))

        def __len__(self) -> int:
            return -(-len(self.order) // batch)

        def __getitem__(self, number: int) -> tuple[Part, dict[str, Floats]]:
            rows = self.order[number * batch : (number + 1) * batch]
            raw = part["raw"][rows]
            for sample in raw:
                if self.rng.random() < 0.5:
                    start = self.rng.integers(len(sample) - len(sample) // 10)
                    sample[start : start + len(sample) // 10] = 0
                if self.rng.random() < 0.5:
                    sample *= self.rng.normal(1, 0.05)
                if self.rng.random() < 0.5:
                    sample += self.rng.normal(0, 0.05, sample.shape)
            own = {name: value[rows] for name, value in target.items()}
            return {"raw": raw, "features": part["features"][rows]}, own

        def on_epoch_end(self) -> None:
            self.rng.shuffle(self.order)

    return Batches()


def train_optimised(source: Path, epochs: int) -> float:
    """Arrays in memory, augmentation batch by batch; returns the accuracy."""
    begin("load")
    raw, label, rate, windows = divided(source)
    rng, classes = np.random.default_rng(0), int(max(map(np.max, label.values()))) + 1
    del windows
    gc.collect()
    begin("features")
    features = {
        name: np.concatenate(
            [
                features_of(part[start : start + FEATURES_AT_A_TIME], rate)
                for start in range(0, len(part), FEATURES_AT_A_TIME)
            ]
        )
        for name, part in raw.items()
    }
    gc.collect()
    standardise(list(raw.values()), (0, 1))
    standardise(list(features.values()), (0,))
    parts = {name: {"raw": raw[name], "features": features[name]} for name in raw}
    begin("train")
    network = network_for(parts["train"], classes, 128, epochs, len(raw["train"]))
    goal = targets(network, label["train"], classes)
    checked = targets(network, label["validation"], classes)
    network.fit(
        augmented_batches(parts["train"], goal, 128),
        epochs=epochs,
        validation_data=(parts["validation"], checked),
        verbose=0,
    )
    del parts["train"], raw["train"], features["train"], goal
    gc.collect()
    begin("evaluate")
    test = parts["test"]
    seen = np.zeros((len(label["test"]), classes))
    for start in range(0, len(seen), 128):
        part = {name: value[start : start + 128] for name, value in test.items()}
        noise = rng.normal(0, 0.05, size=part["raw"].shape).astype(np.float32)
        for view in (part, part | {"raw": part["raw"] + noise}):
            seen[start : start + 128] += network.predict_on_batch(view)["label"]
    return float((seen.argmax(axis=1) == label["test"]).mean())


def main() -> int:
    """Train in one of the two ways."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("approach", choices=("original", "optimised"))
    parser.add_argument("source", type=Path)
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    train = {"original": train_original, "optimised": train_optimised}[given.approach]
    import keras

    keras.utils.set_random_seed(0)
    print(f"accuracy {train(given.source, given.epochs):.4f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
