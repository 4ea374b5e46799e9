"""A commented first configuration for files that nobody has described."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.pipeline.commands.guess.columns import tell_null
from headrace.pipeline.commands.guess.config import guess_config
from headrace.pipeline.commands.guess.facts import Guess, shortened
from headrace.pipeline.commands.guess.missing import tell_drop_outs, tell_missing_channels
from headrace.pipeline.commands.guess.rate import tell_order
from headrace.pipeline.commands.guess.windows import tell_window
from headrace.pipeline.config.load import config_from_table, load_config, toml_value
from headrace.stores.errors import DOCS, CommandError, UserError
from headrace.stores.io import disk
from headrace.stores.io.places import Place
from headrace.stores.source.notes.note import Note
from headrace.stores.source.probe.missing import non_finite_windows
from headrace.stores.source.probe.probe import (
    look_at,
    look_at_missing,
    look_at_stretches,
    open_stranger,
)
from headrace.stores.text import counted, in_one_line

if TYPE_CHECKING:
    from headrace.pipeline.console import Console

MOST_LINES, LINE = 8, 240
"""Of doubts and notes that are printed, and letters of each: a screen in all."""


def run_init(data: Place, output: Path, console: Console) -> dict[str, Any]:
    """Write a commented configuration for `data`, and say what is not sure.

    Args:
        data: a file of any format, a folder, a glob, a table of files, or an address of these.
        output: the TOML file to write; not there yet.
        console: where to speak.

    Returns:
        JSON-able: config, unsure, notes, what the source then gives (or None), and why it cannot
        be used so (or None).

    Raises:
        UserError: nothing there can be read, nothing may be signals, or `output` exists.
    """
    if output.exists():
        raise CommandError(f"{output} is there already. Name another --output.")
    guess = guess_config(look_at(data), str(data))
    _tell_window(guess, data)
    _tell_missing(guess, data)
    disk.write_bytes(output, config_text(guess, data, output.stem).encode())
    problem, gives, notes = _tried(output, data)
    problem = guess.refused or problem
    _say(console, guess, notes, gives)
    if problem is None:
        console.say(f"Written: {output}. Look at it, then run")
        for stage in ("features", "train", "evaluate"):
            console.say(f"  headrace {stage} --config {output}")
    return {
        "config": str(output),
        "unsure": guess.unsure,
        "problem": problem,
        "gives": gives,
        "notes": [note.as_table() for note in notes],
    }


def config_text(guess: Guess, data: Place, name: str) -> str:
    """The guess as TOML with comments."""
    lines = [
        f"# A first configuration for {in_one_line(data.name)}. What is not sure is marked ???.",
        f"name = {toml_value(name)}",
        "",
        "[paths]",
        f"data = {toml_value(str(data))}",
        "",
        "[source]",
        *(f"# {in_one_line(note)}" for note in guess.notes),
        *_section(guess.source),
        f"# All other keys: {DOCS / 'reference' / 'configuration.md'}",
        "",
        "[features]",
        *_section(guess.features),
        "",
        "[train]",
        "# epochs = 30",
        "",
    ]
    return "\n".join(lines)


def _section(keys: dict[str, tuple[Any, str]]) -> list[str]:
    lines = []
    for key, (value, comment) in keys.items():
        given = f"# {key} = ???" if value is None else f"{key} = {toml_value(value)}"
        lines.append(f"{given}  # {in_one_line(comment)}")
    return lines


def _tell_window(guess: Guess, data: Place) -> None:
    """Add the window's length and the label rule, of what is cut into windows."""
    if "windows" in guess.source:
        return
    given = {key: value for key, (value, _) in guess.source.items() if value is not None}
    given = {**guess.likely, **given}
    rate, stretches = given.get("rate_hz"), None
    asked = "rate_hz" in guess.source and rate is None
    if asked:
        given["rate_hz"] = 1.0
    # Groups may cut recordings; where they are not known yet, labels last as long without them.
    without = {key: value for key, value in given.items() if key != "groups"}
    tries = [given, {**without, "split_by_window": True}]
    while tries:
        keys = tries.pop(0)
        try:
            options = config_from_table({"source": keys}, "init").source
            stretches = look_at_stretches(data, options)
        except UserError as error:  # It is said once the file is written.
            if tell_order(guess, str(error)):
                tries = [{**each, "time_order": "sort"} for each in (keys, *tries)]
            continue
        rate = None if asked else stretches.rate_hz
        break
    # Without the rate seconds are no number of rows.
    in_seconds = asked and given.get("intervals", {"unit": "rows"}).get("unit") != "rows"
    tell_window(guess, rate, None if in_seconds else stretches)
    if stretches is not None:
        tell_null(guess, stretches.counts)


