"""Where data is: a path of this machine, or the address of an object."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from headrace.stores.io.object_options import DEFAULT_OBJECTS, ObjectOptions
from headrace.stores.io.object_path import PART_BYTES, ObjectPath, object_path

Place = Path | ObjectPath
State = tuple[int | str, ...]
"""What tells one version of a file or object from another; see `state_of`."""
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


def state_of(place: Place) -> State:
    """Differs when the file or object was touched: a file's size, time of change and number.

    Raises:
        OSError: it is not there.
    """
    if isinstance(place, ObjectPath):
        return place.state()
    state = os.stat(place)
    return state.st_size, state.st_mtime_ns, state.st_ino


def parts_of(place: Place) -> Iterator[bytes]:
    """The content of a file or an object, a slice of 4 MiB after the other.

    Raises:
        OSError: it cannot be read.
    """
    if isinstance(place, ObjectPath):
        yield from place.parts()
        return
    with place.open("rb") as stream:
        while part := stream.read(PART_BYTES):
            yield part


def openable(place: Place) -> Path | io.BytesIO:
    """A small file or object as NumPy opens it.

    Raises:
        OSError: it cannot be read.
    """
    return place if isinstance(place, Path) else io.BytesIO(place.read_bytes())


def size_of(place: Place) -> int:
    """Bytes of a file or an object.

    Raises:
        OSError: it is not there.
    """
    return place.stat().st_size if isinstance(place, Path) else place.size()


def names_below(place: Place) -> Iterator[str]:
    """Names, relative to it and with slashes, of all files or objects that stand below a place."""
    if isinstance(place, ObjectPath):
        for name, _ in place.below():
            yield name
        return
    for folder, _, files in os.walk(place):
        inside = os.path.relpath(folder, place)
        for name in files:
            yield name if inside == "." else f"{inside}/{name}"


def sizes_below(place: Place) -> Iterator[tuple[str, int]]:
    """Names as `names_below` gives them, and bytes; what cannot be looked at is left out."""
    if isinstance(place, ObjectPath):
        yield from place.below()
        return
    for name in names_below(place):
        with suppress(OSError):
            yield name, (place / name).stat().st_size


def packed(place: Place) -> str:
    """A place as an argument of a child process."""
    if isinstance(place, Path):
        return json.dumps({"path": str(place.absolute())})
    return json.dumps({"address": str(place), "options": place.options.model_dump(mode="json")})


def unpacked(text: str) -> Place:
    """What `packed` was given."""
    given = json.loads(text)
    if "path" in given:
        return Path(given["path"])
    return place_of(given["address"], ObjectOptions.model_validate(given["options"]))
