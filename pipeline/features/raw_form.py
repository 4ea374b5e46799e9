"""Whether a store holds windows or the stretches of signal that they are cut from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.stores.build.site import site_of
from headrace.stores.errors import ConfigError, UserError
from headrace.stores.io.places import Place
from headrace.stores.layout.stretches import default_windows, stretch_rows
from headrace.stores.manifest import Manifest
from headrace.stores.manifest_file import read_manifest
from headrace.stores.source.notes.note import Note
from headrace.stores.source.source import Source
from headrace.stores.text import format_bytes

if TYPE_CHECKING:
    from headrace.pipeline.config.sections import StoreOptions

WORTH = 0.5
"""Of the bytes of windows: stretches that take more are not made unless they are asked for."""


@dataclass(frozen=True)
class RawForm:
    """What `raw` of a store holds.

    Attributes:
        stretch: windows of a stretch, which stand one after another; 0: windows are shuffled.
        step: samples from one to the next.
        cut: whether stretches are stored, and not windows.
    """

    stretch: int = 0
    step: int = 0
    cut: bool = False


def is_of_windows(target: Place) -> bool:
    """Whether a store stands at `target`, or is begun, that holds windows shuffled one by one.

    It is what it is where the configuration names no form: stores of format 2 are checked, mended
    and finished as such.
    """
    with suppress(UserError):
        return read_manifest(target).stretch == 0
    site = site_of(target)
    if not site.stands():
        with suppress(UserError, OSError, ValueError):
            return site.is_begun() and site.load().manifest.stretch == 0
    return (target / "raw").is_dir() and not (target / "stretch").is_dir()


def raw_form(source: Source, options: StoreOptions, as_windows: bool = False) -> RawForm:
    """The form that the configuration names, or the one that suits how windows overlap.

    Args:
        source: that is to be stored.
        options: of the store.
        as_windows: what is there already holds windows, and stays so if no form is named.

    Raises:
        UserError: stretches are asked for, and no two windows of the source overlap.
    """
    time = source.spec.time
    step = None if source.recordings is None else source.recordings.step
    if step is None or step >= time:
        if options.raw == "stretches" or options.stretch_windows is not None:
            which = "raw" if options.raw == "stretches" else "stretch_windows"
            value = '"stretches"' if which == "raw" else options.stretch_windows
            why = (
                "has windows, and not recordings that they are cut from"
                if step is None
                else f"is cut into windows of {time} samples every {step}: none overlap"
            )
            raise ConfigError(
                f"store.{which} = {value} is for windows that overlap, and {source.path} {why}. "
                "Remove it."
            )
        return RawForm()
    windows = options.stretch_windows or default_windows(time, step)
    pays = stretch_share(time, step, windows) <= WORTH
    named = options.raw is not None or options.stretch_windows is not None
    # Blocks of a length of their own are of windows that are shuffled one by one.
    if not named and (as_windows or not pays or options.block_windows is not None):
        return RawForm()
    return RawForm(windows, step, options.raw == "stretches" or (options.raw is None and pays))


def raw_notes(manifest: Manifest) -> Iterator[Note]:
    """What `raw` of a store holds, if it was to be decided, and what the other form would take."""
    if not manifest.stretch:
        return
    windows = manifest.windows * manifest.spec.stored_bytes
    share = stretch_share(manifest.time, manifest.step, manifest.stretch)
    stretches = manifest.shards * manifest.stretches * manifest.raw_row_bytes
    stored = "stretches" if manifest.stretches else "windows"
    other = "windows" if manifest.stretches else "stretches"
    taken = stretches if manifest.stretches else windows
    instead = windows if manifest.stretches else int(windows * share)
    yield Note(
        f"raw holds {stored}, {format_bytes(taken)} before compression; as {other} it would take "
        f"about {format_bytes(instead)}: windows of {manifest.time} samples begin every "
        f"{manifest.step}. {manifest.stretch} of them stand together in the store, in stretches "
        f"of {stretch_rows(manifest.time, manifest.step, manifest.stretch):,} samples.",
        "store.raw",
    )


def stretch_share(time: int, step: int, windows: int) -> float:
    """Bytes of stretches for each byte of their windows."""
    return stretch_rows(time, step, windows) / (windows * time)
