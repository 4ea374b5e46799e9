"""The stream as a network meets it: how soon it begins, whether it keeps up, and `fit` beside it.

Parts of `python -m benchmarks.stream`.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.stream_data import make_config
from benchmarks.stream_peers import BATCH, NAMES
from headrace.model.interface import NetworkTarget
from headrace.model.network import build_network
from headrace.model.normaliser import Normaliser
from headrace.model.optimisation import compile_network
from headrace.pipeline.config.config import Config
from headrace.pipeline.memory.measured import network_shape
from headrace.pipeline.rows.statistics import fit_normaliser
from headrace.pipeline.stream.training import training_stream
from headrace.pipeline.training.network import optimiser_options
from headrace.stores import Store

FITTED = 20_000
STARTED = 0.3
"""Of the time in which TensorFlow makes the graph of a step, until the first batch is there: 0.10
on a busy machine."""
EATEN = 0.4
"""Of the rate at which batches are to be had, that an eater eats at by the clock."""
FED, LATE, WAITING = 0.998, 0.001, 0.02
"""Of its rate, that an eater must reach which nothing keeps waiting; of its batches, that may come
late; of an epoch through the network, that may be spent waiting."""


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
        _compile(network, store, config, 1, 1)
        heads = tuple(network.output)
        seconds = time.perf_counter() - begun
        element = training_stream(store, folds, config, normaliser, heads=heads).element_spec
        begun = time.perf_counter()
        tf.function(network.train_step, input_signature=[element]).get_concrete_function()
        taken.append(seconds + time.perf_counter() - begun)
    return statistics.median(taken)


def _network(store: Store, config: Config) -> Any:
    return build_network(config.model, **network_shape(store))


def _compile(network: Any, store: Store, config: Config, steps: int, epochs: int) -> None:
    target, options = NetworkTarget(store.classes), optimiser_options(config.train)
    compile_network(network, target, config.model, options, steps, epochs)


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
    _compile(network, store, config, steps, rounds)
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
