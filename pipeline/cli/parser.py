"""The commands, their options, and the parser that is made of them. Light to import."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from headrace.pipeline.cli.arguments import Once, file_path, place, positive, positive_number
from headrace.pipeline.cli.option import Command, Option, flag
from headrace.pipeline.process import exit_codes

JSON = flag("--json", help="print the result as JSON and nothing else")
QUIET = flag("--quiet", help="print errors only")
DEBUG = flag("--debug", help="show the traceback of an error")
STAGE_OPTIONS = (
    Option("--config", type=file_path, metavar="FILE", help="TOML file; without it, every default"),
    Option(
        "--data", "--input", type=place, metavar="SOURCE.h5", key="paths.data",
        help="the source; stages that read the store alone take its name from it",
    ),
    Option(
        "--store", type=place, metavar="STORE.zarr", action="append",
        help="the store, or its address: s3://BUCKET/NAME; default data/NAME.zarr; given several "
        "times, they are read as one",
    ),
    Option("--run", type=file_path, metavar="DIR", dest="run_folder", help="the run folder itself"),
    Option(
        "--budget", metavar="SIZE", key="memory.budget",
        help="most memory of the whole process tree: 1.5GiB",
    ),
    Option(
        "--set", action="append", default=[], metavar="section.key=value", dest="overrides",
        help="override a key of the config (repeatable)",
    ),
    JSON,
    QUIET,
    DEBUG,
)  # fmt: skip
CLUSTER_OPTIONS = (
    Option(
        "--scheduler", metavar="tcp://HOST:PORT", key="cluster.scheduler",
        help="a Dask scheduler whose workers do it",
    ),
    Option(
        "--local-cluster", type=positive, metavar="N", key="features.workers",
        help="processes on this machine",
    ),
    Option(
        "--memory-limit", metavar="SIZE", key="cluster.memory_limit",
        help="of each of them: 600MiB",
    ),
)  # fmt: skip
SCORES = (
    *("accuracy", "macro_f1", "views_accuracy", "views_macro_f1"),
    *("val_loss", "val_accuracy", "val_macro_f1"),
)
"""What `runs` can be sorted by."""
BASELINE = flag("--baseline", help="score extra trees on the features too")


def _stage(name: str, help: str, *own: Option) -> Command:
    return Command(name, help, "headrace.pipeline.cli.stages:run_stage", (*STAGE_OPTIONS, *own))


def _other(name: str, help: str, *options: Option) -> Command:
    return Command(name, help, f"headrace.pipeline.cli.commands:{name}", options)


_ALL = (
    _stage(
        "features", "extract features from a source into a Zarr store",
        *CLUSTER_OPTIONS,
        Option(
            "--repair", nargs="?", const="checksums", choices=("checksums", "source"),
            help="mend the store: make those shards anew whose checksums are wrong, or "
            "(--repair=source) that differ from the source",
        ),
        flag("--append", help="add the source to the store that stands, as one more part"),
        flag("--compact", help="make one store of the parts of one that grew"),
        Option(
            "--output", type=file_path, metavar="STORE.zarr",
            help="where --compact puts it; default: in place of the parts",
        ),
    ),
    _stage("train", "train on a store", flag("--new", help="train another run")),
    _stage(
        "evaluate", "score a run on its test folds, or on a labelled source that it did not see",
        BASELINE,
        Option(
            "--output", type=file_path, metavar="REPORT.html",
            help="the report on such a source; default RUN/sources/CONTENT.html",
        ),
    ),
    _stage("crossval", "train and evaluate every fold of groups, over the same store", BASELINE),
    _stage(
        "ablation", "train with and without each part of a configuration: what is each worth?",
        Option(
            "--minutes", type=positive_number, metavar="M",
            help="time of each training, which its epochs fill; default: the configuration's own",
        ),
        Option("--seeds", type=positive, default=1, metavar="N", help="trainings of each (1)"),
        flag("--crossval", help="test every fold in turn"),
        BASELINE,
    ),
    _stage(
        "predict", "predict the windows of an unlabelled source with a trained run",
        Option(
            "--output", type=file_path, metavar="FILE", required=True,
            help="what to write: .csv, .parquet or .zarr, and FILE.timeline.csv of recordings",
        ),
    ),
    _stage(
        "plan", "show what every stage will hold in memory, before any starts",
        flag("--measure", help="measure the network's own part first"),
        Option("--workers", type=positive, metavar="K", help="say what K workers would take"),
        Option("--windows", type=positive, metavar="N", help="of so many windows like these"),
        flag("--baseline", help="plan for extra trees too"),
    ),
    _stage("inspect", "show what a store holds"),
    _stage(
        "verify", "check a store: shapes, checksums, each window once, moments recomputed",
        *CLUSTER_OPTIONS,
        flag("--source", dest="with_source", help="make every row anew and compare"),
    ),
    _other(
        "init", "look at files of any format, and write a commented first configuration for them",
        Option(
            "data", type=place, metavar="SOURCE",
            help="a file, a folder or a glob, or its address: s3://BUCKET/NAME",
        ),
        Option("--output", type=file_path, metavar="FILE.toml", help="SOURCE.toml here"),
        JSON,
        QUIET,
        DEBUG,
    ),
    _other(
        "runs", "list the runs in a folder: state, scores, size, store, the latest first",
        Option(
            "folder", type=file_path, nargs="?", metavar="FOLDER", default=Path("runs"),
            help="where to look (runs)",
        ),
        Option(
            "--sort", choices=SCORES, help="the best first: of test folds, views averaged "
            "(views_) or validation (val_)",
        ),
        flag("--all", help="print all, not a screen"),
        JSON,
        QUIET,
        DEBUG,
    ),
    _other(
        "compare",
        "show runs, or cross-validations, side by side, and whether differences may be chance",
        Option(
            "runs", type=file_path, nargs="+", metavar="RUN",
            help="folders of evaluated runs, or of cross-validations",
        ),
        JSON,
        QUIET,
        DEBUG,
    ),
    _other(
        "export", "write one folder with a run's model, inputs, normalisation and scores",
        Option(
            "--run", type=file_path, dest="run_folder", metavar="DIR", required=True,
            help="the run",
        ),
        Option("--output", type=file_path, metavar="DIR", required=True, help="a new folder"),
        JSON,
        QUIET,
        DEBUG,
    ),
    _other(
        "synth", "write a learnable synthetic source of any size, in constant memory",
        Option("--windows", type=positive, required=True, metavar="N", help="windows"),
        Option(
            "--length", type=positive, default=128, metavar="T", help="samples of a window (128)"
        ),
        Option("--channels", type=positive, default=9, metavar="C", help="channels (9)"),
        Option("--groups", type=positive, default=20, metavar="G", help="groups (20)"),
        Option("--layout", choices=("windows", "recordings"), default="windows", help="(windows)"),
        Option("--rate", type=positive_number, metavar="HZ", help="(50; recordings: T / 2.56)"),
        Option("--seed", type=int, default=0, help="seed (0)"),
        Option(
            "--output", type=file_path, required=True, metavar="FILE",
            help="the HDF5 file to write",
        ),
        QUIET,
        DEBUG,
    ),
    _other(
        "doctor", "print what a bug report needs",
        flag("--devices", help="ask TensorFlow for its devices"),
        JSON,
        DEBUG,
    ),
)  # fmt: skip
COMMANDS = {command.name: command for command in _ALL}
"""By name, in the order of `headrace --help`."""


def command_parser(chosen: str = "") -> argparse.ArgumentParser:
    """The parser of the whole command line.

    Args:
        chosen: the command that will be parsed, if it is one: hints are about it.
    """
    parser = _Parser(
        prog="headrace",
        description="Train Keras models on windowed sensor recordings larger than memory.",
        epilog=f"Exit codes: {exit_codes.in_words()}.",
    )
    parser.chosen = chosen
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    parser.set_defaults(debug=False, json=False, quiet=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in COMMANDS.values():
        text = command.help
        own = commands.add_parser(command.name, help=text, description=as_sentence(text))
        for option in command.options:
            once = {"action": Once} if option.named else {}
            own.add_argument(*option.names, help=option.help, **once | option.settings)
    return parser


def as_sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('?') else '.'}"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the closest name that there is."""

    chosen = ""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        from headrace.pipeline.cli.redact import without_secrets

        unknown = re.search(r"(?:unrecognized arguments:|invalid choice:) '?([^\s']+)", message)
        hint = _hint(unknown[1], COMMANDS.get(self.chosen)) if unknown else ""
        text = without_secrets(message.split(" (choose from")[0])
        command = f" {self.chosen}" if self.chosen else ""
        self.exit(
            exit_codes.USERS_INPUT, f"headrace: {text}.{hint} See: {self.prog}{command} --help\n"
        )


def _hint(wrong: str, command: Command | None) -> str:
    """What may have been meant, in place of a word that nobody knows."""
    name = wrong.partition("=")[0]
    if wrong.startswith("-"):
        return _option_hint(name, command)
    if Path(wrong).suffix in (".h5", ".hdf5"):
        return f" Did you mean --data {wrong}?"
    if Path(wrong).suffix == ".toml":
        return f" Did you mean --config {wrong}?"
    return _closest(name, COMMANDS)


def _option_hint(name: str, command: Command | None) -> str:
    from headrace.pipeline.config.load import keys_called

    own = command.option_names if command else ["-h", "--help", "--version"]
    if close := _closest(name, own, cutoff=0.75):
        return close
    if keys := keys_called(name.lstrip("-").replace("-", "_")):
        return f" Did you mean --set {keys[0]}=...?"
    having = [each.name for each in COMMANDS.values() if name in each.option_names]
    return f" It belongs to headrace {having[0]}." if len(having) == 1 else ""


def _closest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f" Did you mean {close[0]}?" if close else ""


class _Version(argparse.Action):
    """Looks the version up only when asked: importlib.metadata costs 20 ms."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"headrace {version('headrace')}")
        parser.exit()
