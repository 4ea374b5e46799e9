"""Export: one folder with all that is needed to use a trained network, or to judge it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.pipeline.evaluation.metrics import read_metrics
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.record import json_bytes, recorded_config, recorded_versions
from headrace.pipeline.runs.resolve import complete_run, inputs_of_run
from headrace.pipeline.tensorflow_setup import set_up_tensorflow
from headrace.stores.errors import RunError
from headrace.stores.io import disk

if TYPE_CHECKING:
    from headrace.pipeline.console import Console
    from headrace.pipeline.runs.inputs import ModelInputs

CARD, NORMALISATION = "card.json", "normalisation.json"


def run_export(path: Path, output: Path, console: Console) -> dict[str, Any]:
    """Write the model, what it takes and gives, its normalisation and its scores to a folder.

    The folder is a run for `headrace predict --run`.

    Args:
        path: of the run.
        output: a folder that is not there yet.
        console: where to speak.

    Returns:
        The card: JSON-able.

    Raises:
        UserError: the run is not complete; the folder is there, or cannot be written.
    """
    run = complete_run(path)
    if output.exists():
        raise RunError(f"{output} is there already. Remove it, or name another --output.")
    config = recorded_config(run)
    inputs = inputs_of_run(run, config)
    set_up_tensorflow(config.train)
    record = json.loads(run.store.read_bytes()) | {"inputs": inputs.as_table()}
    card = {
        "name": config.name,
        "inputs": inputs.as_table(),
        "model": "model.keras: raw (n, T, C) in units and features (n, F), float32, to "
        "probabilities (n, K)",
        "scores": _scores(run),
        "versions": dict(recorded_versions(run)),
    }
    with disk.whole_folder(output) as temporary:
        for file in (run.model, run.config, run.versions, run.metrics, run.report):
            if file.is_file():
                with disk.whole_file(temporary / file.name) as copy:
                    shutil.copyfile(file, copy)
        if run.code.is_dir():
            _copy_code(run, RunFolder(temporary))
        disk.write_bytes(temporary / run.store.name, json_bytes(record))
        disk.write_bytes(temporary / NORMALISATION, json_bytes(normalisation_of(run, inputs)))
        disk.write_bytes(temporary / CARD, json_bytes(card))
    if card["scores"] is None:
        console.say(f"Warning: not evaluated, so no scores: headrace evaluate --run {run.path}")
    console.say(f"Exported: {output}. Use it: headrace predict --run {output} --input NEW.h5 ...")
    return card


def _copy_code(run: RunFolder, exported: RunFolder) -> None:
    """The files of the user's own functions: layers of theirs are made with them."""
    for file in sorted(run.code.rglob("*")):
        if file.is_file():
            target = exported.code / file.relative_to(run.code)
            disk.make_folder(target.parent)
            disk.write_bytes(target, file.read_bytes())


def normalisation_of(run: RunFolder, inputs: ModelInputs) -> dict[str, Any]:
    """What the model's first layers do, by channel and feature name; JSON-able.

    `raw`: (value - mean) * scale. `features`: the same, clipped, or a piecewise-linear map through
    `knots` (values) and `scores`.
    """
    from headrace.model.normalisation_layers import statistics_of
    from headrace.pipeline.evaluation.predictor import load_model

    found = statistics_of(load_model(run.model))
    table: dict[str, Any] = {}
    for kind, names in (("raw", inputs.spec.channels), ("features", inputs.features)):
        if kind in found:
            table[kind] = {
                name: {key: _numbers(values[row]) for key, values in found[kind].items()}
                for row, name in enumerate(names)
            }
    return table


def _numbers(value: Any) -> Any:
    """Python's numbers; knots past the last end in infinity, which JSON does not know."""
    array = np.asarray(value, np.float64)
    if array.ndim == 0:
        return float(array)
    return [float(each) if np.isfinite(each) else None for each in array]


def _scores(run: RunFolder) -> dict[str, Any] | None:
    if not run.metrics.is_file():
        return None
    metrics = read_metrics(run)
    kept = ("windows", "accuracy", "macro_f1", "balanced_accuracy", "intervals", "per_class")
    return {
        "test_groups": metrics.test_groups,
        "notes": metrics.notes,
        **{
            name: {key: table[key] for key in kept}
            for name, score in metrics.scores().items()
            for table in [score.as_table()]
        },
    }
