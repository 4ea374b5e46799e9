"""The command line: options, exit codes, and what is printed at a stage's end."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import errno
import json
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast

import headrace
from headrace.pipeline.cli.commands import (
    add_commands,
    as_sentence,
    file_path,
    place,
    positive,
    positive_number,
)
from headrace.pipeline.process import interrupts
from headrace.stores.errors import CommandError, DiskError, UserError

if TYPE_CHECKING:
    from headrace.pipeline.memory.watch import MemoryUse
    from headrace.pipeline.request import Request

REFUSALS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
        *(errno.EIO, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EBUSY),
    }
)
"""Error numbers of disks and of paths, not of this program."""
ERRORS_PAGE = Path(headrace.__file__).with_name("docs") / "errors.md"
"""Where each kind of error has a heading; comes with the package."""
DONE, OUR_FAULT, USERS_INPUT, CUT_OFF = 0, 1, 2, 141

READ_WITH_RUN = {
    "evaluate": ("evaluate", "memory", "objects", "paths", "stream"),
    "predict": ("evaluate", "memory", "objects", "paths", "source", "stream"),
}
"""Sections of the config that have an effect on a run that is trained."""
READS_STORE = ("train", "evaluate", "crossval", "ablation", "inspect", "verify")
RECORDED = ("features", "train", "evaluate", "crossval", "ablation")
"""Stages whose use of memory is kept, over time, where their result is."""

CLUSTER_OPTIONS = {
    "cluster.scheduler": "scheduler",
    "cluster.memory_limit": "memory_limit",
    "features.workers": "local_cluster",
}
"""Keys of the config that options of their own override."""

STAGES = {
    "features": "extract features from an HDF5 source into a Zarr store",
    "train": "train on a store",
    "evaluate": "score a run on its test folds, with and without test-time augmentation",
    "crossval": "train and evaluate every fold of groups, over the same store",
    "ablation": "train with and without each part of a configuration: what is each worth?",
    "predict": "predict the windows of an unlabelled source with a trained run",
    "plan": "show what every stage will hold in memory, before any starts",
    "inspect": "show what a store holds",
    "verify": "check a store: shapes, checksums, each window once, moments recomputed",
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code.

    0 done, 2 the user's input, 1 our fault, 130 interrupted by Ctrl-C, 143 stopped by SIGTERM.
    """
    parser = command_parser()
    parser.chosen = next((word for word in arguments if word in parser.commands()), "")
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return DONE
    try:
        with interrupts.unwinding(), redirect_stdout(cast("TextIO", _Output(sys.stdout))):
            code = int(options.run(options))
            sys.stdout.flush()
        return code
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if isinstance(error, KeyboardInterrupt) or not interrupts.settle(OUR_FAULT):
            return interrupts.say(error)
        if isinstance(error, (BrokenPipeError, SystemExit)):
            # Whoever read our output is gone, as with `| head`: not done, and nobody to tell. Rich
            # makes an exit of it.
            sys.stderr.close()
            return CUT_OFF
        return _explain(error, options.debug)


