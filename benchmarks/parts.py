"""A store of 200 parts against the same windows as one store: opening, and the stream.

    python -m benchmarks.parts [--parts 200] [--windows 2000] [--rounds 5]

A store of ten people grows by one person at a time, `--windows` of 64 x 3 each. One part is made by
the stage, and those of the others are copies of it under other names: the same bytes to read. The
other store is made at once, of as many people. Streams are consumed in a compiled function, one
epoch of all folds, page cache warm, interleaved. Exit code 1: opening takes a second or more, or
the stream of parts is below 0.95 of that of one store.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.timing import interleaved, machine, table

FLOOR, MOST_SECONDS = 0.95, 1.0
PEOPLE, SHAPE = 10, (64, 3)
SELECT = 'features.select=["*__mean", "*__std", "*__rms"]'


def stage(store: Path, data: Path, *options: str) -> None:
    """Make a store, or a part of it, in a process of its own."""
    command = [sys.executable, "-m", "headrace", "features", "--quiet", *options]
    subprocess.run([*command, "--data", str(data), "--store", str(store)], check=True)


def make_stores(folder: Path, parts: int, windows: int) -> tuple[Path, Path]:
    """The store of so many parts and the one of the same size, if they are not there."""
    from headrace.stores.datasets.synthetic import write_synthetic

    folder.mkdir(parents=True, exist_ok=True)
    found = folder / f"parts-{parts}-{windows}.zarr", folder / f"one-{parts}-{windows}.zarr"
    people = PEOPLE + parts - 1
    for store, groups, later in zip(found, (PEOPLE, people), (parts - 1, 0), strict=True):
        if store.exists():
            continue
        making, data = store.with_suffix(".making"), folder / "source.h5"
        shutil.rmtree(making, ignore_errors=True)
        write_synthetic(data, groups * windows, *SHAPE, groups=groups)
        stage(making, data, "--set", SELECT)
        if later:
            write_synthetic(data, windows, *SHAPE, groups=1, seed=1)
            rename_group(data, f"p{PEOPLE}")
            stage(making, data, "--append")
            copy_part(making, later)
        data.unlink()
        making.rename(store)
    return found


def rename_group(data: Path, name: str) -> None:
    """Give the one group of a source another name."""
    import h5py

    with h5py.File(data, "r+") as file:
        rows = len(file["groups"])
        del file["groups"]
        file.create_dataset("groups", data=[name] * rows, dtype=h5py.string_dtype())


def copy_part(store: Path, parts: int) -> None:
    """Make the later parts of the first of them, each of another person."""
    from headrace.stores.layout.folds import Fold
    from headrace.stores.manifest_file import read_manifest
    from headrace.stores.parts.places import part_place

    first = part_place(store, 1)
    manifest = read_manifest(first)
    for number in range(2, parts + 1):
        place = shutil.copytree(first, part_place(store, number))
        (fold,) = manifest.folds
        changes: dict[str, Any] = {
            "groups": (f"p{PEOPLE + number - 1}",),
            "folds": (Fold(str(number % PEOPLE), fold.start, fold.stop, fold.groups),),
            "source": manifest.source | {"fingerprint": f"{number:032x}"},
        }
        own = manifest.model_copy(update=changes)
        (place / "manifest" / "zarr.json").write_bytes(own.to_bytes())
        (place / "zarr.json").write_bytes(own.root_bytes())


def opening(store: Path) -> float:
    """Seconds until a store is open and says its folds, classes and fingerprint."""
    from headrace.stores.store import open_store

    begun = time.perf_counter()
    opened = open_store(store)
    assert opened.folds
    assert opened.fingerprint
    return time.perf_counter() - begun


def main() -> int:
    """Print the table; 1 if a figure is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("data/benchmarks/parts"))
    parser.add_argument("--parts", type=int, default=200)
    parser.add_argument("--windows", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    from benchmarks.stream_data import make_config, ours
    from benchmarks.stream_peers import compiled
    from headrace.pipeline.tensorflow_setup import set_up_tensorflow
    from headrace.stores.store import open_store

    print(f"{machine()}\n")
    grown, one = make_stores(given.folder, given.parts, given.windows)
    seconds = {path: sorted(opening(path) for _ in range(given.rounds))[0] for path in (grown, one)}
    set_up_tensorflow(make_config().train)
    opened = {path: open_store(path) for path in (grown, one)}
    runs = {str(path): compiled(ours(store, make_config())) for path, store in opened.items()}
    taken = interleaved(runs, given.rounds)
    speed = {path: opened[path].windows / taken[str(path)] for path in opened}
    rows = [
        (name, f"{opened[path].windows:,}", f"{1000 * seconds[path]:.0f}", f"{speed[path]:,.0f}")
        for name, path in ((f"{given.parts} parts", grown), ("one store", one))
    ]
    print(table("Parts", ("", "windows", "opening, ms", "stream, windows/s"), rows))
    ratio = speed[grown] / speed[one]
    print(f"Stream of parts over that of one store: {ratio:.3f}; the floor is {FLOOR}.")
    print(f"Opening: {seconds[grown]:.2f} s; {MOST_SECONDS:.0f} s at most.")
    return int(ratio < FLOOR or seconds[grown] >= MOST_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
