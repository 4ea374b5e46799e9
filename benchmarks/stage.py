"""The features stage against itself without features, and against a plain zarr-python copy.

    python -m benchmarks.stage [--windows 300000] [--sizes 100000 900000] [--rounds 5]

Whole processes, one after another in every round, over a source in the page cache. The copy does
what zarr-python does by itself: read a shard's rows, write them (chunks of 256, shards of 16,384,
blosc-lz4 level 1 with shuffle); it neither shuffles rows nor waits for the disk.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.timing import interleaved, machine, table, version

FLOOR = 0.6
TIME, CHANNELS = 128, 9
CHUNK, SHARD = 256, 16_384


def copy_with_zarr(source: Path, target: Path) -> None:
    """Copy `X` of an HDF5 file to a zarr array, shard by shard."""
    import h5py
    import zarr
    from zarr.codecs import BloscCodec

    with h5py.File(source, "r") as file:
        windows = file["X"]
        array = zarr.create_array(
            str(target),
            shape=windows.shape,
            dtype=windows.dtype,
            chunks=(CHUNK, *windows.shape[1:]),
            shards=(SHARD, *windows.shape[1:]),
            compressors=BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"),
        )
        for start in range(0, len(windows), SHARD):
            array[start : start + SHARD] = windows[start : start + SHARD]


def clear(folder: Path) -> None:
    """Delete the last result, and let the disk come to rest."""
    shutil.rmtree(folder / "made", ignore_errors=True)
    os.sync()


def contenders(source: Path, folder: Path) -> dict[str, Callable[[], object]]:
    """What is timed: each starts from nothing and leaves a store."""
    target = folder / "made"

    def process(*command: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-m", *command], check=True)

    stage = ("pipeline", "features", "--quiet", "--data", str(source), "--store", str(target))
    return {
        "headrace features": process(*stage),
        "without features": process(*stage, "--set", "features.select=[]"),
        "zarr-python copy": process("benchmarks.stage", "--copy", str(source), str(target)),
    }


def source_of(windows: int, folder: Path) -> Path:
    """A synthetic source of that many windows, made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"windows-{windows}.h5"
    if not source.exists():
        shape = ["--length", str(TIME), "--channels", str(CHANNELS)]
        size = ["--windows", str(windows), "--output", str(source)]
        subprocess.run([sys.executable, "-m", "headrace", "synth", *size, *shape], check=True)
    return source


def compare(windows: int, folder: Path, rounds: int) -> tuple[str, float]:
    """The table of the three processes, and the least of their times over the stage's."""
    runs = contenders(source_of(windows, folder), folder)
    taken = interleaved(runs, rounds, before=lambda: clear(folder))
    ours = taken["headrace features"]
    rows = [
        (name, f"{seconds:.1f}", f"{windows / seconds:,.0f}", f"{seconds / ours:.2f}")
        for name, seconds in taken.items()
    ]
    title = f"{windows:,} windows of {TIME} x {CHANNELS}, whole processes"
    made = table(title, ("process", "s", "windows/s", "its time over ours"), rows)
    return made, min(taken.values()) / ours


def growth(sizes: list[int], folder: Path, rounds: int) -> str:
    """The stage's time by number of windows."""
    stages = {
        f"{size:,}": contenders(source_of(size, folder), folder)["headrace features"]
        for size in sizes
    }
    taken = interleaved(stages, rounds, before=lambda: clear(folder))
    rows = [
        (name, f"{taken[name]:.1f}", f"{size / taken[name]:,.0f}")
        for name, size in zip(stages, sizes, strict=True)
    ]
    return table("The features stage by size", ("windows", "s", "windows/s"), rows)


def main() -> int:
    """Print the tables; 1 if a ratio is below the floor."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--windows", type=int, default=300_000)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 300_000, 900_000])
    parser.add_argument("--folder", type=Path, default=Path("data/benchmarks"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copy", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.copy:
        copy_with_zarr(*given.copy)
        return 0
    print(f"{machine()}; {version('zarr', 'numcodecs', 'h5py', 'distributed')}\n")
    made, least = compare(given.windows, given.folder, given.rounds)
    print(f"{made}\nMedians of {given.rounds} rounds; the floor of a ratio is {FLOOR}.\n")
    if given.sizes:
        print(growth(given.sizes, given.folder, given.rounds))
    clear(given.folder)
    return int(least < FLOOR)


if __name__ == "__main__":
    sys.exit(main())