class _Output:
    """Standard output, with its own error for a disk that takes no more of it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._explained():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._explained():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            # What still waits would fail once more when Python ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            raise CommandError(
                f"Standard output cannot be written ({error.strerror}). Free disk space there; "
                "what was done is kept."
            ) from error


def _explain(error: Exception, debug: bool) -> int:
    from headrace.pipeline.cli.redact import without_secrets

    trace = without_secrets("".join(traceback.format_exception(error)))
    if debug:
        print(trace, end="", file=sys.stderr)
    if isinstance(error, OSError) and error.errno in REFUSALS:
        # Of what libraries open: temporary files, caches.
        error = DiskError(
            f"{error.filename or tempfile.gettempdir()}: {error.strerror}. See that it is a path "
            "that you may read and write, on a disk with room, and start again: what is complete "
            "is kept."
        )
    if isinstance(error, UserError):
        page = f" More: {ERRORS_PAGE}#{error.heading}" if error.heading else ""
        print(f"headrace: {_one_line(without_secrets(str(error)))}{page}", file=sys.stderr)
        return USERS_INPUT
    if not debug:
        print(trace, end="", file=sys.stderr)
    print(
        "headrace: this is a fault of the program. Please report it with the lines above and "
        "the output of: headrace doctor",
        file=sys.stderr,
    )
    return OUR_FAULT


def _one_line(text: str) -> str:
    """A message may quote a stranger's file: nothing in it commands the terminal."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the closest name that there is."""

    chosen = ""
    """The command that is being parsed, if it is one."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        from headrace.pipeline.cli.redact import without_secrets

        unknown = re.search(r"(?:unrecognized arguments:|invalid choice:) '?([^\s']+)", message)
        hint = self._hint(unknown[1]) if unknown else ""
        text = without_secrets(message.split(" (choose from")[0])
        command = f" {self.chosen}" if self.chosen else ""
        self.exit(USERS_INPUT, f"headrace: {text}.{hint} See: {self.prog}{command} --help\n")

    def commands(self) -> dict[str, argparse.ArgumentParser]:
        """Name -> parser of every command; none for a command's own parser."""
        found = (action.choices for action in self._actions if isinstance(action.choices, dict))
        return next(found, {})

    def _hint(self, wrong: str) -> str:
        """What may have been meant, in place of a word that nobody knows."""
        from headrace.pipeline.config.load import keys_called

        commands = self.commands()
        name = wrong.lstrip("-").partition("=")[0]
        if wrong.startswith("-"):
            own = commands.get(self.chosen, self)._option_string_actions
            close = difflib.get_close_matches(wrong.partition("=")[0], own, n=1, cutoff=0.75)
            keys = keys_called(name.replace("-", "_"))
            having = [each for each, one in commands.items() if wrong in one._option_string_actions]
            if close:
                return f" Did you mean {close[0]}?"
            if keys:
                return f" Did you mean --set {keys[0]}=...?"
            return f" It belongs to headrace {having[0]}." if len(having) == 1 else ""
        if Path(wrong).suffix in (".h5", ".hdf5"):
            return f" Did you mean --data {wrong}?"
        if Path(wrong).suffix == ".toml":
            return f" Did you mean --config {wrong}?"
        close = difflib.get_close_matches(wrong, commands, n=1)
        return f" Did you mean {close[0]}?" if close else ""


def command_parser() -> _Parser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="headrace",
        description="Train Keras models on windowed sensor recordings larger than memory.",
        epilog="Exit codes: 0 done, 1 a fault of the program, 2 the input, 130 interrupted, "
        "141 its output was cut off, 143 stopped by SIGTERM.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    parser.set_defaults(debug=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in STAGES.items():
        stage = commands.add_parser(name, help=text, description=as_sentence(text))
        _add_stage_options(stage)
        stage.set_defaults(run=_run_stage)
        if name == "train":
            stage.add_argument("--new", action="store_true", help="train another run")
        if name == "plan":
            stage.add_argument(
                "--measure", action="store_true", help="measure the network's own part first"
            )
            add = stage.add_argument
            add("--workers", type=positive, metavar="K", help="say what K workers would take")
            add("--windows", type=positive, metavar="N", help="of so many windows like these")
        if name in ("features", "verify"):
            _add_cluster(stage)
        if name == "features":
            stage.add_argument(
                "--repair",
                nargs="?",
                const="checksums",
                choices=("checksums", "source"),
                help="mend the store: make those shards anew whose checksums are wrong, or "
                "(--repair=source) that differ from the source",
            )
        if name == "predict":
            stage.add_argument(
                "--output", type=file_path, metavar="FILE", required=True,
                help="what to write: .csv, .parquet or .zarr, and FILE.timeline.csv of recordings",
            )  # fmt: skip
        if name == "verify":
            stage.add_argument(
                "--source", action="store_true", help="make every row anew and compare"
            )
        if name == "ablation":
            _add_extent(stage)
        if name in ("evaluate", "crossval", "ablation", "plan"):
            stage.add_argument(
                "--baseline",
                action="store_true",
                help="plan for extra trees too"
                if name == "plan"
                else "score extra trees on the features too",
            )
    add_commands(commands)
    return parser


