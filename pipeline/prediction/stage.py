"""The predict stage: an unlabelled source through a trained network, in bounded memory."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.pipeline.evaluation.applied import Applied, apply_run, predicted_blocks
from headrace.pipeline.evaluation.source_options import open_as, unlabelled_options
from headrace.pipeline.memory.machine import total_memory, usable_budget
from headrace.pipeline.memory.plan import MIB, MemoryPlan
from headrace.pipeline.prediction.files import prediction_file, refuse_output, timeline_path
from headrace.pipeline.prediction.timeline import Timeline
from headrace.pipeline.request import require_data
from headrace.pipeline.runs.resolve import complete_run, evaluation_config, inputs_of_run

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from headrace.pipeline.console import Console
    from headrace.pipeline.request import Request

FILES = 64 * MIB
"""Of pandas and pyarrow, and what they hold of a block."""


def run_predict(request: Request, output: Path) -> dict[str, Any]:
    """Predict every window of `request.data` with the network of `request.run`.

    Labels and groups of the source, if any, are not looked at; windows start every step from the
    start of each recording.

    Args:
        request: names both.
        output: file or folder to write; its ending says what: .csv, .parquet or .zarr.

    Returns:
        JSON-able: output, windows, windows of each class, timeline (or None), the memory plan.

    Raises:
        UserError: the source is not what the network takes, or the output cannot be written.
    """
    refuse_output(output)
    run = complete_run(request.run)
    config = evaluation_config(run, request.config)
    data, console = require_data(request), request.console
    channels = inputs_of_run(run, config).spec.channels
    given = request.config.source
    with open_as(data, config.source, given, unlabelled_options, channels) as source:
        applied = apply_run(run, config, source, console)
        plan = plan_predict(applied).require_fit()
        console.memory_plan("predict", plan)
        counts = _predict(applied, output, console)
    classes = applied.inputs.classes
    timeline = timeline_path(output) if source.layout == "recordings" else None
    windows = int(counts.sum())
    shares = {name: int(n) for name, n in zip(classes, counts, strict=True)}
    console.table(
        f"{windows:,} windows of {data}",
        ("class", "windows", "share"),
        [(name, f"{n:,}", f"{n / max(windows, 1):.1%}") for name, n in shares.items()],
    )
    console.say(f"Predictions: {output}" + (f"; timeline: {timeline}" if timeline else ""))
    return {
        "output": str(output),
        "timeline": None if timeline is None else str(timeline),
        "windows": windows,
        "classes": shares,
        "memory": plan.as_table(),
    }


def plan_predict(applied: Applied) -> MemoryPlan:
    """The memory plan of a prediction: it grows with a block, and not with the source."""
    classes = len(applied.inputs.classes)
    buffers = applied.buffers()
    buffers["files being written"] = FILES + 4 * applied.block_rows * 8 * (classes + 6)
    budget = usable_budget(applied.config.memory.budget)
    return MemoryPlan("predict", *applied.reserved(), buffers, budget, total_memory())


def _predict(applied: Applied, output: Path, console: Console) -> NDArray[np.int64]:
    """Write the predictions of all windows; returns the windows of each class, (K,)."""
    source, classes = applied.source, applied.inputs.classes
    counts = np.zeros(len(classes), np.int64)
    with (
        closing(predicted_blocks(applied)) as predicted,
        Timeline(timeline_path(output), source, classes) as timeline,
        prediction_file(output, classes, source.layout == "recordings", source.origins) as file,
        console.progress("predict", source.windows, source.spec.stored_bytes) as progress,
    ):
        for block, probability in predicted:
            found = probability.argmax(axis=1)
            counts += np.bincount(found, minlength=len(counts))
            file.write(block.columns(), found, probability)
            timeline.add(block, found, probability.max(axis=1, initial=0))
            progress.advance(block.read)
    return counts
