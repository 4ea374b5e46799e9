"""The features stage on a folder of files, against the same data as one HDF5 file, and pyarrow.

    python -m benchmarks.sources [--kind csv] [--mb 2000] [--files 1000] [--rounds 3]

Whole processes, one after another in every round, over files in the page cache. pyarrow parses the
files and does no more, in a process with one thread a core. The floor is of the time on one HDF5
file over that on the files; that of parsing alone is shown beside it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.timing import interleaved, machine, table, version

FLOOR = 0.8
CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")
ROW_BYTES = {"csv": 54, "parquet": 36}
"""Of the numbers that are written here."""
PEOPLE = 20


def write_files(folder: Path, kind: str, files: int, size: int) -> Path:
    """Files of about `size` bytes in all, and the same data as one HDF5 file beside them."""
    import h5py
    import pyarrow as pa
    from pyarrow import csv, parquet

    made, rows = folder / f"{kind}-{files}-{size}", max(1000, size // files // ROW_BYTES[kind])
    if (made / "one.h5").exists():
        return made
    shutil.rmtree(made, ignore_errors=True)
    (made / "raw").mkdir(parents=True)
    generator = np.random.default_rng(0)
    count = files * rows
    with h5py.File(made / "part.h5", "w") as file:
        shape = (count, len(CHANNELS))
        signals = file.create_dataset(
            "signals", shape, "f8", chunks=(min(16384, count), len(CHANNELS))
        )
        for number in range(files):
            values = generator.normal(size=(rows, len(CHANNELS))).round(5)
            columns = pa.table(dict(zip(CHANNELS, values.T, strict=True)))
            name = made / "raw" / f"{number % 4}_{number % PEOPLE:02}_{number:06}.{kind}"
            csv.write_csv(columns, name) if kind == "csv" else parquet.write_table(columns, name)
            signals[number * rows : (number + 1) * rows] = values
        file["labels"] = np.repeat(np.arange(files) % 4, rows)
        recordings = file.create_group("recordings")
        recordings["start"] = np.arange(files) * rows
        recordings["length"] = np.full(files, rows)
        recordings["subject"] = np.arange(files) % PEOPLE
    (made / "part.h5").rename(made / "one.h5")
    return made


def pattern_of(kind: str) -> str:
    """Of the names that `write_files` gives."""
    return f"{{label}}_{{subject}}_{{number}}.{kind}"


def parse_with_pyarrow(folder: Path, kind: str) -> None:
    """Decode every file, one after another, with all of pyarrow's threads."""
    from pyarrow import csv, parquet

    for path in sorted(folder.iterdir()):
        csv.read_csv(path) if kind == "csv" else parquet.read_table(path)


def contenders(made: Path, kind: str) -> dict[str, Callable[[], object]]:
    """What is timed: each starts from nothing."""

    def process(*command: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-m", *command], check=True)

    stage = ("headrace", "features", "--quiet", "--set", "source.rate_hz=50", "--store")
    many = (str(made / "made"), "--data", str(made / "raw"), "--set")
    pattern = f'source.files=["{pattern_of(kind)}"]'
    return {
        f"{kind} files": process(*stage, *many, pattern),
        "one HDF5 file": process(*stage, str(made / "made"), "--data", str(made / "one.h5")),
        "pyarrow, parsing alone": process(
            "benchmarks.sources", "--parse", str(made / "raw"), "--kind", kind
        ),
    }


def main() -> int:
    """Print the table; 1 if the ratio is below the floor."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kind", choices=sorted(ROW_BYTES), default="csv")
    parser.add_argument("--mb", type=int, default=2000)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=Path("data/benchmarks"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parse", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.parse:
        parse_with_pyarrow(given.parse, given.kind)
        return 0
    print(f"{machine()}; {version('pyarrow', 'h5py', 'distributed')}\n")
    made = write_files(given.folder, given.kind, given.files, given.mb * 1_000_000)
    runs = contenders(made, given.kind)
    taken = interleaved(
        runs, given.rounds, before=lambda: shutil.rmtree(made / "made", ignore_errors=True)
    )
    ours, *others = taken.values()
    rows = [(name, f"{seconds:.1f}", f"{seconds / ours:.2f}") for name, seconds in taken.items()]
    print(table(f"{given.files:,} files, {given.mb:,} MB", ("", "s", "over files"), rows))
    one, alone = (seconds / ours for seconds in others)
    print(f"Ratio to one HDF5 file: {one:.2f}; the floor is {FLOOR}.")
    print(f"To parsing alone, which computes no feature and writes nothing: {alone:.2f}.")
    shutil.rmtree(made / "made", ignore_errors=True)
    return int(one < FLOOR)


if __name__ == "__main__":
    sys.exit(main())
