"""Where data is: a path of this machine, or the address of an object."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

from headrace.stores.io.local_storage import LocalStorage
from headrace.stores.io.object_options import DEFAULT_OBJECTS, ObjectOptions
from headrace.stores.io.object_path import ObjectPath, object_path
from headrace.stores.io.object_storage import ObjectStorage
from headrace.stores.io.storage import Storage

Place = Path | ObjectPath
NO_NAME = "a path holds no control characters. Correct it"
NO_FILE = "an address is no file. Copy it to this machine, and name the copy"
NO_OBJECT = (
    "an address of an object begins with s3://, gs:// or az://. Copy this to one of these or to "
    "this machine, and name the copy"
)
# A path has one slash where the address had two.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def place_of(text: str, options: ObjectOptions = DEFAULT_OBJECTS) -> Place:
    """What a text names: s3://, gs:// or az://, file:///, or a path.

    Raises:
        ValueError: none of these, or an address that holds a user, a password or a query.
    """
    found = object_path(text, options)
    if found is not None:
        return found
    if text.startswith("file:///"):
        text = unquote(text.removeprefix("file://"))
    elif _ADDRESS.match(text) and "://" in text:
        raise ValueError(NO_OBJECT)
    return Path(local(text))


def local(text: str) -> str:
    """A path of this machine, unchanged.

    Raises:
        ValueError: it is an address, or holds what no name may.
    """
    if not text.isprintable():
        raise ValueError(NO_NAME)
    if _ADDRESS.match(text):
        raise ValueError(NO_FILE)
    return text


def storage_of(place: Place) -> Storage:
    """What a place is made of."""
    return ObjectStorage(place) if isinstance(place, ObjectPath) else LocalStorage(place)


def unpacked(text: str) -> Place:
    """The place that `Storage.packed` wrote down."""
    given = json.loads(text)
    if "path" in given:
        return Path(given["path"])
    return place_of(given["address"], ObjectOptions.model_validate(given["options"]))
