"""Builds in an object store, where nothing can be locked or renamed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from headrace.stores.build.folder import (
    REPLACED,
    begun_otherwise,
    is_begun,
    is_finished,
    partial_folder,
    read_plan,
)
from headrace.stores.errors import StoreError
from headrace.stores.io.disk import explained, remove_file, remove_folder, write_bytes, write_once
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.places import names_below
from headrace.stores.layout.fold_index import FoldIndex
from headrace.stores.manifest import Manifest, manifest_differences
from headrace.stores.shards.array_format import canonical_json

if TYPE_CHECKING:
    from headrace.stores.build.build import Build


def begin_objects(build: Build, index: FoldIndex, replaces: bool) -> None:
    """`stores.building.begin_build` there: the plan is an object that is only ever created.

    Whoever finds it there has the same plan, and makes the same bytes, or is refused.
    """
    plan = build.folder / "plan.json"
    wanted = build.manifest.model_dump(mode="json")
    if not plan.exists():
        there = "itself" if build.target.exists() else next(names_below(build.target), None)
        if there is not None and not replaces:
            raise StoreError(
                f"{build.target} holds objects already, {there} among them, and is no store. Name "
                "another --store, or delete them."
            )
        if replaces:
            with suppress(FileNotFoundError):
                root = (build.target / "zarr.json").read_bytes()
                write_bytes(build.folder / REPLACED, root)
        write_bytes(build.work / "index.npz", index.to_bytes())
        write_once(plan, canonical_json(wanted))
    differing = manifest_differences(read_plan(plan), wanted)
    if differing:
        raise begun_otherwise(build.target, differing)
    if replaces:
        remove_file(build.target / "zarr.json")


def keeps_conditions(build: Build) -> bool:
    """Whether two builds of one store cannot take each other for themselves.

    On a disk there is a lock. An object store has to refuse to write an object that is there: not
    all do, and one that does not answers as if it had been asked to replace it.
    """
    plan = build.folder / "plan.json"
    if not isinstance(plan, ObjectPath):
        return True
    try:
        plan.write(plan.read_bytes(), create=True)
    except (FileExistsError, FileNotFoundError):
        return True
    return False


def discard_objects(target: ObjectPath) -> None:
    """`stores.building.discard_build` there; the plan goes last: it says what the others are."""
    folder = partial_folder(target)
    if not is_begun(target):
        remove_folder(folder)
        return
    if not is_finished(target):
        replaced = folder / REPLACED
        if replaced.exists():
            write_bytes(target / "zarr.json", replaced.read_bytes())
        else:
            # What is not of this build's making is not there: it was looked at when it began.
            manifest = Manifest.model_validate(read_plan(folder / "plan.json"))
            arrays = (*(array.name for array in manifest.arrays()), "manifest")
            for name in arrays:
                remove_folder(target / name)
    others = [name for name in names_below(folder) if name not in ("plan.json", REPLACED)]
    for names in (others, [REPLACED], ["plan.json"]):
        with explained(folder):
            folder.remove(names)