def _add_stage_options(stage: argparse.ArgumentParser) -> None:
    add = stage.add_argument
    add("--config", type=file_path, metavar="FILE", help="TOML file; without it, every default")
    add(
        "--data", "--input", type=place, metavar="SOURCE.h5",
        help="the HDF5 source; stages that read the store alone take its name from it",
    )  # fmt: skip
    add(
        "--store",
        type=place,
        metavar="STORE.zarr",
        help="the store, or its address: s3://BUCKET/NAME; default data/NAME.zarr",
    )
    add("--run", type=file_path, metavar="DIR", dest="run_folder", help="the run folder itself")
    add("--budget", metavar="SIZE", help="most memory of the whole process tree: 1.5GiB")
    add(
        "--set", action="append", default=[], metavar="section.key=value", dest="overrides",
        help="override a key of the config (repeatable)",
    )  # fmt: skip
    add("--json", action="store_true", help="print the result as JSON and nothing else")
    add("--quiet", action="store_true", help="print errors only")
    add("--debug", action="store_true", help="show the traceback of an error")


def _add_cluster(stage: argparse.ArgumentParser) -> None:
    add = stage.add_argument
    add("--scheduler", metavar="tcp://HOST:PORT", help="a Dask scheduler whose workers do it")
    add("--local-cluster", type=positive, metavar="N", help="processes on this machine")
    add("--memory-limit", metavar="SIZE", help="of each of them: 600MiB")


def _add_extent(ablation: argparse.ArgumentParser) -> None:
    add = ablation.add_argument
    add(
        "--minutes", type=positive_number, metavar="M",
        help="time of each training, which its epochs fill; default: the configuration's own",
    )  # fmt: skip
    add("--seeds", type=positive, default=1, metavar="N", help="trainings of each (1)")
    add("--crossval", action="store_true", help="test every fold in turn")


def _run_stage(options: argparse.Namespace) -> int:
    from headrace.pipeline.memory.watch import watch_memory

    request = _request(options)
    _refuse_idle(options, request)
    with watch_memory() as use:
        console = dataclasses.replace(request.console, memory=use)
        request = dataclasses.replace(request, console=console, memory=use)
        summary = _stage(options)(request)
    if options.command != "plan":
        _report_memory(options.command, request, use, summary)
    if request.console.json:
        print(json.dumps(summary, indent=1))
    return int(summary.pop("exit_code", DONE))


def _refuse_idle(options: argparse.Namespace, request: Request) -> None:
    """Refuse what would have no effect, or names nothing.

    Raises:
        UserError: in its own words.
    """
    command = options.command
    kept = READ_WITH_RUN.get(command)
    if kept and request.run is not None:
        from headrace.pipeline.runs.folder import RunFolder
        from headrace.pipeline.runs.record import flat_table, recorded_config

        run = RunFolder(request.run)
        keys = [override.partition("=")[0].strip() for override in options.overrides]
        idle = [key for key in keys if key.split(".")[0] not in kept]
        given, trained = (
            dict(flat_table(each.model_dump(mode="json")))
            for each in (request.config, recorded_config(run) if idle else request.config)
        )
        for key in idle:
            if given.get(key) != trained.get(key):
                raise CommandError(
                    f"--set {key} plays no part in {command} --run: {run.path} was trained with "
                    f"{trained.get(key)!r}. Leave it out, or train another run."
                )
    named = (options.config, options.data, options.store, options.run_folder)
    if command in READS_STORE and not any(named) and not request.store.exists():
        raise CommandError("No store is named. Name it: --config, --data or --store.")


