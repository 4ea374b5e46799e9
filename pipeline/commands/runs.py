"""The runs command: what was trained or cross-validated, how far it is, and what it reached."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.pipeline.experiments.found_runs import FoundCrossval, FoundRun, find_runs
from headrace.stores.text import counted, in_one_line, listed

if TYPE_CHECKING:
    from headrace.pipeline.console import Console

COLUMNS = (
    *("run", "config", "state", "best epoch", "validation", "test", "views"),
    *("parameters", "store", "changed"),
)
F = TypeVar("F", FoundRun, FoundCrossval)
CROSSVAL_COLUMNS = ("cross-validation", "config", "state", "mean of folds, views", "changed")
SURROUNDINGS = 8
"""Lines of a screen that are not rows: the table's own, what is printed below, the prompt."""
LEAST_ROWS, MOST_NAMED = 5, 4
LEFT_OUT = ("store", "parameters", "config", "best epoch", "views", "validation")
"""Columns that a narrow terminal does without, the first first."""


def run_runs(folder: Path, sort: str | None, every: bool, console: Console) -> dict[str, Any]:
    """Print the runs below a folder: accuracy and macro-F1 of validation and test folds.

    Cross-validations have a table of their own, with the means of their folds.

    Args:
        folder: to look in.
        sort: a name of `FoundRun.scores`, the best first; None: the latest change first.
        every: print all of them, not a screen.
        console: where to speak.

    Returns:
        JSON-able: all `runs` in that order, and `crossvals`; `damaged`, folder -> why it cannot be
        read; and `foreign` folders, in which there is no run.

    Raises:
        UserError: there is no such folder.
    """
    found = find_runs(folder)
    runs, crossvals = _in_order(found.runs, sort), _in_order(found.crossvals, sort)
    lines = shutil.get_terminal_size().lines - SURROUNDINGS - min(len(crossvals), LEAST_ROWS)
    most = len(runs) if every else max(LEAST_ROWS, lines)
    if runs:
        rows = [_cells(each) for each in runs[:most]]
        absent = _left_out(console.width, rows)
        kept = [place for place, name in enumerate(COLUMNS) if name not in absent]
        title = f"{counted(len(runs), 'run')} in {folder}: accuracy in % / macro-F1"
        columns = [COLUMNS[place] for place in kept]
        console.table(title, columns, [[row[place] for place in kept] for row in rows])
        if absent:
            console.say(f"Too narrow for {', '.join(absent)}: --json has all.")
    elif not crossvals:
        console.say(f"There is no run in {folder}. Train one: headrace train")
    if len(runs) > most:
        console.say(f"{len(runs) - most:,} more: --all prints them, --sort SCORE the best first.")
    _print_crossvals(crossvals, folder, every, console)
    for path, why in list(found.damaged.items())[:MOST_NAMED]:
        console.say(in_one_line(f"Damaged: {path}: {why}"))
    if len(found.damaged) > MOST_NAMED:
        console.say(f"{len(found.damaged) - MOST_NAMED:,} more are damaged: --json names them.")
    if runs and found.foreign:
        console.say(in_one_line(f"No run in {listed(found.foreign)}."))
    return {
        "runs": [_table(each) for each in runs],
        "crossvals": [
            {
                "crossval": str(each.folder),
                "config": each.name,
                "state": each.state,
                "scores": each.scores(),
                "changed": _moment(each),
            }
            for each in crossvals
        ],
        "damaged": found.damaged,
        "foreign": found.foreign,
    }


def _print_crossvals(
    found: Sequence[FoundCrossval], folder: Path, every: bool, console: Console
) -> None:
    if not found:
        return
    rows = [
        (
            in_one_line(str(each.folder)),
            in_one_line(each.name),
            each.state,
            _pair(each.scores(), "views_"),
            _day(each),
        )
        for each in found[: None if every else LEAST_ROWS]
    ]
    title = f"{counted(len(found), 'cross-validation')} in {folder}: accuracy in % / macro-F1"
    console.table(title, CROSSVAL_COLUMNS, rows)
    if len(found) > len(rows):
        console.say(f"{len(found) - len(rows):,} more: --all prints them.")


def _left_out(width: int, rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns that do not fit a line of `width` letters."""
    needed = {
        name: 3 + max(len(cell) for cell in (name, *cells))
        for name, *cells in zip(COLUMNS, *rows, strict=True)
    }
    absent: list[str] = []
    for name in LEFT_OUT:
        if 1 + sum(needed.values()) > width:
            absent.append(name)
            del needed[name]
    return absent


def _in_order(found: Sequence[F], sort: str | None) -> list[F]:
    """The best first, runs without that score last; the latest first where that is equal."""
    latest = sorted(found, key=lambda each: (-each.changed, str(each.folder)))
    if sort is None:
        return latest
    sign = 1 if sort == "val_loss" else -1
    return sorted(latest, key=lambda each: sign * each.scores().get(sort, sign * math.inf))


def _cells(each: FoundRun) -> tuple[str, ...]:
    scores, (done, wanted) = each.scores(), each.epochs
    state = f"interrupted at {done}/{wanted}" if each.state == "interrupted" else each.state
    return (
        in_one_line(str(each.run.path)),
        in_one_line(each.name),
        state,
        f"{each.best['epoch']:.0f}" if each.best else "",
        *(_pair(scores, prefix) for prefix in ("val_", "", "views_")),
        "" if each.parameters is None else f"{each.parameters:,}",
        in_one_line(Path(each.store).name),
        _day(each),
    )


def _day(each: FoundRun | FoundCrossval) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(each.changed))


def _moment(each: FoundRun | FoundCrossval) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(each.changed))


def _pair(scores: dict[str, float], prefix: str) -> str:
    accuracy, macro_f1 = (scores.get(f"{prefix}{key}") for key in ("accuracy", "macro_f1"))
    if accuracy is None or macro_f1 is None:
        return ""
    return f"{100 * accuracy:.1f} / {macro_f1:.3f}".replace("/ 0.", "/ .")


def _table(each: FoundRun) -> dict[str, Any]:
    done, wanted = each.epochs
    return {
        "run": str(each.run.path),
        "config": each.name,
        "state": each.state,
        "epochs": done,
        "epochs_wanted": wanted,
        "best_epoch": int(each.best["epoch"]) if each.best else None,
        "scores": each.scores(),
        "parameters": each.parameters,
        "store": each.store,
        "fingerprint": each.fingerprint,
        "changed": _moment(each),
    }
