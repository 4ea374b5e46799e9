"""The manifest of a store as it stands on the disk: read, checked, and refused if it is newer."""

from __future__ import annotations

import json
from collections.abc import Sequence

import xxhash
from pydantic import ValidationError

from headrace.stores.errors import DamageError, StoreError
from headrace.stores.io.places import Place
from headrace.stores.manifest import FORMAT_VERSION, Manifest

UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError,
)  # fmt: skip
"""What reading JSON of another shape than expected may raise."""
MEND = "Mend it with: headrace features --repair."
"""What to do about a damaged store."""


def read_manifest(folder: Place) -> Manifest:
    """The manifest of the store in `folder`.

    Raises:
        UserError: there is no store, or it is of a newer format.
        DamageError: its manifest is damaged.
    """
    path = folder / "manifest" / "zarr.json"
    try:
        content = path.read_bytes()
        attributes = json.loads(content)["attributes"]
        version = int(attributes["format_version"])
    except NotADirectoryError as error:
        raise StoreError(
            f"{folder} is a file, and a store is a folder. An HDF5 source is named with --data."
        ) from error
    except FileNotFoundError as error:
        if (folder / "zarr.json").exists() and (folder / "raw").is_dir():
            raise DamageError(f"{folder} has no manifest any more. {MEND}") from error
        raise StoreError(
            f"{folder} is no store: it has no manifest. Name another folder, or an empty one to "
            f"make it: headrace features --data SOURCE.h5 --store {folder}"
        ) from error
    except PermissionError as error:
        raise StoreError(
            f"{path} cannot be read ({error.strerror}). Get the right to read the store."
        ) from error
    except UNREADABLE as error:
        _refuse_newer(folder, [_root_version(folder)])
        raise DamageError(f"The manifest of {folder} is damaged ({error}). {MEND}") from error
    _refuse_newer(folder, [version, _root_version(folder)])
    _require_checksum(folder, content, version)
    try:
        manifest = Manifest.model_validate(attributes)
        manifest.to_bytes()
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "its sizes"
        raise DamageError(
            f"The manifest of {folder} is damaged ({where}: {problem['msg']}). {MEND}"
        ) from error
    except ValueError as error:
        raise DamageError(f"The manifest of {folder} is damaged ({error}). {MEND}") from error
    return manifest


def _require_checksum(folder: Place, content: bytes, version: int) -> None:
    path = folder / "zarr.json"
    try:
        attributes = json.loads(path.read_bytes())["attributes"]
        recorded, written = attributes.get("manifest"), int(attributes["headrace"])
    except UNREADABLE as error:
        raise DamageError(f"{path} is damaged ({error}). {MEND}") from error
    # Before format 2 there was none; a manifest that only says so has none either.
    expected = None if version == 1 else xxhash.xxh3_128_hexdigest(content)
    if recorded != expected or written != version:
        raise DamageError(
            f"The manifest of {folder} has another checksum than {path} records. {MEND}"
        )


def _root_version(folder: Place) -> int | None:
    """The format that the group's metadata names, if it can be read."""
    try:
        return int(json.loads((folder / "zarr.json").read_bytes())["attributes"]["headrace"])
    except UNREADABLE:
        return None


def _refuse_newer(folder: Place, versions: Sequence[int | None]) -> None:
    """Refuse a store of which all that can be read says that it is of a newer format.

    Raises:
        UserError: it is.
    """
    said = [version for version in versions if version is not None]
    if said and min(said) > FORMAT_VERSION:
        raise StoreError(
            f"{folder} has store format {min(said)}; this version reads up to {FORMAT_VERSION}. "
            "Upgrade headrace."
        )
