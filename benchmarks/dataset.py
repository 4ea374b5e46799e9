"""`headrace.Dataset` against the ways that users feed NumPy, torch and Keras, side by side.

    python -m benchmarks.dataset [--windows 60000] [--rounds 5] [--only numpy|torch|keras]

128 x 9 float32 with 283 features, batches of 128, page cache warm; every batch is touched. Each
round runs every contender for one epoch; medians after a round that is not counted. annbatch needs
Python 3.12, torch and LitData an environment that has them (`make test-torch` makes one); what is
not installed is left out, and says so. Exit code 1: a ratio is below its floor.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import headrace
from benchmarks.timing import interleaved, machine, table, version

BATCH = 128
NUMPY, TORCH, LITDATA = 1.0, 3.0, 1.5
"""Floors: windows/s over those of annbatch, of h5py slices by two workers, and of LitData."""
TENSORS = 0.95
"""Of the stage's own stream, that `tf()` must reach."""
CHECKPOINT = 1.02
"""Times that a `fit` may take with a checkpoint every 100 steps."""
WORKERS = 2


def store_of(windows: int, folder: Path) -> tuple[Path, Path]:
    """The store and its source, made in a process of its own if they are not there."""
    store, source = folder / f"stream-{windows}.zarr", folder / f"windows-{windows}.h5"
    if not store.exists():
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            pool.submit(_make, windows, folder).result()
    return store, source


def _make(windows: int, folder: Path) -> None:
    from benchmarks.stream_data import make_store

    make_store(windows, folder)


def everything(store: Path, **options: Any) -> headrace.Dataset:
    """All folds as training folds, standardised."""
    folds = [fold.name for fold in headrace.open(store).folds]
    given = {"batch": BATCH, "feature_scaling": "standard", "split": {"train": folds}}
    return headrace.Dataset(store, **given, **options)


def eat(batches: Iterable[Any]) -> int:
    """Go through batches `(inputs, target, weight)`, look at each array; the rows that came."""
    rows = 0
    for inputs, target, _ in batches:
        for values in inputs.values():
            float(values[0].flat[0] if isinstance(values, np.ndarray) else values[0].flatten()[0])
        rows += len(target)
    return rows


def compared(
    title: str,
    windows: int,
    contenders: dict[str, tuple[Callable[[], Any], float | None]],
    rounds: int,
) -> bool:
    """Print windows/s of each, and how ours, the first, compares; whether floors are kept."""
    taken = interleaved({name: run for name, (run, _) in contenders.items()}, rounds)
    ours, rows, kept = next(iter(taken.values())), [], True
    for name, (_, floor) in contenders.items():
        ratio = taken[name] / ours
        kept &= floor is None or ratio >= floor
        shown = "" if floor is None else f"{floor:.2f}"
        rows.append((name, f"{windows / taken[name]:,.0f}", f"{ratio:.2f}", shown))
    print(table(title, ("feed", "windows/s", "ours over it", "floor"), rows))
    return kept


def numpy_speed(store: Path, rounds: int) -> bool:
    """Batches as arrays: raw alone, as annbatch delivers them; and with features."""
    raw = everything(store, inputs="raw")
    in_units = everything(store, inputs="raw", units=True)
    both = everything(store)
    noisy = everything(store, augment={"noise_probability": 1.0, "scale_probability": 1.0})
    found: dict[str, tuple[Callable[[], Any], float | None]] = {
        "numpy(), raw, in units": (lambda: eat(in_units["train"].numpy()), None),
    }
    if importlib.util.find_spec("annbatch") is not None:
        from benchmarks.stream_peers import annbatch

        loader = annbatch(headrace.open(store), 32)
        assert loader is not None
        found[version("annbatch") + ", raw"] = (loader, NUMPY)
    else:
        print("annbatch is not here: it needs Python 3.12.\n")
    found["numpy(), raw, normalised"] = (lambda: eat(raw["train"].numpy()), None)
    found["numpy(), raw and features"] = (lambda: eat(both["train"].numpy()), None)
    found["numpy(), both, scaled and noisy"] = (lambda: eat(noisy["train"].numpy()), None)
    return compared("Batches of 128 as NumPy arrays", in_units["train"].windows, found, rounds)


