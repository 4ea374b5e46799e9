"""A store of stretches against the store of its windows: disk, the stage, the stream, mixing.

    python -m benchmarks.stretches --data sisfall.h5 [--step 16] [--rounds 3]

Windows of 512 samples every 16 of a source in the recordings layout. Each stage is a process of
its own; streams are consumed in a compiled function, one epoch of all folds, page cache warm,
interleaved. The peak of an epoch is that of a process that runs one. Exit code 1: the stream of
stretches is below 0.8 of that of windows, holds more, or mixes groups or labels below 0.99 of
independent draws.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.timing import interleaved, machine, table

FORMS = ("windows", "stretches")
FLOOR, MIXED = 0.8, 0.99
BATCH = 128


def make_stores(folder: Path, data: Path, options: list[str]) -> dict[str, float]:
    """Both stores, if they are not there, and the seconds that each took."""
    taken = {}
    for form in FORMS:
        target, kept = folder / f"{form}.zarr", folder / f"{form}.seconds"
        if not target.exists():
            begun = time.perf_counter()
            stage = [sys.executable, "-m", "headrace", "features", "--quiet", *options]
            own = ["--set", f"store.raw={form}", "--data", str(data), "--store", str(target)]
            subprocess.run([*stage, *own], check=True)
            kept.write_text(str(time.perf_counter() - begun))
        taken[form] = float(kept.read_text())
    return taken


def raw_bytes(store: Path) -> int:
    """What `raw` takes on the disk."""
    return sum(path.stat().st_size for path in (store / "raw").iterdir())


def mixing(store: Path) -> tuple[float, float]:
    """Entropy of groups and of labels of batches, each over that of independent draws."""
    from headrace import stores
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.rows.order import training_order
    from headrace.pipeline.rows.quality import batch_entropy

    opened = stores.open(store)
    order = training_order(opened, [fold.name for fold in opened.folds], Config())
    found = []
    for name in ("group", "label"):
        codes = opened.read(name, 0, opened.windows)
        rows = []
        for buffer in range(order.buffers):
            own = np.concatenate([codes[a:b] for a, b in order.buffer_ranges(0, buffer)])
            rows.append(own[order.row_order(0, buffer, len(own))])
        ideal = batch_entropy(np.random.default_rng(0).permutation(codes), BATCH)
        found.append(batch_entropy(np.concatenate(rows), BATCH) / ideal)
    return found[0], found[1]


def one_epoch(store: Path) -> None:
    """An epoch in this process; prints its peak and windows, JSON."""
    from benchmarks.stream_data import make_config, ours
    from benchmarks.stream_peers import compiled
    from headrace import stores
    from headrace.pipeline.memory.watch import watch_memory

    opened = stores.open(store)
    config = make_config(scaling="standard")
    run = compiled(ours(opened, config))
    with watch_memory() as use:
        rows = run()
    print(json.dumps({"peak": use.peak, "rows": rows}))


def measured_epoch(store: Path) -> dict[str, int]:
    """`one_epoch` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.stretches", "--epoch", str(store)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "MALLOC_ARENA_MAX": "2"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Print the table; 1 if a ratio is below its floor."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("data/benchmarks/stretches"))
    parser.add_argument("--time", type=int, default=512)
    parser.add_argument("--step", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epoch", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.epoch:
        one_epoch(given.epoch)
        return 0
    from benchmarks.stream_data import make_config, ours
    from benchmarks.stream_peers import compiled
    from headrace import stores
    from headrace.pipeline.tensorflow_setup import set_up_tensorflow

    print(f"{machine()}\n")
    given.folder.mkdir(parents=True, exist_ok=True)
    options = ["--config", str(given.config)] if given.config else []
    cut = (f"source.window_samples={given.time}", f"source.step_samples={given.step}")
    stage = make_stores(
        given.folder, given.data, [*options, *(p for s in cut for p in ("--set", s))]
    )
    paths = {form: given.folder / f"{form}.zarr" for form in FORMS}
    peaks = {form: measured_epoch(path) for form, path in paths.items()}
    set_up_tensorflow(make_config().train)
    opened = {form: stores.open(path) for form, path in paths.items()}
    runs = {form: compiled(ours(each, make_config())) for form, each in opened.items()}
    seconds = interleaved(runs, given.rounds)
    mixed = {form: mixing(path) for form, path in paths.items()}
    rows = [
        (
            form,
            f"{raw_bytes(paths[form]) / 1e9:.2f}",
            f"{stage[form]:.0f}",
            f"{opened[form].windows / seconds[form]:,.0f}",
            f"{peaks[form]['peak'] / 2**20:,.0f}",
            f"{mixed[form][0]:.3f}",
            f"{mixed[form][1]:.3f}",
        )
        for form in FORMS
    ]
    names = ("", "raw, GB", "stage, s", "stream, windows/s", "peak, MiB", "groups", "labels")
    windows = opened["windows"].windows
    print(table(f"{windows:,} windows of {given.time} every {given.step}", names, rows))
    ratio = seconds["windows"] / seconds["stretches"]
    print(f"Stream of stretches over that of windows: {ratio:.2f}; the floor is {FLOOR}.")
    less = peaks["stretches"]["peak"] <= peaks["windows"]["peak"]
    return int(ratio < FLOOR or not less or min(mixed["stretches"]) < MIXED)


if __name__ == "__main__":
    sys.exit(main())
