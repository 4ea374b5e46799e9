"""Opens the parts of a store that stands on this disk or as objects: their manifests, no data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from headrace.stores.build.site import site_of
from headrace.stores.errors import StoreError
from headrace.stores.io.object_options import ObjectOptions
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.places import Place, place_of, storage_of
from headrace.stores.manifest_file import read_manifest
from headrace.stores.parts.part import StorePart
from headrace.stores.parts.places import later_parts
from headrace.stores.text import counted


def open_parts(
    path: Place | str, options: ObjectOptions, count: int | None
) -> tuple[StorePart, ...]:
    """The parts of a store, or the first `count` of them; see `open_store`.

    Raises:
        UserError: there is no such store, or one of its manifests is damaged.
    """
    if not isinstance(path, (str, Path, ObjectPath)):
        raise StoreError(f"A store is named by its path or address, not by {path!r}.")
    try:
        folder = place_of(path, options) if isinstance(path, str) else path
    except ValueError as error:
        raise StoreError(f"{path} names no store: {error}.") from error
    site = site_of(folder)
    exists = site.is_finished()
    if not exists and site.is_begun():
        raise StoreError(
            f"The store {folder} is half made: {site.folder}. Finish it with: "
            f"headrace features, with the options it was begun with."
        )
    if not exists:
        raise StoreError(
            f"There is no store {folder}. Make it: headrace features with the same --config or "
            f"--data, and --store {folder}"
        )
    first = StorePart(folder, read_manifest(folder))
    if count == 1:
        return (first,)
    later = later_parts(folder)
    if count is not None and not 1 <= count <= len(later) + 1:
        raise StoreError(
            f"{folder} has {counted(len(later) + 1, 'part')}, and the first {count} are asked for: "
            "by paths.parts, parts=, or a run that began with as many. Ask for 1 to "
            f"{len(later) + 1}, or restore the parts that are missing."
        )
    with ThreadPoolExecutor(storage_of(folder).requests) as pool:
        manifests = list(pool.map(read_manifest, later[: None if count is None else count - 1]))
    return (first, *map(StorePart, later, manifests))
