"""How well the stream shuffles, against a true global shuffle of all rows.

    python -m benchmarks.shuffle [--config CONFIG.toml --data SOURCE.h5] [--seeds 5]

Mixing: entropy of the labels and groups of batches of 128 over that of independent draws, what
`headrace plan` expects, and the correlation of a row's places in two epochs, for several buffers;
of 300,000 synthetic windows sorted by label and group, and of the source, if one is named. Score:
validation macro-F1 of the source after one epoch, with the default buffer and with one that holds
every chunk, which is a global shuffle. Exit code 1: the default buffer is below 0.99 of either.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import machine, table, version
from headrace import stores
from headrace.pipeline.commands.plan import with_buffer
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import load_config
from headrace.pipeline.console import Console
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.request import Request
from headrace.pipeline.rows.order import BUFFER_CHUNKS, Order, training_order
from headrace.pipeline.rows.quality import batch_entropy, expected_group_entropy
from headrace.pipeline.rows.split import choose_split
from headrace.pipeline.tensorflow_setup import set_up_tensorflow
from headrace.pipeline.training.stage import run_train
from headrace.stores import Store

FLOOR = 0.99
SORTED_WINDOWS = 300_000
SORTED = ("store.chunk_windows=128", "store.shard_windows=8192", "features.select=[]")
"""The geometry that windows of 128 x 9 have; these are 4 x 1."""


def write_sorted_source(path: Path, windows: int) -> None:
    """`windows` small windows of 20 subjects and 6 classes, sorted by class, then by subject."""
    rng = np.random.default_rng(0)
    label, group = np.sort(rng.integers(6, size=windows)), rng.integers(20, size=windows)
    with h5py.File(path, "w") as file:
        file["X"] = rng.integers(-99, 99, size=(windows, 4, 1)).astype(np.int16)
        file["y"], file["groups"] = label, group[np.lexsort((group, label))]
        file.attrs["sampling_rate_hz"] = 10.0


def mixing(store: Store, config: Config) -> tuple[list[tuple[str, ...]], float]:
    """A row of the table for each buffer, and the worst quality of the default one."""
    train = choose_split(store.folds, store.class_table, config.split).train
    codes = [store.read(name, 0, store.windows) for name in ("label", "group")]
    rows, worst = [], 1.0
    for chunks in (1, BUFFER_CHUNKS // 4, BUFFER_CHUNKS):
        order = training_order(store, train, with_buffer(config, chunks))
        found = [measured_entropy(order, code, config.train.batch) for code in codes]
        expected = expected_group_entropy(order, store.part_folds, config.train.batch)
        correlation = position_correlation(order, 0)
        rows.append((f"{chunks}", *(f"{each:.4f}" for each in (*found, expected, correlation))))
        worst = min(found)
    return rows, worst


def measured_entropy(order: Order, code: NDArray[np.int32], batch: int, epochs: int = 1) -> float:
    """Quality of the labels or groups of the batches of some epochs.

    Args:
        order: of the training.
        code: (rows of the store,) label or group of each row.
        batch: rows of a batch.
        epochs: how many, from the first.
    """
    rows = np.concatenate([epoch_rows(order, epoch) for epoch in range(epochs)])
    drawn = np.random.default_rng(0).choice(rows, len(rows))
    ideal = batch_entropy(code[drawn], batch)
    return batch_entropy(code[rows], batch) / ideal if ideal > 0 else 1.0


def position_correlation(order: Order, epoch: int) -> float:
    """Correlation of the places of a row in an epoch and in the next, over all rows."""
    places = [np.argsort(epoch_rows(order, number)) for number in (epoch, epoch + 1)]
    return float(np.asarray(np.corrcoef(places))[0, 1])


def epoch_rows(order: Order, epoch: int) -> NDArray[np.int64]:
    """Rows of the store in the order an epoch delivers them: O(rows), to measure with."""
    return np.concatenate(list(_buffers(order, epoch)))


def _buffers(order: Order, epoch: int) -> Iterator[NDArray[np.int64]]:
    for buffer in range(order.buffers):
        held = np.concatenate([np.arange(*each) for each in order.buffer_ranges(epoch, buffer)])
        yield held[order.row_order(epoch, buffer, len(held))]


def scores(config: Config, store: Path, seeds: int, folder: Path) -> tuple[list[float], ...]:
    """Validation macro-F1 after one epoch, one a seed: default buffer, and all chunks at once."""
    whole = stores.open(store)
    chunks = -(-whole.windows // whole.chunk_windows)
    found: tuple[list[float], ...] = ([], [])
    for seed in range(seeds):
        for kind, buffer in zip(found, (BUFFER_CHUNKS, chunks), strict=True):
            train = config.train.model_copy(update={"epochs": 1, "seed": seed})
            changed = with_buffer(config.model_copy(update={"train": train}), buffer)
            run = folder / f"{seed}-{buffer}"
            run_train(Request(changed, None, store, run, Console(quiet=True)))
            with (run / "log.csv").open(newline="") as log:
                kind.append(float(list(csv.DictReader(log))[-1]["val_macro_f1"]))
    return found


def main() -> int:
    """Print both tables; 1 if the default buffer is below the floor."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    if bool(given.config) != bool(given.data):
        parser.error("--config and --data go together")
    print(f"{machine()}; {version('tensorflow', 'numpy')}\n")
    with tempfile.TemporaryDirectory() as name:
        folder, kept = Path(name), True
        write_sorted_source(folder / "sorted.h5", SORTED_WINDOWS)
        sources = {"sorted": (load_config(None, SORTED), folder / "sorted.h5")}
        if given.data:
            sources[given.config.stem] = (load_config(given.config), given.data)
        columns = ("chunks in a buffer", "labels", "groups", "expected", "correlation")
        for title, (config, source) in sources.items():
            run_features(
                Request(config, source, folder / f"{title}.zarr", None, Console(quiet=True))
            )
            store = stores.open(folder / f"{title}.zarr")
            rows, worst = mixing(store, config)
            print(table(f"{title}, {store.windows:,} windows", columns, rows))
            kept &= worst >= FLOOR
        if not given.data:
            return int(not kept)
        set_up_tensorflow(config.train)
        own, whole = scores(config, folder / f"{title}.zarr", given.seeds, folder)
    ratio = statistics.mean(own) / statistics.mean(whole)
    pairs = [
        (f"{seed}", f"{a:.4f}", f"{b:.4f}")
        for seed, (a, b) in enumerate(zip(own, whole, strict=True))
    ]
    means = [f"{statistics.mean(each):.4f}" for each in (own, whole)]
    print(
        table(
            "Validation macro-F1 after one epoch",
            ("seed", f"{BUFFER_CHUNKS} chunks", "all"),
            [*pairs, ("mean", *means)],
        )
    )
    print(f"{ratio:.3f} of a global shuffle (floor {FLOOR}).")
    return int(not (kept and ratio >= FLOOR))


if __name__ == "__main__":
    sys.exit(main())
