"""Where a build stands beside its store, what says that it is one, and who may work there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, overload

from headrace.stores.errors import StoreError, UserError
from headrace.stores.io.disk import make_folder
from headrace.stores.io.lock import locked
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.places import Place, names_below

REPLACED = "replaced"
"""Below a build's folder: the store that a mending has taken out of its place; of objects what
made it one.
"""
_OURS = re.compile(r"(plan|index|records|store|replaced)(\..*)?|[0-9a-f]{32}")
"""What may stand in it, temporary names too."""


@overload
def partial_folder(target: Path) -> Path: ...
@overload
def partial_folder(target: ObjectPath) -> ObjectPath: ...
@overload
def partial_folder(target: Place) -> Place: ...
def partial_folder(target: Place) -> Place:
    """Where the store `target` is while it is being built."""
    return target.with_name(f"{target.name}.partial")


def is_begun(target: Place) -> bool:
    """Whether a build of `target` waits to be finished."""
    folder = partial_folder(target)
    return folder.exists() if isinstance(folder, Path) else (folder / "plan.json").exists()


def is_finished(target: Place) -> bool:
    """Whether something stands there: a folder; of objects the group's metadata, their last."""
    return target.exists() if isinstance(target, Path) else (target / "zarr.json").exists()


def refuse_foreign(folder: Place) -> None:
    """Refuse to work in a folder that is not one of ours, which would be removed.

    Raises:
        UserError: it holds something else.
    """
    if isinstance(folder, ObjectPath):
        found = sorted({name.partition("/")[0] for name in names_below(folder)})
    elif not folder.is_symlink() and not folder.exists():
        return
    else:
        ours = folder.is_dir() and not folder.is_symlink()
        found = sorted(path.name for path in folder.iterdir()) if ours else [""]
    for name in found:
        if not _OURS.fullmatch(name):
            raise StoreError(
                f"{folder / name} stands where the store is to be made. Move it elsewhere, or "
                "name another --store."
            )


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


def begun_otherwise(target: Place, differing: list[str]) -> UserError:
    """The error that another build stands where one was to be begun."""
    also = f" and {target}" * isinstance(target, ObjectPath)
    return StoreError(
        f"{partial_folder(target)} was begun with another {', '.join(differing)}. Restore that, or "
        f"delete the folder{also} to begin anew, or name another --store."
    )


def lock_path(target: Place) -> Path | None:
    """The file that `build_lock` locks; None for objects."""
    return target.with_name(f"{target.name}.lock") if isinstance(target, Path) else None


@contextmanager
def build_lock(target: Place) -> Iterator[None]:
    """Hold the only right to build `target`; the system gives it back when the process dies.

    In an object store there is no such right, and nothing to give back: see `stores.object_builds`.

    Raises:
        UserError: another process is building it, or its folder cannot be written.
    """
    path = lock_path(target)
    if path is None:
        yield
        return
    busy = StoreError(
        f"Another process is building {target}. Wait for it, or name another --store."
    )
    with ExitStack() as held:
        try:
            make_folder(path.parent)
            held.enter_context(locked(path, busy, makes_file=True))
        except OSError as error:
            raise StoreError(
                f"The store {target} cannot be made there ({error.strerror}). Name another --store."
            ) from error
        yield
