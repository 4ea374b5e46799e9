"""How quick the variants of an ablation are, measured once: their epochs follow from that.

By the wall clock a variant that was measured while something else ran would look slow, and be
given too few epochs. So they are measured in processor time, which does not count what others do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from headrace.pipeline.console import QUIET
from headrace.pipeline.experiments.child_stages import run_stage
from headrace.pipeline.rows.order import training_order
from headrace.pipeline.rows.split import choose_split
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.history import read_history
from headrace.pipeline.runs.record import json_bytes
from headrace.stores.errors import RunError
from headrace.stores.io import disk

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.experiments.ablation_variants import Variant
    from headrace.pipeline.request import Request
    from headrace.stores import Store

PACE = "pace.json"
PROBE_STEPS = 100
"""Steps of each of the two epochs that tell how quick a variant is; the first compiles."""


class Pace(BaseModel):
    """What pace.json holds.

    Attributes:
        of: names the ablation.
        epoch_seconds: of each variant that was measured, validation included. Of the reference
            they are the wall clock's, of the others as many as their processor time is more.
        clock_share: seconds of the reference for each of its processor time; None: all are the
            wall clock's, as where a GPU does the work.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    of: str
    epoch_seconds: dict[str, PositiveFloat] = Field(default_factory=dict)
    clock_share: PositiveFloat | None = None

    def with_epoch(self, name: str, epoch: Epoch) -> Self:
        """With one more variant; the first is the reference."""
        share = self.clock_share
        if not self.epoch_seconds and epoch.processor:
            share = epoch.wall / epoch.processor
        seconds = share * epoch.processor if share and epoch.processor else epoch.wall
        known = {**self.epoch_seconds, name: seconds}
        return self.model_copy(update={"epoch_seconds": known, "clock_share": share})


@dataclasses.dataclass(frozen=True)
class Epoch:
    """Seconds that an epoch takes, validation included.

    Attributes:
        wall: by the clock.
        processor: of all threads; None where that is not known.
    """

    wall: float
    processor: float | None


def is_paced(folder: Path, identity: str) -> bool:
    """Whether a folder is that of the ablation of this configuration and store."""
    file = folder / PACE
    return file.is_file() and _known(folder, file, None).of == identity


def measured_pace(
    request: Request, store: Store, found: Sequence[Variant], folder: Path, identity: str
) -> dict[str, float]:
    """Seconds that an epoch of each variant takes, validation included; kept in pace.json.

    Args:
        request: of the ablation.
        store: trained on.
        found: the variants, the reference first.
        folder: of the ablation.
        identity: of its configuration and store.

    Raises:
        UserError: the folder is of something else, or a probe was refused.
    """
    file = folder / PACE
    pace = _known(folder, file, identity)
    missing = [each for each in found if each.name not in pace.epoch_seconds]
    if missing:
        request.console.say(f"Measuring how quick {len(missing)} variants are.")
    for each in missing:
        pace = pace.with_epoch(each.name, _probe(request, store, each.config, folder))
        _write(file, pace)
    return pace.epoch_seconds


def _known(folder: Path, file: Path, identity: str | None) -> Pace:
    """What pace.json holds; it marks the folder as this ablation's, or as anyone's: None."""
    if identity is not None and not file.is_file():
        if folder.exists() and any(folder.iterdir()):
            raise RunError(
                f"{folder} is not an ablation's folder and not empty. Name a new folder with --run."
            )
        _write(file, Pace(of=identity))
    try:
        found = Pace.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise RunError(f"{file} is damaged. Remove it: the pace is measured again.") from error
    if identity not in (None, found.of):
        raise RunError(
            f"{folder} holds the ablation of another configuration or store. Name a new folder "
            "with --run."
        )
    return found


def _write(file: Path, pace: Pace) -> None:
    disk.write_bytes(file, json_bytes(pace.model_dump(mode="json")))


def _probe(request: Request, store: Store, config: Config, folder: Path) -> Epoch:
    """Train two short epochs, and tell from the second how long a whole one takes."""
    split = choose_split(store.folds, store.class_table, config.split)
    order = training_order(store, split.train, config)
    options = config.train
    steps = order.steps(options.batch, config.stream.drop_remainder, options.steps_per_epoch)
    probed = min(PROBE_STEPS, steps)
    short = config.changed(
        "train", epochs=2, steps_per_epoch=probed, patience=2, refit=False, tensorboard=False
    )
    run = RunFolder(folder / "probe")
    disk.remove_folder(run.path)
    quiet = dataclasses.replace(request, console=QUIET)
    run_stage("train", quiet, short, run, folder / "probe.toml")
    row = read_history(run.log)[-1]
    disk.remove_folder(run.path)
    validation, trained = row["val_seconds"], row["seconds"]
    wall = (trained - validation) / probed * steps + validation
    if "cpu_seconds" not in row:
        return Epoch(wall, None)
    return Epoch(wall, row["cpu_seconds"] / probed * steps + row["val_cpu_seconds"])
