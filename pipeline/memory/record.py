"""What a stage held in memory while it ran, beside what it had planned: a small JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from headrace.pipeline.memory.watch import MemoryUse
from headrace.stores.io.places import Place, storage_of


@dataclass(frozen=True)
class MemoryRecord:
    """One run of one stage; bytes of the whole process tree.

    Attributes:
        stage: its name.
        budget: the most it may hold.
        projected: the most it planned to hold.
        measured_peak: the most it held, anonymous + shared.
        mapped_files_peak: resident pages of mapped files at most, apart.
        timeline: (seconds since the start, anonymous + shared bytes).
        page_cache_peak: of the control group with a limit around the stage, apart; 0 without one,
            and in records that were written before it was taken.
    """

    stage: str
    budget: int
    projected: int
    measured_peak: int
    mapped_files_peak: int
    timeline: tuple[tuple[float, int], ...]
    page_cache_peak: int = 0


def record_of(stage: str, budget: int, projected: int, use: MemoryUse) -> MemoryRecord:
    """The record of a stage that has ended, or of what it has held so far."""
    return MemoryRecord(
        stage,
        budget,
        projected,
        use.peak,
        use.mapped_peak,
        tuple(use.timeline),
        use.cache_peak,
    )


def record_path(stage: str, run: Path | None, store: Place) -> Place:
    """Where a stage's record is kept: in its run folder, or beside the store that it made."""
    return store.with_name(f"{store.name}.memory.json") if run is None else _in_run(run, stage)


def write_record(path: Place, record: MemoryRecord) -> None:
    """Write or replace the record."""
    storage_of(path).write(json.dumps(asdict(record)).encode() + b"\n")


def read_record(run: Path, stage: str) -> MemoryRecord | None:
    """The record of a stage of a run; None where there is none, or it is damaged."""
    path = _in_run(run, stage)
    if not path.is_file():
        return None
    try:
        fields = json.loads(path.read_bytes())
        points = tuple((seconds, held) for seconds, held in fields.pop("timeline"))
        return MemoryRecord(**fields, timeline=points)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _in_run(run: Path, stage: str) -> Path:
    return run / f"memory-{stage}.json"