def torch_speed(store: Path, source: Path, folder: Path, rounds: int) -> bool:
    """Batches as torch tensors: against slices of h5py by two workers, and LitData."""
    if importlib.util.find_spec("torch") is None:
        print("torch is not here.\n")
        return True
    from benchmarks import torch_peers

    train = everything(store, inputs="raw", units=True)["train"]
    batches = train.torch()
    loader = torch_peers.loader(batches)
    found: dict[str, tuple[Callable[[], Any], float | None]] = {
        "torch()": (lambda: eat(loader), None),
        f"DataLoader, {WORKERS} workers, h5py slices": (
            lambda: torch_peers.eat(torch_peers.sliced(source, BATCH, WORKERS)),
            TORCH,
        ),
    }
    if importlib.util.find_spec("litdata") is not None:
        lit = torch_peers.litdata(store, folder, BATCH, WORKERS)
        found[f"{version('litdata')}, {WORKERS} workers"] = (lambda: torch_peers.eat(lit), LITDATA)
    else:
        print("LitData is not here.\n")
    return compared("Batches of 128 as torch tensors, raw", train.windows, found, rounds)


def keras_speed(store: Path, rounds: int) -> bool:
    """Batches as tensors against the stage's stream, and what a checkpoint costs a `fit`."""
    from benchmarks.stream import consumed
    from benchmarks.stream_data import make_config, ours
    from headrace.pipeline.tensorflow_setup import set_up_tensorflow

    set_up_tensorflow(make_config().train)
    data, opened = everything(store), headrace.open(store)
    own, stage = consumed(data["train"].tf(epochs=1)), consumed(ours(opened, make_config()))
    kept = compared(
        "Batches of 128 as tensors, in a compiled function",
        opened.windows,
        {"tf()": (own.run, None), "the stage's stream": (stage.run, TENSORS)},
        rounds,
    )
    return checkpoint_cost(data, 4 * rounds) and kept


def checkpoint_cost(data: headrace.Dataset, rounds: int) -> bool:
    """Seconds of a `fit` with and without a checkpoint every 100 steps, epochs in turns.

    One pair differs from the next by several per cent, so it takes many.
    """
    import keras

    train, taken = data["train"], {}
    for number in range(rounds + 1):
        for every in (0, 100) if number % 2 else (100, 0):
            keras.backend.clear_session()
            model = gru(data)
            with tempfile.TemporaryDirectory() as folder:
                callbacks = [train.checkpoint(folder, every)] if every else []
                model.fit(train.tf(), steps_per_epoch=1, verbose=0, shuffle=False)
                begun = time.perf_counter()
                model.fit(
                    train.tf(),
                    steps_per_epoch=len(train),
                    callbacks=callbacks,
                    shuffle=False,
                    verbose=0,
                )
                if number:
                    taken.setdefault(every, []).append(time.perf_counter() - begun)
    ratio = statistics.median(one / other for one, other in zip(taken[100], taken[0], strict=True))
    print(
        f"A fit with a checkpoint every 100 steps takes {ratio:.3f} of the time without (at most "
        f"{CHECKPOINT}); {len(train)} steps, {statistics.median(taken[0]):.1f} s.\n"
    )
    return ratio <= CHECKPOINT


def gru(data: headrace.Dataset) -> Any:
    """A small network of a user's."""
    import keras

    inputs = {name: keras.Input(shape, name=name) for name, shape in data.inputs.items()}
    raw = keras.layers.GRU(16)(keras.layers.AveragePooling1D(8)(inputs["raw"]))
    joined = keras.layers.Concatenate()([raw, inputs["features"]])
    output = keras.layers.Dense(len(data.classes), activation="softmax")(joined)
    model = keras.Model(inputs, output)
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    return model


def main() -> int:
    """Run the parts that are asked for, and that this environment can."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("numpy", "torch", "keras"))
    parser.add_argument("--folder", type=Path, default=Path("data/bench"))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    store, source = store_of(given.windows, given.folder)
    with h5py.File(source) as file:
        print(f"{machine()}; {len(file['X']):,} windows, float32\n")
    kept = True
    if given.only in (None, "numpy"):
        kept &= numpy_speed(store, given.rounds)
    if given.only in (None, "torch"):
        kept &= torch_speed(store, source, given.folder, given.rounds)
    if given.only in (None, "keras") and importlib.util.find_spec("tensorflow") is not None:
        kept &= keras_speed(store, given.rounds)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
