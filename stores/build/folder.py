"""The folder of a build beside its store: its name, and what says whose it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from headrace.stores.errors import StoreError, UserError
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.places import Place

Kind = TypeVar("Kind", Path, ObjectPath)
REPLACED = "replaced"
"""Below a build's folder: the store that a mending has taken out of its place; of objects what
made it one.
"""
COMPACTED = "replaced.parts"
"""The same of a store with all its parts, in whose place one store is made of them."""
PARTS = "parts"
"""Folder of a store, a Zarr group, in which its later parts are groups: 0001, 0002, ..."""
_OURS = re.compile(r"(plan|index|files|records|store|replaced)(\..*)?|[0-9a-f]{32}")
"""What may stand there, temporary names too."""


def partial_folder(target: Kind) -> Kind:
    """Where the store `target` is while it is being built."""
    return target.with_name(f"{target.name}.partial")


def read_plan(plan: Place) -> dict[str, Any]:
    """What a build was begun with.

    Raises:
        UserError: it cannot be read.
    """
    try:
        found = json.loads(plan.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(
            f"{plan} cannot be read ({error}). Delete {plan.parent} to begin anew."
        ) from error
    return found if isinstance(found, dict) else {}


def begun_otherwise(folder: Place, differing: list[str], also: str = "") -> UserError:
    """The error that another build stands where one was to be begun.

    Args:
        folder: of the work in progress.
        differing: what is another.
        also: what else has to be deleted to begin from scratch.
    """
    return StoreError(
        f"{folder} was begun with another {', '.join(differing)}. Restore that, or delete the "
        f"folder{also} to begin anew, or name another --store."
    )


def refuse_foreign(folder: Place, names: Iterable[str]) -> None:
    """Refuse to work in a folder that is not one of ours, which would be removed.

    Args:
        folder: of the work in progress.
        names: of what stands in it.

    Raises:
        UserError: it holds something else.
    """
    for name in sorted(names):
        if not _OURS.fullmatch(name):
            raise StoreError(
                f"{folder / name} stands where the store is to be made. Move it elsewhere, or "
                "name another --store."
            )