def _tell_missing(guess: Guess, data: Place) -> None:
    """Add what to do with NaN, if the source can be opened so far."""
    for found in (tell_missing_channels, tell_drop_outs):
        try:
            options = config_from_table({"source": _given(guess)}, "init").source
            missing = look_at_missing(data, options)
        except UserError:  # It is said once the file is written.
            return
        found(guess, missing)


def _given(guess: Guess) -> dict[str, Any]:
    """The keys of the source that are set, and stand-ins for what is asked for."""
    given = {key: value for key, (value, _) in guess.source.items() if value is not None}
    if guess.source.get("rate_hz", (0, ""))[0] is None:
        given["rate_hz"] = 1.0
    if guess.source.get("groups", (0, ""))[0] is None:
        given["split_by_window"] = True
    if guess.source.get("labels", (0, ""))[0] is None:
        given["labels"] = ""
    return given


def _tried(config: Path, data: Place) -> tuple[str | None, dict[str, Any] | None, tuple[Note, ...]]:
    """Why the file cannot be used as the configuration says, in one line; what it gives; notes."""
    try:
        with open_stranger(data, load_config(config).source) as source:
            gives = {
                "windows": source.windows,
                "shape": list(source.spec.shape),
                "rate_hz": source.spec.rate_hz,
                "classes": len(source.classes),
                "target": source.target.described,
                "groups": len(source.groups) if source.grouped else None,
            }
            bad, looked = non_finite_windows(source)
            if looked and bad == looked:
                nothing = f"all {looked:,} windows that were looked at hold NaN or infinity."
                return nothing, gives, source.notes
            count = len(source.groups)
            if source.grouped and count < 3:
                few = f"{count} groups are too few: a fold each to train, validate and test."
                return few, gives, source.notes
            return None, gives, source.notes
    except UserError as error:
        return str(error), None, ()


def _say(
    console: Console, guess: Guess, notes: tuple[Note, ...], gives: dict[str, Any] | None
) -> None:
    """Print warnings, doubts and notes, at most a screen of them."""
    lines = [str(note) for note in notes if note.warning]
    lines += [f"Not sure: {in_one_line(doubt)}" for doubt in guess.unsure]
    lines += [str(note) for note in notes if not note.warning]
    for line in lines[:MOST_LINES]:
        console.say(_cut(line))
    if len(lines) > MOST_LINES:
        console.say(f"And {len(lines) - MOST_LINES} more lines of that kind: --json lists them.")
    if gives is not None:
        time, channels = gives["shape"]
        groups = "" if gives["groups"] is None else f", {counted(gives['groups'], 'group')}"
        console.say(
            f"Found: {counted(gives['windows'], 'window')} of {time} samples at "
            f"{gives['rate_hz']:g} Hz, {counted(channels, 'channel')}, "
            f"{gives['target']}{groups}."
        )


def _cut(line: str) -> str:
    """A line that ends at a word, if that is near the most that is shown."""
    cut = textwrap.shorten(line, LINE, placeholder=" ...")
    return cut if len(line) <= LINE or len(cut) > LINE // 2 else shortened(line, LINE)
