"""Whole stages in a control group without swap: seconds, what they held, what they had projected.

    python -m benchmarks.capped --config CONFIG.toml --data SOURCE.h5 [--cap 1GiB] [KEY=VALUE ...]

Each stage is a process of its own, started as a user starts it, with the cap as its budget; page
cache counts against the cap. Keys of the config may follow. Exit code 1: a stage held more than it
had projected.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from pydantic import ByteSize, TypeAdapter

from benchmarks.control_groups import memory_cap
from benchmarks.timing import machine, table, version

MIB = 1 << 20
STAGES = ("features", "train", "evaluate", "verify")


def main() -> int:
    """Run the stages and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cap", default="1GiB")
    parser.add_argument("--folder", type=Path, default=Path("data/benchmarks"))
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    given = parser.parse_args()
    limit = int(TypeAdapter(ByteSize).validate_python(given.cap))
    given.folder.mkdir(parents=True, exist_ok=True)
    rows, kept = [], True
    with tempfile.TemporaryDirectory(dir=given.folder) as name, memory_cap(limit) as cap:
        if not cap.enforced:
            raise SystemExit("No control group may be made here: run as root.")
        options = ["--config", str(given.config.absolute()), "--data", str(given.data.absolute())]
        options += ["--store", "capped.zarr", "--run", "run", "--budget", str(limit), "--json"]
        for setting in given.settings:
            options += ["--set", setting]
        for stage in STAGES:
            begun = time.monotonic()
            done = cap.run([sys.executable, "-m", "headrace", stage, *options], cwd=Path(name))
            seconds = time.monotonic() - begun
            if done.returncode:
                raise SystemExit(f"{stage}: exit code {done.returncode}\n{done.stderr[-3000:]}")
            memory = json.loads(done.stdout)["memory"]
            measured, projected = memory["measured_peak"], memory["projected"]
            kept &= measured <= projected <= limit
            sizes = (f"{size / MIB:.0f}" for size in (measured, projected))
            rows.append((stage, f"{seconds:.0f}", *sizes))
            print(f"{stage}: {seconds:.0f} s", file=sys.stderr, flush=True)
        size = sum(f.stat().st_size for f in Path(name, "capped.zarr").rglob("*") if f.is_file())
    print(f"{machine()}; {version('tensorflow', 'numcodecs', 'h5py')}\n")
    title = f"{given.config.stem} {' '.join(given.settings)}: cap {limit / MIB:,.0f} MiB"
    print(table(title, ("stage", "seconds", "measured MiB", "projected MiB"), rows))
    print(f"The store takes {size / 1e9:.2f} GB.")
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
