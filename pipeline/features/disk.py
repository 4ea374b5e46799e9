"""What a store may take on disk, and its refusal where that is short."""

from __future__ import annotations

from headrace.stores.errors import BudgetError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.manifest import Manifest
from headrace.stores.text import format_bytes


def require_disk(target: Place, manifest: Manifest, windows: int) -> None:
    """Refuse a store that the disk may not hold: `windows` more of it, not compressed at all.

    Object stores have no end that can be asked for.

    Raises:
        UserError: names what is needed and what is free.
    """
    require_free(target, needed_disk(manifest, windows))


def require_free(target: Place, needed: int) -> None:
    """Refuse what the disk of a store may not hold.

    Raises:
        UserError: names what is needed and what is free.
    """
    free = storage_of(target).free_bytes()
    if free is not None and needed > free:
        raise BudgetError(
            f"The store may need {format_bytes(needed)} and {target.absolute().parent} has "
            f"{format_bytes(free)} free. Free some, or name a --store on another disk."
        )


def needed_disk(manifest: Manifest, windows: int) -> int:
    """Most bytes that `windows` windows of a store take on disk: as if nothing were compressed."""
    return int(1.02 * windows * manifest.window_bytes) + (16 << 20)
