"""What is said of a store before it is made: the notes of its source, and of its features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.pipeline.console import Console
from headrace.pipeline.features.raw_form import raw_notes
from headrace.stores.manifest import Manifest
from headrace.stores.source.notes.note import Note
from headrace.stores.source.source import Source
from headrace.stores.text import counted, listed

SHOWN = 6


def say_notes(source: Source, manifest: Manifest, console: Console) -> None:
    """Print each in a line."""
    for note in notes_of_build(source, manifest):
        console.say(str(note))


def notes_table(source: Source, manifest: Manifest) -> dict[str, Any]:
    """The same, and what the label rule keeps of each class; JSON-able."""
    return {
        "notes": [note.as_table() for note in notes_of_build(source, manifest)],
        "label_rule": [each.as_table() for each in source.label_losses.classes],
    }


def notes_of_build(source: Source, manifest: Manifest) -> list[Note]:
    """Notes of a source, and of a store that is made from it."""
    return [*source.notes, *raw_notes(manifest), *_constant_features(manifest)]


def _constant_features(manifest: Manifest) -> Iterator[Note]:
    """Columns that cannot vary at this rate, in windows this long."""
    if not manifest.config["features"]["select"]:
        return
    from headrace.pipeline.catalogue.columns import Triad
    from headrace.pipeline.catalogue.constant import constant_columns

    channels = manifest.channels
    triads = [
        Triad(name, (channels.index(x), channels.index(y), channels.index(z)), False)
        for name, (x, y, z) in manifest.config["features"]["triads"].items()
    ]
    found = constant_columns(manifest.features, channels, triads, manifest.rate_hz, manifest.time)
    if not found:
        return
    kinds = list(dict.fromkeys(name.rpartition("__")[2] for name in found))
    left_out = ", ".join(f'"!*__{kind}"' for kind in kinds)
    yield Note(
        f"{counted(len(found), 'feature')} of {len(manifest.features):,} cannot vary in windows of "
        f"{manifest.time} samples at {manifest.rate_hz:.4g} Hz: {listed(kinds, SHOWN)} of each "
        "signal. Training reads them as 0. Leave them out with "
        f"features.select = [{left_out}].",
        "features.select",
    )
