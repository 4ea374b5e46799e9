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
import gc
import importlib.util
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.stage import source_of
from benchmarks.stream_peers import (
    BATCH,
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
from headrace import stores
from headrace.model.network import build_network
from headrace.model.normaliser import Normaliser
from headrace.model.optimisation import compile_network
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.console import Console
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.memory.measured import network_shape
from headrace.pipeline.memory.plan import MIB
from headrace.pipeline.memory.watch import watch_memory
from headrace.pipeline.request import Request
from headrace.pipeline.rows.order import buffer_chunks, training_order
from headrace.pipeline.rows.statistics import fit_normaliser
from headrace.pipeline.stream.training import training_stream
from headrace.pipeline.tensorflow_setup import set_up_tensorflow
from headrace.pipeline.training.network import optimiser_options
from headrace.stores import Store

TRIAD = {"acc": ["ch0", "ch1", "ch2"]}
SELECT = ["*", "!ch?__mad", "!ch?__iqr"]
"""301 features less 18: 283."""
PLAIN = {"mask_probability": 0.0, "scale_probability": 0.0, "noise_probability": 0.0}
SAMPLES, FITTED = 2_000, 20_000
STARTED = 0.3
"""Of the time in which TensorFlow makes the graph of a step, until the first batch is there: 0.10
on a busy machine."""
EATEN = 0.4
"""Of the rate at which batches are to be had, that an eater eats at by the clock."""
FED, LATE, WAITING = 0.998, 0.001, 0.02
"""Of its rate, that an eater must reach which nothing keeps waiting; of its batches, that may come
late; of an epoch through the network, that may be spent waiting."""


@dataclass(frozen=True)
class Contender:
    """One way to go through an epoch, and how much faster ours must be: None has no floor.

    `in_python` goes through it batch by batch, where `run` is compiled.
    """

    run: Epoch
    in_python: Epoch | None = None
    against: str = "headrace"
    floor: float | None = None


def make_config(inputs: str = "hybrid", augment: bool = False, scaling: str = "standard") -> Config:
    """The default configuration, but for what is compared."""
    return config_from_table(
        {
            "features": {"triads": TRIAD, "select": SELECT},
            "augment": {} if augment else PLAIN,
            "model": {"inputs": inputs, "feature_scaling": scaling},
            "train": {"batch": BATCH},
        },
        "the benchmark",
    )


def make_store(windows: int, folder: Path) -> tuple[Store, Path]:
    """The store of a synthetic source, made if it is not there, and the source."""
    source, target = source_of(windows, folder), folder / f"stream-{windows}.zarr"
    if not target.exists():
        run_features(Request(make_config(), source, target, None, Console(quiet=True)))
    return stores.open(target), source


def ours(store: Any, config: Config) -> tf.data.Dataset:
    """One epoch of the training stream over all folds, as TensorFlow tensors."""
    folds = [fold.name for fold in store.folds]
    normaliser = fit_normaliser(store, folds, config)
    return training_stream(store, folds, config, normaliser, epochs=1)


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


def start_and_hunger(store: Store) -> bool:
    """Print how soon the first batch comes, and how often an eater waits; by the stream's own rate.

    Late is a batch by more than a sleeper wakes late, one time in a thousand, beside busy cores.
    """
    config = make_config(augment=True, scaling="quantile")
    folds = [fold.name for fold in store.folds]
    normaliser = fit_normaliser(store, folds, config)
    firsts = []
    for _ in range(5):
        begun = time.perf_counter()
        next(iter(training_stream(store, folds, config, normaliser)))
        firsts.append(time.perf_counter() - begun)
    traced = _traced(store, folds, config, normaliser)
    rate = _eat(training_stream(store, folds, config, normaliser, epochs=2), 0.0, 0.0)[0]
    pause, slice_seconds = BATCH / (EATEN * rate), _wakes_late()
    stream = training_stream(store, folds, config, normaliser, epochs=2)
    eaten, late, batches = _eat(stream, pause, slice_seconds)
    first = statistics.median(firsts)
    print(
        f"First batch after {first:.2f} s, {first / traced:.2f} of the time until a step of the "
        f"network has its graph (at most {STARTED}). Batches in Python, every default on: "
        f"{rate:,.0f} windows/s; an eater of {BATCH / pause:,.0f} windows/s ate {eaten:,.0f}, and "
        f"waited more than {1e3 * (pause + slice_seconds):.1f} ms for {late} of {batches} (at most "
        f"{LATE:.1%}).\n"
    )
    fed = eaten >= FED * BATCH / pause and late <= LATE * batches
    return first <= STARTED * traced and fed


def _traced(store: Store, folds: list[str], config: Config, normaliser: Normaliser) -> float:
    """Seconds in which the network and the graph of its training step are made; of three times."""
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        network = _network(store, config)
        compile_network(network, config.model, optimiser_options(config.train), 1, 1)
        heads = tuple(network.output)
        seconds = time.perf_counter() - begun
        element = training_stream(store, folds, config, normaliser, heads=heads).element_spec
        begun = time.perf_counter()
        tf.function(network.train_step, input_signature=[element]).get_concrete_function()
        taken.append(seconds + time.perf_counter() - begun)
    return statistics.median(taken)


def _network(store: Store, config: Config) -> Any:
    return build_network(config.model, **network_shape(store))


def _eat(data: tf.data.Dataset, pause: float, slice_seconds: float) -> tuple[float, int, int]:
    """Windows/s of an eater that takes `pause` seconds for a batch; late batches, and all."""
    late = batches = 0
    stream = iter(data)
    next(stream)
    # As timeit does: collecting what is above would be the eater's pause, not the stream's.
    gc.collect()
    gc.disable()
    begun = asked = time.perf_counter()
    for _ in stream:
        late += time.perf_counter() - asked > pause + slice_seconds
        batches += 1
        # By the clock, so that what one pause takes too long is caught up in the next.
        while time.perf_counter() < begun + batches * pause:
            time.sleep(0.0002)
        asked = time.perf_counter()
    gc.enable()
    return batches * BATCH / (time.perf_counter() - begun), late, batches


def _wakes_late() -> float:
    """Seconds by which a sleeper wakes late one time in a thousand, beside two busy ones a core."""
    spin = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(spin) for _ in range(2 * len(os.sched_getaffinity(0)))]
    late = []
    try:
        for _ in range(4000):
            begun = time.perf_counter()
            time.sleep(0.0002)
            late.append(time.perf_counter() - begun)
    finally:
        for each in busy:
            each.kill()
            each.wait()
    return sorted(late)[-4]


