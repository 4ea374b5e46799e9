"""Runs a stage: its request, what plays a part in it, and the memory that it held."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from headrace.pipeline.cli.parser import COMMANDS
from headrace.stores.errors import CommandError

if TYPE_CHECKING:
    from headrace.pipeline.memory.watch import MemoryUse
    from headrace.pipeline.repair.salvage import Trusted
    from headrace.pipeline.request import Request


@dataclass(frozen=True)
class Stage:
    """What runs a command that is a stage.

    Attributes:
        function: "module:function"; it takes the request, and returns what is JSON-able.
        takes: options that it takes too, by keyword.
        with_run: sections of the config that have an effect on a run that is named; empty: all.
            If a source is named too, `source` has one.
        reads_store: and nothing else that names one, so a store has to be named.
        keeps_memory: its use of memory is kept, over time, where its result is, if it is kept.
    """

    function: str
    takes: tuple[str, ...] = ()
    with_run: tuple[str, ...] = ()
    reads_store: bool = False
    keeps_memory: bool = False


SCORING = ("evaluate", "memory", "objects", "paths", "stream")
STAGES = {
    "features": Stage(
        "headrace.pipeline.cli.stages:run_features",
        ("repair", "append", "compact", "output"),
        keeps_memory=True,
    ),
    "train": Stage(
        "headrace.pipeline.training.stage:run_train", reads_store=True, keeps_memory=True
    ),
    "evaluate": Stage(
        "headrace.pipeline.evaluation.stage:run_evaluate",
        ("baseline", "output"),
        with_run=SCORING,
        reads_store=True,
        keeps_memory=True,
    ),
    "crossval": Stage(
        "headrace.pipeline.experiments.crossval:run_crossval",
        ("baseline",),
        reads_store=True,
        keeps_memory=True,
    ),
    "ablation": Stage(
        "headrace.pipeline.cli.stages:run_ablation",
        ("minutes", "seeds", "crossval", "baseline"),
        reads_store=True,
        keeps_memory=True,
    ),
    "predict": Stage(
        "headrace.pipeline.prediction.stage:run_predict",
        ("output",),
        with_run=SCORING,
    ),
    "plan": Stage(
        "headrace.pipeline.commands.plan:run_plan", ("baseline", "measure", "workers", "windows")
    ),
    "inspect": Stage("headrace.pipeline.commands.inspect:run_inspect", reads_store=True),
    "verify": Stage(
        "headrace.pipeline.repair.verify:run_verify", ("with_source",), reads_store=True
    ),
}


def run_stage(options: argparse.Namespace) -> dict[str, Any]:
    """Run the stage that the command line names.

    Returns:
        its summary, JSON-able, with the memory that was held.
    """
    from headrace.pipeline.memory.watch import watch_memory

    stage = STAGES[options.command]
    request = _request(options)
    _refuse_idle(options, stage, request)
    taken = {name: getattr(options, name) for name in stage.takes}
    with watch_memory() as use:
        console = dataclasses.replace(request.console, memory=use)
        request = dataclasses.replace(request, console=console, memory=use)
        summary: dict[str, Any] = resolve_name(stage.function)(request, **taken)
    if options.command == "features" and options.output is not None:
        request = dataclasses.replace(request, store=options.output)  # What it made stands there.
    if options.command != "plan":
        _report_memory(options.command, stage, request, use, summary)
    return summary


def run_features(
    request: Request, repair: Trusted | None, append: bool, compact: bool, output: Path | None
) -> dict[str, Any]:
    """The stage of that name, or the repair, the part or the one store that it is asked for.

    Raises:
        UserError: several of them are asked for, or several stores are named.
    """
    asked = {"--repair": repair, "--append": append, "--compact": compact}
    named = [name for name, value in asked.items() if value]
    if len(named) > 1:
        raise CommandError(f"{' and '.join(named)} do not go together. Name one of them.")
    if output is not None and not compact:
        raise CommandError("--output is where --compact puts a store. Name it with --store.")
    if request.others:
        raise CommandError(
            f"features makes one store, and {1 + len(request.others)} are named: {request.store}, "
            f"{request.others[0]}. Name one --store."
        )
    if append:
        from headrace.pipeline.features.append import run_append

        return run_append(request)
    if compact:
        from headrace.pipeline.features.compact import run_compact

        return run_compact(request, output)
    if repair:
        from headrace.pipeline.repair.stage import run_repair

        return run_repair(request, repair)
    from headrace.pipeline.features import stage

    return stage.run_features(request)


def run_ablation(request: Request, **extent: Any) -> dict[str, Any]:
    """The stage of that name, to the extent that the options give."""
    from headrace.pipeline.experiments import ablation

    return ablation.run_ablation(request, ablation.Extent(**extent))


def _request(options: argparse.Namespace) -> Request:
    from headrace.pipeline.config.load import load_config, toml_value
    from headrace.pipeline.console import Console
    from headrace.pipeline.request import Request
    from headrace.stores.source.file_patterns import stem_of

    overrides = [*options.overrides]
    # Into the config: there a stage can tell what was named from what is a default.
    for option in COMMANDS[options.command].options:
        value = getattr(options, option.dest)
        if option.key and value:
            overrides.append(f"{option.key}={toml_value(value)}")
    first, *others = options.store or [None]
    if first is not None:
        overrides.append(f"paths.store={toml_value(first)}")
        overrides.append(f"paths.other_stores={toml_value(others)}")
    named = first or options.data
    config = load_config(options.config, overrides, stem_of(str(named)) if named else None)
    if first is not None and not any(each.startswith("paths.parts") for each in options.overrides):
        # Those of the configuration are of its own store.
        config = config.changed("paths", parts=None)
    return Request(
        config=config,
        data=config.paths.data,
        store=config.paths.store or Path("data") / f"{config.name}.zarr",
        run=options.run_folder,
        console=Console(quiet=options.quiet, json=options.json),
        new=getattr(options, "new", False),
        others=config.paths.other_stores,
    )


def _refuse_idle(options: argparse.Namespace, stage: Stage, request: Request) -> None:
    """Refuse what would have no effect, or names nothing.

    Raises:
        UserError: in its own words.
    """
    if stage.with_run and request.run is not None:
        from headrace.pipeline.runs.folder import RunFolder
        from headrace.pipeline.runs.record import flat_table, recorded_config

        run = RunFolder(request.run)
        keys = [override.partition("=")[0].strip() for override in options.overrides]
        effective = {*stage.with_run, *(["source"] if request.data else [])}
        idle = [key for key in keys if key.split(".")[0] not in effective]
        given, trained = (
            dict(flat_table(each.model_dump(mode="json")))
            for each in (request.config, recorded_config(run) if idle else request.config)
        )
        for key in idle:
            if given.get(key) != trained.get(key):
                raise CommandError(
                    f"--set {key} plays no part in {options.command} --run: {run.path} was trained "
                    f"with {trained.get(key)!r}. Leave it out, or train another run."
                )
    named = (options.config, options.data, options.store, options.run_folder)
    if stage.reads_store and not any(named) and not request.store.exists():
        raise CommandError("No store is named. Name it: --config, --data or --store.")


def _report_memory(
    name: str, stage: Stage, request: Request, use: MemoryUse, summary: dict[str, Any]
) -> None:
    """Say what was held, and keep its course where the stage left its result."""
    from headrace.pipeline.memory.record import record_of, record_path, write_record
    from headrace.stores.text import format_bytes

    memory = summary.setdefault("memory", {})
    memory |= {
        "measured_peak": use.peak,
        "mapped_files_peak": use.mapped_peak,
        "page_cache_peak": use.cache_peak,
    }
    projected, run = memory.get("projected"), summary.get("run")
    if projected and stage.keeps_memory and (run or "store" in summary):
        path = record_path(name, None if run is None else Path(run), request.store)
        write_record(path, record_of(name, memory["budget"], projected, use))
    request.console.say(
        f"Memory: {format_bytes(use.peak)} measured at the peak"
        + (f", {format_bytes(projected)} projected" if projected else "")
        + " (whole process tree, anonymous + shared; apart: mapped files "
        + format_bytes(use.mapped_peak)
        + (f", page cache {format_bytes(use.cache_peak)}" if use.cache_peak else "")
        + ")."
    )
