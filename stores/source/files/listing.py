"""Names of the files below a folder: none that is hidden, and none read that leads out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from headrace.stores.errors import SourceError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.source.file_patterns import LEAVE_OUT
from headrace.stores.source.formats.opening import ZARR_FILES

NOT_THERE = "is not there"
"""What is wrong with the name of a file that may be written later."""


def names_below(folder: Place) -> Iterator[str]:
    """Names of all files below, relative and with slashes; a Zarr group is one file.

    Links to folders are not followed; those that lead out of the folder are given like files, for
    `require_inside`. Names that begin with a dot are left alone.
    """
    if not isinstance(folder, Path):
        yield from _object_names(list(storage_of(folder).names()))
        return
    waiting, root = [""], os.path.realpath(folder)
    while waiting:
        inside = waiting.pop()
        with os.scandir(folder / inside) as found:
            entries = list(found)
        if inside and any(entry.name in ZARR_FILES for entry in entries):
            yield inside[:-1]
            continue
        for entry in entries:
            name = f"{inside}{entry.name}"
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(f"{name}/")
            elif _may_be_file(entry, root):
                yield name


class Inside:
    """Tells what lies inside a folder; each folder below is looked at once."""

    def __init__(self, folder: Place) -> None:
        """Names will be relative to `folder`."""
        self._folder = folder
        self._root = os.path.realpath(folder) if isinstance(folder, Path) else ""
        self._inside: dict[str, bool] = {}

    def problem(self, name: str) -> str | None:
        """Why a name cannot be used; None: there is such a file."""
        if name.startswith("/") or ".." in name.split("/") or "\\" in name:
            return "leads out of the folder"
        if not isinstance(self._folder, Path):
            return None if (self._folder / name).is_file() else NOT_THERE
        path = os.path.join(self._folder, name)
        parent = os.path.dirname(path)
        if parent not in self._inside:
            self._inside[parent] = self._holds(os.path.realpath(parent))
        try:
            link = os.path.islink(path)
            if not self._inside[parent] or (link and not self._holds(os.path.realpath(path))):
                return "leads out of the folder"
            there = os.path.isfile(path) or any(
                os.path.isfile(os.path.join(path, each)) for each in ZARR_FILES
            )
        except ValueError:  # NUL
            there = False
        return None if there else NOT_THERE

    def _holds(self, path: str) -> bool:
        return os.path.commonpath([self._root, path]) == self._root


def place_beside(folder: Place, name: str) -> Place:
    """Another file of the folder, or below it.

    Raises:
        UserError: the name leads out of the folder, or there is no such file.
    """
    what = Inside(folder).problem(name)
    if what is not None:
        raise SourceError(f"{name} {what}: it is looked for in {folder}. Name a file in there.")
    return folder / name


def _object_names(names: Sequence[str]) -> Iterator[str]:
    """Of objects: what stands below a Zarr group's metadata is that group."""
    groups = {
        name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in ZARR_FILES
    } - {""}
    given: set[str] = set()
    for name in names:
        parts = name.split("/")
        above = ("/".join(parts[:n]) for n in range(1, len(parts)))
        group = next((each for each in above if each in groups), None)
        if group is not None:
            name = group
        if name in given or any(part.startswith(".") for part in name.split("/")):
            continue
        given.add(name)
        yield name


def require_inside(folder: Place, names: Sequence[str]) -> None:
    """Refuse links that lead out of the folder, to what is not there, or to another of the files.

    Raises:
        UserError: names the first.
    """
    if not isinstance(folder, Path):
        return
    links = [name for name in names if os.path.islink(os.path.join(folder, name))]
    if not links:
        return
    inside, linked = Inside(folder), set(links)
    root = os.path.realpath(folder)
    seen = {os.path.join(root, name): name for name in names if name not in linked}
    for name in links:
        what = inside.problem(name)
        if what is not None:
            raise SourceError(
                f"{name} in {folder} is a link, and {what}. Copy the data into the folder "
                f"(cp -rL), or leave it out: in source.files {LEAVE_OUT}."
            )
        other = seen.setdefault(os.path.realpath(os.path.join(folder, name)), name)
        if other != name:
            raise SourceError(
                f"{name} in {folder} is a link to {other}: the recording would count twice. "
                f"Remove it, or leave it out: in source.files {LEAVE_OUT}."
            )


def _may_be_file(entry: os.DirEntry[str], root: str) -> bool:
    """A file, or a link: wherever it leads, the file that it stands for is missed without it."""
    if not entry.is_symlink():
        return entry.is_file()
    target = os.path.realpath(entry.path)
    return not (os.path.isdir(target) and os.path.commonpath([root, target]) == root)
