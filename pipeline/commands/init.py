"""A commented first configuration for a file that nobody has described."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.pipeline.commands.guess import Guess, guess_config
from headrace.pipeline.config.load import load_config, toml_value
from headrace.stores.errors import DOCS, CommandError, UserError
from headrace.stores.io import disk
from headrace.stores.source.notes.note import Note
from headrace.stores.source.probe import look_at, open_stranger
from headrace.stores.text import in_one_line

if TYPE_CHECKING:
    from headrace.pipeline.console import Console


def run_init(data: Path, output: Path, console: Console) -> dict[str, Any]:
    """Write a commented configuration for `data`, and say what is not sure.

    Args:
        data: an HDF5 file.
        output: the TOML file to write; not there yet.
        console: where to speak.

    Returns:
        JSON-able: config, unsure, notes, and why the file cannot be used so (or None).

    Raises:
        UserError: the file is not HDF5, has no dataset that may be signals, or `output` exists.
    """
    contents = look_at(data)
    if output.exists():
        raise CommandError(f"{output} is there already. Name another --output.")
    guess = guess_config(contents, str(data))
    content = config_text(guess, data, output.stem)
    disk.write_bytes(output, content.encode())
    problem, notes = _problem(output, data)
    for doubt in guess.unsure:
        console.say(f"Not sure: {in_one_line(doubt)}")
    for note in notes:
        console.say(str(note))
    if problem:
        console.say(f"Written: {output}. It cannot be used yet: {in_one_line(problem)}")
    else:
        console.say(f"Written: {output}. Look at it, then run")
        for stage in ("features", "train", "evaluate"):
            console.say(f"  headrace {stage} --config {output}")
    return {
        "config": str(output),
        "unsure": guess.unsure,
        "problem": problem,
        "notes": [note.as_table() for note in notes],
    }


def config_text(guess: Guess, data: Path, name: str) -> str:
    """The guess as TOML with comments."""
    lines = [
        f"# A first configuration for {data.name}. What is not sure is marked with ???.",
        f"name = {toml_value(name)}",
        "",
        "[paths]",
        f"data = {toml_value(data)}",
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


def _problem(config: Path, data: Path) -> tuple[str | None, tuple[Note, ...]]:
    """Why the file cannot be used as the configuration says, in one line; and its notes."""
    try:
        with open_stranger(data, load_config(config).source) as source:
            count = len(source.groups)
            if source.grouped and count < 3:
                few = f"{count} groups are too few: a fold each to train, validate and test."
                return few, source.notes
            return None, source.notes
    except UserError as error:
        return str(error), ()
