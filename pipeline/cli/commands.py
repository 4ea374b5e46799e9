"""Commands that are no stages: what each runs, and its result as JSON. Light to import."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.stores.errors import CommandError

if TYPE_CHECKING:
    from headrace.pipeline.console import Console


def init(options: argparse.Namespace) -> dict[str, Any]:
    """Write a first configuration.

    Raises:
        UserError: it was written, and cannot be used yet.
    """
    from headrace.pipeline.commands.init import run_init
    from headrace.stores.source.file_patterns import stem_of

    output = options.output or Path(f"{stem_of(str(options.data))}.toml")
    result = run_init(options.data, output, _to(options))
    if result["problem"] is not None:
        _to(options).result(result)
        raise CommandError(
            f"{output} is written, but cannot be used yet: {result['problem']} What to look at is "
            "marked ??? in it."
        )
    return result


def runs(options: argparse.Namespace) -> dict[str, Any]:
    """List the runs in a folder."""
    from headrace.pipeline.commands.runs import run_runs

    return run_runs(options.folder, options.sort, options.all, _to(options))


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Show evaluated runs, or cross-validations, side by side."""
    from headrace.pipeline.experiments.compare import run_compare

    return run_compare(options.runs, _to(options))


def export(options: argparse.Namespace) -> dict[str, Any]:
    """Write a run's model and all that belongs to it."""
    from headrace.pipeline.commands.export import run_export

    return run_export(options.run_folder, options.output, _to(options))


def synth(options: argparse.Namespace) -> dict[str, Any]:
    """Write a synthetic source; nothing else is written over.

    Raises:
        UserError: something else is there.
    """
    from headrace.stores.datasets.synthetic import is_synthetic, write_synthetic

    output, shape = options.output, (options.length, options.channels)
    if output.exists() and output.stat().st_size and not is_synthetic(output):
        raise CommandError(f"{output} exists and is not a synthetic source. Name another --output.")
    console, window = _to(options), 4 * options.length * options.channels
    with console.progress("synth", options.windows, window, passing=True) as progress:
        write_synthetic(
            output,
            options.windows,
            *shape,
            groups=options.groups,
            layout=options.layout,
            rate_hz=options.rate,
            seed=options.seed,
            advance=progress.advance,
        )
    console.say(f"{output}: {options.windows:,} windows of {shape[0]} x {shape[1]}")
    return {"source": str(output)}


def doctor(options: argparse.Namespace) -> dict[str, Any]:
    """Report what this machine and this installation are."""
    from headrace.pipeline.commands.doctor import report_lines, run_doctor

    report, console = run_doctor(devices=options.devices), _to(options)
    for line in report_lines(report):
        console.say(line)
    return report


def _to(options: argparse.Namespace) -> Console:
    from headrace.pipeline.console import Console

    return Console(quiet=options.quiet, json=options.json)
