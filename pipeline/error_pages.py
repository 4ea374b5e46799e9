"""Which part of docs/errors.md tells more about an error: by the module that raised it."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"

MODULES = {
    "command-line": (
        *("pipeline.cli", "pipeline.commands", "pipeline.plan", "pipeline.first_config"),
        *("pipeline.features.require_data", "pipeline.prediction_files"),
    ),
    "configuration": (
        *("pipeline.config", "pipeline.addresses", "pipeline.shard_task.make_catalogue"),
    ),
    "source": (
        *("stores.source", "stores.source_classes", "stores.source_file", "stores.source_names"),
        *("stores.source_planning", "stores.source_probe", "stores.source_recordings"),
        *("stores.source_table", "stores.source_windows", "stores.contents"),
        *("stores.resampling", "stores.synthetic", "stores.watch"),
        "pipeline.shard_task",
    ),
    "groups-and-folds": (
        *("stores.folds", "pipeline.split", "pipeline.order", "stores.survey"),
        *("stores.source_classes.no_groups", "stores.source_classes.check_groups_in_one_part"),
    ),
    "memory": (
        *("pipeline.budget", "pipeline.measure_reserved", "pipeline.cluster._started_cluster"),
        *("pipeline.store_plan", "pipeline.plan._require_all"),
    ),
    "cluster": (
        *("pipeline.cluster", "pipeline.shard_workers", "pipeline.shard_task.open_workshop"),
        "pipeline.shard_task._opened_workshop",
    ),
    "disk": ("stores.disk",),
    "object-stores": ("stores.objects", "stores.shard_files"),
    "store": (
        *("stores.store", "stores.manifest", "stores.building", "stores.build_folder"),
        *("stores.object_builds", "stores.shard_reader"),
        *("stores.layout", "stores.fold_index", "stores.rows", "stores.plots"),
        *("pipeline.features", "pipeline.repair", "pipeline.stream", "pipeline.verify"),
    ),
    "runs": (
        *("pipeline.ablation", "pipeline.child_stages", "pipeline.compare", "pipeline.evaluate"),
        *("pipeline.export", "pipeline.prediction", "pipeline.run_folder", "pipeline.train"),
        *(
            "pipeline.tensorflow_setup",
            "pipeline.devices",
            "pipeline.training_loop",
            "pipeline.training_state",
        ),
        "pipeline.predict.complete_run",
    ),
    "prediction": ("pipeline.model_inputs", "pipeline.predict"),
}
"""Headings of the page, and whose errors each explains: of a module, or a function of it."""
_HEADING = {module: heading for heading, modules in MODULES.items() for module in modules}


def heading_of(error: BaseException) -> str | None:
    """The heading of what raised an error; None where it has none.

    What a worker returns has lost its way here: it carries its heading.
    """
    heading: str | None = getattr(error, "heading", None)
    trace = None if heading else error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        module = frame.f_globals.get("__name__", "")
        heading = _HEADING.get(f"{module}.{frame.f_code.co_name}", _HEADING.get(module, heading))
        trace = trace.tb_next
    return heading


def page_of(error: BaseException) -> str | None:
    """The page and its heading, as a link; None where the error has none."""
    heading = heading_of(error)
    return heading and f"{PAGE if PAGE.is_file() else 'docs/errors.md'}#{heading}"