def _stage(options: argparse.Namespace) -> Callable[[Request], dict[str, Any]]:
    """The function behind a command; each imports what it needs and no more."""
    match options.command:
        case "features":
            if options.repair:
                from headrace.pipeline.repair.stage import run_repair

                return lambda request: run_repair(request, options.repair)
            from headrace.pipeline.features.stage import run_features

            return run_features
        case "train":
            from headrace.pipeline.training.stage import run_train

            return run_train
        case "evaluate":
            from headrace.pipeline.evaluation.stage import run_evaluate

            return lambda request: run_evaluate(request, baseline=options.baseline)
        case "crossval":
            from headrace.pipeline.experiments.crossval import run_crossval

            return lambda request: run_crossval(request, baseline=options.baseline)
        case "ablation":
            from headrace.pipeline.experiments.ablation import Extent, run_ablation

            extent = Extent(options.minutes, options.seeds, options.crossval, options.baseline)
            return lambda request: run_ablation(request, extent)
        case "predict":
            from headrace.pipeline.prediction.stage import run_predict

            return lambda request: run_predict(request, options.output)
        case "plan":
            from headrace.pipeline.commands.plan import run_plan

            return lambda request: run_plan(
                request,
                baseline=options.baseline,
                measure=options.measure,
                workers=options.workers,
                windows=options.windows,
            )
        case "inspect":
            from headrace.pipeline.commands.inspect import run_inspect

            return run_inspect
        case _:
            from headrace.pipeline.repair.verify import run_verify

            return lambda request: run_verify(request, with_source=options.source)


def _request(options: argparse.Namespace) -> Request:
    from headrace.pipeline.config.load import load_config
    from headrace.pipeline.console import Console
    from headrace.pipeline.request import Request

    overrides = [*options.overrides]
    if options.budget:
        overrides.append(f"memory.budget={json.dumps(options.budget)}")
    # Into the config too: there a stage can tell what was named from what is a default.
    for key, path in (("data", options.data), ("store", options.store)):
        if path:
            overrides.append(f"paths.{key}={json.dumps(str(path), ensure_ascii=False)}")
    for key, option in CLUSTER_OPTIONS.items():
        if value := getattr(options, option, None):
            overrides.append(f"{key}={json.dumps(value)}")
    named = options.store or options.data
    config = load_config(options.config, overrides, named.stem if named else None)
    return Request(
        config=config,
        data=config.paths.data,
        store=config.paths.store or Path("data") / f"{config.name}.zarr",
        run=options.run_folder,
        console=Console(quiet=options.quiet, json=options.json),
        new=getattr(options, "new", False),
    )


def _report_memory(stage: str, request: Request, use: MemoryUse, summary: dict[str, Any]) -> None:
    """Say what was held, and keep its course where the stage left its result."""
    from headrace.pipeline.memory.record import record_of, record_path, write_record
    from headrace.stores.text import format_bytes

    memory = summary.setdefault("memory", {})
    memory |= {
        "measured_peak": use.peak,
        "mapped_files_peak": use.mapped_peak,
        "page_cache_peak": use.cache_peak,
    }
    projected = memory.get("projected")
    if projected and stage in RECORDED:
        run = summary.get("run")
        path = record_path(stage, None if run is None else Path(run), request.store)
        write_record(path, record_of(stage, memory["budget"], projected, use))
    request.console.say(
        f"Memory: {format_bytes(use.peak)} measured at the peak"
        + (f", {format_bytes(projected)} projected" if projected else "")
        + " (whole process tree, anonymous + shared; apart: mapped files "
        + format_bytes(use.mapped_peak)
        + (f", page cache {format_bytes(use.cache_peak)}" if use.cache_peak else "")
        + ")."
    )


class _Version(argparse.Action):
    """Looks the version up only when asked: importlib.metadata costs 20 ms."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"headrace {version('headrace')}")
        parser.exit()