def fit(store: Store, rounds: int) -> bool:
    """Print an epoch of the real network by `fit` on arrays and by the stream; 0.98 or better."""
    config = make_config(augment=False)
    folds = [fold.name for fold in store.folds]
    normaliser = fit_normaliser(store, folds, config)
    network = _network(store, config)
    steps = FITTED // BATCH
    compile_network(network, config.model, optimiser_options(config.train), steps, rounds)
    arrays, labels = _normalised(store, normaliser, network)
    steps_config = config.model_copy(
        update={"train": config.train.model_copy(update={"steps_per_epoch": steps})}
    )
    stream = training_stream(
        store, folds, steps_config, normaliser, heads=tuple(network.output), epochs=rounds + 1
    )
    batches = iter(stream)
    step = tf.function(network.train_step, input_signature=[stream.element_spec])
    waited: list[float] = []

    def by_stream() -> None:
        waited.append(0.0)
        for _ in range(steps):
            asked = time.perf_counter()
            batch = next(batches)
            waited[-1] += time.perf_counter() - asked
            step(batch)

    taken: dict[str, list[float]] = {"fit": [], "stream": []}
    for number in range(rounds + 1):
        for name, run in (
            ("fit", lambda: network.fit(arrays, labels, batch_size=BATCH, verbose=0)),
            ("stream", by_stream),
        ):
            begun = time.perf_counter()
            run()
            if number:
                taken[name].append(time.perf_counter() - begun)
    by_fit, own = (statistics.median(taken[name]) for name in ("fit", "stream"))
    share = statistics.median(waited[1:]) / own
    print(
        f"An epoch of {steps * BATCH:,} windows through the network: model.fit on arrays "
        f"{by_fit:.1f} s, the stream {own:.1f} s: ratio {by_fit / own:.2f} (floor 0.98); "
        f"{100 * share:.1f} % of the time waiting for data (at most 2 %).\n"
    )
    return by_fit / own >= 0.98 and share <= WAITING


def _normalised(store: Store, normaliser: Normaliser, network: Any) -> tuple[Any, Any]:
    """FITTED windows as `fit` takes them: all in memory, normalised."""
    from headrace.model.normalisation_layers import normalise_features, normalise_raw

    rows = {name: store.read(name, 0, FITTED // BATCH * BATCH) for name in NAMES}
    arrays = {
        "raw": normalise_raw(rows["raw"], normaliser).numpy(),
        "features": normalise_features(rows["features"], normaliser).numpy(),
    }
    hot = np.eye(len(store.classes), dtype=np.float32)[rows["label"]]
    return arrays, dict.fromkeys(network.output, hot)


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
