"""Commands that are no stages: their options, and what they run. Light to import."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.stores.errors import CommandError

if TYPE_CHECKING:
    from headrace.stores.io.places import Place

DONE = 0


def add_commands(commands: Any) -> None:
    """Add init, compare, export, synth and doctor to argparse's subparsers."""
    text = "look at an HDF5 file, and write a commented first configuration for it"
    init = commands.add_parser("init", help=text, description=as_sentence(text))
    init.add_argument("data", type=file_path, metavar="SOURCE.h5", help="the file to look at")
    init.add_argument("--output", type=file_path, metavar="FILE.toml", help="SOURCE.toml here")
    init.set_defaults(run=_run_init)
    text = "show evaluated runs side by side, and whether their difference may be chance"
    compare = commands.add_parser("compare", help=text, description=as_sentence(text))
    compare.add_argument("runs", type=file_path, nargs="+", metavar="RUN", help="run folders")
    compare.set_defaults(run=_run_compare)
    text = "write one folder with a run's model, inputs, normalisation and scores"
    export = commands.add_parser("export", help=text, description=as_sentence(text))
    add = export.add_argument
    add("--run", type=file_path, dest="run_folder", metavar="DIR", required=True, help="the run")
    add("--output", type=file_path, metavar="DIR", required=True, help="a new folder")
    export.set_defaults(run=_run_export)
    for parser in (init, compare, export):
        parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
        parser.add_argument("--quiet", action="store_true", help="print errors only")
        parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    _add_synth(commands)
    doctor = commands.add_parser("doctor", help="print what a bug report needs")
    doctor.add_argument("--devices", action="store_true", help="ask TensorFlow for its devices")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.add_argument("--debug", action="store_true", help="show the traceback of an error")
    doctor.set_defaults(run=_run_doctor)


def file_path(text: str) -> Path:
    """A path, with a name of its own; no address and no control characters."""
    from headrace.stores.io.places import local

    try:
        path = Path(local(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    # Files stand beside a store: "." has to have a name.
    return path if path.name not in ("", "..") else path.resolve()


def place(text: str) -> Place:
    """A path as `file_path` gives it, or the address of an object."""
    from headrace.stores.io.places import place_of

    try:
        found = place_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return found if found.name not in ("", "..") else found.resolve()


def as_sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('?') else '.'}"


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is below 1")
    return value


def positive_number(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _add_synth(commands: Any) -> None:
    text = "write a learnable synthetic source of any size, in constant memory"
    synth = commands.add_parser("synth", help=text, description=as_sentence(text))
    add = synth.add_argument
    add("--windows", type=positive, required=True, metavar="N", help="windows")
    add("--length", type=positive, default=128, metavar="T", help="samples of a window (128)")
    add("--channels", type=positive, default=9, metavar="C", help="channels (9)")
    add("--groups", type=positive, default=20, metavar="G", help="groups (20)")
    add("--layout", choices=("windows", "recordings"), default="windows", help="(windows)")
    add("--seed", type=int, default=0, help="seed (0)")
    add("--output", type=file_path, required=True, metavar="FILE", help="the HDF5 file to write")
    add("--quiet", action="store_true", help="print errors only")
    add("--debug", action="store_true", help="show the traceback of an error")
    synth.set_defaults(run=_run_synth)


def _run_init(options: argparse.Namespace) -> int:
    from headrace.pipeline.commands.init import run_init
    from headrace.pipeline.console import Console

    output = options.output or Path(f"{options.data.stem}.toml")
    console = Console(quiet=options.quiet, json=options.json)
    found = run_init(options.data, output, console)
    if options.json:
        print(json.dumps(found, indent=1))
    return DONE


def _run_compare(options: argparse.Namespace) -> int:
    from headrace.pipeline.console import Console
    from headrace.pipeline.experiments.compare import run_compare

    found = run_compare(options.runs, Console(quiet=options.quiet, json=options.json))
    if options.json:
        print(json.dumps(found, indent=1))
    return DONE


def _run_export(options: argparse.Namespace) -> int:
    from headrace.pipeline.commands.export import run_export
    from headrace.pipeline.console import Console

    console = Console(quiet=options.quiet, json=options.json)
    card = run_export(options.run_folder, options.output, console)
    if options.json:
        print(json.dumps(card, indent=1))
    return DONE


def _run_synth(options: argparse.Namespace) -> int:
    from headrace.pipeline.console import Console
    from headrace.stores.datasets.synthetic import is_synthetic, write_synthetic

    if (
        options.output.exists()
        and options.output.stat().st_size
        and not is_synthetic(options.output)
    ):
        raise CommandError(
            f"{options.output} exists and is not a synthetic source. Name another --output."
        )
    console, window = Console(options.quiet), 4 * options.length * options.channels
    with console.progress("synth", options.windows, window, passing=True) as progress:
        write_synthetic(
            options.output,
            windows=options.windows,
            time=options.length,
            channels=options.channels,
            groups=options.groups,
            layout=options.layout,
            seed=options.seed,
            advance=progress.advance,
        )
    console.say(
        f"{options.output}: {options.windows:,} windows of {options.length} x {options.channels}"
    )
    return DONE


def _run_doctor(options: argparse.Namespace) -> int:
    from headrace.pipeline.commands.doctor import report_lines, run_doctor

    report = run_doctor(devices=options.devices)
    if options.json:
        print(json.dumps(report, indent=1))
        return DONE
    for line in report_lines(report):
        print(line)
    return DONE
