"""The report of a network on a source that its run did not see, beside the run's own report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.config.load import config_bytes, toml_value
from headrace.pipeline.evaluation.html_page import html_page
from headrace.pipeline.evaluation.report import (
    DRAWN_MISTAKES,
    figures_of,
    mistakes_figure,
    tables_of,
)
from headrace.pipeline.runs.record import json_bytes, recorded_versions
from headrace.stores.errors import CommandError, DiskError
from headrace.stores.io import disk
from headrace.stores.units import in_units

if TYPE_CHECKING:
    from headrace.pipeline.evaluation.applied import Applied
    from headrace.pipeline.evaluation.metrics import ClassifierScores
    from headrace.pipeline.request import Request


def require_page(output: Path | None) -> None:
    """Check that a page can be what is asked for, before anything is scored.

    Raises:
        UserError: it cannot.
    """
    if output is not None and (output.suffix != ".html" or output.is_dir()):
        raise CommandError(
            f"--output {output} cannot be the report, which is one HTML file. Name it: "
            "--output REPORT.html"
        )


def write_source_report(
    applied: Applied,
    scores: ClassifierScores,
    notes: Sequence[str],
    request: Request,
    output: Path | None,
) -> Path | None:
    """Write a page, and the scores as JSON beside it.

    Args:
        applied: the network and the source, which is still open.
        scores: of one on the other.
        notes: what a reader must know first.
        request: names both.
        output: the page; None: in the folder of the run, named after the content of the source.

    Returns:
        Where the page is; None where the run's folder cannot be written, which is printed.

    Raises:
        UserError: `output` cannot be written.
    """
    source, fingerprint = applied.source, applied.source.fingerprint()
    found = {"network": str(applied.run.path), "source": str(source.path), "content": fingerprint}
    page = output or applied.run.source_report(fingerprint)
    figures = figures_of(scores)
    if not source.grouped:
        del figures["groups"]
    if scores.mistakes:
        figures["mistakes"] = _mistakes(applied, scores)
    content = html_page(
        "new_source.html.j2",
        title=f"{applied.config.name}: {source.path.name}",
        notes=notes,
        scores=scores,
        found=found,
        tables=tables_of(scores, {"plain": scores}),
        figures=figures,
        versions=[f"{name} {found}" for name, found in recorded_versions(applied.run).items()],
        command=_command(request),
        config=config_bytes(applied.config.model_copy(update={"source": source.options})).decode(),
    )
    try:
        disk.write_bytes(
            page.with_suffix(".json"), json_bytes(found | {"plain": scores.as_table()})
        )
        disk.write_bytes(page, content)
    except DiskError as error:
        if output is not None:
            raise
        request.console.say(f"No report: {error} Or name another place: --output REPORT.html")
        return None
    return page


def _mistakes(applied: Applied, scores: ClassifierScores) -> bytes:
    """The windows of the most confident mistakes, read once more from the source."""
    source, stored = applied.source, applied.inputs.spec.dtype
    windows: dict[int, NDArray[np.floating]] = {}
    for each in scores.mistakes[:DRAWN_MISTAKES]:
        values = source.read_windows(each.source_index, each.source_index + 1)
        windows[each.source_index] = in_units(values.astype(stored), source.spec.scale)[0]
    time_s = np.arange(source.spec.time) / source.spec.rate_hz
    return mistakes_figure(scores.mistakes, windows, time_s, source.spec.units)


def _command(request: Request) -> str:
    """The command that scores it again."""
    given = request.config.source
    words = ["headrace", "evaluate", "--run", str(request.run), "--data", str(request.data)]
    for key in sorted(given.model_fields_set):
        words += ["--set", f"source.{key}={toml_value(getattr(given, key))}"]
    return shlex.join(words)
