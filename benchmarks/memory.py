"""Peak memory and time of each phase: training from arrays in memory, in two ways, and Headrace.

    python -m benchmarks.memory [--cap 1GiB] [--windows 4000 24000 200000] [--epochs 2]

Every approach runs in a control group of the cap's size without swap, on the same synthetic
source of 128 x 9 float32, with the same network; a group of subjects is tested, another validates.
`benchmarks.in_memory` says what the first two do. Exit code 1: Headrace died, or took longer in all
than the optimised approach where both finish.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ByteSize, TypeAdapter

from benchmarks.control_groups import ControlGroup, memory_cap
from benchmarks.stage import source_of
from benchmarks.timing import machine, table, version
from headrace.pipeline.memory.watch import SAMPLE_SECONDS, tree_memory

MIB = 1 << 20
CONFIG = """
[train]
epochs = {epochs}
patience = {epochs}
[model]
feature_scaling = "standard"
[split]
folds = 5
"""


@dataclass
class Phase:
    """One phase of an approach: seconds, and peaks in bytes of the process tree."""

    name: str
    begun: float
    seconds: float = 0.0
    held: int = 0
    resident: int = 0


@dataclass
class Outcome:
    """What became of an approach."""

    phases: list[Phase] = field(default_factory=list)
    died: bool = False
    accuracy: str = ""

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)

    def begin(self, name: str) -> None:
        now = time.monotonic()
        if self.phases:
            self.phases[-1].seconds = now - self.phases[-1].begun
        self.phases.append(Phase(name, now))

    def sample(self, pid: int) -> None:
        phase = self.phases[-1]
        held, mapped = tree_memory(pid)
        phase.held, phase.resident = max(phase.held, held), max(phase.resident, held + mapped)


def watch(
    command: Sequence[str], cap: ControlGroup, outcome: Outcome, first: str, folder: Path
) -> bool:
    """Run a command under the cap, a phase beginning with each line `phase NAME` it prints.

    Returns:
        Whether it ended well.
    """
    outcome.begin(first)
    with subprocess.Popen(
        cap.inside(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
    ) as process:
        ended = threading.Event()

        def sample() -> None:
            while not ended.wait(SAMPLE_SECONDS):
                outcome.sample(process.pid)

        errors: list[str] = []
        assert process.stdout is not None
        assert process.stderr is not None
        reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()))
        sampler = threading.Thread(target=sample)
        for thread in (reader, sampler):
            thread.start()
        for line in process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "phase":
                outcome.begin(rest)
            elif word == "accuracy":
                outcome.accuracy = f"{100 * float(rest):.1f} %"
        process.wait()
        ended.set()
        for thread in (reader, sampler):
            thread.join()
    outcome.phases[-1].seconds = time.monotonic() - outcome.phases[-1].begun
    killed = process.returncode < 0 or "MemoryError" in "".join(errors)
    if process.returncode and not killed:
        raise SystemExit("".join(errors)[-3000:])
    outcome.died = bool(process.returncode)
    return not outcome.died


def in_memory(approach: str, source: Path, epochs: int, cap: ControlGroup) -> Outcome:
    """One of the two approaches of `benchmarks.in_memory`."""
    outcome = Outcome()
    command = [sys.executable, "-m", "benchmarks.in_memory", approach, str(source.absolute())]
    watch([*command, "--epochs", str(epochs)], cap, outcome, "import", Path.cwd())
    return outcome


def headrace(source: Path, epochs: int, cap: ControlGroup, budget: int) -> Outcome:
    """The stages as a user runs them, from nothing."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(dir=source.parent) as name:
        folder = Path(name)
        (folder / "bench.toml").write_text(CONFIG.format(epochs=epochs))
        options = ["--config", "bench.toml", "--data", str(source.absolute()), "--quiet"]
        options += ["--store", "bench.zarr", "--budget", str(budget), "--run", "run"]
        for stage in ("features", "train", "evaluate"):
            command = [sys.executable, "-m", "headrace", stage, *options]
            if not watch(command, cap, outcome, stage, folder):
                return outcome
        ask = "import json; print(json.load(open('run/metrics.json'))['tta']['accuracy'])"
        found = subprocess.run(
            [sys.executable, "-c", ask], capture_output=True, text=True, check=True, cwd=folder
        )
        outcome.accuracy = f"{100 * float(found.stdout):.1f} %"
    return outcome


def rows_of(name: str, outcome: Outcome) -> list[tuple[str, ...]]:
    """Table rows of an approach: its phases, and the whole."""
    end = f"died in {outcome.phases[-1].name}" if outcome.died else outcome.accuracy
    phases = [
        (
            f"{name}: {phase.name}",
            f"{phase.seconds:.1f}",
            f"{phase.held / MIB:.0f}",
            f"{phase.resident / MIB:.0f}",
            "",
        )
        for phase in outcome.phases
    ]
    whole = (
        f"**{name}, all**",
        f"{outcome.seconds:.1f}",
        f"{max(phase.held for phase in outcome.phases) / MIB:.0f}",
        f"{max(phase.resident for phase in outcome.phases) / MIB:.0f}",
        end,
    )
    return [*phases, whole]


def compare(windows: int, epochs: int, limit: int, folder: Path) -> tuple[str, bool]:
    """The table of one size, and whether Headrace kept its promises there."""
    source = source_of(windows, folder)
    rows, found = [], {}
    for name in ("original", "optimised", "headrace"):
        with memory_cap(limit) as cap:
            if not cap.enforced:
                raise SystemExit("No control group may be made here: run as root.")
            outcome = (
                headrace(source, epochs, cap, limit)
                if name == "headrace"
                else in_memory(name, source, epochs, cap)
            )
        rows += rows_of(name, outcome)
        found[name] = outcome
    ours, optimised = found["headrace"], found["optimised"]
    kept = not ours.died and (optimised.died or ours.seconds <= optimised.seconds)
    gigabytes = windows * 128 * 9 * 4 / 1e9
    title = f"{windows:,} windows ({gigabytes:.2f} GB), cap {limit / MIB:,.0f} MiB, {epochs} epochs"
    columns = ("phase", "s", "held MiB", "resident MiB", "test accuracy")
    return table(title, columns, rows), kept


def main() -> int:
    """Print the tables; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cap", default="1GiB")
    parser.add_argument("--windows", type=int, nargs="+", default=[4000, 24_000, 200_000])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("data/benchmarks"))
    given = parser.parse_args()
    limit = int(TypeAdapter(ByteSize).validate_python(given.cap))
    print(f"{machine()}; {version('tensorflow', 'keras', 'numpy')}\n")
    kept = True
    for windows in given.windows:
        made, well = compare(windows, given.epochs, limit, given.folder)
        print(made, flush=True)
        kept &= well
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
