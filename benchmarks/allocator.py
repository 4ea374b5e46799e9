"""What the allocator's settings are worth: stages with them, and with glibc's own.

    python -m benchmarks.allocator [--windows 100000] [--rounds 3]

`pipeline/process/environment.py` has them, and they are set before Python starts; here every second
process is started as if that had been done, without them. Medians of interleaved rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.stage import source_of
from benchmarks.timing import machine, table, version
from headrace.pipeline.process.environment import MARKER, stage_environment

MIB = 1 << 20
TRAIN = ("--set", "train.epochs=2", "--set", "train.steps_per_epoch=300")


def environments() -> dict[str, dict[str, str]]:
    """The two environments of a stage that does not replace itself any more."""
    ours = {**stage_environment(os.environ), MARKER: "1"}
    plain = {name: value for name, value in ours.items() if not name.startswith("MALLOC_")}
    return {"with": ours, "without": plain}


def run_stage(
    stage: str, folder: Path, source: Path, environment: Mapping[str, str]
) -> tuple[float, int]:
    """Seconds, and peak bytes of the process tree."""
    command = [sys.executable, "-m", "headrace", stage, "--json", "--data", str(source)]
    command += ["--store", str(folder / "a.zarr"), "--run", str(folder / "run"), *TRAIN]
    begun = time.monotonic()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return time.monotonic() - begun, json.loads(done.stdout)["memory"]["measured_peak"]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--windows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("data/benchmarks"))
    given = parser.parse_args()
    source = source_of(given.windows, given.folder).absolute()
    found: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for _ in range(given.rounds):
        for name, environment in environments().items():
            with tempfile.TemporaryDirectory(dir=given.folder) as folder:
                for stage in ("features", "train", "evaluate"):
                    result = run_stage(stage, Path(folder).absolute(), source, environment)
                    found.setdefault((stage, name), []).append(result)
    rows = []
    for (stage, name), results in sorted(found.items()):
        seconds, peaks = (statistics.median(column) for column in zip(*results, strict=True))
        rows.append((f"{stage}, {name}", f"{seconds:.1f}", f"{peaks / MIB:.0f}"))
    print(f"{machine()}; {version('tensorflow', 'numpy')}\n")
    title = f"The allocator's settings, {given.windows:,} windows of 128 x 9"
    print(table(title, ("stage", "s", "held MiB"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
