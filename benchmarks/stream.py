"""The stream against the other ways to feed batches, side by side in one process.

    python -m benchmarks.stream [--windows 300000] [--rounds 5]

128 x 9 float32 with 283 features from a finished store, batches of 128, op determinism as in
training, every batch touched. Every round runs each contender for one epoch; medians after a round
that is not counted. A tf.data dataset is consumed twice: inside a compiled function, as `model.fit`
does, which floors are for, and batch by batch in Python. annbatch and insitubatch need Python 3.12
and are left out elsewhere. Exit code 1: a ratio is below its floor.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks.stream_data import make_config, make_store, ours
from benchmarks.stream_network import fit, start_and_hunger
from benchmarks.stream_peers import (
    NAMES,
    Epoch,
    MappedStore,
    annbatch,
    batch_by_batch,
    compiled,
    hdf5_by_sample,
    in_memory,
    insitubatch,
    mapped_numpy,
    tfrecord,
)
from benchmarks.timing import machine, table, version
from headrace.pipeline.memory.plan import MIB
from headrace.pipeline.memory.watch import watch_memory
from headrace.pipeline.rows.order import buffer_chunks, training_order
from headrace.pipeline.tensorflow_setup import set_up_tensorflow
from headrace.stores import Store

SAMPLES = 2_000


@dataclass(frozen=True)
class Contender:
    """One way to go through an epoch, and how much faster ours must be: None has no floor.

    `in_python` goes through it batch by batch, where `run` is compiled.
    """

    run: Epoch
    in_python: Epoch | None = None
    against: str = "headrace"
    floor: float | None = None


def consumed(
    data: tf.data.Dataset, floor: float | None = None, against: str = "headrace"
) -> Contender:
    """A dataset as a contender."""
    return Contender(compiled(data), batch_by_batch(data), against, floor)


def contenders(store: Store, source: Path, folder: Path) -> dict[str, Contender]:
    """All that are timed; the first is what others are compared with."""
    plain, raw = make_config(), make_config("raw")
    mapped = MappedStore(store, folder / f"mapped-{store.windows}")
    arrays = {name: store.read(name, 0, store.windows) for name in NAMES}
    order = training_order(store, [fold.name for fold in store.folds], plain)
    chunks = buffer_chunks(plain.stream)
    held = (plain.stream.read_threads + 3) * order.buffer_rows
    records = folder / f"tfrecord-{store.windows}"
    found = {
        "headrace": consumed(ours(store, plain)),
        "headrace, raw only": consumed(ours(store, raw)),
        "headrace, augmented": consumed(ours(store, make_config(augment=True))),
        "headrace, augmented, quantiles": consumed(
            ours(store, make_config(augment=True, scaling="quantile"))
        ),
        "arrays in memory, shuffle(all)": consumed(in_memory(arrays), 1.0),
        "TFRecord, interleaved": consumed(tfrecord(arrays, records, held), 2.0),
        "memmap, the same harness": consumed(ours(mapped, plain), 0.7),
        "memmap, NumPy batches": Contender(mapped_numpy(mapped, order)),
        "HDF5, one sample at a time": Contender(hdf5_by_sample(source, SAMPLES), floor=20.0),
    }
    if (loader := annbatch(store, chunks)) is not None:
        found["annbatch, raw only"] = Contender(loader, None, "headrace, raw only", 1.0)
    if (data := insitubatch(store, chunks)) is not None:
        found["insitubatch"] = consumed(data, 1.5)
    return found


def rates(found: dict[str, Contender], rounds: int) -> dict[str, tuple[float, float]]:
    """Median windows/s of each and, where it has both, batch by batch; over interleaved rounds."""
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in found}
    for number in range(rounds + 1):
        for name, contender in found.items():
            for run, own in zip((contender.run, contender.in_python), taken[name], strict=True):
                if run is None:
                    continue
                begun = time.perf_counter()
                rows = run()
                if number:
                    own.append(rows / (time.perf_counter() - begun))
    median = statistics.median
    return {name: (median(one), median(two or one)) for name, (one, two) in taken.items()}


def speed(store: Store, source: Path, folder: Path, rounds: int) -> bool:
    """Print the table of contenders; whether every ratio is above its floor."""
    found = contenders(store, source, folder)
    measured, kept, rows = rates(found, rounds), True, []
    for name, contender in found.items():
        own, other = measured[contender.against], measured[name]
        ratio = own[0] / other[0]
        kept &= contender.floor is None or ratio >= contender.floor
        floor = "" if contender.floor is None else f"{contender.floor:.1f}"
        shown = (f"{other[0]:,.0f}", f"{ratio:.2f}", floor)
        rows.append((name, *shown, f"{other[1]:,.0f}", f"{own[1] / other[1]:.2f}"))
    columns = ("feed", "windows/s", "ours over it", "floor", "in Python", "ours over it")
    share = measured["headrace, augmented"][0] / measured["headrace"][0]
    kept &= share >= 0.6
    print(table("Batches of 128", columns, rows))
    print(f"With augmentation {share:.2f} of the rate without (floor 0.6).\n")
    return kept


def alone(part: Callable[..., Any], folder: Path, windows: int, *given: Any) -> Any:
    """Run a part on the store in a process of its own, undisturbed by what others left."""
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawned) as pool:
        return pool.submit(_on_store, part, folder, windows, given).result()


def _on_store(part: Callable[..., Any], folder: Path, windows: int, given: Sequence[Any]) -> Any:
    set_up_tensorflow(make_config().train)
    return part(make_store(windows, folder)[0], *given)


def peaks(folder: Path, windows: int) -> bool:
    """Print what insitubatch and ours hold at their peaks, each in a process of its own."""
    if importlib.util.find_spec("insitubatch") is None:
        print("insitubatch is not here: it needs Python 3.12.\n")
        return True
    own, other = (alone(_peak, folder, windows, peer) for peer in (False, True))
    print(f"Two epochs hold {own / MIB:.0f} MiB, with insitubatch {other / MIB:.0f} MiB.\n")
    return own <= other


def _peak(store: Store, with_insitubatch: bool) -> int:
    """Anonymous and shared bytes of this process at their peak, TensorFlow included."""
    with watch_memory() as use:
        peer = insitubatch(store, buffer_chunks(make_config().stream)) if with_insitubatch else None
        run = compiled(ours(store, make_config()) if peer is None else peer)
        for _ in range(2):
            run()
    return use.peak


def main() -> int:
    """Print all parts; 1 if a floor is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--windows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("data/benchmarks"))
    parser.add_argument("--parts", nargs="+", default=["speed", "peaks", "hunger", "fit"])
    given = parser.parse_args()
    set_up_tensorflow(make_config().train)
    store, source = make_store(given.windows, given.folder)
    print(f"{machine()}; {version('tensorflow', 'numcodecs', 'zarr', 'h5py')}\n")
    parts: dict[str, Callable[[], bool]] = {
        "speed": lambda: speed(store, source, given.folder, given.rounds),
        "peaks": lambda: peaks(given.folder, given.windows),
        "hunger": lambda: alone(start_and_hunger, given.folder, given.windows),
        "fit": lambda: alone(fit, given.folder, given.windows, given.rounds),
    }
    kept = [parts[name]() for name in given.parts]
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
