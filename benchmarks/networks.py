"""The default network and those of `headrace.model.zoo`, each trained for the same processor time.

    headrace features --config configs/watch.toml      # and of each other configuration, first
    python -m benchmarks.networks [--config configs/watch.toml ...] [--minutes 10] [--networks ...]

How quick each is comes from two short epochs in a process of its own, in processor time, which no
load of the machine changes; it then trains as many epochs as fit, and is scored on the test fold of
the configuration. One fold and one seed: differences of a point or two are chance.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.timing import machine, table, version
from headrace.child import child_command

NETWORKS = {
    "default": "",
    **{name: f"headrace.model.zoo.{name}:build" for name in ("inception", "gru", "transformer")},
}
PROBED_STEPS = 60
"""Of each of two epochs; the first traces."""


@dataclass(frozen=True)
class Trained:
    """What a network reached in its time."""

    epochs: int
    processor_minutes: float
    accuracy: float
    macro_f1: float


def stage(name: str, config: Path, run: Path, options: dict[str, Any]) -> dict[str, Any]:
    """A stage in a process of its own; what it returns."""
    given = [f"--set={key}={json.dumps(value)}" for key, value in options.items()]
    command = child_command(
        "headrace.pipeline.launch",
        *(name, "--json", "--config", str(config), "--run", str(run), *given),
    )
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def log_of(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def processor_seconds(row: dict[str, str]) -> tuple[float, float]:
    """Of an epoch's steps and of its validation; the clock's where a GPU does the work."""
    steps, validation = (row[name] for name in ("cpu_seconds", "val_cpu_seconds"))
    if not steps:
        steps, validation = row["seconds"], row["val_seconds"]
    return float(steps), float(validation)


def train(config: Path, name: str, folder: Path, minutes: float) -> Trained:
    """One network for so many minutes of processor time."""
    options: dict[str, Any] = {"train.refit": False, "train.tensorboard": False}
    if NETWORKS[name]:
        options["model.build"] = NETWORKS[name]
    short = options | {"train.epochs": 2, "train.steps_per_epoch": PROBED_STEPS}
    probe = folder / f"{config.stem}-{name}-probe"
    stage("train", config, probe, short | {"train.patience": 2})
    steps, validation = processor_seconds(log_of(probe)[-1])
    whole = steps_of(config, probe)
    epochs = max(1, int(60 * minutes / (steps / min(PROBED_STEPS, whole) * whole + validation)))
    run = folder / f"{config.stem}-{name}"
    stage("train", config, run, options | {"train.epochs": epochs, "train.patience": epochs})
    scores = stage("evaluate", config, run, {})["plain"]
    spent = sum(sum(processor_seconds(row)) for row in log_of(run))
    return Trained(epochs, spent / 60, scores["accuracy"], scores["macro_f1"])


def steps_of(config: Path, run: Path) -> int:
    """Steps of a whole epoch of what a run was trained on."""
    from headrace.pipeline.rows.order import training_order
    from headrace.pipeline.runs.folder import RunFolder
    from headrace.pipeline.runs.record import recorded_config, recorded_split
    from headrace.stores.store import open_store

    found = recorded_config(RunFolder(run))
    store = open_store(found.paths.store)
    order = training_order(store, recorded_split(RunFolder(run)).train, found)
    return order.steps(found.train.batch, found.stream.drop_remainder, None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    defaults = [Path("configs/watch.toml"), Path("configs/hapt6.toml")]
    parser.add_argument("--config", type=Path, nargs="+", default=defaults)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, default=Path("runs/networks"))
    given = parser.parse_args()
    print(f"{machine()}; {version('headrace', 'keras', 'tensorflow')}", file=sys.stderr)
    for config in given.config:
        rows = []
        for name in given.networks:
            found = train(config, name, given.folder, given.minutes)
            scores = f"{100 * found.accuracy:.1f}", f"{found.macro_f1:.3f}"
            rows.append((name, f"{found.epochs}", f"{found.processor_minutes:.1f}", *scores))
        columns = ("network", "epochs", "processor minutes", "accuracy, %", "macro-F1")
        print(table(f"{config.stem}, {given.minutes:g} minutes each", columns, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
