"""Which part of docs/errors.md tells more about an error: by the module that raised it."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"

MODULES = {
    "command-line": ("pipeline.cli", "pipeline.commands", "pipeline.plan"),
    "configuration": ("pipeline.config", "pipeline.addresses"),
    "source": (
        *("stores.source", "stores.source_classes", "stores.source_file", "stores.source_names"),
        *("stores.source_planning", "stores.source_probe", "stores.source_recordings"),
        *("stores.source_table", "stores.source_windows", "stores.survey", "stores.contents"),
        *("stores.resampling", "stores.synthetic", "stores.watch"),
        *("pipeline.first_config", "pipeline.shard_task"),
    ),
    "groups-and-folds": ("stores.folds", "pipeline.split", "pipeline.order"),
    "memory": (
        *("pipeline.budget", "pipeline.measure_reserved", "pipeline.shard_workers"),
        "pipeline.store_plan",
    ),
    "disk": ("stores.disk", "pipeline.prediction_files"),
    "store": (
        *("stores.store", "stores.manifest", "stores.building", "stores.shard_reader"),
        *("stores.layout", "stores.fold_index", "stores.rows", "stores.plots"),
        *("pipeline.features", "pipeline.repair", "pipeline.stream", "pipeline.verify"),
    ),
    "runs": (
        *("pipeline.ablation", "pipeline.child_stages", "pipeline.compare", "pipeline.evaluate"),
        *("pipeline.export", "pipeline.prediction", "pipeline.run_folder", "pipeline.train"),
        *("pipeline.tensorflow_setup", "pipeline.training_loop", "pipeline.training_state"),
    ),
    "prediction": ("pipeline.model_inputs", "pipeline.predict"),
}
"""Headings of the page, and whose errors each explains."""
_HEADING = {module: heading for heading, modules in MODULES.items() for module in modules}


def page_of(error: BaseException) -> str | None:
    """The page and its heading, as a link; None where no module of the error has one."""
    heading, trace = None, error.__traceback__
    while trace is not None:
        heading = _HEADING.get(trace.tb_frame.f_globals.get("__name__", ""), heading)
        trace = trace.tb_next
    if heading is None:
        return None
    return f"{PAGE if PAGE.is_file() else 'docs/errors.md'}#{heading}"
