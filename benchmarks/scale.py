"""Whether `plan --workers K` says what a store then takes: measured with 1, 2 and 4 workers.

    python -m benchmarks.scale [--windows 200000] [--workers 1 2 4]

The rate of one worker is measured, and the others are computed from it as
`pipeline/features/scale.py` does. Workers have cores of their own only while there are as many:
what more of them gain is shown too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import machine, table
from headrace.pipeline.features.scale import scale_of
from headrace.pipeline.memory.machine import usable_cores
from headrace.stores.manifest_file import read_manifest

MOST_WRONG = 0.35
"""Of the computed time, that the measured one may differ by where workers have their cores."""


def seconds_of(source: Path, store: Path, workers: int) -> float:
    """Of the stage's work: without its start, which does not grow with the windows."""
    shutil.rmtree(store, ignore_errors=True)
    command = [sys.executable, "-m", "headrace", "features", "--data", str(source)]
    command += ["--store", str(store), "--local-cluster", str(workers), "--json"]
    begun = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, env=os.environ, check=True)
    assert json.loads(done.stdout)["made_shards"] > 0
    return time.perf_counter() - begun


def main() -> int:
    """Print measured and computed times, and fail if they differ too much."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--windows", type=int, default=200_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    print(machine())
    worst, rows = 0.0, []
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "scale.zarr"
        small, source = Path(folder) / "small.h5", Path(folder) / "scale.h5"
        for path, windows in ((small, 8192), (source, options.windows)):
            command = [sys.executable, "-m", "headrace", "synth", "--windows", str(windows)]
            subprocess.run([*command, "--output", str(path), "--quiet"], check=True)
        seconds_of(small, store, 1)  # Kernels are compiled, once.
        found = {}
        for workers in options.workers:
            start = seconds_of(small, store, workers)
            # A shard was made meanwhile, by one worker: no more than the work of one.
            found[workers] = seconds_of(source, store, workers) - start
        manifest = read_manifest(store)
        rest = options.windows - 8192
        rate = rest / found[1]
        for workers, seconds in found.items():
            expected = scale_of(manifest, rest, workers, rate).seconds
            apart = seconds / expected - 1
            if workers <= usable_cores():
                worst = max(worst, abs(apart))
            rows.append(
                (
                    str(workers),
                    f"{seconds:.1f}",
                    f"{expected:.1f}",
                    f"{100 * apart:+.0f} %",
                    f"{rest / seconds:,.0f}",
                )
            )
    columns = ("workers", "measured, s", "computed, s", "measured is", "windows/s")
    title = f"{options.windows:,} windows of 128 x 9 on {usable_cores()} cores"
    print(table(title, columns, rows))
    return int(worst > MOST_WRONG)


if __name__ == "__main__":
    sys.exit(main())
