"""The predict stage: an unlabelled source through a trained network, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.pipeline.features.task import BATCH_WINDOWS, make_catalogue, require_finite
from headrace.pipeline.memory.machine import total_memory, usable_budget
from headrace.pipeline.memory.plan import MIB, MemoryPlan
from headrace.pipeline.prediction.blocks import BLOCKS_HELD, Block, read_blocks
from headrace.pipeline.prediction.files import prediction_file, refuse_output, timeline_path
from headrace.pipeline.prediction.timeline import Timeline
from headrace.pipeline.request import require_data
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.inputs import ModelInputs, refuse_other_signals
from headrace.pipeline.runs.resolve import complete_run, evaluation_config, inputs_of_run
from headrace.pipeline.tensorflow_setup import set_up_tensorflow
from headrace.pipeline.training.memory import RESERVED
from headrace.stores.errors import PredictionError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.probe import look_at, open_stranger
from headrace.stores.source.source import Source, open_source
from headrace.stores.source.windows import RECORDING_OPTIONS, USUAL_WINDOWS

if TYPE_CHECKING:
    from headrace.pipeline.catalogue import Catalogue
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.request import Request
    from headrace.stores.source.options import SourceOptions

BLOCK_BYTES = 8 * MIB
"""Of the windows that are read, and passed on, together."""
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
    inputs = inputs_of_run(run, config)
    data, console = require_data(request), request.console
    with _open_unlabelled(data, config.source, request.config.source) as source:
        refuse_other_signals(inputs, source)
        catalogue = _catalogue(config, inputs)
        plan = plan_predict(config, inputs, source, catalogue).require_fit()
        console.memory_plan("predict", plan)
        counts = _predict(run, config, inputs, source, catalogue, output, request)
    timeline = timeline_path(output) if source.layout == "recordings" else None
    windows = int(counts.sum())
    shares = {name: int(n) for name, n in zip(inputs.classes, counts, strict=True)}
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


def plan_predict(
    config: Config, inputs: ModelInputs, source: Source, catalogue: Catalogue | None
) -> MemoryPlan:
    """The memory plan of a prediction: it grows with a block, and not with the source."""
    rows = _block_rows(source)
    window = inputs.spec.values
    features = len(inputs.features)
    block = rows * (window * (source.spec.dtype.itemsize + 8) + 4 * features + 64)
    batch = config.evaluate.batch * 4 * (window + features)
    buffers = {
        "blocks of windows": BLOCKS_HELD * block,
        "source slices": source.buffer_bytes,
        "HDF5 chunk cache": source.chunk_cache_bytes,
        "tables of the source": source.table_bytes,
        "batch": 2 * batch,
        "files being written": FILES + 4 * rows * 8 * (len(inputs.classes) + 6),
    }
    if catalogue is not None:
        buffers["kernel scratch"] = int(catalogue.scratch_bytes(BATCH_WINDOWS, np.float64))
    budget = usable_budget(config.memory.budget)
    return MemoryPlan(
        "predict", RESERVED, "typical of this version", buffers, budget, total_memory()
    )


def unlabelled_options(
    trained: SourceOptions, given: SourceOptions, said: Sequence[str] = ()
) -> SourceOptions:
    """How to read a source that has no labels: as the training's, but for what is given now.

    Args:
        trained: of the run.
        given: of the command; only keys that are set count.
        said: keys of which the source has an attribute of its own, which wins over the run's.
    """
    chosen = given.model_dump(include=given.model_fields_set)
    kept = trained.model_dump()
    layout = {"layout", "windows", "signals"} & given.model_fields_set
    for name in ("rate_hz", "channels", "units", "scale"):
        if name in said:
            kept[name] = None
    if layout:
        fresh = type(trained)().model_dump()
        windows = given.layout == "windows" or given.windows
        forgotten = ("layout", "windows", "signals", *(RECORDING_OPTIONS if windows else ()))
        kept |= {name: fresh[name] for name in forgotten}
    for alternatives in (("window_s", "window_samples"), ("step_s", "step_samples", "overlap")):
        if given.model_fields_set & set(alternatives):
            kept |= dict.fromkeys(alternatives)
    nothing = {"labels": "", "classes": "", "groups": None, "split": "", "split_by_window": True}
    return type(trained).model_validate(
        kept | chosen | nothing | {"class_map": {}, "exclude_labels": [], "label_rule": "pure"}
    )


def _open_unlabelled(path: Place, trained: SourceOptions, given: SourceOptions) -> Source:
    given = _with_layout(path, trained, given)
    with open_stranger(path, unlabelled_options(trained, given)) as source:
        said = sorted(source.said)
    return open_source(path, unlabelled_options(trained, given, said))


def _with_layout(path: Place, trained: SourceOptions, given: SourceOptions) -> SourceOptions:
    """`given`, with a layout where the file has none of the names that the run's source had."""
    named = [name for name in (trained.windows, trained.signals) if name]
    if not named or {"layout", "windows", "signals"} & given.model_fields_set:
        return given
    found = look_at(path)
    if any(found.named(name) for name in named):
        return given
    usual = any(len(each.shape) == 3 for name in USUAL_WINDOWS if (each := found.named(name)))
    return given.model_copy(update={"layout": "windows" if usual else "recordings"})


def _catalogue(config: Config, inputs: ModelInputs) -> Catalogue | None:
    """The kernels of the run's features.

    Raises:
        UserError: they are others than the network was trained on.
    """
    if not inputs.features:
        return None
    found = make_catalogue(
        config.features.model_dump(), inputs.spec.channels, inputs.spec.rate_hz, inputs.spec.time
    )
    if found is None or found.names != inputs.features:
        raise PredictionError(
            "This version, or its features.custom, gives other features than the "
            f"{len(inputs.features)} that the network was trained on. Install the version of the "
            "run, or train again: headrace train --new."
        )
    return found


def _block_rows(source: Source) -> int:
    return max(1, min(BLOCK_BYTES // max(1, 2 * source.spec.stored_bytes), 4096))


def _predict(
    run: RunFolder,
    config: Config,
    inputs: ModelInputs,
    source: Source,
    catalogue: Catalogue | None,
    output: Path,
    request: Request,
) -> Any:
    """Write the predictions of all windows; returns the windows of each class, (K,) int64."""
    set_up_tensorflow(config.train)
    from headrace.pipeline.evaluation.predictor import block_predictor

    state = storage_of(source.path).state()
    predict = block_predictor(run.model, config.evaluate.batch, inputs)
    counts = np.zeros(len(inputs.classes), np.int64)
    blocks = read_blocks(source, catalogue, inputs.spec.dtype, _block_rows(source))
    window = source.spec.stored_bytes
    with (
        closing(blocks),
        Timeline(timeline_path(output), source, inputs.classes) as timeline,
        prediction_file(output, inputs.classes, source.layout == "recordings") as file,
        request.console.progress("predict", source.windows, window) as progress,
    ):
        for block in blocks:
            _refuse_non_finite(block, source)
            probability = predict(block.raw, block.features)
            found = probability.argmax(axis=1)
            counts += np.bincount(found, minlength=len(counts))
            file.write(block.columns(), found, probability)
            timeline.add(block, found, probability.max(axis=1, initial=0))
            progress.advance(block.read)
        if storage_of(source.path).state() != state:
            raise PredictionError(
                f"{source.path} was changed while it was being read. Start again once nothing "
                "writes to it."
            )
    return counts


def _refuse_non_finite(block: Block, source: Source) -> None:
    if source.options.non_finite == "error":
        require_finite(block.raw, block.window, source)
