"""All notes of a source, warnings first."""

from __future__ import annotations

from headrace.stores.source.labels.losses import LabelLosses
from headrace.stores.source.notes.aside import aside_notes
from headrace.stores.source.notes.attributes import attribute_notes
from headrace.stores.source.notes.labels import label_notes
from headrace.stores.source.notes.names import name_notes
from headrace.stores.source.notes.note import Layout, Note
from headrace.stores.source.notes.signals import signal_notes
from headrace.stores.source.options import SourceOptions


def notes_of(layout: Layout, losses: LabelLosses, options: SourceOptions) -> tuple[Note, ...]:
    """What was seen; bounded in number, and in what is read for it."""
    found = [
        *label_notes(layout, losses, options),
        *layout.noted,
        *name_notes(layout.columns),
        *signal_notes(layout, options),
        *aside_notes(layout),
        *attribute_notes(layout, options),
    ]
    return tuple(sorted(found, key=lambda note: not note.warning))
